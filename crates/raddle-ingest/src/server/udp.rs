//! Datagrams: each is a message.
//!
//! The operating system drops datagrams when its buffer is full, and reports their number with the next datagram. While the queue is full and
//! the server blocks, the socket is not read, so that it is the operating system that drops, and counts. The number is also read from `/proc`,
//! every second and at the stop, since the next datagram may arrive much later.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use mio::net::UdpSocket;
use raddle::time;

use crate::intake::{Intake, WhenFull};
use crate::message::Parcel;
use crate::server::connection::{READ_BYTES, Work};
use crate::server::counters::add;
use crate::server::endpoint::Endpoint;
use crate::server::limits::Seldom;
use crate::syslog::Parser;

/// Datagrams that are read at once, and the size of the largest possible.
const BATCH: usize = 32;
const LARGEST: usize = 64 << 10;

/// The number of batches that are read before others have their turn.
const TURN_BATCHES: usize = 8;

/// The most batches that are read for one place in the list of those that wait for room: as many bytes as of a connection, so that datagrams
/// have the same share of the queue.
const WAITING_BATCHES: usize = 64;
const WAITING_BYTES: usize = READ_BYTES;

pub(super) struct Datagrams {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) socket: UdpSocket,
    pub(super) readable: bool,
    pub(super) waiting: Option<Instant>,
    pending: VecDeque<Parcel>,
    /// The socket has been found empty.
    empty: bool,
    /// Only datagrams that have already arrived are to be received.
    ending: bool,
    /// The number of dropped datagrams that the operating system reported last. It wraps around.
    dropped: u32,
    drops_logged: Seldom,
    /// The peer of the last datagram, and its name.
    last: Option<(SocketAddr, Arc<str>)>,
    /// Pages that are never written occupy no memory.
    buffer: Vec<u8>,
}

impl Datagrams {
    pub(super) fn new(endpoint: Arc<Endpoint>, socket: UdpSocket) -> Self {
        Self {
            endpoint,
            socket,
            readable: true,
            waiting: None,
            pending: VecDeque::new(),
            empty: false,
            ending: false,
            dropped: 0,
            drops_logged: Seldom::default(),
            last: None,
            buffer: vec![0; BATCH * LARGEST],
        }
    }

    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Returns the number of bytes that wait for room.
    pub(super) fn pending_bytes(&self) -> usize {
        self.pending.iter().map(Parcel::bytes).sum()
    }

    pub(super) fn wants_turn(&self) -> bool {
        self.readable && self.pending.is_empty()
    }

    /// Returns whether everything that the operating system had has been read and enqueued.
    pub(super) fn is_drained(&self) -> bool {
        self.ending && self.empty && self.pending.is_empty()
    }

    /// The server stops, or the listener is removed: datagrams that have arrived are read.
    pub(super) fn begin_drain(&mut self) {
        (self.readable, self.empty, self.ending) = (true, false, true);
    }

