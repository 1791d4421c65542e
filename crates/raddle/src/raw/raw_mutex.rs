//! The mutex below `Lock`, `RLock` and `Mutex`: one word, without a record of its owner.
//!
//! Since the owner is not recorded, any thread can release the mutex. A `Mutex`, for which this would be unsound, keeps it private
//! to its guard.
//!
//! # State
//! While no thread waits, the word is `FREE` or `HELD`. An acquire is then one compare-and-swap, and a release one exchange. A
//! word with waiters has four fields:
//!
//! | bits | field | meaning |
//! |---|---|---|
//! | 0–1 | owner | `FREE`, `HELD`, or `HANDED`: neither free nor held, but reserved for a woken waiter |
//! | 2 | `PARKED` | a waiter is parked, or about to park |
//! | 3–5 | expected | a waiter has been woken and has not changed the word yet; counts down with each release |
//! | 6–31 | due | the time, in ticks, from which a release hands the mutex over |
//!
//! # Waiters
//! As in Drepper's "Futexes Are Tricky" (2011), a thread that finds the mutex held spins, then sets `PARKED` and parks on the
//! word. A release that finds `PARKED` clears it and wakes one waiter. That waiter sets `PARKED` again when it acquires the mutex,
//! because others may be parked. A running thread may barge ahead of the woken one, which keeps a contended mutex fast.
//!
//! # Eventual fairness
//! A waiter must not be overtaken forever. The first park of a waiter sets `due` to a moment one millisecond later, unless an
//! earlier one is set. A release at or after that moment makes the mutex `HANDED` instead of free. Only a waiter that has been
//! woken may acquire it then; all other threads park, the releasing one included. The models are the eventual fairness of
//! `parking_lot` and the starvation mode of Go's `sync.Mutex`. As in `parking_lot` the release decides, by the clock, so the bound does
//! not depend on when the waiter runs.
//!
//! A hand-over is safe only if a woken waiter will read the word. The field `expected` records that one will. It is set together with
//! each wake. If the wake finds no parked thread, the waking thread withdraws it, and frees the mutex if it was handed over meanwhile.
//! A woken waiter changes the word next: either it acquires the mutex and clears `expected`, or it sets `PARKED` and parks again, upon
//! which the next release wakes a waiter. So while `expected` is set without `PARKED`, some thread has yet to wake a waiter or to read
//! the word.
//!
//! `expected` also keeps `due` in the word between the wake and the moment at which the waiter runs. A mutex that is held for a few
//! instructions at a time would pay for that with each operation. Therefore the field counts down with each release, and at zero
//! the word forgets the waiter, which sets `due` again when it parks. After a hand-over, threads may barge until the next waiter is
//! woken: if every release handed over, each operation would cost a context switch.
//!
//! A waiter that times out leaves the word as it is. This causes one wake too many, never one too few. It was not woken, so no
//! hand-over was meant for it.
//!
//! # Memory ordering
//! Each change that acquires the mutex is `Acquire`, each change that releases it `Release`. The other changes are
//! read-modify-writes, so they continue the release sequence that the release began.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Instant;

use crate::rt::{self, Kind, LockId, Op, Wait, WaitOutcome};
use crate::sys::os;
use crate::sys::spin::SpinBudget;

const FREE: u32 = 0;
const HELD: u32 = 1;
/// Reserved for a woken waiter.
const HANDED: u32 = 2;

/// A waiter is parked, or about to park.
const PARKED: u32 = 1 << 2;

/// The number of releases that remember a woken waiter.
const RELEASES: u32 = 7;
const EXPECTED_SHIFT: u32 = 3;
const EXPECTED: u32 = RELEASES << EXPECTED_SHIFT;

const DUE_SHIFT: u32 = 6;
/// The greatest time that `due` can hold: 18 minutes of ticks.
const TICKS: u32 = u32::MAX >> DUE_SHIFT;
/// The binary logarithm of the nanoseconds in a tick of 16 µs.
const TICK_SHIFT: u32 = 14;
/// The ticks, just under one millisecond, for which a parked waiter may be overtaken.
const OVERTAKING: u32 = 60;

