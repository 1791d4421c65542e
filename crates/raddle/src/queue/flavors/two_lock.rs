//! The flavor for many items, first in, first out: a lock for the threads that put and one for those that get.
//!
//! New items are appended at the *tail*. A thread that gets takes items from the *head*. If the head is empty, it swaps the
//! empty head with all items of the tail, so that the two sides share a lock once in many items. The room of items that were
//! taken from the head is credited to the tail only when a put needs it.
//!
//! Two locks instead of one go back to M. M. Michael and M. L. Scott, "Simple, Fast, and Practical Non-Blocking and Blocking
//! Concurrent Queue Algorithms" (1996).
//!
//! # Invariants
//! The head is locked before the tail. Whenever both are free:
//!
//! 1. [`TailItems::ahead`] is the number of items in the head plus [`Head::freed`].
//! 2. If a getter waits, the head is empty. If a putter waits, `freed` is 0 and [`Head::crowded`] is set.

use std::collections::VecDeque;
use std::mem;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicUsize};

use super::common::{Observed, Observer, gather};
use crate::queue::order::Store;
use crate::queue::state::{AttemptOutcome, ItemList, QueueState, WakeList};
use crate::raw::Guarded;
use crate::rt;

pub(in crate::queue) struct TwoLock<T> {
    head: HeadSide<T>,
    tail: TailSide<T>,
}

/// In cache lines of its own, so that the two sides do not slow each other down.
#[repr(C, align(128))]
struct HeadSide<T> {
    /// The number of slots that the head has freed, as a hint for threads that do not hold the lock.
    freed: AtomicU32,
    inner: Guarded<Head<T>>,
}

/// In cache lines of its own, too.
#[repr(C, align(128))]
struct TailSide<T> {
    /// The number of items in the tail, as a hint for threads that do not hold the lock.
    len: AtomicU32,
    /// The thread that put last, as a hint.
    last_putter: AtomicUsize,
    /// The greatest number of items in head and tail, as a hint.
    limit: AtomicUsize,
    inner: Guarded<Tail<T>>,
}

/// The items that are got next.
struct Head<T> {
    items: VecDeque<T>,
    /// The number of items got since they were last credited to the tail.
    freed: usize,
    /// A putter may wait.
    crowded: bool,
}

#[repr(C)]
struct Tail<T> {
    store: TailItems<T>,
    state: QueueState<T>,
}

/// The items that were put last, and a count of those ahead of them.
struct TailItems<T> {
    items: VecDeque<T>,
    /// The number of items that have moved to the head and count against the limit.
    ahead: usize,
}

/// The number of items from which a get contends for the putters' lock.
const BATCH: u32 = 32;

impl<T> Store<T> for TailItems<T> {
    #[inline]
    fn len(&self) -> usize {
        self.items.len() + self.ahead
    }

    fn insert(&mut self, _: usize, item: T) {
        self.items.push_back(item);
    }

    fn take(&mut self, _: usize, incoming: Option<T>) -> Option<T> {
        let next = self.items.pop_front();
        self.items.extend(incoming);
        next
    }
}

impl<T> Head<T> {
    /// Moves items to the batch, until it has `max` of them.
    fn move_to(&mut self, batch: &mut Vec<T>, max: usize) {
        let count = self.items.len().min(max - batch.len());
        batch.extend(self.items.drain(..count));
        self.freed += count;
    }
}

impl<T> TailItems<T> {
    /// Credits the items that were got from the head as room here.
    #[inline]
    fn settle(&mut self, freed: &mut usize) {
        self.ahead -= mem::take(freed);
    }

    /// Moves all items to the empty head.
    #[inline]
    fn move_to(&mut self, head: &mut VecDeque<T>) {
        self.ahead += self.items.len();
        mem::swap(&mut self.items, head);
    }
}

impl<T> TwoLock<T> {
    pub(in crate::queue) const fn new(limit: usize) -> Self {
        let head = Head { items: VecDeque::new(), freed: 0, crowded: false };
        let store = TailItems { items: VecDeque::new(), ahead: 0 };
        Self {
            head: HeadSide { freed: AtomicU32::new(0), inner: Guarded::new(head) },
            tail: TailSide {
                len: AtomicU32::new(0),
                last_putter: AtomicUsize::new(0),
                limit: AtomicUsize::new(limit),
                inner: Guarded::new(Tail { store, state: QueueState::new(limit) }),
            },
        }
    }

    /// Puts an item if the tail's lock is free, there is room and no thread waits; otherwise returns it.
    #[inline]
    pub(in crate::queue) fn put_fast(&self, item: T, observer: impl Observer) -> Result<(), T> {
        observer.atom(&self.tail.len);
        if self.tail.len.load(Relaxed) as usize >= self.tail.limit.load(Relaxed) {
            return Err(item); // without taking the cache line from the threads that make room
        }
        let Some(mut tail) = observer.try_lock(&self.tail.inner) else { return Err(item) };
        let Tail { store, state } = &mut *tail;
        if !state.has_fast_room(store.len()) {
            return Err(item);
        }
        store.items.push_back(item);
        state.unfinished += 1;
        self.tail.publish(store.items.len(), observer);
        self.tail.last_putter.store(rt::thread_address(), Relaxed);
        Ok(())
    }

