//! Spinning before parking: waking a parked thread costs as much as thousands of uncontended locks.
//!
//! A thread that has to wait
//!
//! 1. pauses 63 times in six rounds that double, if there is more than one processor,
//! 2. yields up to 16 times, or 32 times if more threads wait for each other than there are processors,
//! 3. parks.
//!
//! Two observations adjust this budget:
//!
//! - **Yields must be short.** A yield of more than 400 µs gave the processor to a thread that computes. Its duration is a
//!   debt, which shorter yields repay by the time that they stay below 400 µs. At a debt of more than 4 ms no thread of the
//!   program yields for 32 times as long as the yields of that wait took, so that at most a thirtieth of the time is lost
//!   to yields. A wait that finds many items has no debt: the computing thread produced them.
//! - **A thread whose last 16 waits all reached the yields** shares its processor with the thread that it waits for, and
//!   pauses only delay that thread. So it begins with yields. After 128 such waits it parks at once: the operating system
//!   places a woken thread on an idle processor, whereas two threads that only yield to each other stay on theirs.
#![allow(clippy::disallowed_methods)]

use std::cell::Cell;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::os;

/// The spin budget of one wait.
#[derive(Debug)]
pub(crate) struct SpinBudget {
    round: u32,
    limit: u32,
    /// The number of threads that are known to wait for each other.
    threads: usize,
    /// The shortest pause, as a power of two.
    shortest: u32,
    /// The total duration of the long yields of this wait, in nanoseconds.
    lost: u64,
}

const PAUSES: u32 = 6;
const YIELDS: u32 = 16;
/// If more threads wait for each other than there are processors, others have to run first.
const YIELDS_IN_A_CROWD: u32 = 32;
/// The binary logarithm of the number of pauses that take about a microsecond.
const BRIEF: u32 = 6;
/// As `shortest`, of a thread at a large ring.
const LONGEST_AT_RING: u32 = 3;

/// A yield that takes longer is long. Parking costs 5 to 50 µs, but several threads of the program that all wait on one processor
/// take about 100 µs until each has run once, and the time slices of busy threads are 700 µs and more.
const LONG_YIELD: Duration = Duration::from_micros(400);
/// The highest debt at which threads still yield.
const MAX_DEBT: Duration = Duration::from_millis(4);
/// Beyond it, no thread yields for this many times the duration of the yields,
const PENALTY: u32 = 32;
/// but never for longer than this, because the computing thread may have finished.
const MAX_PENALTY: Duration = Duration::from_millis(100);

/// After this many waits in a row that reach the yields, a thread begins with yields,
const ROW: u32 = 16;
/// and after this many it parks at once.
const PARK_ROW: u32 = 128;

/// Pauses `times` times, for about 30 ns each.
#[inline]
pub(crate) fn pause(times: usize) {
    (0..times).for_each(|_| std::hint::spin_loop());
}

impl SpinBudget {
    #[inline]
    pub(crate) fn new() -> Self {
        Self::among(2)
    }

    /// Returns the budget of one of `threads` threads that wait for each other.
    #[inline]
    pub(crate) fn among(threads: usize) -> Self {
        Self { round: 0, limit: u32::MAX, threads, shortest: 0, lost: 0 }
    }

    /// Returns the budget of a thread that acquires a lock. It checks the lock less often, because each check takes the
    /// cache line away from the holder.
    #[inline]
    pub(crate) fn for_lock() -> Self {
        Self { shortest: BRIEF, ..Self::new() }
    }

    /// Returns the budget of a thread at a ring of `places` slots. The more slots, the longer it pauses, so that it does not
    /// contend with the thread ahead and then finds several slots at once.
    #[inline]
    pub(crate) fn for_ring(places: usize) -> Self {
        let shortest = (places.max(1).ilog2() / 2 + 1).min(LONGEST_AT_RING);
        Self { shortest, ..Self::new() }
    }

    /// Returns whether rounds are left.
    pub(crate) fn has_rounds(&mut self) -> bool {
        if self.limit == u32::MAX {
            self.begin();
        }
        self.round < self.limit
    }