    /// Reads and enqueues some datagrams.
    pub(super) fn turn(&mut self, work: &Work<'_>) {
        for batches in 0..WAITING_BATCHES {
            if self.pending_bytes() >= WAITING_BYTES || (self.pending.is_empty() && batches >= TURN_BATCHES) {
                return;
            }
            match self.read() {
                Ok(count) => {
                    self.empty = false;
                    add(&self.endpoint.counters.datagrams, count as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    (self.readable, self.empty) = (false, true);
                    if self.ending {
                        self.look_for_drops();
                    }
                    return;
                }
                // An error that an earlier datagram from this socket caused, or an interrupted call.
                Err(error) => log::debug!("{}: cannot receive: {error}", self.endpoint.name),
            }
            self.admit(work);
        }
    }

    /// Enqueues the parcels that have been read, until one must wait for room.
    pub(super) fn admit(&mut self, work: &Work<'_>) {
        let intake = &work.shared.intake;
        while let Some(parcel) = self.pending.pop_front() {
            let parcel = if work.full {
                parcel
            } else {
                match intake.try_put(parcel) {
                    Ok(()) => continue,
                    Err(refused) if refused.is_closed() => {
                        log::warn!("{}: messages are not stored: {refused}", self.endpoint.name);
                        self.pending.clear();
                        return;
                    }
                    Err(refused) => refused.into_inner(),
                }
            };
            if intake.when_full() == WhenFull::Shed {
                intake.shed(&parcel);
            } else {
                self.pending.push_front(parcel);
                return;
            }
        }
    }

    /// Enqueues the parcels that have been read beyond the capacity of the queue, because the server stops.
    pub(super) fn force(&mut self, intake: &Intake) {
        for parcel in std::mem::take(&mut self.pending) {
            if let Err(refused) = intake.put_beyond(parcel) {
                log::warn!("{}: {refused}", self.endpoint.name);
            }
        }
    }

    /// Adds datagrams to the parcels to be enqueued: one for each run of datagrams of a peer. Parcels that wait already do not grow, so that
    /// they fit as soon as there is a little room.
    fn push<'a>(&mut self, datagrams: impl Iterator<Item = (SocketAddr, &'a [u8])>) {
        let received = SystemTime::now();
        let options = self.endpoint.lines();
        let parser = Parser::new(&options.zone, received);
        let (mut bytes, waiting) = (0, self.pending.len());
        for (peer, datagram) in datagrams {
            let same = self.last.as_ref().is_some_and(|(last, _)| *last == peer);
            if !same {
                let address = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                self.last = Some((peer, address.to_string().into()));
            }
            if !same || self.pending.len() == waiting {
                let name = &self.last.as_ref().expect("the name of the peer").1;
                self.pending.push_back(Parcel::new(self.endpoint.source, name.clone(), received));
            }
            let parcel = self.pending.back_mut().expect("a parcel");
            options.push_datagram(parcel, datagram, &parser);
            bytes += datagram.len() as u64;
        }
        add(&self.endpoint.counters.bytes, bytes);
    }

    /// Records the number of datagrams that the operating system has dropped so far.
    ///
    /// A datagram contains the number at the time of its arrival, which may be less than a number that was read from
    /// `/proc` meanwhile.
    fn count_dropped(&mut self, dropped: u32) {
        let more = dropped.wrapping_sub(self.dropped);
        if more == 0 || more > u32::MAX / 2 {
            return;
        }
        self.dropped = dropped;
        add(&self.endpoint.counters.dropped, u64::from(more));
        if let Some(lines) = self.drops_logged.due(time::now()) {
            log::warn!(
                "{}: the operating system has dropped {more} datagrams, for which its buffer had no room{lines}",
                self.endpoint.name
            );
        }
    }

    /// Counts the datagrams that were dropped after the last one that was received.
    pub(super) fn look_for_drops(&mut self) {
        use std::os::fd::AsRawFd;
        use std::os::unix::fs::MetadataExt;

        // Systems other than Linux do not have these files.
        let path = format!("/proc/self/fd/{}", self.socket.as_raw_fd());
        let Ok(inode) = std::fs::metadata(path).map(|socket| socket.ino().to_string()) else { return };
        for table in ["/proc/self/net/udp", "/proc/self/net/udp6"] {
            let table = std::fs::read_to_string(table).unwrap_or_default();
            // The columns before: number, two addresses, state, queues, timer, retransmissions, user, timeout. After: references, pointer.
            let mut lines = table.lines().map(|line| line.split_ascii_whitespace().skip(9));
            if let Some(mut columns) = lines.find_map(|mut it| (it.next() == Some(&inode)).then_some(it))
                && let Some(dropped) = columns.nth(2).and_then(to_drops)
            {
                self.count_dropped(dropped);
            }
        }
    }

    /// Reads a batch of datagrams. Returns their number.
    #[cfg(target_os = "linux")]
    fn read(&mut self) -> io::Result<usize> {
        use std::io::IoSliceMut;
        use std::os::fd::AsRawFd;

        use nix::sys::socket::{ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg};

        let mut buffer = std::mem::take(&mut self.buffer);
        let mut received = Vec::with_capacity(BATCH);
        let mut dropped = None;
        {
            let mut headers =
                MultiHeaders::<SockaddrStorage>::preallocate(BATCH, Some(nix::cmsg_space!(u32)));
            let mut slices: Vec<_> =
                buffer.chunks_mut(LARGEST).map(|slice| [IoSliceMut::new(slice)]).collect();
            let outcome = recvmmsg(
                self.socket.as_raw_fd(),
                &mut headers,
                slices.iter_mut(),
                MsgFlags::MSG_DONTWAIT,
                None,
            );
            match outcome {
                Ok(datagrams) => {
                    for datagram in datagrams {
                        for message in datagram.cmsgs().into_iter().flatten() {
                            if let ControlMessageOwned::RxqOvfl(count) = message {
                                dropped = Some(count);
                            }
                        }
                        received.push((datagram.address.and_then(to_address), datagram.bytes));
                    }
                }
                Err(error) => {
                    self.buffer = buffer;
                    return Err(error.into());
                }
            }
        }
        if let Some(count) = dropped {
            self.count_dropped(count);
        }
        self.push(received.iter().zip(buffer.chunks(LARGEST)).map(|((peer, length), bytes)| {
            let unknown = || SocketAddr::new(IpAddr::V4([0, 0, 0, 0].into()), 0);
            (peer.unwrap_or_else(unknown), &bytes[..*length])
        }));
        self.buffer = buffer;
        Ok(received.len())
    }

    /// Reads a datagram.
    #[cfg(not(target_os = "linux"))]
    fn read(&mut self) -> io::Result<usize> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let outcome = self.socket.recv_from(&mut buffer[..LARGEST]);
        if let Ok((length, peer)) = outcome {
            self.push(std::iter::once((peer, &buffer[..length])));
        }
        self.buffer = buffer;
        outcome.map(|_| 1)
    }
}

