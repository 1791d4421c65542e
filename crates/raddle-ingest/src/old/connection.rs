//! One connection: reads bytes of a peer and splits them into messages.

use std::io::{self, Read};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use raddle::{Event, time};

use crate::old::arrival::{Arrival, Content};
use crate::old::intake::{Intake, WriterGoneError};
use crate::old::lines::{Ending, Lines};
use crate::old::wake::{Wake, readable_within};

/// Buffers start small, since idle connections should use little memory, and grow while reads fill them.
const FIRST_READ: usize = 4 << 10;
const LARGEST_READ: usize = 64 << 10;

/// How long a connection must be silent to count as drained: the operating system of the peer needs a moment to send what it has
/// buffered once there is room again.
const SILENCE: Duration = Duration::from_millis(20);

/// The longest such time for a peer under backpressure: TCP probes for room less and less often.
const LONGEST_SILENCE: Duration = Duration::from_secs(1);

/// The parts that all connections of a source share.
#[derive(Clone, Debug)]
pub(crate) struct Common {
    pub(crate) intake: Intake,
    pub(crate) stop: Arc<Event>,
    pub(crate) wake: Arc<Wake>,
    pub(crate) max_message: usize,
    pub(crate) grace: Duration,
    /// The number of connections that were still sending at the end of the grace period.
    pub(crate) cut_off: Arc<AtomicUsize>,
}

/// A connection with a peer, read until it is closed or the source is stopped.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: TcpStream,
    peer: Arc<str>,
    common: Common,
    drain: Option<Drain>,
    /// How long the last enqueue blocked on the full queue; after the stop, the longest such time.
    held_back: Duration,
}

impl Connection {
    pub(crate) fn new(socket: TcpStream, peer: Arc<str>, common: Common) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        // Detects peers that disappeared, so that their threads terminate.
        rustix::net::sockopt::set_socket_keepalive(&socket, true)?;
        Ok(Self { socket, peer, common, drain: None, held_back: Duration::ZERO })
    }

    /// Enqueues every message of the peer.
    pub(crate) fn run(mut self) {
        let mut lines = Lines::new(self.common.max_message);
        if let Err(WriterGoneError) = self.receive(&mut lines) {
            log::debug!("{}: closed, since the writer has terminated", self.peer);
        }
    }

    fn receive(&mut self, lines: &mut Lines) -> Result<(), WriterGoneError> {
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

    /// Enqueues the messages that `messages` passes, with the present time.
    fn put(&mut self, messages: impl FnOnce(&mut dyn FnMut(Content))) -> Result<(), WriterGoneError> {
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

    /// Blocks until there are bytes, the peer has closed, or the grace period after the stop is over.
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
                    if !self.wait_for_more()? {
                        return Ok(Next::End(Ending::Cut));
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Ends the connection after the grace period. If the peer has closed in time, its last line is complete.
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
                    if !self.wait_for_more()? {
                        return Ok(Ending::Cut);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Blocks until there may be more to read. Returns false if the connection is drained.
    fn wait_for_more(&mut self) -> io::Result<bool> {
        match &mut self.drain {
            Some(drain) => drain.wait_for_more(&self.socket, self.held_back),
            None => self.common.wake.wait(&self.socket).map(|()| true),
        }
    }
}

/// The outcome of a read.
enum Next {
    Bytes(usize),
    End(Ending),
}

/// The remainder of a connection after the stop.
///
/// Bytes that the operating system had buffered at the stop are always read. Then reading continues until the peer closes or is
/// silent, or until the grace period is over: a peer that never stops sending does not delay the stop.
#[derive(Debug)]
pub(crate) struct Drain {
    owed: u64,
    until: Option<Instant>,
}

impl Drain {
    pub(crate) fn begin(socket: impl AsFd, grace: Duration) -> io::Result<Self> {
        Ok(Self { owed: rustix::io::ioctl_fionread(socket)?, until: time::now().checked_add(grace) })
    }

    /// Records that `bytes` have been read.
    pub(crate) fn read(&mut self, bytes: usize) {
        self.owed = self.owed.saturating_sub(bytes as u64);
    }

    /// Returns whether the grace period is over.
    pub(crate) fn is_over(&self) -> bool {
        self.owed == 0 && self.until.is_some_and(|until| time::now() >= until)
    }

    /// Blocks for a moment until there is more to read. Returns whether there is.
    ///
    /// A peer under backpressure for the time `held_back` may take as long to continue.
    pub(crate) fn wait_for_more(&mut self, socket: impl AsFd, held_back: Duration) -> io::Result<bool> {
        self.owed = 0;
        readable_within(socket, held_back.clamp(SILENCE, LONGEST_SILENCE))
    }
}