    /// Returns whether rounds are left and another processor can change the state meanwhile.
    pub(crate) fn has_pauses(&mut self) -> bool {
        self.has_rounds() && os::processors() > 1
    }

    /// Spins until `done` returns true. Returns false if the budget is used up: then the thread parks.
    pub(crate) fn until(&mut self, done: impl Fn() -> bool) -> bool {
        while self.spin() {
            if done() {
                return true;
            }
        }
        false
    }

    /// Spins one round. Returns false if the budget is used up: then the thread parks.
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

    /// Accounts for a yield of `took` nanoseconds.
    fn yielded(&mut self, took: u64) {
        if took <= nanoseconds(LONG_YIELD) {
            YIELD_DEBT.repay(nanoseconds(LONG_YIELD) - took);
            return;
        }
        self.lost += took;
        if self.lost > nanoseconds(MAX_DEBT) {
            self.limit = self.round;
        }
    }

    /// Cancels the debt of this wait, because it found more items than its yields have cost.
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
                Peer::Elsewhere => all,
                Peer::Here => only_yields,
                Peer::Stuck => (0, 0),
            },
        };
        if self.limit > PAUSES && YIELD_DEBT.forbids_yields(os::nanoseconds) {
            self.limit = PAUSES;
        }
    }
}

impl Drop for SpinBudget {
    #[inline]
    fn drop(&mut self) {
        if self.lost > 0 {
            YIELD_DEBT.lose(self.lost, os::nanoseconds());
        }
    }
}

/// Sets whether the calling thread spins. Under a scheduler it does not: nothing changes until another thread is chosen.
pub(crate) fn set_enabled(enabled: bool) {
    WAITS.with(|waits| waits.enabled.set(enabled));
}

/// Returns the address range of this module's thread-local.
pub(crate) fn local() -> Range<usize> {
    WAITS.with(|waits| {
        let start = std::ptr::from_ref(waits).addr();
        start..start + size_of_val(waits)
    })
}

/// Records that the calling thread is about to park.
pub(crate) fn parks() {
    WAITS.with(Waits::parks);
}

/// The processor of the thread that the calling one waits for, as far as it can be inferred.
#[derive(Debug, PartialEq)]
enum Peer {
    /// It runs on another processor.
    Elsewhere,
    /// It shares this processor.
    Here,
    /// It has shared this processor for too long.
    Stuck,
}

thread_local! {
    static WAITS: Waits = const { Waits::new() };
}

/// The waits of one thread.
struct Waits {
    /// Whether the current wait, or the last one, reached the yields.
    yielded: Cell<bool>,
    /// The number of waits in a row before it that did.
    row: Cell<u32>,
    /// Whether the thread spins at all.
    enabled: Cell<bool>,
}

impl Waits {
    const fn new() -> Self {
        Self { yielded: Cell::new(false), row: Cell::new(0), enabled: Cell::new(true) }
    }

