//! The state that all flavors of a queue share: its waiters, its unfinished tasks, and whether it is shut down.
//!
//! # Invariants
//! Whenever the lock that guards the state is free:
//!
//! 1. If a getter waits, there is no item, no putter waits, and the queue is not shut down.
//! 2. If a putter waits, the queue is full, the putter's items are in its exchange slot, and the queue is not shut down.
//! 3. If a joiner waits, there are unfinished tasks.
//!
//! There are more items than the limit allows if the limit has been lowered. Then the queue is full.
//!
//! # Waiting
//! A thread enqueues itself in the same critical section in which it saw that it cannot proceed. The thread that changes the
//! state dequeues it in the critical section of the change, leaves the result in its [`Exchange`], and wakes it after the
//! lock is released. So no thread waits for an item or for room that is available, and no wake-up is lost: a thread that
//! times out is either still in the wait queue, and has not been served, or it has been served, and takes the result.
//!
//! As in the monitors of C. A. R. Hoare, "Monitors: An Operating System Structuring Concept" (1974), the thread that ends a
//! wait also completes the waiter's operation. No other thread can intervene, so no waiter has to check again.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use super::error::TooManyTasksDoneError;
use super::order::Store;
use crate::raw::{Guard, Guarded, WaitQueue, Waiter};

#[repr(C)]
pub(super) struct QueueState<T> {
    /// The limit while the fast paths are possible, which is so if no thread waits to put or to get and the queue is not shut
    /// down; otherwise 0. So a put needs one comparison.
    fast_limit: usize,
    /// The number of items put and not yet marked done.
    pub(super) unfinished: usize,
    limit: usize,
    pub(super) getters: WaitQueue<Exchange<T>>,
    /// Threads with a batch begun. An item goes to them if no getter waits.
    pub(super) fillers: WaitQueue<Exchange<T>>,
    pub(super) putters: WaitQueue<Exchange<T>>,
    pub(super) joiners: WaitQueue<Exchange<T>>,
    shut_down: bool,
}

/// The outcome of an attempt.
pub(super) enum AttemptOutcome<T, R> {
    Done(R),
    /// The queue is full, or empty, and the attempt must not wait.
    NotNow,
    ShutDown,
    /// The thread has to wait until it is notified.
    Enqueued(QueueWaiter<T>),
}

impl<T> QueueState<T> {
    pub(super) const fn new(limit: usize) -> Self {
        Self {
            fast_limit: limit,
            unfinished: 0,
            limit,
            getters: WaitQueue::new(),
            fillers: WaitQueue::new(),
            putters: WaitQueue::new(),
            joiners: WaitQueue::new(),
            shut_down: false,
        }
    }

    #[inline]
    pub(super) fn allows_fast_path(&self) -> bool {
        self.fast_limit != 0
    }

    /// Returns whether the fast path can put an item into a queue with `len` items.
    #[inline]
    pub(super) fn has_fast_room(&self, len: usize) -> bool {
        len < self.fast_limit
    }

    pub(super) fn is_shut_down(&self) -> bool {
        self.shut_down
    }

