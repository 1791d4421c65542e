//! A FIFO queue of waiting threads.
//!
//! # State
//! Each waiting thread owns a [`Waiter`], a word of its own on which it parks, shared with the thread that will notify it. A
//! primitive keeps its waiters in a [`WaitQueue`] under its own lock.
//!
//! # Invariants
//! - A word moves from `WAITING` to `PARKED` at most, and from there to an outcome. An outcome is final.
//! - Under the queue's lock, a waiter without an outcome is in the queue, unless a thread has just dequeued it and is about to
//!   notify it.
//!
//! # Operations
//! The waiter enqueues itself under the primitive's lock, releases that lock, and calls [`Waiter::wait`]. The notifying thread
//! dequeues it under the lock, releases the lock, and calls [`Waiter::notify`] with an outcome. A waiter that times out
//! removes itself under the lock; if it is no longer in the queue, it has been or is about to be notified.
//!
//! # Memory ordering
//! [`Waiter::notify`] stores the outcome with `Release`, and the waiter reads it with `Acquire`: the memory accesses before
//! the notification are visible to the waiter when it returns. Only a notification that finds `PARKED` has to wake the waiter.
//! The waiter sets `PARKED` by a compare-and-swap, so it never overwrites an outcome.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::Instant;

use crate::rt::{self, Op, Wait, WaitOutcome};
use crate::sys::spin::SpinBudget;

/// One waiting thread.
#[derive(Debug)]
pub(crate) struct Waiter<R = usize> {
    /// `WAITING`, `PARKED`, or `OUTCOME` plus the outcome.
    word: AtomicU32,
    /// The request of the thread, in terms of its primitive: a number of permits, an index, items.
    pub(crate) request: R,
}

const WAITING: u32 = 0;
/// The thread is parked, or about to park.
const PARKED: u32 = 1;
/// The smallest value that is an outcome.
const OUTCOME: u32 = 2;

impl<R> Waiter<R> {
    pub(crate) fn new(request: R) -> Arc<Self> {
        Arc::new(Self { word: AtomicU32::new(WAITING), request })
    }

    /// Sets the outcome of the wait and wakes the thread.
    pub(crate) fn notify(&self, outcome: u32) {
        rt::signal(&self.word);
        if self.word.swap(outcome + OUTCOME, Release) == PARKED {
            rt::wake(&self.word, 1);
        }
    }

    /// Notifies the thread unless it has been notified already. Returns whether this call did.
    pub(crate) fn try_notify(&self, outcome: u32) -> bool {
        rt::signal(&self.word);
        let notified = |word| (word < OUTCOME).then_some(outcome + OUTCOME);
        let before = self.word.fetch_update(Release, Acquire, notified);
        if before == Ok(PARKED) {
            rt::wake(&self.word, 1);
        }
        before.is_ok()
    }

    /// Returns the outcome if the thread has been notified.
    pub(crate) fn outcome(&self) -> Option<u32> {
        self.word.load(Acquire).checked_sub(OUTCOME)
    }

    /// Blocks until the thread is notified.
    ///
    /// Returns `None` if the deadline passes first. The caller then removes the waiter from its queue, under the queue's
    /// lock; if it is not there any more, a notification is under way.
    pub(crate) fn wait(&self, op: Op, deadline: Option<Instant>) -> Option<u32> {
        self.wait_spinning(SpinBudget::new(), op, deadline)
    }

    /// Like [`wait`](Waiter::wait), with the rest of a spin budget.
    pub(crate) fn wait_spinning(&self, spin: SpinBudget, op: Op, deadline: Option<Instant>) -> Option<u32> {
        rt::point_until(op, deadline, &self.word, || self.outcome().is_some());
        self.park(spin, &op, deadline)
    }

    /// Like [`wait_spinning`](Waiter::wait_spinning), for a thread that has already announced its wait to the scheduler.
    pub(crate) fn park(&self, mut spin: SpinBudget, op: &Op, deadline: Option<Instant>) -> Option<u32> {
        let wait = Wait::new(op).with_deadline(deadline);
        loop {
            rt::signal(&self.word);
            if let Some(outcome) = self.outcome() {
                return Some(outcome);
            }
            if spin.spin() {
                continue;
            }
            rt::signal(&self.word);
            // Fails if the thread has been notified or has parked before. The word shows which.
            let _ = self.word.compare_exchange(WAITING, PARKED, Acquire, Acquire);
            if rt::wait(&self.word, PARKED, &wait) == WaitOutcome::TimedOut {
                return self.outcome();
            }
        }
    }
}

/// Waiters in the order of their arrival.
///
/// A forked child inherits the wait queues of its parent, but none of the threads in them, so there every queue is empty: no
/// permit or item goes to a thread that does not exist.
#[derive(Debug)]
pub(crate) struct WaitQueue<R = usize> {
    /// The waiters of the process that `process` identifies.
    waiters: VecDeque<Arc<Waiter<R>>>,
    /// The number of forks between the first process and the one that last changed the queue.
    process: u32,
}

impl<R> WaitQueue<R> {
    pub(crate) const fn new() -> Self {
        Self { waiters: VecDeque::new(), process: 0 }
    }

    /// Returns the waiters of this process, if there are any.
    #[inline]
    fn waiters(&self) -> Option<&VecDeque<Arc<Waiter<R>>>> {
        (self.process == rt::forks()).then_some(&self.waiters)
    }

    #[inline]
    fn waiters_mut(&mut self) -> &mut VecDeque<Arc<Waiter<R>>> {
        if self.process != rt::forks() {
            self.forget_inherited();
        }
        &mut self.waiters
    }

    /// Forgets the waiters of the parent process. The values that they own, such as an item, are on stacks that are never
    /// unwound, and are leaked with those.
    #[cold]
    fn forget_inherited(&mut self) {
        std::mem::forget(std::mem::take(&mut self.waiters));
        self.process = rt::forks();
    }

    /// Adds a waiter at the back.
    pub(crate) fn enqueue(&mut self, request: R) -> Arc<Waiter<R>> {
        let waiter = Waiter::new(request);
        self.waiters_mut().push_back(waiter.clone());
        waiter
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Waiter<R>>> {
        self.waiters().into_iter().flatten()
    }

    /// Returns the waiter that has waited longest.
    pub(crate) fn front(&self) -> Option<&Arc<Waiter<R>>> {
        self.waiters()?.front()
    }

    /// Removes the waiter that has waited longest.
    pub(crate) fn dequeue(&mut self) -> Option<Arc<Waiter<R>>> {
        self.waiters_mut().pop_front()
    }

    /// Removes the first `count` waiters, to be notified after the queue's lock is released.
    pub(crate) fn dequeue_many(&mut self, count: usize) -> VecDeque<Arc<Waiter<R>>> {
        let waiters = self.waiters_mut();
        if count >= waiters.len() {
            return std::mem::take(waiters);
        }
        waiters.drain(..count).collect()
    }

    /// Removes a waiter that timed out. Returns whether it was still in the queue.
    pub(crate) fn remove(&mut self, waiter: &Arc<Waiter<R>>) -> bool {
        let waiters = self.waiters_mut();
        match waiters.iter().position(|other| Arc::ptr_eq(other, waiter)) {
            Some(index) => waiters.remove(index).is_some(),
            None => false,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.waiters().map_or(0, VecDeque::len)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
