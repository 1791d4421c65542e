//! The flavor for orders that have to look at all items: a store and the queue's state behind one lock.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicUsize};

use super::common::Observer;
use crate::queue::order::OwnedStore;
use crate::queue::state::{AttemptOutcome, ItemList, QueueState, WakeList};
use crate::raw::Guarded;
use crate::rt;

/// Everything that an uncontended put or get touches is in the first cache line.
#[repr(C, align(128))]
pub(in crate::queue) struct Locked<T, S> {
    /// The number of items, as a hint for threads that do not hold the lock. Written with the lock held.
    len: AtomicU32,
    /// The greatest number of items, as a hint likewise.
    limit: AtomicUsize,
    inner: Guarded<Inner<T, S>>,
}

#[repr(C)]
struct Inner<T, S> {
    store: S,
    state: QueueState<T>,
}

impl<T, S: OwnedStore<T>> Locked<T, S> {
    pub(in crate::queue) const fn new(limit: usize) -> Self {
        let inner = Inner { store: S::EMPTY, state: QueueState::new(limit) };
        Self { len: AtomicU32::new(0), limit: AtomicUsize::new(limit), inner: Guarded::new(inner) }
    }

    /// Puts an item if the lock is free, there is room and no thread waits; otherwise returns it.
    #[inline]
    pub(in crate::queue) fn put_fast(&self, item: T, observer: impl Observer) -> Result<(), T> {
        observer.atom(&self.len);
        if !self.may_have_room() {
            return Err(item); // without taking the cache line from the threads that make room
        }
        let Some(mut inner) = observer.try_lock(&self.inner) else { return Err(item) };
        let Inner { store, state } = &mut *inner;
        if !state.has_fast_room(store.len()) {
            return Err(item);
        }
        let position = store.position(&item);
        store.insert(position, item);
        state.unfinished += 1;
        self.publish(store, observer);
        Ok(())
    }

    /// Gets the next item if the lock is free and no thread waits.
    #[inline]
    pub(in crate::queue) fn get_fast(&self, _eager: bool, observer: impl Observer) -> Option<T> {
        observer.atom(&self.len);
        if !self.may_have_items() {
            return None; // without taking the cache line from the threads that put
        }
        let mut inner = observer.try_lock(&self.inner)?;
        let Inner { store, state } = &mut *inner;
        if !state.allows_fast_path() {
            return None;
        }
        let gap = store.gap(None);
        let item = store.take(gap, None)?;
        self.publish(store, observer);
        Some(item)
    }

    /// Marks one task done if the lock is free and no thread has to be woken for it.
    #[inline]
    pub(in crate::queue) fn task_done_fast(&self, observer: impl Observer) -> bool {
        observer.try_lock(&self.inner).is_some_and(|mut inner| inner.state.task_done_fast())
    }

    /// Puts the items, and enqueues the thread with those that find no room if it `may_wait`.
    pub(in crate::queue) fn put(&self, items: &mut ItemList<T>, may_wait: bool) -> AttemptOutcome<T, ()> {
        self.with(|state, store, wake| state.put(store, items, may_wait, wake))
    }

    /// Gets the next item, or enqueues the thread if it `may_wait`.
    pub(in crate::queue) fn get(&self, may_wait: bool) -> AttemptOutcome<T, T> {
        self.with(|state, store, wake| state.get(store, may_wait, wake))
    }

    /// Fills the batch with the available items, up to `max` of them.
    pub(in crate::queue) fn get_many(&self, batch: &mut Vec<T>, max: usize) {
        self.with(|state, store, wake| state.get_many(store, batch, max, wake));
    }

    /// Fills the batch up to `max` items, or enqueues the thread with it.
    pub(in crate::queue) fn fill(&self, batch: &mut Vec<T>, max: usize) -> AttemptOutcome<T, ()> {
        self.with(|state, store, wake| state.fill(store, batch, max, wake))
    }

    /// Shuts the queue down and returns its items, the next one first.
    pub(in crate::queue) fn shut_down_now(&self) -> Vec<T> {
        let store = self.with(|state, store, wake| {
            let items = std::mem::replace(store, S::EMPTY);
            state.shut_down_now(items.len(), wake);
            items
        });
        store.into_items() // compares items, without the lock
    }

    /// Changes the state of the queue, but no item.
    pub(in crate::queue) fn update<R>(
        &self,
        update: impl FnOnce(&mut QueueState<T>, &mut WakeList<T>) -> R,
    ) -> R {
        self.with(|state, _, wake| update(state, wake))
    }

    /// Looks at the state of the queue and the number of its items.
    pub(in crate::queue) fn look<R>(&self, look: impl FnOnce(&QueueState<T>, usize) -> R) -> R {
        let inner = self.inner.lock();
        look(&inner.state, inner.store.len())
    }

    /// Changes the greatest number of items; `usize::MAX`: no limit.
    pub(in crate::queue) fn set_limit(&self, limit: usize) {
        self.with(|state, store, wake| {
            state.set_limit(limit, store, wake);
            rt::atom(&self.len); // the fast paths read the two hints in one step
            self.limit.store(limit, Relaxed);
        });
    }

    /// Returns whether a put may find room, as a hint.
    #[inline]
    pub(in crate::queue) fn may_have_room(&self) -> bool {
        (self.len.load(Relaxed) as usize) < self.limit.load(Relaxed)
    }

    /// Returns whether a get may find an item, as a hint.
    #[inline]
    pub(in crate::queue) fn may_have_items(&self) -> bool {
        self.len.load(Relaxed) > 0
    }

    /// Runs a step with the lock held, then wakes the threads that it served.
    fn with<R>(&self, step: impl FnOnce(&mut QueueState<T>, &mut S, &mut WakeList<T>) -> R) -> R {
        let mut wake = WakeList::new();
        let mut inner = self.inner.lock();
        let Inner { store, state } = &mut *inner;
        let result = step(state, store, &mut wake);
        state.update_fast_path();
        self.publish(store, super::common::Observed);
        result
    }

    /// Stores the hint. The lock is held.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "it is a hint")]
    fn publish(&self, store: &S, observer: impl Observer) {
        observer.atom(&self.len);
        self.len.store(store.len() as u32, Relaxed);
    }
}