    /// Returns the greatest number of items; `usize::MAX` if there is no limit.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Changes the limit, and stores the items of putters for which there is room now.
    ///
    /// If a comparison panics, the limit is the previous one. The items that were stored before the panic stay.
    pub(super) fn set_limit<S: Store<T>>(&mut self, limit: usize, store: &mut S, wake: &mut WakeList<T>) {
        let before = std::mem::replace(&mut self.limit, limit);
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| self.admit_putters(store, wake))) {
            self.limit = before; // otherwise putters would wait although there is room
            resume_unwind(payload);
        }
    }

    /// Returns whether a queue with `len` items is full.
    pub(super) fn is_full(&self, len: usize) -> bool {
        len >= self.limit
    }

    /// Computes anew whether the fast paths are possible. To be called after each step that may have changed this.
    #[inline]
    pub(super) fn update_fast_path(&mut self) {
        let possible =
            !self.shut_down && self.getters.is_empty() && self.fillers.is_empty() && self.putters.is_empty();
        self.fast_limit = if possible { self.limit } else { 0 };
    }

    /// Puts the items, and enqueues the thread with the remaining ones if it `may_wait`. Refused items stay in
    /// `items`.
    pub(super) fn put<S: Store<T>>(
        &mut self,
        store: &mut S,
        items: &mut ItemList<T>,
        may_wait: bool,
        wake: &mut WakeList<T>,
    ) -> AttemptOutcome<T, ()> {
        if !self.shut_down {
            while self.hand_over(items, wake) || keep(self.limit, store, items) {
                self.unfinished += 1;
            }
        }
        if items.first().is_none() {
            AttemptOutcome::Done(())
        } else if self.shut_down {
            AttemptOutcome::ShutDown
        } else if may_wait {
            let items = std::mem::replace(items, ItemList::NONE);
            AttemptOutcome::Enqueued(self.putters.enqueue(Exchange::new(items, 0)))
        } else {
            AttemptOutcome::NotNow
        }
    }

    /// Gets the next item, or enqueues the thread if it `may_wait`.
    pub(super) fn get<S: Store<T>>(
        &mut self,
        store: &mut S,
        may_wait: bool,
        wake: &mut WakeList<T>,
    ) -> AttemptOutcome<T, T> {
        if let Some(item) = self.take(store, wake) {
            AttemptOutcome::Done(item)
        } else if self.shut_down {
            AttemptOutcome::ShutDown
        } else if may_wait {
            AttemptOutcome::Enqueued(self.getters.enqueue(Exchange::new(ItemList::NONE, 1)))
        } else {
            AttemptOutcome::NotNow
        }
    }

    /// Fills the batch with the available items, up to `max` of them.
    pub(super) fn get_many<S: Store<T>>(
        &mut self,
        store: &mut S,
        batch: &mut Vec<T>,
        max: usize,
        wake: &mut WakeList<T>,
    ) {
        batch.reserve(store.len().min(max - batch.len()));
        while batch.len() < max
            && let Some(item) = self.take(store, wake)
        {
            batch.push(item);
        }
    }

    /// Fills the batch up to `max` items, or enqueues the thread with it.
    pub(super) fn fill<S: Store<T>>(
        &mut self,
        store: &mut S,
        batch: &mut Vec<T>,
        max: usize,
        wake: &mut WakeList<T>,
    ) -> AttemptOutcome<T, ()> {
        self.get_many(store, batch, max, wake);
        if batch.len() >= max {
            AttemptOutcome::Done(())
        } else if self.shut_down {
            AttemptOutcome::ShutDown
        } else {
            let items = ItemList::many(std::mem::take(batch));
            AttemptOutcome::Enqueued(self.fillers.enqueue(Exchange::new(items, max)))
        }
    }

    /// Hands the next item over to a thread that waits for one.
    fn hand_over(&mut self, items: &mut ItemList<T>, wake: &mut WakeList<T>) -> bool {
        let waiters = if self.getters.is_empty() { &mut self.fillers } else { &mut self.getters };
        let Some(waiter) = waiters.front() else { return false };
        let Some(item) = items.pop() else { return false };
        if waiter.request.push(item) {
            wake.extend(waiters.dequeue());
        }
        true
    }

    /// Takes the next item and gives its room to the first putter, unless there are more items than the limit allows.
    fn take<S: Store<T>>(&mut self, store: &mut S, wake: &mut WakeList<T>) -> Option<T> {
        let Some(putter) = self.putters.front().filter(|_| store.len() <= self.limit) else {
            let gap = store.gap(None);
            return store.take(gap, None);
        };
        let mut items = putter.request.items();
        let gap = store.gap(items.first());
        let item = store.take(gap, items.pop());
        self.unfinished += 1;
        let all_in = items.first().is_none();
        drop(items);
        if all_in {
            wake.extend(self.putters.dequeue());
        }
        item
    }

    /// Stores as many items of the putters as there is room for.
    pub(super) fn admit_putters<S: Store<T>>(&mut self, store: &mut S, wake: &mut WakeList<T>) {
        while let Some(putter) = self.putters.front() {
            let mut items = putter.request.items();
            while keep(self.limit, store, &mut items) {
                self.unfinished += 1;
            }
            if items.first().is_some() {
                return;
            }
            drop(items);
            wake.extend(self.putters.dequeue());
        }
    }

    /// Marks one task done, unless there is none, or it is the last one and a thread waits for it. Returns whether it did.
    #[inline]
    pub(super) fn task_done_fast(&mut self) -> bool {
        let fast = self.unfinished > 1 || (self.unfinished == 1 && self.joiners.is_empty());
        self.unfinished -= usize::from(fast);
        fast
    }

    pub(super) fn tasks_done(
        &mut self,
        done: usize,
        wake: &mut WakeList<T>,
    ) -> Result<(), TooManyTasksDoneError> {
        let unfinished = self.unfinished;
        let left = unfinished.checked_sub(done).ok_or(TooManyTasksDoneError { done, unfinished })?;
        self.set_unfinished(left, wake);
        Ok(())
    }

    fn set_unfinished(&mut self, left: usize, wake: &mut WakeList<T>) {
        self.unfinished = left;
        if left == 0 {
            wake.extend(self.joiners.dequeue_many(usize::MAX));
        }
    }

    /// Enqueues the thread until there are no unfinished tasks.
    pub(super) fn join(&mut self, may_wait: bool) -> AttemptOutcome<T, ()> {
        if self.unfinished == 0 {
            AttemptOutcome::Done(())
        } else if may_wait {
            AttemptOutcome::Enqueued(self.joiners.enqueue(Exchange::new(ItemList::NONE, 0)))
        } else {
            AttemptOutcome::NotNow
        }
    }

    /// Wakes all threads that wait to put or to get. Their exchange slots contain the items that were not put.
    pub(super) fn shut_down(&mut self, wake: &mut WakeList<T>) {
        self.shut_down = true;
        for waiters in [&mut self.getters, &mut self.fillers, &mut self.putters] {
            wake.extend(waiters.dequeue_many(usize::MAX));
        }
    }

    /// Shuts the queue down when `removed` items were removed, which count as done if there are as many unfinished tasks.
    pub(super) fn shut_down_now(&mut self, removed: usize, wake: &mut WakeList<T>) {
        self.shut_down(wake);
        self.set_unfinished(self.unfinished.saturating_sub(removed), wake);
    }
}