/// A value of the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State(u32);

impl State {
    const FREE: Self = Self(FREE);

    fn owner(self) -> u32 {
        self.0 & 0b11
    }

    fn with_owner(self, owner: u32) -> Self {
        Self(self.0 & !0b11 | owner)
    }

    fn is_free(self) -> bool {
        self.owner() == FREE
    }

    fn is_parked(self) -> bool {
        self.0 & PARKED != 0
    }

    fn with_parked(self, parked: bool) -> Self {
        Self(self.0 & !PARKED | if parked { PARKED } else { 0 })
    }

    fn expected(self) -> u32 {
        (self.0 & EXPECTED) >> EXPECTED_SHIFT
    }

    fn with_expected(self, releases: u32) -> Self {
        Self(self.0 & !EXPECTED | releases << EXPECTED_SHIFT)
    }

    fn due(self) -> u32 {
        self.0 >> DUE_SHIFT
    }

    fn with_due(self, due: u32) -> Self {
        Self(self.0 & (PARKED | EXPECTED | 0b11) | due << DUE_SHIFT)
    }

    /// Returns whether the word records a waiter.
    fn has_waiters(self) -> bool {
        self.0 & (PARKED | EXPECTED) != 0
    }

    /// Returns the state without its waiters.
    fn without_waiters(self) -> Self {
        Self(self.owner())
    }

    /// Returns the state after a release at the time `now`.
    fn released(self, now: u32) -> Self {
        let expected = if self.is_parked() { RELEASES } else { self.expected() };
        let waiters = self.with_parked(false);
        if left(self.due(), now) == 0 {
            waiters.with_owner(HANDED).with_expected(expected)
        } else if self.is_parked() {
            waiters.with_owner(FREE).with_expected(expected)
        } else if expected > 1 {
            waiters.with_owner(FREE).with_expected(expected - 1)
        } else {
            State::FREE
        }
    }

    /// Returns the state in which a waiter parks that finds the mutex held or handed over.
    fn with_waiter(self, due: u32, now: u32) -> Self {
        let due = if self.has_waiters() && left(self.due(), now) < left(due, now) { self.due() } else { due };
        self.with_parked(true).with_due(due)
    }
}

/// Returns the ticks left until `due`. A time further in the future than any that is ever set lies in the past.
fn left(due: u32, now: u32) -> u32 {
    let left = due.wrapping_sub(now) & TICKS;
    if left <= OVERTAKING { left } else { 0 }
}

fn after(now: u32, ticks: u32) -> u32 {
    now.wrapping_add(ticks) & TICKS
}

/// Returns the time in ticks. Under a scheduler it stands still, and a waiter is due once it has been woken in vain.
fn now() -> u32 {
    let ticks = if rt::explored() { 0 } else { os::nanoseconds() >> TICK_SHIFT };
    u32::try_from(ticks & u64::from(TICKS)).unwrap_or_default()
}

#[derive(Debug)]
pub(crate) struct RawMutex {
    word: AtomicU32,
    /// Identifies the mutex to the watch.
    id: LockId,
}

/// The threads that may release a mutex. From this the watch determines which threads can end a wait.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ReleasedBy {
    Owner,
    AnyThread,
}

impl RawMutex {
    pub(crate) const fn new() -> Self {
        Self { word: AtomicU32::new(FREE), id: LockId::new() }
    }

    /// Acquires the mutex if it is free. While it is handed over to a waiter, it is not free.
    #[inline]
    pub(crate) fn try_acquire(&self) -> bool {
        rt::atom(&self.word);
        self.try_acquire_fast() || self.try_barge()
    }

    /// Acquires the mutex if it is free and has no waiters, without a call to the observer.
    #[inline]
    pub(crate) fn try_acquire_fast(&self) -> bool {
        self.word.compare_exchange(FREE, HELD, Acquire, Relaxed).is_ok()
    }

    /// Acquires the mutex, blocking as `wait` says. Returns whether it was acquired.
    #[inline]
    fn acquire(&self, wait: &Wait<'_>) -> bool {
        rt::atom(&self.word);
        self.try_acquire_fast() || self.acquire_contended(wait)
    }

