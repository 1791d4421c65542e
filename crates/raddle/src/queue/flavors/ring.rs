//! The flavor for few items, first in, first out: a ring of slots, each with a lock of its own.
//!
//! While no thread waits, a put or get needs the lock of one slot only: it locks the slot at its end of the ring, checks that
//! the end is still there, puts or takes the item, and advances the end to the next slot. So an end is moved only by the
//! thread that holds the lock of the slot at that end, and no thread is ever in the middle of an operation without a lock.
//!
//! A thread that has more to do, such as to enqueue itself as a waiter, locks the queue's state and *freezes* both ends. The
//! fast paths notice this under the lock of their slot and fail. From then on the ring belongs to the thread that holds the
//! state's lock, until it thaws the ends. They stay frozen while a thread waits or the queue is shut down.
//!
//! There are as many slots as the limit with which the queue was created, since a fast path refers to them without a lock. While
//! the queue has another limit, its ends stay frozen: every put and get holds the state's lock. Items beyond the slots are in an
//! *overflow* behind them.
//!
//! Each slot records by itself whether it is free, so that putters and getters share the slots only. This design is from D.
//! Vyukov, "Bounded MPMC queue" (1024cores, 2010). There a slot has a sequence number instead of a lock, and a thread that
//! has claimed a slot and not yet filled it blocks all others.
//!
//! # Memory ordering
//! The lock of a slot is acquired with `Acquire` and released with `Release`, which is what makes a put happen before the get
//! of its item. An end is loaded with `Acquire` and stored with `Release`, so that a thread that sees an end also sees the
//! state of the slots before it.

use std::collections::VecDeque;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};

use super::common::{Observed, Observer, gather};
use crate::queue::order::Store;
use crate::queue::state::{AttemptOutcome, ItemList, QueueState, WakeList};
use crate::raw::{Guarded, Slot};
use crate::rt;
use crate::sys::prefetch;

pub(in crate::queue) struct Ring<T> {
    /// Where the next item is put.
    tail: End,
    /// Where the next item is taken.
    head: End,
    back: Back<T>,
}

/// In cache lines of its own, so that the two sides do not slow each other down.
#[repr(align(128))]
struct End {
    /// The index of a slot; with `FROZEN` if only the holder of the state's lock may move the end.
    at: AtomicU32,
    /// The number of items that have passed this end. Changed together with `at`.
    count: AtomicU64,
}

/// In cache lines of its own, too. The fast paths read the slots from the last one, which changes only while threads wait.
#[repr(C, align(128))]
struct Back<T> {
    inner: Guarded<RingState<T>>,
    /// Allocated at the first use, so that a queue can be a constant.
    slots: OnceLock<Box<[Slot<T>]>>,
    /// The number of slots.
    capacity: usize,
    /// The limit is not the number of slots, or there are items beyond the slots; as a hint.
    resized: AtomicBool,
}

#[repr(C)]
struct RingState<T> {
    /// The number of items put that are counted in `state.unfinished`.
    counted: u64,
    state: QueueState<T>,
    /// The items behind those in the slots. If there are any, all slots are full.
    overflow: VecDeque<T>,
}

/// The ring with both ends frozen.
struct Frozen<'a, T> {
    ring: &'a Ring<T>,
    counted: &'a mut u64,
    overflow: &'a mut VecDeque<T>,
}

const FROZEN: u32 = 1 << 31;

/// A ring allocates memory for all its slots at once: at most this many bytes,
const ROOM: usize = 1 << 16;
/// and at most this many for one slot.
const LARGEST_SLOT: usize = 1 << 10;

/// The distance, in slots, at which memory is prefetched.
const AHEAD: usize = 4;

impl<T> Ring<T> {
    /// Returns whether a ring is the right flavor for a queue of at most `limit` items.
    pub(in crate::queue) const fn is_for(limit: usize) -> bool {
        size_of::<Slot<T>>() <= LARGEST_SLOT && limit <= ROOM / size_of::<Slot<T>>()
    }

