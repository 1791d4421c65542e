//! The lock below `Lock`, `RLock` and `Mutex`: one word, no owner, and a number by which the watch knows it.
//!
//! There is no owner check, which is what lets another thread release it. While nobody sleeps, the word is `0` (free)
//! or `HELD`, acquiring is one compare-and-swap and releasing one exchange.
//!
//! # With waiters
//! As in Drepper's "Futexes Are Tricky" (2011), a thread that finds the lock held spins, then sets `PARKED` and sleeps on
//! the word; the release that finds `PARKED` clears it and wakes one waiter, and that waiter sets it again, since others
//! may sleep. A running thread may barge ahead of the woken one, which makes a busy lock quick.
//!
//! # Starvation
//! A waiter must not be overtaken for ever, so the word also says from when on a release hands the lock over: `due`,
//! one millisecond after the oldest waiter parked. A release at or after that moment makes the lock `HANDED` instead of
//! free. Only a waiter that has been woken may take it then; every other thread has to park, the releasing one
//! included. `parking_lot`'s "eventual fairness" and the starvation mode of Go's `sync.Mutex` are the models. As in
//! `parking_lot` the release decides, by the clock, so the bound does not depend on how soon the waiter runs.
//!
//! The hand-over is safe only if a woken waiter will look at the word. That is what `coming` stands for: it is set
//! together with each wake. If the wake finds nobody asleep, the waking thread withdraws it, and frees the lock if
//! it was handed over meanwhile. A woken waiter changes the word next, by which it either takes the lock and clears `coming`, or
//! parks again and sets `PARKED`, upon which the next release announces a waiter anew. So while `coming` is set without
//! `PARKED`, some thread has yet to wake a waiter or to look.
//!
//! `coming` is also what keeps `due` in the word between the wake and the moment at which the waiter runs. A lock with
//! holds of a few instructions would pay for that with each operation, so it counts down with each release, and the word
//! forgets its waiter when it comes to zero; the waiter reminds it by parking again. After a hand-over, barging is allowed
//! until the next waiter has been woken: threads which only hand over would need a change of threads for each operation.
//!
//! A waiter that times out leaves the word as it is: one wake too many, never one too few. It was not woken, so no
//! hand-over was meant for it.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Instant;

use crate::rt::{self, LockId, Wait};
use crate::sys::os;
use crate::sys::spin::SpinBudget;

const FREE: u32 = 0;
const HELD: u32 = 1;
/// Neither free nor held: for a woken waiter.
const HANDED: u32 = 2;

/// A waiter sleeps, or is about to.
const PARKED: u32 = 1 << 2;

/// So many releases remember that a woken waiter is coming.
const REMEMBERED: u32 = 7;
const COMING_SHIFT: u32 = 3;
const COMING: u32 = REMEMBERED << COMING_SHIFT;

const DUE_SHIFT: u32 = 6;
/// Times are kept in so many bits: 18 minutes of ticks.
const TICKS: u32 = u32::MAX >> DUE_SHIFT;
/// Nanoseconds of a tick, as a power of two: 16 µs.
const TICK_SHIFT: u32 = 14;
/// From so many ticks after it parked, a waiter is not overtaken any more: just under one millisecond.
const PATIENCE: u32 = 60;