    /// Releases the mutex. Returns whether it was held; otherwise nothing has changed.
    #[inline]
    pub(crate) fn release(&self) -> bool {
        self.release_with(|| rt::atom(&self.word))
    }

    /// Like [`release`](RawMutex::release), without a call to the observer.
    #[inline]
    pub(crate) fn release_fast(&self) -> bool {
        self.release_with(|| ())
    }

    /// An exchange is cheaper than a compare-and-swap, but it overwrites the fields that a waiter has set since the
    /// load. They are restored afterwards.
    #[inline]
    fn release_with(&self, observe: impl Fn()) -> bool {
        observe();
        if self.state().0 != HELD {
            return self.release_contended();
        }
        observe();
        let before = self.word.swap(FREE, Release);
        before == HELD || self.restore(State(before))
    }

    /// Acquires the mutex as the operation `op` of the program, blocking without limit.
    pub(crate) fn acquire_observed(&self, op: Op, released_by: ReleasedBy) {
        let acquired = self.acquire_waiting(op, released_by, Wait::new(&op));
        assert!(acquired, "a wait without a deadline has timed out");
    }

    /// Acquires the mutex as the operation `op` of the program, blocking until `deadline`; `None`: without limit.
    pub(crate) fn acquire_observed_until(
        &self,
        op: Op,
        released_by: ReleasedBy,
        deadline: Option<Instant>,
    ) -> bool {
        self.acquire_waiting(op, released_by, Wait::new(&op).with_deadline(deadline))
    }

    /// Acquires the mutex as the operation `op` of the program, blocking as `wait` says. Returns whether it was acquired.
    #[inline]
    fn acquire_waiting(&self, op: Op, released_by: ReleasedBy, wait: Wait<'_>) -> bool {
        let deadline = wait.deadline();
        rt::point_until(op, deadline, &self.word, || !self.is_held());
        let acquired = self.acquire(&wait.with_lock(&self.id));
        if acquired {
            self.report_acquired(op, deadline, released_by);
        }
        acquired
    }

    /// Acquires the mutex as the operation `op` of the program if it is free.
    #[inline]
    pub(crate) fn try_acquire_observed(&self, op: Op, released_by: ReleasedBy) -> bool {
        rt::point(op);
        let acquired = self.try_acquire();
        if acquired {
            self.report_acquired(op, None, released_by);
        }
        acquired
    }

    #[inline]
    fn report_acquired(&self, op: Op, deadline: Option<Instant>, released_by: ReleasedBy) {
        match released_by {
            ReleasedBy::Owner => rt::acquired(op, deadline, &self.id),
            ReleasedBy::AnyThread => rt::acquired_transferable(op, deadline, &self.id),
        }
    }

    /// Releases the mutex as the operation `op` of the program. Returns whether it was held.
    #[cold]
    pub(crate) fn release_observed(&self, op: Op) -> bool {
        rt::step_then_release(|| rt::releasing(op, &self.id), || self.release())
    }