    pub(in crate::queue) const fn new(limit: usize) -> Self {
        let inner = RingState { counted: 0, state: QueueState::new(limit), overflow: VecDeque::new() };
        let back = Back {
            inner: Guarded::new(inner),
            slots: OnceLock::new(),
            capacity: limit,
            resized: AtomicBool::new(false),
        };
        Self { tail: End::new(), head: End::new(), back }
    }

    #[inline]
    fn slots(&self) -> &[Slot<T>] {
        self.back.slots.get_or_init(|| (0..self.back.capacity).map(|_| Slot::new()).collect())
    }

    /// Puts an item if the slot at the tail is empty and unlocked and the ring is not frozen; otherwise returns it.
    #[inline]
    pub(in crate::queue) fn put_fast(&self, item: T, observer: impl Observer) -> Result<(), T> {
        let slots = self.slots();
        let at = self.tail.load(observer);
        let Some(slot) = slots.get(at as usize) else { return Err(item) }; // frozen
        observer.atom(slot.word());
        if !slot.is_empty() {
            return Err(item); // without taking the cache line from the thread that empties it
        }
        let Some(mut slot) = observer.try_lock_slot(slot, false) else { return Err(item) };
        if self.tail.load(observer) != at {
            return Err(item);
        }
        slot.replace(Some(item));
        self.tail.advance(at, slots.len(), observer);
        prefetch(slots, at);
        Ok(())
    }

    /// Gets the next item if the slot at the head is full and unlocked and the ring is not frozen.
    #[inline]
    pub(in crate::queue) fn get_fast(&self, _eager: bool, observer: impl Observer) -> Option<T> {
        let slots = self.slots();
        let at = self.head.load(observer);
        let slot = slots.get(at as usize)?; // frozen: none
        observer.atom(slot.word());
        if !slot.is_full() {
            return None; // without taking the cache line from the thread that fills it
        }
        let mut slot = observer.try_lock_slot(slot, true)?;
        if self.head.load(observer) != at {
            return None;
        }
        let item = slot.replace(None);
        self.head.advance(at, slots.len(), observer);
        prefetch(slots, at);
        item
    }

    /// Marks one task done if the state's lock is free and no thread has to be woken for it.
    #[inline]
    pub(in crate::queue) fn task_done_fast(&self, observer: impl Observer) -> bool {
        observer.try_lock(&self.back.inner).is_some_and(|mut back| {
            let RingState { state, counted, .. } = &mut *back;
            observer.atom(&self.tail.at);
            state.unfinished += self.count_new(counted);
            state.task_done_fast()
        })
    }

    /// Puts the items, and enqueues the thread with those that find no room if it `may_wait`.
    pub(in crate::queue) fn put(&self, items: &mut ItemList<T>, may_wait: bool) -> AttemptOutcome<T, ()> {
        self.with_frozen(|state, ring, wake| state.put(ring, items, may_wait, wake))
    }

    /// Gets the next item, or enqueues the thread if it `may_wait`.
    pub(in crate::queue) fn get(&self, may_wait: bool) -> AttemptOutcome<T, T> {
        self.with_frozen(|state, ring, wake| state.get(ring, may_wait, wake))
    }

    /// Fills the batch with the available items, up to `max` of them.
    pub(in crate::queue) fn get_many(&self, batch: &mut Vec<T>, max: usize) {
        self.with_frozen(|state, ring, wake| state.get_many(ring, batch, max, wake));
    }

    /// Fills the batch up to `max` items, or enqueues the thread with it.
    pub(in crate::queue) fn fill(&self, batch: &mut Vec<T>, max: usize) -> AttemptOutcome<T, ()> {
        self.with_frozen(|state, ring, wake| state.fill(ring, batch, max, wake))
    }