/// What the word says.
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

    fn coming(self) -> u32 {
        (self.0 & COMING) >> COMING_SHIFT
    }

    fn with_coming(self, releases: u32) -> Self {
        Self(self.0 & !COMING | releases << COMING_SHIFT)
    }

    fn due(self) -> u32 {
        self.0 >> DUE_SHIFT
    }

    fn with_due(self, due: u32) -> Self {
        Self(self.0 & (PARKED | COMING | 0b11) | due << DUE_SHIFT)
    }

    /// A waiter is known of.
    fn is_awaited(self) -> bool {
        self.0 & (PARKED | COMING) != 0
    }

    /// The state without any knowledge of waiters.
    fn forgetful(self) -> Self {
        Self(self.owner())
    }

    /// What a release makes of it at the moment `now`.
    fn released(self, now: u32) -> Self {
        let coming = if self.is_parked() { REMEMBERED } else { self.coming() };
        let waiters = self.with_parked(false);
        if left(self.due(), now) == 0 {
            waiters.with_owner(HANDED).with_coming(coming)
        } else if self.is_parked() {
            waiters.with_owner(FREE).with_coming(coming)
        } else if coming > 1 {
            waiters.with_owner(FREE).with_coming(coming - 1)
        } else {
            State::FREE
        }
    }

    /// What a waiter that finds it held or handed over makes of it before it sleeps.
    fn awaited(self, due: u32, now: u32) -> Self {
        let due = if self.is_awaited() && left(self.due(), now) < left(due, now) { self.due() } else { due };
        self.with_parked(true).with_due(due)
    }
}

/// How many ticks are left until `due`. A moment further away than any that is set has passed, however long ago.
fn left(due: u32, now: u32) -> u32 {
    let left = due.wrapping_sub(now) & TICKS;
    if left <= PATIENCE { left } else { 0 }
}

fn after(now: u32, ticks: u32) -> u32 {
    now.wrapping_add(ticks) & TICKS
}

/// The clock. Under a scheduler it stands still: there a waiter starves once it has been woken in vain.
fn now() -> u32 {
    let ticks = if rt::explored() { 0 } else { os::nanoseconds() >> TICK_SHIFT };
    u32::try_from(ticks & u64::from(TICKS)).unwrap_or_default()
}

#[derive(Debug)]
pub(crate) struct RawMutex {
    word: AtomicU32,
    /// Used by the watch alone.
    id: LockId,
}

impl RawMutex {
    pub(crate) const fn new() -> Self {
        Self { word: AtomicU32::new(FREE), id: LockId::new() }
    }

    /// Acquires the lock if it is free. It is not while it is handed over.
    #[inline]
    pub(crate) fn try_acquire(&self) -> bool {
        rt::atom(&self.word);
        self.try_acquire_fast() || self.barge()
    }

    /// Acquires the lock if it is free and no waiter is known of; tells no observer.
    #[inline]
    pub(crate) fn try_acquire_fast(&self) -> bool {
        self.word.compare_exchange(FREE, HELD, Acquire, Relaxed).is_ok()
    }

    /// Acquires, blocking until `deadline`; `None`: without limit.
    #[inline]
    pub(crate) fn acquire(&self, deadline: Option<Instant>) -> bool {
        rt::atom(&self.word);
        self.try_acquire_fast() || self.acquire_contended(deadline)
    }

    /// Releases the lock; says whether it was held.
    #[inline]
    pub(crate) fn release(&self) -> bool {
        self.release_with(|| rt::atom(&self.word))
    }

    /// Like [`release`](RawMutex::release); tells no observer.
    #[inline]
    pub(crate) fn release_fast(&self) -> bool {
        self.release_with(|| ())
    }

    /// An exchange costs less than a compare-and-swap, but it overwrites what a waiter may have said since the look.
    #[inline]
    fn release_with(&self, before_step: impl Fn()) -> bool {
        before_step();
        if self.look().0 != HELD {
            return self.release_contended();
        }
        before_step();
        let before = self.word.swap(FREE, Release);
        before == HELD || self.restore(State(before))
    }

    /// The word that changes when the lock becomes free.
    pub(crate) fn word(&self) -> &AtomicU32 {
        &self.word
    }

    #[inline]
    pub(crate) fn id(&self) -> &LockId {
        &self.id
    }

    /// Says whether a thread holds the lock or is about to, because it was handed over.
    #[inline]
    pub(crate) fn is_held(&self) -> bool {
        !self.look().is_free()
    }

    #[inline]
    fn look(&self) -> State {
        State(self.word.load(Relaxed))
    }