    /// Begins a wait.
    fn next(&self) -> Peer {
        if self.row.get() < PARK_ROW {
            self.row.set(if self.yielded.replace(false) { self.row.get() + 1 } else { 0 });
        }
        match self.row.get() {
            ..ROW => Peer::Elsewhere,
            // From time to time it checks whether this still holds.
            row @ ROW..PARK_ROW if !row.is_multiple_of(2 * ROW) => Peer::Here,
            ROW..PARK_ROW => Peer::Elsewhere,
            _ => Peer::Stuck,
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

static YIELD_DEBT: YieldDebt = YieldDebt::new();

/// The debt of long yields, which all threads share because it depends on the machine.
///
/// The accesses are relaxed and updates are not atomic. A lost update is repeated by the next long yield.
struct YieldDebt {
    /// The end of the period without yields; 0 if there is none.
    until: AtomicU64,
    /// The duration of long yields, minus the repaid time.
    debt: AtomicU64,
}

impl YieldDebt {
    const fn new() -> Self {
        Self { until: AtomicU64::new(0), debt: AtomicU64::new(0) }
    }

    fn forbids_yields(&self, now: impl FnOnce() -> u64) -> bool {
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

    /// Adds the time that a wait has lost to long yields. The wait ends `now`.
    fn lose(&self, lost: u64, now: u64) {
        let debt = self.debt.load(Relaxed).saturating_add(lost).min(2 * nanoseconds(MAX_DEBT));
        self.debt.store(debt, Relaxed);
        if debt > nanoseconds(MAX_DEBT) {
            let pause = lost.saturating_mul(PENALTY.into()).min(nanoseconds(MAX_PENALTY));
            self.until.store(now.saturating_add(pause), Relaxed);
        }
    }

    /// Repays the time by which a yield stayed below the limit.
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
        let debts = YieldDebt::new();
        debts.lose(3_000_000, 3_000_000);
        assert!(!debts.forbids_yields(|| unreachable!("the clock need not be read")), "it may be chance");
        debts.lose(3_000_000, 3_000_000);
        assert!(debts.forbids_yields(|| 3_000_000) && debts.forbids_yields(|| 3_000_000 * 33 - 1));
        assert!(!debts.forbids_yields(|| 3_000_000 * 33));
        assert!(!debts.forbids_yields(|| 0), "it has passed");
        debts.lose(500_000, 500_000);
        assert!(debts.forbids_yields(|| 500_000), "the debt is still there");
    }

    #[test]
    fn short_yields_repay_long_ones() {
        let debts = YieldDebt::new();
        for _ in 0..1_000 {
            debts.lose(3_000_000, 3_000_000);
            (0..8).for_each(|_| debts.repay(390_000));
        }
        assert!(!debts.forbids_yields(|| 0));
        assert_eq!(debts.debt.load(Relaxed), 0);
    }

    #[test]
    fn wait_owes_its_long_yields_unless_it_was_worthwhile() {
        let debt = |wait: &dyn Fn(&mut SpinBudget)| {
            let mut spin = SpinBudget::new();
            spin.limit = 100;
            wait(&mut spin);
            let lost = spin.lost;
            spin.lost = 0; // so that it does not count for the process
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
        let debts = YieldDebt::new();
        debts.lose(60_000_000_000, 60_000_000_000);
        assert!(debts.forbids_yields(|| 60_000_000_000 + 99_999_999));
        assert!(!debts.forbids_yields(|| 60_000_000_000 + 100_000_000));
    }

    #[test]
    fn at_most_a_thirtieth_of_the_time_is_lost_to_long_yields() {
        for took in [500_000, 1_500_000, 3_000_000] {
            let debts = YieldDebt::new();
            let (mut now, mut lost) = (0, 0);
            while now < 10_000_000_000 {
                if debts.forbids_yields(|| now) {
                    now += 10_000;
                } else {
                    now += took;
                    lost += took;
                    debts.lose(took, now);
                }
            }
            let at_first = nanoseconds(MAX_DEBT) + took;
            assert!((lost - at_first.min(lost)) * 30 <= now, "{took}: {lost} of {now}");
        }
    }

    #[test]
    fn thread_that_shares_a_processor_leaves_out_pauses_and_parks_in_the_end() {
        let waits = Waits::new();
        let places: Vec<_> = (0..PARK_ROW)
            .map(|_| {
                let place = waits.next();
                waits.yields();
                place
            })
            .collect();
        assert!(places[..16].iter().all(|place| *place == Peer::Elsewhere));
        let apart = places[16..].iter().filter(|place| **place == Peer::Elsewhere).count();
        assert_eq!((apart, places.contains(&Peer::Stuck)), (3, false));
        assert_eq!(waits.next(), Peer::Stuck);
        assert_eq!(waits.next(), Peer::Stuck, "until it has parked");
        waits.parks();
        assert_eq!(waits.next(), Peer::Elsewhere);
    }

    #[test]
    fn wait_that_needs_no_yield_ends_the_row() {
        let waits = Waits::new();
        for _ in 0..1_000 {
            for _ in 0..ROW {
                assert_eq!(waits.next(), Peer::Elsewhere);
                waits.yields();
            }
            assert_eq!(waits.next(), Peer::Here);
            assert_eq!(waits.next(), Peer::Elsewhere);
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
