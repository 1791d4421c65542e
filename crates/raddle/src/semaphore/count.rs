//! The count of permits, and the threads that wait for permits.
//!
//! # State
//! While no thread is queued, the number of free permits is in a word, and a permit is acquired or released by one
//! compare-and-swap. A thread that finds too few permits spins for a moment; then, under the lock of the wait queue, it moves
//! the count from the word into the queue's state and enqueues itself. From then on the count changes under that lock only,
//! until the queue is empty and the word gets the count back.
//!
//! # Invariants
//! - The word is [`IN_STATE`] while the queue has waiters, so no thread can acquire a permit past the queue.
//! - While the lock is free, the front waiter requests more permits than are free: [`PermitCount::serve`] establishes this
//!   after each change.
//! - The permits of a waiter leave the count in the critical section that dequeues it. A waiter that times out therefore
//!   either is in the queue and has no permits, or has its permits.
//!
//! # Why a thread spins before it enqueues
//! A queue outlives the contention that caused it. Permits pass from waiter to waiter, each of which must first be scheduled,
//! until the queue happens to be empty.
//!
//! # Memory ordering
//! Each change of the word is a read-modify-write with acquire and release ordering, and the lock orders the changes of the
//! state. So a release happens before the acquire that it enables.
//!
//! # What is explored
//! The uncontended path and the observed path perform the same attempt, [`PermitCount::try_update`]. It takes the observer as
//! a parameter, which is a no-op on the uncontended path.

use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::time::Instant;

use crate::raw::{Guard, Guarded, WaitQueue, Waiter};
use crate::rt::{self, Kind, Op};
use crate::sys::spin::SpinBudget;

/// The permits of a semaphore: the implementation of both kinds.
#[derive(Debug)]
pub(super) struct PermitCount {
    /// The number of free permits, or [`IN_STATE`].
    word: AtomicU32,
    /// Whether this belongs to a `BoundedSemaphore`; for reports.
    bounded: bool,
    /// The greatest number of free permits.
    bound: usize,
    state: Guarded<State>,
}

/// The part of a semaphore that changes under its lock.
#[derive(Debug)]
struct State {
    /// The number of free permits while the word is [`IN_STATE`].
    free: usize,
    waiters: WaitQueue,
}

// No user code runs while the state is being changed.
impl UnwindSafe for PermitCount {}
impl RefUnwindSafe for PermitCount {}

/// The value of the word while the count is in the state: threads are queued, or the count does not fit into the word.
const IN_STATE: u32 = u32::MAX;
/// The outcome of a waiter that has its permits.
const GRANTED: u32 = 0;

/// The result of an attempt to change the count in the word.
enum Update {
    Done,
    /// The count does not allow the change.
    Refused,
    /// Another thread changed the word first.
    Contended,
    /// The count is in the state, or would no longer fit into the word.
    InState,
}

impl PermitCount {
    #[expect(clippy::cast_possible_truncation, reason = "the value is compared before")]
    pub(super) const fn new(free: usize, bound: usize, bounded: bool) -> Self {
        let word = if free < IN_STATE as usize { free as u32 } else { IN_STATE };
        let state = Guarded::new(State { free, waiters: WaitQueue::new() });
        Self { word: AtomicU32::new(word), bounded, bound, state }
    }

    /// Acquires `count` permits, blocking without limit.
    #[inline]
    #[track_caller]
    pub(super) fn acquire(&self, count: usize) {
        if !self.acquire_fast(count) {
            let acquired = self.acquire_slow(count, None);
            debug_assert!(acquired, "a wait without a deadline has timed out");
        }
    }

    /// Acquires `count` permits, blocking until `deadline`; `None`: without limit. Returns whether they were acquired.
    #[track_caller]
    pub(super) fn acquire_until(&self, count: usize, deadline: Option<Instant>) -> bool {
        self.acquire_fast(count) || self.acquire_slow(count, deadline)
    }

    /// Acquires `count` permits if they are free and no thread is queued. Returns whether they were acquired.
    #[inline]
    #[track_caller]
    pub(super) fn try_acquire(&self, count: usize) -> bool {
        self.acquire_fast(count) || self.try_acquire_slow(count)
    }