    /// Acquire is for the threads that take the lock. What the last holder did stays visible through the other changes,
    /// because a read-modify-write continues the release sequence that its release began.
    fn change(&self, from: State, to: State) -> bool {
        self.word.compare_exchange(from.0, to.0, Acquire, Relaxed).is_ok()
    }

    /// Acquires the lock if it is free, ahead of a woken waiter.
    #[cold]
    fn barge(&self) -> bool {
        loop {
            let seen = self.look();
            if !seen.is_free() {
                return false;
            }
            if self.change(seen, seen.with_owner(HELD)) {
                return true;
            }
        }
    }

    #[cold]
    fn release_contended(&self) -> bool {
        loop {
            let seen = self.look();
            if seen.owner() != HELD {
                return false;
            }
            let next = if seen.is_awaited() { seen.released(now()) } else { State::FREE };
            if self.word.compare_exchange(seen.0, next.0, Release, Relaxed).is_ok() {
                if seen.is_parked() {
                    self.wake_waiter();
                }
                return true;
            }
        }
    }

    /// A waiter parked just before the lock was released, and has been forgotten. Says whether the lock was held: of two
    /// releases that come at the same time, one may find out only now that it is one too many.
    #[cold]
    fn restore(&self, before: State) -> bool {
        while before.is_parked() {
            rt::atom(&self.word);
            let (seen, now) = (self.look(), now());
            let awaited = seen.awaited(before.due(), now);
            // If another thread has the lock by now, that one will wake the waiter.
            let next = if seen.is_free() { awaited.with_owner(HELD).released(now) } else { awaited };
            if self.change(seen, next) {
                if seen.is_free() {
                    self.wake_waiter();
                }
                break;
            }
        }
        before.owner() == HELD
    }

    /// Wakes the waiter that is announced as coming.
    fn wake_waiter(&self) {
        if rt::wake(&self.word, 1) == 0 {
            self.nobody_is_coming();
        }
    }

    /// Withdraws what was announced, unless somebody has looked since. If another waiter is on its way nevertheless,
    /// it has to compete for the lock.
    #[cold]
    fn nobody_is_coming(&self) {
        loop {
            rt::atom(&self.word);
            let seen = self.look();
            if seen.coming() == 0 {
                return;
            }
            let hands_on = seen.owner() == HANDED && seen.is_parked();
            let next = match seen.owner() {
                HELD if seen.is_parked() => seen.with_coming(0),
                HELD => seen.forgetful(),
                // Those who came since and found it handed over count on being woken.
                _ if hands_on => seen.with_parked(false),
                _ => State::FREE,
            };
            if self.change(seen, next) && !(hands_on && rt::wake(&self.word, 1) == 0) {
                return;
            }
        }
    }

    #[cold]
    fn acquire_contended(&self, deadline: Option<Instant>) -> bool {
        let mut spin = SpinBudget::for_lock();
        loop {
            rt::atom(&self.word);
            let seen = self.look();
            if seen.is_free() {
                if self.change(seen, seen.with_owner(HELD)) {
                    return true;
                }
            } else if seen.is_parked() || seen.owner() == HANDED || !spin.spin() {
                break;
            }
        }
        Waiter { lock: self, due: None, woken: false }.acquire(deadline)
    }
}

/// A thread that waits for the lock asleep.
struct Waiter<'a> {
    lock: &'a RawMutex,
    /// Since when releases hand over, for its sake; `None`: it has not parked yet.
    due: Option<u32>,
    /// It was woken, so the lock may have been handed to it.
    woken: bool,
}