    /// Gets the next item if the locks are free and no thread waits. If the head is empty, it moves the items of the
    /// tail there if there are many, if the calling thread has put the last one, or if the caller is `eager`.
    #[inline]
    pub(in crate::queue) fn get_fast(&self, eager: bool, observer: impl Observer) -> Option<T> {
        let mut head = observer.try_lock(&self.head.inner)?;
        if head.crowded {
            return None;
        }
        if head.items.is_empty() {
            self.refill_fast(&mut head, eager, observer)?;
        }
        let item = head.items.pop_front()?;
        head.freed += 1;
        self.head.publish(head.freed, observer);
        Some(item)
    }

    fn refill_fast(&self, head: &mut Head<T>, eager: bool, observer: impl Observer) -> Option<()> {
        let enough =
            if eager || self.tail.last_putter.load(Relaxed) == rt::thread_address() { 1 } else { BATCH };
        observer.atom(&self.tail.len);
        if self.tail.len.load(Relaxed) < enough {
            return None;
        }
        let mut tail = observer.try_lock(&self.tail.inner)?;
        tail.store.settle(&mut head.freed);
        tail.store.move_to(&mut head.items);
        self.tail.publish(0, observer);
        Some(())
    }

    /// Marks one task done if the tail's lock is free and no thread has to be woken for it.
    #[inline]
    pub(in crate::queue) fn task_done_fast(&self, observer: impl Observer) -> bool {
        observer.try_lock(&self.tail.inner).is_some_and(|mut tail| tail.state.task_done_fast())
    }

    /// Puts the items, and enqueues the thread with those that find no room if it `may_wait`.
    ///
    /// The room that the head has freed is credited only if the items do not fit without it. They are put in one critical
    /// section either way, so that no item of another thread comes between them while there is room.
    pub(in crate::queue) fn put(&self, items: &mut ItemList<T>, may_wait: bool) -> AttemptOutcome<T, ()> {
        let outcome = self.with_tail(&mut WakeList::new(), |state, store, wake| {
            let fits = items.len() <= state.limit().saturating_sub(store.len());
            if fits { state.put(store, items, false, wake) } else { AttemptOutcome::NotNow }
        });
        if !matches!(outcome, AttemptOutcome::NotNow) {
            return outcome;
        }
        let (mut wake, mut head) = (WakeList::new(), self.head.inner.lock());
        let outcome = self.with_tail(&mut wake, |state, store, wake| {
            store.settle(&mut head.freed);
            state.put(store, items, may_wait, wake)
        });
        if !matches!(outcome, AttemptOutcome::Done(())) {
            self.head.publish(0, Observed);
        }
        head.crowded |= matches!(outcome, AttemptOutcome::Enqueued(_));
        outcome
    }

    /// Gets the next item, or enqueues the thread if it `may_wait`.
    pub(in crate::queue) fn get(&self, may_wait: bool) -> AttemptOutcome<T, T> {
        let (mut wake, mut head) = (WakeList::new(), self.head.inner.lock());
        let mut outcome = AttemptOutcome::NotNow;
        if head.items.is_empty() {
            outcome = self.with_tail(&mut wake, |state, store, wake| {
                store.settle(&mut head.freed);
                store.move_to(&mut head.items);
                if head.items.is_empty() { state.get(store, may_wait, wake) } else { AttemptOutcome::NotNow }
            });
        }
        match head.items.pop_front() {
            Some(item) => {
                self.admit_putters(&mut head, 1, &mut wake);
                AttemptOutcome::Done(item)
            }
            None => outcome,
        }
    }

    /// Fills the batch with the available items, up to `max` of them.
    pub(in crate::queue) fn get_many(&self, batch: &mut Vec<T>, max: usize) {
        self.get_many_then(batch, max, |state, store, batch, wake| state.get_many(store, batch, max, wake));
    }

    /// Fills the batch up to `max` items, or enqueues the thread with it.
    pub(in crate::queue) fn fill(&self, batch: &mut Vec<T>, max: usize) -> AttemptOutcome<T, ()> {
        self.get_many_then(batch, max, |state, store, batch, wake| state.fill(store, batch, max, wake))
            .unwrap_or(AttemptOutcome::Done(()))
    }

