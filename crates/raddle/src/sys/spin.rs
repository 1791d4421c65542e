//! Spinning before parking: waking a parked thread costs as much as thousands of uncontended locks.
//!
//! A thread that has to wait
//!
//! 1. pauses 63 times in six rounds that double, if another processor may bring what it waits for,
//! 2. yields up to 16 times (32 if more threads wait for each other than there are processors),
//! 3. parks.
//!
//! Two observations change that:
//!
//! - **Yields must be short.** A yield of more than 400 µs gave the processor to a thread that computes. Its duration is a debt,
//!   which shorter yields repay by what they stay below 400 µs. At a debt of more than 4 ms no thread of the program yields for
//!   32 times as long as the yields of that wait took, so that at most a thirtieth of the time is lost to yields. A wait that finds
//!   many items owes nothing: the computing thread was the one that produced them.
//! - **A thread whose last 16 waits all came to yields** shares its processor with the thread it waits for, and pauses only
//!   keep that one from running: it begins with yields. After 128 such waits it parks at once: the operating system
//!   places a woken thread on an idle processor, whereas two threads that only yield to each other stay where they are.
#![allow(clippy::disallowed_methods)]

use std::cell::Cell;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::os;

/// Counts the rounds of one wait.
#[derive(Debug)]
pub(crate) struct SpinBudget {
    round: u32,
    limit: u32,
    /// How many threads are known to wait for each other.
    threads: usize,
    /// The shortest pause, as a power of two.
    shortest: u32,
    /// How long the long yields of this wait took, in nanoseconds.
    lost: u64,
}

const PAUSES: u32 = 6;
const YIELDS: u32 = 16;
/// Where more threads wait for each other than there are processors, nothing happens before others run.
const YIELDS_IN_A_CROWD: u32 = 32;
/// Two to this many pauses are about a microsecond.
const BRIEF: u32 = 6;
/// As `shortest`, of a thread at a large ring.
const LONGEST_AT_RING: u32 = 3;

/// A yield that takes longer is long. Parking costs 5 to 50 µs, but several threads of the program that all wait on one processor
/// take some 100 µs to come round, and the time slices of busy threads are 700 µs and more.
const LONG: Duration = Duration::from_micros(400);
/// So much debt is too much.
const TOO_MUCH: Duration = Duration::from_millis(4);
/// Then no thread yields for so many times as long as the last yield took,
const RARELY: u32 = 32;
/// but never for longer than this: what used up the time may have ended.
const LONGEST: Duration = Duration::from_millis(100);

/// So many waits in a row that come to yields are no chance,
const ROW: u32 = 16;
/// and so many mean that the operating system should place the thread anew.
const LONG_ROW: u32 = 128;

/// Pauses for so many times 30 ns or so.
#[inline]
pub(crate) fn pause(times: usize) {
    (0..times).for_each(|_| std::hint::spin_loop());
}

impl SpinBudget {
    #[inline]
    pub(crate) fn new() -> Self {
        Self::among(2)
    }

    /// For one of so many threads that wait for each other.
    #[inline]
    pub(crate) fn among(threads: usize) -> Self {
        Self { round: 0, limit: u32::MAX, threads, shortest: 0, lost: 0 }
    }

    /// For a thread that wants a lock. Its holder is quick, and quicker if it is left alone: each look at the lock takes
    /// the cache line away from it.
    #[inline]
    pub(crate) fn for_lock() -> Self {
        Self { shortest: BRIEF, ..Self::new() }
    }

    /// For a thread at a ring of so many places. Right behind another it would only be in its way: where there are more
    /// places, it waits longer, and then finds more to do.
    #[inline]
    pub(crate) fn for_ring(places: usize) -> Self {
        let shortest = (places.max(1).ilog2() / 2 + 1).min(LONGEST_AT_RING);
        Self { shortest, ..Self::new() }
    }

    /// Says whether there are rounds left.
    pub(crate) fn has_rounds(&mut self) -> bool {
        if self.limit == u32::MAX {
            self.begin();
        }
        self.round < self.limit
    }

    /// Says whether there are rounds left, and something can happen while this thread keeps its processor.
    pub(crate) fn has_pauses(&mut self) -> bool {
        self.has_rounds() && os::processors() > 1
    }

    /// Spins until `done` says so; false: time to park.
    pub(crate) fn until(&mut self, done: impl Fn() -> bool) -> bool {
        while self.spin() {
            if done() {
                return true;
            }
        }
        false
    }

    /// Waits a moment and says whether to look again; false: time to park.
    pub(crate) fn spin(&mut self) -> bool {
        if !self.has_rounds() {
            return false;
        }
        if self.round < PAUSES {
            pause(1 << self.round.max(self.shortest));
        } else {
            WAITS.with(Waits::yields);
            let start = os::nanoseconds();
            std::thread::yield_now();
            self.yielded(os::nanoseconds().saturating_sub(start));
        }
        self.round += 1;
        true
    }