    /// Shuts the queue down and returns its items, the next one first.
    pub(in crate::queue) fn shut_down_now(&self) -> Vec<T> {
        self.with_frozen(|state, ring, wake| {
            let items: Vec<_> = std::iter::from_fn(|| ring.take(0, None)).collect();
            state.shut_down_now(items.len(), wake);
            items
        })
    }

    /// Changes the state of the queue, but no item.
    pub(in crate::queue) fn update<R>(
        &self,
        update: impl FnOnce(&mut QueueState<T>, &mut WakeList<T>) -> R,
    ) -> R {
        self.with_frozen(|state, _, wake| update(state, wake))
    }

    /// Looks at the state of the queue and the number of its items.
    pub(in crate::queue) fn look<R>(&self, look: impl FnOnce(&QueueState<T>, usize) -> R) -> R {
        self.with_frozen(|state, ring, _| look(state, ring.len()))
    }

    /// Returns whether a put may find room, as a hint.
    #[inline]
    pub(in crate::queue) fn may_have_room(&self) -> bool {
        !self.slots()[self.tail.index()].is_full()
    }

    /// Returns whether a get may find an item, as a hint.
    #[inline]
    pub(in crate::queue) fn may_have_items(&self) -> bool {
        self.slots()[self.head.index()].is_full()
    }

    /// Returns whether the fast paths fail until the ring thaws, as a hint.
    pub(in crate::queue) fn is_frozen(&self) -> bool {
        self.tail.at.load(Relaxed) & FROZEN != 0
    }

    /// Returns whether puts and gets need the full path because the limit has been changed, as a hint.
    pub(in crate::queue) fn is_resized(&self) -> bool {
        self.back.resized.load(Relaxed)
    }

    /// Returns the number of slots.
    pub(in crate::queue) fn capacity(&self) -> usize {
        self.back.capacity
    }

    /// Changes the greatest number of items; `usize::MAX`: no limit.
    pub(in crate::queue) fn set_limit(&self, limit: usize) {
        self.with_frozen(|state, ring, wake| state.set_limit(limit, ring, wake));
    }

    /// Waits during a burst of free slots.
    pub(in crate::queue) fn gather_room(&self) {
        self.gather_at(&self.tail, |slot| !slot.is_full());
    }

    /// Waits during a burst of items.
    pub(in crate::queue) fn gather_items(&self) {
        self.gather_at(&self.head, Slot::is_full);
    }

    /// Waits for a slot some distance ahead to be ready, which keeps putters and getters apart.
    fn gather_at(&self, end: &End, is_ready: impl Fn(&Slot<T>) -> bool) {
        let slots = self.slots();
        gather(slots.len() / 2, |count| is_ready(&slots[(end.index() + count - 1) % slots.len()]));
    }

    /// Runs a step with the state's lock held and the ring frozen, then wakes the threads that it served.
    fn with_frozen<R>(
        &self,
        step: impl FnOnce(&mut QueueState<T>, &mut Frozen<'_, T>, &mut WakeList<T>) -> R,
    ) -> R {
        let mut wake = WakeList::new();
        let mut back = self.back.inner.lock();
        let RingState { state, counted, overflow } = &mut *back;
        self.freeze();
        state.unfinished += self.count_new(counted);
        let result = step(state, &mut Frozen { ring: self, counted, overflow }, &mut wake);
        state.update_fast_path();
        let resized = state.limit() != self.back.capacity || !overflow.is_empty();
        if resized != self.is_resized() {
            rt::atom(&self.tail.at); // a thread reads the hint after it has found the tail frozen
            self.back.resized.store(resized, Relaxed);
        }
        // The fast paths access the slots only.
        if state.allows_fast_path() && !resized {
            self.thaw();
        }
        result
    }

    /// Makes the fast paths fail. The state's lock is held.
    fn freeze(&self) {
        let slots = self.slots();
        for end in [&self.tail, &self.head] {
            loop {
                let at = end.load(Observed);
                let Some(slot) = slots.get(at as usize) else { break }; // frozen already
                let _guard = slot.lock();
                if end.load(Observed) == at {
                    end.at.store(at | FROZEN, Release);
                    break;
                }
            }
        }
    }

    /// Makes the fast paths possible again. The state's lock is held.
    fn thaw(&self) {
        for end in [&self.tail, &self.head] {
            rt::atom(&end.at);
            end.at.store(end.at.load(Relaxed) & !FROZEN, Release);
        }
    }

    /// Counts the items that were put since the last call. In a ring that is not frozen, these include at least the items
    /// that the calling thread has put or got.
    #[inline]
    fn count_new(&self, counted: &mut u64) -> usize {
        let put = self.tail.count.load(Relaxed);
        let new = put.wrapping_sub(std::mem::replace(counted, put));
        usize::try_from(new).unwrap_or(usize::MAX)
    }
}

impl<T> Frozen<'_, T> {
    /// Returns the number of items in the slots.
    fn in_slots(&self) -> usize {
        let Ring { head, tail, .. } = self.ring;
        let items = tail.count.load(Relaxed).wrapping_sub(head.count.load(Relaxed));
        usize::try_from(items).unwrap_or(usize::MAX)
    }