/// Stores the next item if there is room below the limit. Returns whether it did.
fn keep<T, S: Store<T>>(limit: usize, store: &mut S, items: &mut ItemList<T>) -> bool {
    if store.len() >= limit {
        return false;
    }
    let Some(position) = items.first().map(|item| store.position(item)) else { return false };
    let Some(item) = items.pop() else { return false };
    store.insert(position, item);
    true
}

/// Items that are being put or got, the next one first.
#[derive(Debug)]
pub(super) enum ItemList<T> {
    One(Option<T>),
    Many(VecDeque<T>),
}

impl<T> ItemList<T> {
    pub(super) const NONE: Self = ItemList::One(None);

    pub(super) fn one(item: T) -> Self {
        ItemList::One(Some(item))
    }

    pub(super) fn many(items: Vec<T>) -> Self {
        ItemList::Many(items.into())
    }

    pub(super) fn len(&self) -> usize {
        match self {
            ItemList::One(item) => usize::from(item.is_some()),
            ItemList::Many(items) => items.len(),
        }
    }

    pub(super) fn first(&self) -> Option<&T> {
        match self {
            ItemList::One(item) => item.as_ref(),
            ItemList::Many(items) => items.front(),
        }
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &T> {
        let (one, many) = match self {
            ItemList::One(item) => (item.as_slice(), None),
            ItemList::Many(items) => (&[][..], Some(items)),
        };
        ItemListIter { one: one.iter(), many: many.map(VecDeque::iter) }
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        match self {
            ItemList::One(item) => item.take(),
            ItemList::Many(items) => items.pop_front(),
        }
    }

    /// Adds an item; if this is `One`, it is empty before.
    fn push(&mut self, item: T) {
        match self {
            ItemList::One(slot) => *slot = Some(item),
            ItemList::Many(items) => items.push_back(item),
        }
    }

    /// Returns the item of a `One` that was refused.
    pub(super) fn into_one(mut self) -> T {
        self.pop().expect("a refused item is returned")
    }

    pub(super) fn into_vec(self) -> Vec<T> {
        match self {
            ItemList::One(item) => item.into_iter().collect(),
            ItemList::Many(items) => items.into(),
        }
    }
}

struct ItemListIter<'a, T> {
    one: std::slice::Iter<'a, T>,
    many: Option<std::collections::vec_deque::Iter<'a, T>>,
}

impl<'a, T> Iterator for ItemListIter<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        self.one.next().or_else(|| self.many.as_mut()?.next())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.one.len() + self.many.as_ref().map_or(0, ExactSizeIterator::len);
        (left, Some(left))
    }
}

impl<T> ExactSizeIterator for ItemListIter<'_, T> {}

/// The exchange slot of a waiting thread: items that it puts, or room for items that it gets.
///
/// Other threads access it under the queue's lock and only while its owner is in a wait queue, the owner only when it is not.
/// So the lock in it is never contended; it makes the slot shareable.
#[derive(Debug)]
pub(super) struct Exchange<T> {
    items: Guarded<ItemList<T>>,
    /// The number of items for which there is room in all.
    room: usize,
}

/// A thread that waits at a queue.
pub(super) type QueueWaiter<T> = Arc<Waiter<Exchange<T>>>;

impl<T> Exchange<T> {
    fn new(items: ItemList<T>, room: usize) -> Self {
        Self { items: Guarded::new(items), room }
    }

    fn items(&self) -> Guard<'_, ItemList<T>> {
        self.items.lock()
    }

    /// Adds an item. Returns whether there is no room for more.
    fn push(&self, item: T) -> bool {
        let mut items = self.items();
        items.push(item);
        items.len() >= self.room
    }

    /// Takes all items.
    pub(super) fn take(&self) -> ItemList<T> {
        std::mem::replace(&mut *self.items(), ItemList::NONE)
    }
}

/// Threads that were dequeued. They are woken when this is dropped, after the queue's lock is released, also on a panic.
#[derive(Debug)]
pub(super) struct WakeList<T> {
    first: Option<QueueWaiter<T>>,
    /// Allocates only from the second thread on.
    others: Vec<QueueWaiter<T>>,
}

/// The only outcome of a wait: the result is in the exchange slot.
const SERVED: u32 = 0;

impl<T> WakeList<T> {
    pub(super) const fn new() -> Self {
        Self { first: None, others: Vec::new() }
    }

    fn extend(&mut self, waiters: impl IntoIterator<Item = QueueWaiter<T>>) {
        let mut waiters = waiters.into_iter();
        if self.first.is_none() {
            self.first = waiters.next();
        }
        self.others.extend(waiters);
    }
}

impl<T> Drop for WakeList<T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(waiter) = &self.first {
            waiter.notify(SERVED);
            self.others.iter().for_each(|waiter| waiter.notify(SERVED));
        }
    }
}
