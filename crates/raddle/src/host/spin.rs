//! A little patience before parking: waking a thread costs as much as thousands of uncontended locks.
#![allow(clippy::disallowed_methods)]

use super::seam;

/// Counts the rounds of one wait: short pauses that double, then a few yields, then it is time to park.
#[derive(Debug)]
pub(crate) struct Spin {
    round: u32,
    limit: u32,
}

const PAUSES: u32 = 6;
const YIELDS: u32 = 8;

impl Spin {
    #[inline]
    pub(crate) fn new() -> Self {
        Self { round: 0, limit: u32::MAX }
    }

    /// Whether patience is left.
    pub(crate) fn may(&mut self) -> bool {
        if self.limit == u32::MAX {
            self.limit = if seam::may_spin() { PAUSES + YIELDS } else { 0 };
            // On one processor nothing changes before others run.
            self.round = if seam::processors() > 1 { 0 } else { PAUSES };
        }
        self.round < self.limit
    }

    /// Waits until `done` says so; false: patience ran out before.
    pub(crate) fn until(&mut self, done: impl Fn() -> bool) -> bool {
        while self.again() {
            if done() {
                return true;
            }
        }
        false
    }

    /// Waits a moment and says whether to look again; false: park.
    pub(crate) fn again(&mut self) -> bool {
        if !self.may() {
            return false;
        }
        if self.round < PAUSES {
            (0..1 << self.round).for_each(|_| std::hint::spin_loop());
        } else {
            std::thread::yield_now();
        }
        self.round += 1;
        true
    }
}