    /// Accounts for a yield of so many nanoseconds.
    fn yielded(&mut self, took: u64) {
        if took <= nanoseconds(LONG) {
            DEAR.repay(nanoseconds(LONG) - took);
            return;
        }
        self.lost += took;
        if self.lost > nanoseconds(TOO_MUCH) {
            self.limit = self.round;
        }
    }

    /// Cancels the debt of this wait, which found more than yields could have cost.
    pub(crate) fn forgive_yields(&mut self) {
        self.lost = 0;
    }

    /// Chooses the rounds.
    #[cold]
    fn begin(&mut self) {
        let all = (0, PAUSES + YIELDS);
        let only_yields = (PAUSES, PAUSES + YIELDS);
        (self.round, self.limit) = match os::processors() {
            _ if !WAITS.with(|waits| waits.enabled.get()) => (0, 0),
            1 => only_yields,
            several if self.threads > several => (PAUSES, PAUSES + YIELDS_IN_A_CROWD),
            _ => match WAITS.with(Waits::next) {
                Place::Apart => all,
                Place::Shared => only_yields,
                Place::Wrong => (0, 0),
            },
        };
        if self.limit > PAUSES && DEAR.lasts(os::nanoseconds) {
            self.limit = PAUSES;
        }
    }
}

impl Drop for SpinBudget {
    #[inline]
    fn drop(&mut self) {
        if self.lost > 0 {
            DEAR.lose(self.lost, os::nanoseconds());
        }
    }
}

/// Sets whether the calling thread spins. Under a scheduler it does not: nothing changes until another thread is chosen.
pub(crate) fn set_enabled(enabled: bool) {
    WAITS.with(|waits| waits.enabled.set(enabled));
}

/// The address of what this module keeps for the calling thread.
pub(crate) fn local() -> Range<usize> {
    WAITS.with(|waits| {
        let start = std::ptr::from_ref(waits).addr();
        start..start + size_of_val(waits)
    })
}

/// The calling thread is about to park.
pub(crate) fn parks() {
    WAITS.with(Waits::parks);
}

/// Where the thread runs that the calling one waits for, as far as one can tell.
#[derive(Debug, PartialEq)]
enum Place {
    /// On another processor.
    Apart,
    /// On the same one.
    Shared,
    /// On the same one for too long.
    Wrong,
}

thread_local! {
    static WAITS: Waits = const { Waits::new() };
}

/// The waits of one thread.
struct Waits {
    /// The present one, or the last, came to a yield.
    yielded: Cell<bool>,
    /// How many in a row did before.
    row: Cell<u32>,
    /// Whether the thread spins at all.
    enabled: Cell<bool>,
}

impl Waits {
    const fn new() -> Self {
        Self { yielded: Cell::new(false), row: Cell::new(0), enabled: Cell::new(true) }
    }

    /// A wait begins.
    fn next(&self) -> Place {
        if self.row.get() < LONG_ROW {
            self.row.set(if self.yielded.replace(false) { self.row.get() + 1 } else { 0 });
        }
        match self.row.get() {
            ..ROW => Place::Apart,
            // Now and then it finds out whether that is still so.
            row @ ROW..LONG_ROW if !row.is_multiple_of(2 * ROW) => Place::Shared,
            ROW..LONG_ROW => Place::Apart,
            _ => Place::Wrong,
        }
    }

    fn yields(&self) {
        self.yielded.set(true);
    }

    fn parks(&self) {
        self.yielded.set(false);
        self.row.set(0);
    }
}

static DEAR: Dear = Dear::new();

/// Whether yields give the processor away for too long. All threads learn from each other: it is a matter of the machine.
///
/// Relaxed, and not in one step: what several threads find out at the same moment may get lost, and is found out again.
struct Dear {
    /// Until when that is assumed; 0: it is not.
    until: AtomicU64,
    /// How long yields took that were long, less what was repaid.
    debt: AtomicU64,
}

impl Dear {
    const fn new() -> Self {
        Self { until: AtomicU64::new(0), debt: AtomicU64::new(0) }
    }

    fn lasts(&self, now: impl FnOnce() -> u64) -> bool {
        let until = self.until.load(Relaxed);
        if until == 0 {
            return false;
        }
        let lasts = now() < until;
        if !lasts {
            self.until.store(0, Relaxed);
        }
        lasts
    }

    /// A wait has lost so much time to long yields, and ends `now`.
    fn lose(&self, lost: u64, now: u64) {
        let debt = self.debt.load(Relaxed).saturating_add(lost).min(2 * nanoseconds(TOO_MUCH));
        self.debt.store(debt, Relaxed);
        if debt > nanoseconds(TOO_MUCH) {
            let pause = lost.saturating_mul(RARELY.into()).min(nanoseconds(LONGEST));
            self.until.store(now.saturating_add(pause), Relaxed);
        }
    }