    /// Releases `count` permits. Returns false, and changes nothing, if there would be more than the bound.
    #[inline]
    #[track_caller]
    pub(super) fn release(&self, count: usize) -> bool {
        self.release_fast(count) || self.release_slow(count)
    }

    /// Acquires `count` permits in one attempt while nothing observes the program.
    #[inline]
    fn acquire_fast(&self, count: usize) -> bool {
        rt::quiet() && matches!(self.try_update(|_| (), |free| free.checked_sub(count)), Update::Done)
    }

    /// Releases `count` permits in one attempt while nothing observes the program.
    #[inline]
    fn release_fast(&self, count: usize) -> bool {
        rt::quiet() && matches!(self.try_update(|_| (), |free| self.sum(free, count)), Update::Done)
    }

    #[cold]
    #[track_caller]
    fn try_acquire_slow(&self, count: usize) -> bool {
        let op = self.op(Kind::TryAcquire);
        rt::point(op);
        let acquired = match self.update(|free| free.checked_sub(count)) {
            Update::Done => true,
            Update::InState => {
                let mut state = self.lock();
                let acquired = state.try_acquire(count);
                self.return_count(&state);
                acquired
            }
            Update::Refused | Update::Contended => false,
        };
        rt::tried(op, acquired);
        acquired
    }

    #[cold]
    #[track_caller]
    fn acquire_slow(&self, count: usize, deadline: Option<Instant>) -> bool {
        let op = self.op(Kind::Acquire);
        // A waiter for one permit delays no other thread. Whether it enqueues before or after the release that serves it
        // makes no difference, so a scheduler may treat the wait as one step, enabled by the permit. A request for several
        // permits delays those behind it, so there the arrival is a step of its own.
        let announced = count <= 1 && !rt::enqueue_is_step();
        if announced {
            rt::point_until(op, deadline, &self.word, || self.would_grant(count));
        } else {
            rt::point(op);
        }
        report_count(&op, count);
        let acquire = || matches!(self.update(|free| free.checked_sub(count)), Update::Done);
        let mut spin = SpinBudget::new();
        acquire() || spin.until(acquire) || self.acquire_queued(spin, op, count, deadline, announced)
    }

    /// Enqueues the thread, unless permits have become free, and blocks.
    fn acquire_queued(
        &self,
        spin: SpinBudget,
        op: Op,
        count: usize,
        deadline: Option<Instant>,
        announced: bool,
    ) -> bool {
        let waiter = {
            let mut state = self.lock();
            if state.try_acquire(count) {
                self.return_count(&state);
                return true;
            }
            state.waiters.enqueue(count)
        };
        let wait = || {
            if announced {
                waiter.park(spin, &op, deadline)
            } else {
                waiter.wait_spinning(spin, op, deadline)
            }
        };
        let leave = || {
            if self.cancel(&waiter) {
                self.add(count);
            }
        };
        rt::on_unwind(wait, leave).is_some() || self.cancel(&waiter)
    }

    /// Removes a waiter that timed out. Returns whether it had been granted its permits before.
    fn cancel(&self, waiter: &Arc<Waiter>) -> bool {
        let mut state = self.lock();
        let granted = !state.waiters.remove(waiter);
        // The waiter may have been the front one, requesting more than is free, with smaller requests behind it.
        self.serve(state);
        granted
    }

    #[cold]
    #[track_caller]
    fn release_slow(&self, count: usize) -> bool {
        let op = self.op(Kind::Release);
        let step = || {
            rt::point(op);
            report_count(&op, count);
        };
        rt::step_then_release(step, || self.add(count))
    }

    /// Adds `count` permits. Returns false, and changes nothing, if there would be more than the bound.
    fn add(&self, count: usize) -> bool {
        match self.update(|free| self.sum(free, count)) {
            Update::Done => true,
            Update::InState => {
                let mut state = self.lock();
                let free = self.sum(state.free, count);
                state.free = free.unwrap_or(state.free);
                self.serve(state);
                free.is_some()
            }
            Update::Refused | Update::Contended => false,
        }
    }

    /// Returns the number of free permits after a release, unless it exceeds the bound.
    #[inline]
    fn sum(&self, free: usize, count: usize) -> Option<usize> {
        free.checked_add(count).filter(|free| *free <= self.bound)
    }