    /// Releases the mutex, runs `f`, and reacquires the mutex as the operation `reacquire`, also if `f` panics. The release
    /// belongs to the operation that the thread is in, a wait. The watch does not end the reacquisition by a panic, because the
    /// caller's guard relies on it.
    pub(crate) fn unlocked<R>(&self, reacquire: Op, released_by: ReleasedBy, f: impl FnOnce() -> R) -> R {
        struct Reacquire<'a>(&'a RawMutex, Op, ReleasedBy);
        impl Drop for Reacquire<'_> {
            fn drop(&mut self) {
                let acquired = self.0.acquire_waiting(self.1, self.2, Wait::new(&self.1).without_panic());
                assert!(acquired, "a wait without a deadline has timed out");
            }
        }
        rt::releasing_for_wait(Op { kind: Kind::Release, ..reacquire }, &self.id);
        // A `Lock` may have been released by another thread just now. Then nothing is left to do.
        let _ = self.release();
        let _reacquire = Reacquire(self, reacquire, released_by);
        f()
    }

    /// Makes the mutex free, for the child of a fork, in which neither the holder nor a waiter exists.
    pub(crate) fn reset_after_fork(&self) {
        rt::forget_holder(&self.id);
        self.word.store(FREE, Release);
    }

    /// Returns whether a thread holds the mutex, or is about to because it was handed over.
    #[inline]
    pub(crate) fn is_held(&self) -> bool {
        !self.state().is_free()
    }

    #[inline]
    fn state(&self) -> State {
        State(self.word.load(Relaxed))
    }

    fn try_change(&self, from: State, to: State) -> bool {
        self.word.compare_exchange(from.0, to.0, Acquire, Relaxed).is_ok()
    }

    /// Acquires the mutex if it is free, ahead of a woken waiter.
    #[cold]
    fn try_barge(&self) -> bool {
        loop {
            let seen = self.state();
            if !seen.is_free() {
                return false;
            }
            if self.try_change(seen, seen.with_owner(HELD)) {
                return true;
            }
        }
    }

    #[cold]
    fn release_contended(&self) -> bool {
        loop {
            let seen = self.state();
            if seen.owner() != HELD {
                return false;
            }
            let next = if seen.has_waiters() { seen.released(now()) } else { State::FREE };
            if self.word.compare_exchange(seen.0, next.0, Release, Relaxed).is_ok() {
                if seen.is_parked() {
                    self.wake_waiter();
                }
                return true;
            }
        }
    }

    /// Restores the waiters of a state that a release has overwritten. Returns whether the mutex was held: of two concurrent
    /// releases, one may find out only now that it was one too many.
    #[cold]
    fn restore(&self, before: State) -> bool {
        while before.is_parked() {
            rt::atom(&self.word);
            let (seen, now) = (self.state(), now());
            let waiting = seen.with_waiter(before.due(), now);
            // If another thread has acquired the mutex meanwhile, its release will wake the waiter.
            let next = if seen.is_free() { waiting.with_owner(HELD).released(now) } else { waiting };
            if self.try_change(seen, next) {
                if seen.is_free() {
                    self.wake_waiter();
                }
                break;
            }
        }
        before.owner() == HELD
    }

    /// Wakes the waiter that `expected` records.
    fn wake_waiter(&self) {
        if rt::wake(&self.word, 1) == 0 {
            self.withdraw();
        }
    }

    /// Clears `expected`, and frees the mutex if it was handed over, because no waiter was woken. A waiter that is on its way
    /// nevertheless has to compete for the mutex.
    #[cold]
    fn withdraw(&self) {
        loop {
            rt::atom(&self.word);
            let seen = self.state();
            if seen.expected() == 0 {
                return;
            }
            let wakes_next = seen.owner() == HANDED && seen.is_parked();
            let next = match seen.owner() {
                HELD if seen.is_parked() => seen.with_expected(0),
                HELD => seen.without_waiters(),
                // Threads that parked because the mutex was handed over rely on being woken.
                _ if wakes_next => seen.with_parked(false),
                _ => State::FREE,
            };
            if self.try_change(seen, next) && !(wakes_next && rt::wake(&self.word, 1) == 0) {
                return;
            }
        }
    }

    #[cold]
    fn acquire_contended(&self, wait: &Wait<'_>) -> bool {
        let mut spin = SpinBudget::for_lock();
        loop {
            rt::atom(&self.word);
            let seen = self.state();
            if seen.is_free() {
                if self.try_change(seen, seen.with_owner(HELD)) {
                    return true;
                }
            } else if seen.is_parked() || seen.owner() == HANDED || !spin.spin() {
                break;
            }
        }
        Waiter { lock: self, due: None, woken: false }.acquire(wait)
    }
}

/// A thread that has used up its spin budget.
struct Waiter<'a> {
    lock: &'a RawMutex,
    /// The time from which releases hand over to this waiter; `None`: it has not parked yet.
    due: Option<u32>,
    /// Whether it has been woken, so that the mutex may have been handed over to it.
    woken: bool,
}