    /// Fills the batch. If the queue has no more items, it calls `then` for the rest.
    ///
    /// The tail stays locked from the first item that is not in the head to the last one. Otherwise a put could use the room
    /// of the first ones for an item that joins the same batch.
    fn get_many_then<R>(
        &self,
        batch: &mut Vec<T>,
        max: usize,
        then: impl FnOnce(&mut QueueState<T>, &mut TailItems<T>, &mut Vec<T>, &mut WakeList<T>) -> R,
    ) -> Option<R> {
        let (mut wake, mut head) = (WakeList::new(), self.head.inner.lock());
        head.move_to(batch, max);
        let mut done = None;
        if head.crowded || batch.len() < max {
            head.crowded = self.with_tail(&mut wake, |state, store, wake| {
                loop {
                    store.settle(&mut head.freed);
                    state.admit_putters(store, wake);
                    if batch.len() >= max {
                        break;
                    }
                    store.move_to(&mut head.items);
                    if head.items.is_empty() {
                        done = Some(then(state, store, batch, wake));
                        break;
                    }
                    head.move_to(batch, max);
                }
                !state.putters.is_empty()
            });
        }
        self.head.publish(head.freed.max(1), Observed);
        done
    }

    /// Shuts the queue down and returns its items, the next one first.
    pub(in crate::queue) fn shut_down_now(&self) -> Vec<T> {
        let (mut wake, mut head) = (WakeList::new(), self.head.inner.lock());
        self.with_tail(&mut wake, |state, store, wake| {
            store.settle(&mut head.freed);
            store.ahead -= head.items.len();
            let mut items = mem::take(&mut head.items);
            items.append(&mut store.items);
            state.shut_down_now(items.len(), wake);
            items
        })
        .into()
    }

    /// Changes the state of the queue, but no item.
    pub(in crate::queue) fn update<R>(
        &self,
        update: impl FnOnce(&mut QueueState<T>, &mut WakeList<T>) -> R,
    ) -> R {
        self.with_tail(&mut WakeList::new(), |state, _, wake| update(state, wake))
    }

    /// Looks at the state of the queue and the number of its items.
    pub(in crate::queue) fn look<R>(&self, look: impl FnOnce(&QueueState<T>, usize) -> R) -> R {
        let mut head = self.head.inner.lock();
        let mut tail = self.tail.inner.lock();
        tail.store.settle(&mut head.freed);
        look(&tail.state, tail.store.len())
    }

    /// Changes the greatest number of items; `usize::MAX`: no limit.
    pub(in crate::queue) fn set_limit(&self, limit: usize) {
        let (mut wake, mut head) = (WakeList::new(), self.head.inner.lock());
        head.crowded = self.with_tail(&mut wake, |state, store, wake| {
            store.settle(&mut head.freed);
            state.set_limit(limit, store, wake);
            rt::atom(&self.tail.len); // the fast paths read the two hints in one step
            self.tail.limit.store(limit, Relaxed);
            !state.putters.is_empty()
        });
        self.head.publish(0, Observed);
    }

    /// Returns whether a put may find room, as a hint.
    #[inline]
    pub(in crate::queue) fn may_have_room(&self) -> bool {
        (self.tail.len.load(Relaxed) as usize) < self.tail.limit.load(Relaxed)
            || self.head.freed.load(Relaxed) > 0
    }

    /// Returns whether a get may find an item in the tail, as a hint.
    #[inline]
    pub(in crate::queue) fn may_have_items(&self) -> bool {
        self.tail.len.load(Relaxed) > 0
    }

    /// Returns whether many items are available, as a hint.
    pub(in crate::queue) fn has_plenty(&self) -> bool {
        self.tail.len.load(Relaxed) >= BATCH
    }

    /// Waits during a burst of items.
    pub(in crate::queue) fn gather_items(&self) {
        gather(self.tail.limit.load(Relaxed), |count| self.tail.len.load(Relaxed) as usize >= count);
    }

    /// Runs a step with the tail's lock held.
    ///
    /// `wake` outlives the locks, also if the step panics, so that no thread is woken while they are held.
    fn with_tail<R>(
        &self,
        wake: &mut WakeList<T>,
        step: impl FnOnce(&mut QueueState<T>, &mut TailItems<T>, &mut WakeList<T>) -> R,
    ) -> R {
        let mut tail = self.tail.inner.lock();
        let Tail { store, state } = &mut *tail;
        let result = step(state, store, wake);
        state.update_fast_path();
        self.tail.publish(store.items.len(), Observed);
        result
    }

    /// Admits putters after `taken` items were taken from the head.
    fn admit_putters(&self, head: &mut Head<T>, taken: usize, wake: &mut WakeList<T>) {
        head.freed += taken;
        if head.crowded {
            head.crowded = self.with_tail(wake, |state, store, wake| {
                store.settle(&mut head.freed);
                state.admit_putters(store, wake);
                !state.putters.is_empty()
            });
        }
        self.head.publish(head.freed.max(1), Observed);
    }
}

impl<T> HeadSide<T> {
    /// Stores the hint. The lock is held.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "it is a hint")]
    fn publish(&self, freed: usize, observer: impl Observer) {
        observer.atom(&self.freed);
        self.freed.store(freed as u32, Relaxed);
    }
}

impl<T> TailSide<T> {
    /// Stores the hint. The lock is held.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "it is a hint")]
    fn publish(&self, len: usize, observer: impl Observer) {
        observer.atom(&self.len);
        self.len.store(len as u32, Relaxed);
    }
}