    /// Changes the count in the word, retrying while other threads change it. Never returns [`Update::Contended`].
    fn update(&self, change: impl Fn(usize) -> Option<usize>) -> Update {
        loop {
            match self.try_update(rt::atom, &change) {
                Update::Contended => {}
                update => return update,
            }
        }
    }

    /// Makes one attempt to change the count in the word, calling `observe` before each access.
    #[inline]
    fn try_update(&self, observe: impl Fn(&AtomicU32), change: impl Fn(usize) -> Option<usize>) -> Update {
        observe(&self.word);
        let seen = self.word.load(Relaxed);
        if seen == IN_STATE {
            return Update::InState;
        }
        let Some(free) = change(seen as usize) else { return Update::Refused };
        let Some(next) = fit(free) else { return Update::InState };
        observe(&self.word);
        match self.word.compare_exchange(seen, next, AcqRel, Relaxed) {
            Ok(_) => Update::Done,
            Err(_) => Update::Contended,
        }
    }

    /// Locks the state and moves the count into it.
    fn lock(&self) -> Guard<'_, State> {
        let mut state = self.state.lock();
        rt::atom(&self.word);
        match self.word.swap(IN_STATE, Acquire) {
            IN_STATE => {}
            free => state.free = free as usize,
        }
        state
    }

    /// Moves the count back into the word if no thread is queued. `Release`, as for a release of permits.
    fn return_count(&self, state: &State) {
        if state.waiters.is_empty()
            && let Some(free) = fit(state.free)
        {
            rt::atom(&self.word);
            self.word.store(free, Release);
        }
    }

    /// Grants permits to the waiters at the front for as long as they suffice, and wakes those waiters.
    fn serve(&self, mut state: Guard<'_, State>) {
        let granted = state.grant();
        self.return_count(&state);
        drop(state);
        for waiter in &granted {
            waiter.notify(GRANTED);
        }
    }

    /// Returns whether a request for `count` permits can be granted now.
    fn would_grant(&self, count: usize) -> bool {
        match self.word.load(Acquire) {
            IN_STATE => {
                let state = self.state.lock();
                state.waiters.is_empty() && self.count(&state) >= count
            }
            free => free as usize >= count,
        }
    }

    /// Returns the count from the word or from the state.
    fn count(&self, state: &State) -> usize {
        match self.word.load(Acquire) {
            IN_STATE => state.free,
            free => free as usize,
        }
    }

    /// Returns the number of free permits.
    #[track_caller]
    pub(super) fn available(&self) -> usize {
        rt::point(self.op(Kind::Read));
        match self.word.load(Acquire) {
            IN_STATE => self.count(&self.state.lock()),
            free => free as usize,
        }
    }

    /// Returns the number of queued threads.
    #[track_caller]
    pub(super) fn n_waiting(&self) -> usize {
        rt::point(self.op(Kind::Read));
        rt::reads_waiters();
        self.state.lock().waiters.len()
    }

    /// Returns the greatest number of free permits.
    #[inline]
    pub(super) fn bound(&self) -> usize {
        self.bound
    }

    /// Returns the name of the semaphore's type.
    pub(super) fn type_name(&self) -> &'static str {
        if self.bounded { "BoundedSemaphore" } else { "Semaphore" }
    }

    #[track_caller]
    fn op(&self, kind: Kind) -> Op {
        Op::new(self, self.type_name(), kind)
    }
}

impl State {
    fn try_acquire(&mut self, count: usize) -> bool {
        let acquired = self.waiters.is_empty() && self.free >= count;
        if acquired {
            self.free -= count;
        }
        acquired
    }

    /// Dequeues the waiters at the front whose requests can be granted.
    fn grant(&mut self) -> Vec<Arc<Waiter>> {
        let mut granted = Vec::new();
        while let Some(front) = self.waiters.front().filter(|front| front.request <= self.free) {
            self.free -= front.request;
            granted.extend(self.waiters.dequeue());
        }
        granted
    }
}

/// Converts a count into a value of the word, if it fits.
#[inline]
fn fit(free: usize) -> Option<u32> {
    u32::try_from(free).ok().filter(|free| *free != IN_STATE)
}

/// Reports the number of permits of a step, if it is not 1.
fn report_count(op: &Op, count: usize) {
    if count != 1 {
        rt::value(op, || format!("{count} permits"));
    }
}