    /// Puts an item into the slot at the tail, which is empty.
    fn fill_slot(&mut self, item: T) {
        let (slots, tail) = (self.ring.slots(), &self.ring.tail);
        let at = tail.at.load(Relaxed);
        let before = slots[tail.index()].lock().replace(Some(item));
        debug_assert!(before.is_none(), "an item was put into a full ring");
        tail.advance(at, slots.len(), Observed);
        *self.counted = self.counted.wrapping_add(1);
    }
}

impl<T> Store<T> for Frozen<'_, T> {
    fn len(&self) -> usize {
        self.in_slots() + self.overflow.len()
    }

    fn insert(&mut self, _: usize, item: T) {
        if self.in_slots() < self.ring.back.capacity {
            self.fill_slot(item); // the overflow is empty
        } else {
            self.overflow.push_back(item);
        }
    }

    fn take(&mut self, _: usize, incoming: Option<T>) -> Option<T> {
        let (slots, head) = (self.ring.slots(), &self.ring.head);
        let at = head.at.load(Relaxed);
        let next = slots[head.index()].lock().replace(None);
        if next.is_some() {
            head.advance(at, slots.len(), Observed);
            if let Some(item) = self.overflow.pop_front() {
                self.fill_slot(item);
            }
        }
        if let Some(item) = incoming {
            self.insert(0, item);
        }
        next
    }
}

impl End {
    const fn new() -> Self {
        Self { at: AtomicU32::new(0), count: AtomicU64::new(0) }
    }

    /// Returns the index of the slot at this end, with `FROZEN` if the ring is frozen.
    #[inline]
    fn load(&self, observer: impl Observer) -> u32 {
        observer.atom(&self.at);
        self.at.load(Acquire)
    }

    /// Returns the index of the slot at this end.
    #[inline]
    fn index(&self) -> usize {
        (self.at.load(Relaxed) & !FROZEN) as usize
    }

    /// Moves the end from `at` to the next of `slots` slots.
    #[inline]
    fn advance(&self, at: u32, slots: usize, observer: impl Observer) {
        let next = (at & !FROZEN) + 1;
        let next = if next as usize == slots { 0 } else { next };
        observer.atom(&self.at);
        self.count.store(self.count.load(Relaxed).wrapping_add(1), Relaxed);
        self.at.store(next | (at & FROZEN), Release);
    }
}

/// Has the processor fetch the memory of a slot that the end at `at` reaches soon, if the other end is probably elsewhere.
#[inline]
fn prefetch<T>(slots: &[Slot<T>], at: u32) {
    let ahead = (at as usize) + AHEAD;
    if ahead < slots.len() && slots.len() >= 8 * AHEAD {
        prefetch::prefetch_to_write((&raw const slots[ahead]).cast());
    }
}
