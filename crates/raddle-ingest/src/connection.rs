//! One peer: its bytes become messages.

use std::io::{self, Read};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use raddle::{Event, time};

use crate::arrival::{Arrival, Content};
use crate::intake::{Intake, WriterGone};
use crate::lines::{Ending, Lines};
use crate::wake::{Wake, readable_within};

/// Reads begin small, so that many idle connections need little memory, and grow while they come back full.
const FIRST_READ: usize = 4 << 10;
const LARGEST_READ: usize = 64 << 10;

/// How long a connection may be silent before it counts as drained: its peer's operating system needs a
/// moment to hand on what it still holds once there is room again.
const SILENCE: Duration = Duration::from_millis(20);

/// The most that a peer which was held back is given instead: meanwhile TCP asks for room less and less often.
const LONGEST_SILENCE: Duration = Duration::from_secs(1);

/// What every connection of a source works with.
#[derive(Clone, Debug)]
pub(crate) struct Common {
    pub(crate) intake: Intake,
    pub(crate) stop: Arc<Event>,
    pub(crate) wake: Arc<Wake>,
    pub(crate) max_message: usize,
    pub(crate) grace: Duration,
    /// Connections whose time was over while they still sent.
    pub(crate) cut_off: Arc<AtomicUsize>,
}

/// A connection with a peer, read until it ends or the source is stopped.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: TcpStream,
    peer: Arc<str>,
    common: Common,
    drain: Option<Drain>,
    /// How long the full queue has held the peer back: the last time, and the longest after the stop.
    held_back: Duration,
}

impl Connection {
    pub(crate) fn new(socket: TcpStream, peer: Arc<str>, common: Common) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        // A peer that vanished without a word is noticed some day, and its thread freed.
        rustix::net::sockopt::set_socket_keepalive(&socket, true)?;
        Ok(Self { socket, peer, common, drain: None, held_back: Duration::ZERO })
    }

    /// Puts every message of the peer into the intake.
    pub(crate) fn run(mut self) {
        let mut lines = Lines::new(self.common.max_message);
        if let Err(WriterGone) = self.receive(&mut lines) {
            log::debug!("{}: closed, because the writer has failed", self.peer);
        }
    }

    fn receive(&mut self, lines: &mut Lines) -> Result<(), WriterGone> {
        let mut buffer = vec![0; FIRST_READ];
        let ending = loop {
            match self.read(&mut buffer) {
                Ok(Next::Bytes(count)) => {
                    self.put(|each| lines.feed(&buffer[..count], each))?;
                    if count == buffer.len() && count < LARGEST_READ {
                        buffer.resize(count * 2, 0);
                    }
                }
                Ok(Next::End(ending)) => break ending,
                Err(error) => {
                    log::info!("{}: connection lost: {error}", self.peer);
                    break Ending::Cut;
                }
            }
        };
        self.put(|each| lines.end(ending).into_iter().for_each(each))
    }

    /// Puts what `messages` hands over into the intake, all received at this moment.
    fn put(&mut self, messages: impl FnOnce(&mut dyn FnMut(Content))) -> Result<(), WriterGone> {
        let received = SystemTime::now();
        let mut arrivals = Vec::new();
        messages(&mut |content| arrivals.push(Arrival { received, peer: self.peer.clone(), content }));
        if arrivals.is_empty() {
            return Ok(());
        }
        let begin = time::now();
        let outcome = self.common.intake.put(arrivals);
        let earlier = if self.drain.is_some() { self.held_back } else { Duration::ZERO };
        self.held_back = earlier.max(time::now() - begin);
        outcome
    }

    /// Waits for bytes, for the peer's end, or for the end of the time that is left after the stop.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<Next> {
        loop {
            if self.drain.is_none() && self.common.stop.is_set() {
                self.drain = Some(Drain::begin(&self.socket, self.common.grace)?);
            }
            if self.drain.as_ref().is_some_and(Drain::is_over) {
                return self.cut().map(Next::End);
            }
            match self.socket.read(buffer) {
                Ok(0) => return Ok(Next::End(Ending::Closed)),
                Ok(count) => {
                    self.drain.iter_mut().for_each(|drain| drain.read(count));
                    return Ok(Next::Bytes(count));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !self.goes_on()? {
                        return Ok(Next::End(Ending::Cut));
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The time is over; if the peer has closed in time, its last line is whole.
    fn cut(&mut self) -> io::Result<Ending> {
        loop {
            match self.socket.peek(&mut [0]) {
                Ok(0) => return Ok(Ending::Closed),
                Ok(_) => {
                    self.common.cut_off.fetch_add(1, Ordering::Relaxed);
                    return Ok(Ending::Cut);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !self.goes_on()? {
                        return Ok(Ending::Cut);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Nothing is there to read: waits until there may be, or says that the connection is drained.
    fn goes_on(&mut self) -> io::Result<bool> {
        match &mut self.drain {
            Some(drain) => drain.goes_on(&self.socket, self.held_back),
            None => self.common.wake.wait(&self.socket).map(|()| true),
        }
    }
}

/// What a read came to.
enum Next {
    Bytes(usize),
    End(Ending),
}

/// The rest of a connection that is stopped.
///
/// What the operating system held for it at the stop is read whatever it takes. After that it is read on
/// until it ends, is silent, or the time of grace is over: a peer that never stops sending stops nobody.
#[derive(Debug)]
pub(crate) struct Drain {
    owed: u64,
    until: Option<Instant>,
}

impl Drain {
    pub(crate) fn begin(socket: impl AsFd, grace: Duration) -> io::Result<Self> {
        Ok(Self { owed: rustix::io::ioctl_fionread(socket)?, until: time::now().checked_add(grace) })
    }

    /// Notes that `bytes` more have been read.
    pub(crate) fn read(&mut self, bytes: usize) {
        self.owed = self.owed.saturating_sub(bytes as u64);
    }

    /// Says whether the connection has had its time.
    pub(crate) fn is_over(&self) -> bool {
        self.owed == 0 && self.until.is_some_and(|until| time::now() >= until)
    }

    /// Nothing is there to read: says whether that changes within a moment.
    ///
    /// A peer that was `held_back` for a time is not silent of its own will, and may take as long to go on.
    pub(crate) fn goes_on(&mut self, socket: impl AsFd, held_back: Duration) -> io::Result<bool> {
        self.owed = 0;
        readable_within(socket, held_back.clamp(SILENCE, LONGEST_SILENCE))
    }
}
