//! What is still read of a connection after the stop.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use raddle::time;

use super::wake::readable_within;

/// How long a connection may be silent before it counts as drained: its peer's operating system needs a
/// moment to hand on what it still holds once there is room again.
const SILENCE: Duration = Duration::from_millis(20);

/// The most that a peer which was held back is given instead: meanwhile TCP asks for room less and less often.
const LONGEST_SILENCE: Duration = Duration::from_secs(1);

/// The rest of a connection that is stopped.
///
/// What the operating system held for it at the stop is read whatever it takes. After that it is read on
/// until it ends, is silent, or the time of grace is over: a peer that never stops sending stops nobody.
#[derive(Debug)]
pub(super) struct Drain {
    owed: u64,
    until: Option<Instant>,
}

impl Drain {
    pub(super) fn begin(socket: impl AsFd, grace: Duration) -> io::Result<Self> {
        Ok(Self { owed: rustix::io::ioctl_fionread(socket)?, until: time::now().checked_add(grace) })
    }

    /// Notes that `bytes` more have been read.
    pub(super) fn read(&mut self, bytes: usize) {
        self.owed = self.owed.saturating_sub(bytes as u64);
    }

    /// Says whether the connection has had its time.
    pub(super) fn is_over(&self) -> bool {
        self.owed == 0 && self.until.is_some_and(|until| time::now() >= until)
    }

    /// Nothing is there to read: says whether that changes within a moment.
    ///
    /// A peer that was `held_back` for a time is not silent of its own will, and may take as long to go on.
    pub(super) fn goes_on(&mut self, socket: impl AsFd, held_back: Duration) -> io::Result<bool> {
        self.owed = 0;
        readable_within(socket, held_back.clamp(SILENCE, LONGEST_SILENCE))
    }
}