impl Waiter<'_> {
    fn acquire(mut self, wait: &Wait<'_>) -> bool {
        loop {
            rt::atom(&self.lock.word);
            let seen = self.lock.state();
            if self.may_acquire(seen) {
                if self.try_acquire(seen) {
                    return true;
                }
                continue;
            }
            let now = now();
            let due = self.due(now);
            let next = seen.with_waiter(due, now);
            if !self.lock.try_change(seen, next) {
                continue;
            }
            self.due = Some(due);
            match rt::wait(&self.lock.word, next.0, wait) {
                WaitOutcome::Woken => self.woken = true,
                WaitOutcome::Changed => {}
                WaitOutcome::TimedOut | WaitOutcome::Interrupted => return self.acquire_after_timeout(),
            }
        }
    }

    fn may_acquire(&self, seen: State) -> bool {
        seen.is_free() || (self.woken && seen.owner() == HANDED)
    }

    fn try_acquire(&self, seen: State) -> bool {
        let acquired = match self.due {
            None => seen.with_owner(HELD),
            // Other threads may be parked. When they parked is not known.
            Some(_) => State(HELD | PARKED).with_due(after(now(), OVERTAKING)),
        };
        self.lock.try_change(seen, acquired)
    }

    /// Returns the time from which releases should hand over.
    fn due(&self, now: u32) -> u32 {
        match self.due {
            None => after(now, OVERTAKING),
            Some(_) if rt::explored() => now,
            Some(due) => after(now, left(due, now)),
        }
    }

    fn acquire_after_timeout(&self) -> bool {
        loop {
            rt::atom(&self.lock.word);
            let seen = self.lock.state();
            if !self.may_acquire(seen) {
                return false;
            }
            if self.try_acquire(seen) {
                return true;
            }
        }
    }
}