impl Waiter<'_> {
    fn acquire(mut self, deadline: Option<Instant>) -> bool {
        loop {
            rt::atom(&self.lock.word);
            let seen = self.lock.look();
            if self.may_take(seen) {
                if self.take(seen) {
                    return true;
                }
                continue;
            }
            let now = now();
            let due = self.due(now);
            let next = seen.awaited(due, now);
            if !self.lock.change(seen, next) {
                continue;
            }
            self.due = Some(due);
            match rt::wait_for_lock(&self.lock.word, next.0, deadline, &self.lock.id) {
                Wait::Woken => self.woken = true,
                Wait::Changed => {}
                Wait::TimedOut => return self.take_in_the_end(),
            }
        }
    }

    fn may_take(&self, seen: State) -> bool {
        seen.is_free() || (self.woken && seen.owner() == HANDED)
    }

    fn take(&self, seen: State) -> bool {
        let taken = match self.due {
            None => seen.with_owner(HELD),
            // Others may sleep, too; when they parked is not known.
            Some(_) => State(HELD | PARKED).with_due(after(now(), PATIENCE)),
        };
        self.lock.change(seen, taken)
    }

    /// From when on releases are to hand over.
    fn due(&self, now: u32) -> u32 {
        match self.due {
            None => after(now, PATIENCE),
            Some(_) if rt::explored() => now,
            Some(due) => after(now, left(due, now)),
        }
    }

    fn take_in_the_end(&self) -> bool {
        loop {
            rt::atom(&self.lock.word);
            let seen = self.lock.look();
            if !self.may_take(seen) {
                return false;
            }
            if self.take(seen) {
                return true;
            }
        }
    }
}