    /// A yield stayed below the limit by so much time.
    fn repay(&self, time: u64) {
        let debt = self.debt.load(Relaxed);
        if debt > 0 {
            self.debt.store(debt.saturating_sub(time), Relaxed);
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_yields_stop_yields() {
        let dear = Dear::new();
        dear.lose(3_000_000, 3_000_000);
        assert!(!dear.lasts(|| unreachable!("the clock need not be read")), "it may be chance");
        dear.lose(3_000_000, 3_000_000);
        assert!(dear.lasts(|| 3_000_000) && dear.lasts(|| 3_000_000 * 33 - 1));
        assert!(!dear.lasts(|| 3_000_000 * 33));
        assert!(!dear.lasts(|| 0), "once it has passed, it is over");
        dear.lose(500_000, 500_000);
        assert!(dear.lasts(|| 500_000), "the debt is still there");
    }

    #[test]
    fn short_yields_repay_long_ones() {
        let dear = Dear::new();
        for _ in 0..1_000 {
            dear.lose(3_000_000, 3_000_000);
            (0..8).for_each(|_| dear.repay(390_000));
        }
        assert!(!dear.lasts(|| 0));
        assert_eq!(dear.debt.load(Relaxed), 0);
    }

    #[test]
    fn wait_owes_its_long_yields_unless_it_was_worthwhile() {
        let debt = |wait: &dyn Fn(&mut SpinBudget)| {
            let mut spin = SpinBudget::new();
            spin.limit = 100;
            wait(&mut spin);
            let lost = spin.lost;
            spin.lost = 0; // not to be learned by the process
            (lost, spin.round < spin.limit)
        };
        assert_eq!(debt(&|spin| spin.yielded(400_000)), (0, true));
        assert_eq!(debt(&|spin| spin.yielded(3_000_000)), (3_000_000, true));
        let twice = |spin: &mut SpinBudget| (0..2).for_each(|_| spin.yielded(3_000_000));
        assert_eq!(debt(&twice), (6_000_000, false), "no more yields in this wait");
        assert_eq!(debt(&|spin| (twice(spin), spin.forgive_yields()).1).0, 0);
    }

    #[test]
    fn no_wait_keeps_others_from_yielding_for_more_than_a_tenth_of_a_second() {
        let dear = Dear::new();
        dear.lose(60_000_000_000, 60_000_000_000);
        assert!(dear.lasts(|| 60_000_000_000 + 99_999_999));
        assert!(!dear.lasts(|| 60_000_000_000 + 100_000_000));
    }

    #[test]
    fn at_most_a_thirtieth_of_the_time_is_lost_to_long_yields() {
        for took in [500_000, 1_500_000, 3_000_000] {
            let dear = Dear::new();
            let (mut now, mut lost) = (0, 0);
            while now < 10_000_000_000 {
                if dear.lasts(|| now) {
                    now += 10_000;
                } else {
                    now += took;
                    lost += took;
                    dear.lose(took, now);
                }
            }
            let at_first = nanoseconds(TOO_MUCH) + took;
            assert!((lost - at_first.min(lost)) * 30 <= now, "{took}: {lost} of {now}");
        }
    }

    #[test]
    fn thread_that_shares_a_processor_leaves_out_pauses_and_parks_in_the_end() {
        let waits = Waits::new();
        let places: Vec<_> = (0..LONG_ROW)
            .map(|_| {
                let place = waits.next();
                waits.yields();
                place
            })
            .collect();
        assert!(places[..16].iter().all(|place| *place == Place::Apart));
        let apart = places[16..].iter().filter(|place| **place == Place::Apart).count();
        assert_eq!((apart, places.contains(&Place::Wrong)), (3, false));
        assert_eq!(waits.next(), Place::Wrong);
        assert_eq!(waits.next(), Place::Wrong, "until it has parked");
        waits.parks();
        assert_eq!(waits.next(), Place::Apart);
    }

    #[test]
    fn wait_that_needs_no_yield_ends_the_row() {
        let waits = Waits::new();
        for _ in 0..1_000 {
            for _ in 0..ROW {
                assert_eq!(waits.next(), Place::Apart);
                waits.yields();
            }
            assert_eq!(waits.next(), Place::Shared);
            assert_eq!(waits.next(), Place::Apart);
        }
    }

    #[test]
    fn spinning_ends() {
        for threads in [2, 1_000] {
            for _ in 0..300 {
                let mut spin = SpinBudget::among(threads);
                assert!((0..100).any(|_| !spin.spin()));
            }
        }
    }
}