impl Drop for Waiter<'_> {
    /// A wait can end by a panic: of the watch, which ends a deadlock, or of an explorer.
    fn drop(&mut self) {
        if std::thread::panicking() && self.due.is_some() {
            self.lock.withdraw();
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "threads from above would be a circle between modules")]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::thread;
    use std::time::Duration;

    use super::*;

    const LIMIT: Duration = Duration::from_mins(2);

    /// A held mutex with a parked waiter that is due.
    fn starving() -> RawMutex {
        let lock = RawMutex::new();
        assert!(lock.try_acquire());
        lock.word.store(State(HELD | PARKED).with_due(now()).0, Relaxed);
        lock
    }

    /// A mutex that is handed over to a woken waiter.
    fn handed() -> RawMutex {
        let lock = RawMutex::new();
        lock.word.store(State(HANDED).with_expected(RELEASES).with_due(now()).0, Relaxed);
        lock
    }

    fn until(deadline: Option<Instant>) -> Wait<'static> {
        Wait::unreported().with_deadline(deadline)
    }

    fn soon() -> Wait<'static> {
        until(rt::deadline(Duration::from_millis(2)))
    }

    #[test]
    fn running_thread_never_acquires_a_mutex_that_is_handed_over() {
        let lock = handed();
        assert!(lock.is_held());
        assert!(!lock.try_acquire_fast());
        assert!(!lock.try_acquire());
        assert!(!lock.acquire(&until(Some(rt::now()))));
        assert!(!lock.acquire(&soon()));
        assert_eq!(lock.state().owner(), HANDED);
    }

    #[test]
    fn woken_waiter_acquires_a_mutex_that_is_handed_over() {
        let lock = handed();
        let waiter = Waiter { lock: &lock, due: Some(now()), woken: true };
        assert!(waiter.acquire(&until(None)));
        assert_eq!(lock.state().owner(), HELD);
        assert!(lock.release());
        assert_eq!(lock.state(), State::FREE, "no thread is parked, so no waiter is remembered");
    }

    #[test]
    fn waiter_that_was_not_woken_does_not_acquire_a_mutex_that_is_handed_over() {
        let lock = handed();
        let waiter = Waiter { lock: &lock, due: Some(now()), woken: false };
        assert!(!waiter.acquire(&soon()));
        assert_eq!(lock.state().owner(), HANDED);
    }

    #[test]
    fn mutex_is_free_if_the_starving_waiter_has_gone() {
        let lock = starving();
        assert!(lock.release());
        assert_eq!(lock.state(), State::FREE);
        assert!(lock.try_acquire_fast());
    }

    #[test]
    fn mutex_that_is_free_or_handed_over_cannot_be_released() {
        assert!(!RawMutex::new().release());
        let lock = handed();
        assert!(!lock.release());
        assert_eq!(lock.state().owner(), HANDED);
    }

    #[test]
    fn unwinding_waiter_withdraws_the_hand_over() {
        let lock = handed();
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            let _waiter = Waiter { lock: &lock, due: Some(now()), woken: false };
            std::panic::resume_unwind(Box::new("in the middle of a wait"));
        }));
        assert!(unwound.is_err());
        assert_eq!(lock.state(), State::FREE);
    }

    /// A thread that parks while the mutex is handed over is woken even if the hand-over is withdrawn.
    #[test]
    fn parked_thread_is_woken_when_a_hand_over_is_withdrawn() {
        let lock = handed();
        thread::scope(|s| {
            let newcomer = s.spawn(|| lock.acquire(&until(rt::deadline(LIMIT))) && lock.release());
            let deadline = rt::now() + LIMIT;
            while !lock.state().is_parked() {
                assert!(rt::now() < deadline);
                rt::yield_now();
            }
            lock.withdraw();
            assert!(newcomer.join().unwrap());
        });
    }

    #[test]
    fn release_hands_over_once_the_waiter_is_due() {
        let held = State(HELD | PARKED).with_due(100);
        assert_eq!(held.released(99), State(FREE).with_expected(RELEASES).with_due(100));
        assert_eq!(held.released(100), State(HANDED).with_expected(RELEASES).with_due(100));
        assert_eq!(held.released(100 + TICKS / 2), State(HANDED).with_expected(RELEASES).with_due(100));
    }

    #[test]
    fn release_remembers_a_woken_waiter_for_some_releases() {
        let mut state = State(HELD | PARKED).with_due(100);
        for _ in 0..RELEASES {
            state = state.released(50);
            assert!(state.is_free() && state.has_waiters());
            state = state.with_owner(HELD);
        }
        assert_eq!(state.released(100).owner(), HANDED, "the waiter is due, and expected");
        assert_eq!(state.released(50), State::FREE);
    }

    #[test]
    fn waiter_that_parks_during_a_release_is_restored() {
        let parked = State(HELD | PARKED).with_due(after(now(), OVERTAKING));
        let lock = RawMutex::new();
        assert!(lock.restore(parked));
        assert_eq!(lock.state(), State::FREE, "the waiter has gone");
        assert!(lock.try_acquire());
        assert!(lock.restore(parked));
        assert_eq!(lock.state(), parked, "the next holder wakes the waiter");
        assert!(!lock.restore(State::FREE));
    }

    #[test]
    fn oldest_waiter_determines_the_due_time() {
        let waiting = State(HELD).with_waiter(100, 40);
        assert_eq!(waiting, State(HELD | PARKED).with_due(100));
        assert_eq!(waiting.with_waiter(110, 50).due(), 100);
        assert_eq!(waiting.with_waiter(70, 50).due(), 70);
        assert_eq!(waiting.released(50).with_owner(HELD).with_waiter(110, 50).due(), 100);
        // The clock wraps around.
        let waiting = State(HELD).with_waiter(after(TICKS - 1, OVERTAKING), TICKS - 1);
        assert_eq!(left(waiting.due(), TICKS), OVERTAKING - 1);
        assert_eq!(waiting.with_waiter(after(3, OVERTAKING), 3).due(), waiting.due());
    }

    #[test]
    fn parking_keeps_the_expected_waiter() {
        let waiting = State(HANDED).with_expected(3).with_due(100).with_waiter(200, 150);
        assert_eq!(waiting, State(HANDED | PARKED).with_expected(3).with_due(100));
    }

    #[test]
    fn waiter_stays_due() {
        for age in [0, 1, OVERTAKING, 1 << 20, TICKS - OVERTAKING - 1] {
            assert_eq!(left(100, after(100, age)), 0, "{age}");
        }
        assert_eq!(left(100, 100 - OVERTAKING), OVERTAKING);
    }
}