impl Drop for Waiter<'_> {
    /// A wait may end by a panic: the watch's, which ends a deadlock, or an explorer's.
    fn drop(&mut self) {
        if std::thread::panicking() && self.due.is_some() {
            self.lock.nobody_is_coming();
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

    /// A held lock with a waiter that no release has yet been told of, and that is due already.
    fn starving() -> RawMutex {
        let lock = RawMutex::new();
        assert!(lock.acquire(None));
        lock.word.store(State(HELD | PARKED).with_due(now()).0, Relaxed);
        lock
    }

    /// A lock on its way to a waiter that was woken before.
    fn handed() -> RawMutex {
        let lock = RawMutex::new();
        lock.word.store(State(HANDED).with_coming(REMEMBERED).with_due(now()).0, Relaxed);
        lock
    }

    fn soon() -> Option<Instant> {
        rt::deadline(Duration::from_millis(2))
    }

    #[test]
    fn newcomer_never_takes_a_lock_that_is_handed_over() {
        let lock = handed();
        assert!(lock.is_held());
        assert!(!lock.try_acquire_fast());
        assert!(!lock.try_acquire());
        assert!(!lock.acquire(Some(rt::now())));
        assert!(!lock.acquire(soon()));
        assert_eq!(lock.look().owner(), HANDED);
    }

    #[test]
    fn woken_waiter_takes_a_lock_that_is_handed_over() {
        let lock = handed();
        let waiter = Waiter { lock: &lock, due: Some(now()), woken: true };
        assert!(waiter.acquire(None));
        assert_eq!(lock.look().owner(), HELD);
        assert!(lock.release());
        assert_eq!(lock.look(), State::FREE, "nobody sleeps, so nobody is remembered");
    }

    #[test]
    fn waiter_that_was_not_woken_does_not_take_a_lock_that_is_handed_over() {
        let lock = handed();
        let waiter = Waiter { lock: &lock, due: Some(now()), woken: false };
        assert!(!waiter.acquire(soon()));
        assert_eq!(lock.look().owner(), HANDED);
    }

    #[test]
    fn lock_is_free_if_the_starving_waiter_is_gone() {
        let lock = starving();
        assert!(lock.release());
        assert_eq!(lock.look(), State::FREE);
        assert!(lock.try_acquire_fast());
    }

    #[test]
    fn lock_that_is_free_or_handed_over_cannot_be_released() {
        assert!(!RawMutex::new().release());
        let lock = handed();
        assert!(!lock.release());
        assert_eq!(lock.look().owner(), HANDED);
    }

    #[test]
    fn waiter_that_unwinds_gives_up_what_was_handed_to_it() {
        let lock = handed();
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            let _waiter = Waiter { lock: &lock, due: Some(now()), woken: false };
            std::panic::resume_unwind(Box::new("in the middle of a wait"));
        }));
        assert!(unwound.is_err());
        assert_eq!(lock.look(), State::FREE);
    }

    /// Whoever parks while the lock is handed over is woken even if it turns out that nobody is coming.
    #[test]
    fn newcomer_that_sleeps_is_woken_when_a_hand_over_is_withdrawn() {
        let lock = handed();
        thread::scope(|s| {
            let newcomer = s.spawn(|| lock.acquire(rt::deadline(LIMIT)) && lock.release());
            let deadline = rt::now() + LIMIT;
            while !lock.look().is_parked() {
                assert!(rt::now() < deadline);
                rt::yield_now();
            }
            lock.nobody_is_coming();
            assert!(newcomer.join().unwrap());
        });
    }

    #[test]
    fn release_hands_over_from_the_moment_that_is_due() {
        let held = State(HELD | PARKED).with_due(100);
        assert_eq!(held.released(99), State(FREE).with_coming(REMEMBERED).with_due(100));
        assert_eq!(held.released(100), State(HANDED).with_coming(REMEMBERED).with_due(100));
        assert_eq!(held.released(100 + TICKS / 2), State(HANDED).with_coming(REMEMBERED).with_due(100));
    }

    #[test]
    fn release_remembers_a_woken_waiter_for_a_while() {
        let mut state = State(HELD | PARKED).with_due(100);
        for _ in 0..REMEMBERED {
            state = state.released(50);
            assert!(state.is_free() && state.is_awaited());
            state = state.with_owner(HELD);
        }
        assert_eq!(state.released(100).owner(), HANDED, "it is due, and one is coming");
        assert_eq!(state.released(50), State::FREE);
    }

    #[test]
    fn waiter_that_parks_just_before_a_release_is_not_forgotten() {
        let parked = State(HELD | PARKED).with_due(after(now(), PATIENCE));
        let lock = RawMutex::new();
        assert!(lock.restore(parked));
        assert_eq!(lock.look(), State::FREE, "it has gone already");
        assert!(lock.acquire(None));
        assert!(lock.restore(parked));
        assert_eq!(lock.look(), parked, "the next holder is to wake it");
        assert!(!lock.restore(State::FREE));
    }

    #[test]
    fn the_oldest_waiter_decides_when_it_is_due() {
        let awaited = State(HELD).awaited(100, 40);
        assert_eq!(awaited, State(HELD | PARKED).with_due(100));
        assert_eq!(awaited.awaited(110, 50).due(), 100);
        assert_eq!(awaited.awaited(70, 50).due(), 70);
        assert_eq!(awaited.released(50).with_owner(HELD).awaited(110, 50).due(), 100);
        // The clock begins anew.
        let awaited = State(HELD).awaited(after(TICKS - 1, PATIENCE), TICKS - 1);
        assert_eq!(left(awaited.due(), TICKS), PATIENCE - 1);
        assert_eq!(awaited.awaited(after(3, PATIENCE), 3).due(), awaited.due());
    }

    #[test]
    fn waiting_does_not_forget_that_a_woken_waiter_is_coming() {
        let awaited = State(HANDED).with_coming(3).with_due(100).awaited(200, 150);
        assert_eq!(awaited, State(HANDED | PARKED).with_coming(3).with_due(100));
    }

    #[test]
    fn what_was_due_long_ago_is_still_due() {
        for age in [0, 1, PATIENCE, 1 << 20, TICKS - PATIENCE - 1] {
            assert_eq!(left(100, after(100, age)), 0, "{age}");
        }
        assert_eq!(left(100, 100 - PATIENCE), PATIENCE);
    }
}
