//! A little patience before parking: waking a thread costs as much as thousands of uncontended locks.
#![allow(clippy::disallowed_methods)]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::{seam, sharing};

/// Counts the rounds of one wait: short pauses that double, then a few yields, then it is time to park.
#[derive(Debug)]
pub(crate) struct Spin {
    round: u32,
    limit: u32,
    /// How many threads are known to wait for each other.
    threads: usize,
    /// The shortest pause, as a power of two.
    shortest: u32,
    /// It does no harm if others use up their time.
    unhurried: bool,
}

const PAUSES: u32 = 6;
const YIELDS: u32 = 16;
/// Two to this many pauses are about a microsecond.
const BRIEF: u32 = 6;
/// As `shortest`, of a thread at a large ring.
const LONGEST_AT_RING: u32 = 3;
/// Where more threads wait for each other than there are processors, nothing happens before others run.
const YIELDS_IN_A_CROWD: u32 = 32;

/// So much doubt is too much.
const TOO_MUCH: u32 = 24;
/// A yield that takes so long was a bad idea.
const LONG: Duration = Duration::from_micros(500);
/// Then so many waits do without.
const FEWEST: u32 = 64;
/// Never more than these,
const MOST: u32 = 1 << 16;
/// and not for much longer than this: what used up the time may have ended.
const LONGEST: Duration = Duration::from_millis(100);
/// So often, in waits without yields, the clock is looked at.
const OFTEN: u32 = 64;

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
        Self { round: 0, limit: u32::MAX, threads, shortest: 0, unhurried: false }
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

    /// The patience of a thread that waits for others which do not wait for it: those who put items into a queue without
    /// limit, or hold a latch. They may well use up their time.
    #[inline]
    pub(crate) fn unhurried() -> Self {
        Self { unhurried: true, ..Self::new() }
    }

    /// Whether patience is left.
    pub(crate) fn may(&mut self) -> bool {
        if self.limit == u32::MAX {
            (self.round, self.limit) = match seam::processors() {
                _ if !seam::may_spin() => (0, 0),
                1 => (PAUSES, PAUSES + YIELDS),
                several if self.threads > several => (PAUSES, PAUSES + YIELDS_IN_A_CROWD),
                _ if sharing::shares_a_processor() => (PAUSES, PAUSES + YIELDS),
                _ => (0, PAUSES + YIELDS),
            };
            if !self.unhurried && yields_are_dear() {
                self.limit = self.limit.min(PAUSES);
            }
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
            sharing::yields(self.round - PAUSES + 1);
            if self.unhurried { std::thread::yield_now() } else { yield_briefly() }
        }
        self.round += 1;
        true
    }
}

/// Grows with each yield that takes too long, and shrinks with each that does not.
static DOUBT: AtomicU32 = AtomicU32::new(0);
/// How many waits do without yields from now on.
static WITHOUT: AtomicU32 = AtomicU32::new(0);
/// Since when, in milliseconds from a start of its own.
static SINCE: AtomicU64 = AtomicU64::new(0);
/// How many will when a yield takes too long once more.
static NEXT: AtomicU32 = AtomicU32::new(FEWEST);

/// Whether one should rather park than yield. All threads learn from each other: it is a matter of the machine.
fn yields_are_dear() -> bool {
    let left = WITHOUT.load(Relaxed);
    if left == 0 {
        return false;
    }
    let age = || now().saturating_sub(SINCE.load(Relaxed));
    WITHOUT.store(one_less(left, age), Relaxed); // what others store meanwhile may get lost
    true
}

/// What is left of so many waits after one more; the first was so many milliseconds ago.
fn one_less(left: u32, age: impl FnOnce() -> u64) -> u32 {
    if left.is_multiple_of(OFTEN) && age() >= millis(LONGEST) { 0 } else { left - 1 }
}

fn now() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    millis(START.get_or_init(Instant::now).elapsed())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Yields, and finds out whether that lasted so long that another program, or a thread that does not wait for anybody,
/// used up its time: who parks is back as soon as it is woken, who yields is not. One such yield may be chance.
fn yield_briefly() {
    let start = Instant::now();
    std::thread::yield_now();
    let (doubt, next) = (DOUBT.load(Relaxed), NEXT.load(Relaxed));
    if start.elapsed() < LONG {
        if doubt > 0 {
            DOUBT.store(doubt - 1, Relaxed);
        } else if next > FEWEST {
            NEXT.store(next - next / 16, Relaxed);
        }
    } else if doubt < TOO_MUCH {
        DOUBT.store(doubt + TOO_MUCH / 3, Relaxed);
    } else {
        SINCE.store(now(), Relaxed);
        WITHOUT.store(next, Relaxed);
        NEXT.store(next.saturating_mul(2).min(MOST), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST, OFTEN, one_less};

    /// How many waits do without yields if that began so many milliseconds ago, and how often the clock is read.
    fn waits(age: u64) -> (u32, u32) {
        let (mut left, mut waits, mut looks) = (MOST, 0, 0);
        while left > 0 {
            left = one_less(left, || {
                looks += 1;
                age
            });
            waits += 1;
        }
        (waits, looks)
    }

    #[test]
    fn waits_do_without_yields_for_so_many_waits_and_not_for_longer_than_a_tenth_of_a_second() {
        assert_eq!(waits(99), (MOST, MOST / OFTEN));
        assert_eq!(waits(100), (1, 1));
        assert_eq!(one_less(OFTEN + 1, || 100), OFTEN); // the clock is looked at next time
    }
}
