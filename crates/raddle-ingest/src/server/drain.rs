//! The remainder of a connection after the stop.
//!
//! Bytes that the operating system had buffered at the stop are always read. Then reading continues until the peer closes or is silent,
//! or until the grace period is over: a peer that never stops sending does not delay the stop.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// How long a connection must be silent to count as drained: the operating system of the peer needs a moment to send its
/// buffered bytes once there is room again, and on a busy machine, a peer in the middle of a message needs a moment to run again.
const SILENCE: Duration = Duration::from_millis(100);

/// The longest such time for a peer under backpressure: TCP probes for room less and less often.
const LONGEST_SILENCE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Drain {
    /// Bytes that were buffered at the stop, and are not read yet.
    owed: u64,
    /// The socket has been empty since then.
    empty_since: Option<Instant>,
    /// The longest time for which the connection was not read, since the queue was full.
    held_back: Duration,
    /// The grace period is over: arriving bytes are not read any more.
    over: bool,
}

impl Drain {
    pub(super) fn begin(socket: impl AsFd) -> Self {
        // If the number is unknown, the grace period alone decides.
        let owed = rustix::io::ioctl_fionread(socket).unwrap_or(0);
        Self { owed, empty_since: None, held_back: Duration::ZERO, over: false }
    }

    /// Records that `bytes` have been read.
    pub(super) fn read(&mut self, bytes: usize) {
        self.owed = self.owed.saturating_sub(bytes as u64);
        self.empty_since = None;
    }

    /// Records that the socket is empty.
    pub(super) fn is_empty(&mut self, now: Instant) {
        self.owed = 0;
        self.empty_since.get_or_insert(now);
    }

    /// Records that the connection was not read for a time. The peer may take as long to continue.
    pub(super) fn held_back(&mut self, time: Duration) {
        self.held_back = self.held_back.max(time);
    }

    /// Records that the grace period is over.
    pub(super) fn stop_reading(&mut self) {
        self.over = true;
    }

    /// Returns whether arriving bytes are still read.
    pub(super) fn may_read(&self) -> bool {
        !self.over
    }

    /// Returns whether bytes that were buffered at the stop are left.
    pub(super) fn is_owed(&self) -> bool {
        self.owed > 0
    }

    /// Returns whether the peer has been silent for long enough.
    pub(super) fn is_silent(&self, now: Instant) -> bool {
        let silence = self.held_back.clamp(SILENCE, LONGEST_SILENCE);
        self.empty_since.is_some_and(|since| now - since >= silence)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn peer_is_drained_after_a_silence_that_depends_on_backpressure() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        peer.write_all(b"12345").unwrap();
        let (socket, _) = listener.accept().unwrap();
        socket.peek(&mut [0; 5]).unwrap();
        let (mut drain, begin) = (Drain::begin(&socket), raddle::time::now());
        assert!(drain.is_owed() && !drain.is_silent(begin));
        drain.read(5);
        assert!(!drain.is_owed());
        drain.is_empty(begin);
        assert!(!drain.is_silent(begin + SILENCE / 2) && drain.is_silent(begin + SILENCE));
        drain.held_back(Duration::from_millis(300));
        assert!(!drain.is_silent(begin + SILENCE) && drain.is_silent(begin + Duration::from_millis(300)));
        drain.held_back(Duration::from_mins(5));
        assert!(drain.is_silent(begin + LONGEST_SILENCE));
        drain.read(1);
        assert!(!drain.is_silent(begin + LONGEST_SILENCE));
    }
}