/// Reads the number of dropped datagrams, which some versions of Linux write with a sign.
fn to_drops(column: &str) -> Option<u32> {
    column.parse().ok().or_else(|| column.parse().ok().map(i32::cast_unsigned))
}

#[cfg(target_os = "linux")]
fn to_address(address: nix::sys::socket::SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddr::new(IpAddr::V4(v4.ip()), v4.port()));
    }
    address.as_sockaddr_in6().map(|v6| SocketAddr::new(IpAddr::V6(v6.ip()), v6.port()))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use crate::server::connection::tests::{Nobody, parts};
    use crate::settlement::Acknowledge;

    use super::*;

    fn datagrams() -> (Datagrams, impl Fn() -> u64) {
        let (_, endpoint) = parts();
        let counters = endpoint.counters.clone();
        let socket = UdpSocket::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        (Datagrams::new(endpoint, socket), move || counters.dropped.load(Ordering::Relaxed))
    }

    #[test]
    fn drops_that_a_datagram_reports_late_are_not_counted_again() {
        let (mut datagrams, dropped) = datagrams();
        for (told, counted) in [(10, 10), (500, 500), (300, 500), (500, 500), (501, 501)] {
            datagrams.count_dropped(told);
            assert_eq!(dropped(), counted);
        }
    }

    #[test]
    fn waiting_datagrams_have_the_same_share_as_a_connection() {
        for (length, count) in [(100, 1000), (2000, 96)] {
            let (shared, endpoint) = parts();
            let counters = endpoint.counters.clone();
            let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            socket2::SockRef::from(&socket).set_recv_buffer_size(4 << 20).unwrap();
            socket.set_nonblocking(true).unwrap();
            let (peer, to) =
                (std::net::UdpSocket::bind("127.0.0.1:0").unwrap(), socket.local_addr().unwrap());
            let mut datagrams = Datagrams::new(endpoint, UdpSocket::from_std(socket));
            let sent = (0..1000).filter(|_| peer.send_to(&vec![b'x'; length], to).is_ok()).count();
            let acknowledge: Arc<dyn Acknowledge> = Arc::new(Nobody);
            let (shared, acknowledge, buffer) = (&shared, &acknowledge, &mut [][..]);
            let work = Work { shared, acknowledge, buffer, full: true, scarce: false, crowded: false };
            datagrams.turn(&work);
            datagrams.look_for_drops();
            let (read, dropped) = (&counters.datagrams, &counters.dropped);
            let arrived = sent as u64 - dropped.load(Ordering::Relaxed);
            assert_eq!(read.load(Ordering::Relaxed), arrived.min(count), "{length} bytes each");
            assert!(datagrams.pending.iter().all(|parcel| parcel.len() <= BATCH), "parcels stay small");
            assert!(arrived > 32, "more than a batch: {arrived}");
        }
    }

    #[test]
    fn number_of_drops_wraps_around() {
        let (mut datagrams, dropped) = datagrams();
        for told in [1 << 30, 1 << 31, 3 << 30, u32::MAX, 4] {
            datagrams.count_dropped(told);
        }
        assert_eq!(dropped(), (1 << 32) + 4);
        assert_eq!(
            [to_drops("7"), to_drops("4294967295"), to_drops("-1"), to_drops("x")],
            [Some(7), Some(u32::MAX), Some(u32::MAX), None]
        );
    }
}
