//! A little patience before parking: waking a thread costs as much as thousands of uncontended locks.
#![allow(clippy::disallowed_methods)]

use super::seam;

/// Counts the rounds of one wait: short pauses that double, then a few yields, then it is time to park.
#[derive(Debug)]
pub(crate) struct Spin {
    round: u32,
    limit: u32,
    /// How many threads are known to wait for each other.
    threads: usize,
    /// The shortest pause, as a power of two.
    shortest: u32,
}

const PAUSES: u32 = 6;
const YIELDS: u32 = 16;
/// Two to this many pauses are about a microsecond.
const BRIEF: u32 = 6;
/// As `shortest`, of a thread at a large ring.
const LONGEST_AT_RING: u32 = 3;
/// Where more threads wait for each other than there are processors, nothing happens before others run.
const YIELDS_IN_A_CROWD: u32 = 32;

/// Waits actively for so many times 30 ns or so.
#[inline]
pub(crate) fn pause(times: usize) {
    (0..times).for_each(|_| std::hint::spin_loop());
}

impl Spin {
    #[inline]
    pub(crate) fn new() -> Self {
        Self::among(2)
    }

    /// The patience of one of so many threads that wait for each other.
    #[inline]
    pub(crate) fn among(threads: usize) -> Self {
        Self { round: 0, limit: u32::MAX, threads, shortest: 0 }
    }

    /// The patience of a thread that wants a lock. Its holder is quick, and quicker if it is left alone: each look at
    /// the lock takes the cache line away from it.
    #[inline]
    pub(crate) fn for_lock() -> Self {
        Self { shortest: BRIEF, ..Self::new() }
    }

    /// The patience of a thread at a ring of so many places. Right behind another it would only be in its way: where
    /// there are more places, it waits longer, and then finds more to do.
    #[inline]
    pub(crate) fn for_ring(places: usize) -> Self {
        let shortest = (places.max(1).ilog2() / 2 + 1).min(LONGEST_AT_RING);
        Self { shortest, ..Self::new() }
    }

    /// Whether patience is left.
    pub(crate) fn may(&mut self) -> bool {
        if self.limit == u32::MAX {
            (self.round, self.limit) = match seam::processors() {
                _ if !seam::may_spin() => (0, 0),
                1 => (PAUSES, PAUSES + YIELDS),
                several if self.threads > several => (PAUSES, PAUSES + YIELDS_IN_A_CROWD),
                _ => (0, PAUSES + YIELDS),
            };
        }
        self.round < self.limit
    }

    /// Whether patience is left, and something can happen while this thread keeps its processor.
    pub(crate) fn may_pause(&mut self) -> bool {
        self.may() && seam::processors() > 1
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
            (0..1 << self.round.max(self.shortest)).for_each(|_| std::hint::spin_loop());
        } else {
            std::thread::yield_now();
        }
        self.round += 1;
        true
    }
}
