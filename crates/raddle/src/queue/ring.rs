//! The items of a queue for few: a ring of places, each with a lock of its own.
//!
//! While no thread is in line, a put or get needs no more than the lock of one place: it goes to where its end of the
//! ring points, takes the lock there, sees whether the end still points there, puts or takes the item, and moves the end
//! on to the next place. So an end is moved only by who holds the lock of the place where it points, and nobody is ever
//! in the middle of something without holding a lock.
//!
//! Whoever has more to do, such as to line up, holds the queue's lock and has both ends *frozen*: quick puts and gets
//! find that out under the lock of their place and leave. From then on the ring belongs to the holder of the queue's
//! lock, until the ends thaw.
//!
//! That each place says by itself whether it is free, so that the two sides of a queue meet at the places only, is from
//! D. Vyukov, "Bounded MPMC queue" (1024cores, 2010). There a place has a sequence number instead of a lock, and a
//! thread that has claimed a place and not yet filled it holds up everybody.

use std::fmt;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};

use super::burst::let_gather;
use crate::raw::{Slot, SlotGuard};
use crate::rt;
use crate::sys::prefetch;

pub struct Ring<T> {
    /// Where the next item is put.
    tail: End,
    /// Where the next item is taken.
    head: End,
    places: Box<[Slot<T>]>,
}

/// In cache lines of its own, so that the sides do not slow each other down.
#[repr(align(128))]
struct End {
    /// The number of a place; with `FROZEN` if only the holder of the queue's lock may move it.
    at: AtomicU32,
    /// How many items have passed here. Changed together with `at`, by who may change that.
    count: AtomicU64,
}

const FROZEN: u32 = 1 << 31;

/// A ring allocates memory for all its slots at once: at most this many bytes,
const ROOM: usize = 1 << 16;
/// and at most this many for one slot.
const LARGEST_SLOT: usize = 1 << 10;

/// So many places further on, memory is wanted next.
const AHEAD: usize = 4;

impl<T> Ring<T> {
    /// Whether there should be a ring for so many items.
    pub(super) const fn is_for(limit: usize) -> bool {
        size_of::<Slot<T>>() <= LARGEST_SLOT && limit <= ROOM / size_of::<Slot<T>>()
    }

    pub(super) fn new(limit: usize) -> Self {
        let places = (0..limit).map(|_| Slot::new()).collect();
        Self { tail: End::new(), head: End::new(), places }
    }

    /// Whether a put may find room, as a hint.
    #[inline]
    pub(super) fn may_have_room(&self) -> bool {
        !self.places[self.tail.place()].is_full()
    }

    /// Whether a get may find an item, as a hint.
    #[inline]
    pub(super) fn may_have_items(&self) -> bool {
        self.places[self.head.place()].is_full()
    }

    /// Waits a moment for more room, if more and more is there.
    pub(super) fn let_room_gather(&self) {
        self.let_gather(&self.tail, |full| !full);
    }

    /// Waits a moment for more items, if more and more are there.
    pub(super) fn let_items_gather(&self) {
        self.let_gather(&self.head, |full| full);
    }

    /// Looks at a place to which the other side comes later, so that the two are apart then.
    fn let_gather(&self, end: &End, is: impl Fn(bool) -> bool) {
        let_gather(self.places.len() / 2, |count| {
            let place = (end.place() + count - 1) % self.places.len();
            is(self.places[place].is_full())
        });
    }

    /// Puts an item, if there is room and nothing stands in the way; gives it back otherwise.
    #[inline]
    pub(super) fn put(&self, item: T) -> Result<(), T> {
        if !rt::quiet() {
            return self.put_observed(item);
        }
        let at = self.tail.at.load(Acquire);
        let Some(place) = self.places.get(at as usize) else { return Err(item) }; // frozen
        if !place.is_empty() {
            return Err(item); // without taking the line away from who empties it
        }
        let Some(place) = place.try_lock_fast(false) else { return Err(item) };
        if self.tail.at.load(Acquire) != at {
            return Err(item);
        }
        self.fill(at, place, item);
        Ok(())
    }

    /// The same for when somebody observes.
    #[cold]
    fn put_observed(&self, item: T) -> Result<(), T> {
        let at = self.tail.look();
        let Some(place) = self.places.get(at as usize) else { return Err(item) };
        let Some(place) = place.try_lock(false) else { return Err(item) };
        if self.tail.look() != at {
            return Err(item);
        }
        rt::atom(&self.tail.at);
        self.fill(at, place, item);
        Ok(())
    }

    #[inline]
    fn fill(&self, at: u32, mut place: SlotGuard<'_, T>, item: T) {
        place.replace(Some(item));
        self.tail.advance(at, self.places.len());
        self.prefetch(at);
    }

    /// Takes the next item, if there is one and nothing stands in the way.
    #[inline]
    pub(super) fn get(&self) -> Option<T> {
        if !rt::quiet() {
            return self.get_observed();
        }
        let at = self.head.at.load(Acquire);
        let place = self.places.get(at as usize)?; // frozen: none
        if !place.is_full() {
            return None; // without taking the line away from who fills it
        }
        let place = place.try_lock_fast(true)?;
        if self.head.at.load(Acquire) != at {
            return None;
        }
        self.empty(at, place)
    }

    /// The same for when somebody observes.
    #[cold]
    fn get_observed(&self) -> Option<T> {
        let at = self.head.look();
        let place = self.places.get(at as usize)?.try_lock(true)?;
        if self.head.look() != at {
            return None;
        }
        rt::atom(&self.head.at);
        self.empty(at, place)
    }

    #[inline]
    fn empty(&self, at: u32, mut place: SlotGuard<'_, T>) -> Option<T> {
        let item = place.replace(None);
        self.head.advance(at, self.places.len());
        self.prefetch(at);
        item
    }

    /// Whether quick puts and gets are impossible, as a hint.
    pub(super) fn is_frozen(&self) -> bool {
        self.tail.at.load(Relaxed) & FROZEN != 0
    }

    /// Has a place brought in to which the end that was `at` will come soon, if the other end is probably not there.
    #[inline]
    fn prefetch(&self, at: u32) {
        let ahead = (at as usize) + AHEAD;
        if ahead < self.places.len() && self.places.len() >= 8 * AHEAD {
            prefetch::prefetch_to_write((&raw const self.places[ahead]).cast());
        }
    }

    /// Keeps all quick puts and gets out; to be called with the queue's lock held.
    pub(super) fn freeze(&self) {
        for end in [&self.tail, &self.head] {
            loop {
                let at = end.look();
                let Some(place) = self.places.get(at as usize) else { break };
                let _nobody_else = place.lock();
                if end.look() == at {
                    end.at.store(at | FROZEN, Release);
                    break;
                }
            }
        }
    }

    /// Lets quick puts and gets in again.
    pub(super) fn thaw(&self) {
        for end in [&self.tail, &self.head] {
            rt::atom(&end.at);
            end.at.store(end.at.load(Relaxed) & !FROZEN, Release);
        }
    }

    /// Puts an item into the frozen ring, which is not full.
    pub(super) fn insert(&self, item: T) {
        let at = self.tail.at.load(Relaxed);
        let before = self.places[self.tail.place()].lock().replace(Some(item));
        debug_assert!(before.is_none(), "an item was put into a full ring");
        rt::atom(&self.tail.at);
        self.tail.advance(at, self.places.len());
    }

    /// How many items were ever put, modulo 2⁶⁴; in a ring that is not frozen, at least those that the caller knows of.
    pub(super) fn ever_put(&self) -> u64 {
        self.tail.count.load(Relaxed)
    }

    /// How many items are in the frozen ring.
    pub(super) fn len(&self) -> usize {
        let items = self.ever_put().wrapping_sub(self.head.count.load(Relaxed));
        usize::try_from(items).unwrap_or(usize::MAX)
    }

    /// Takes the next item from the frozen ring.
    pub(super) fn take(&self) -> Option<T> {
        let at = self.head.at.load(Relaxed);
        let item = self.places[self.head.place()].lock().replace(None)?;
        rt::atom(&self.head.at);
        self.head.advance(at, self.places.len());
        Some(item)
    }
}

impl<T> fmt::Debug for Ring<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").field("places", &self.places.len()).finish_non_exhaustive()
    }
}

impl End {
    fn new() -> Self {
        Self { at: AtomicU32::new(0), count: AtomicU64::new(0) }
    }

    /// Where it points, with `FROZEN` if it is.
    #[inline]
    fn look(&self) -> u32 {
        rt::atom(&self.at);
        self.at.load(Acquire)
    }

    /// The number of the place where it points.
    #[inline]
    fn place(&self) -> usize {
        (self.at.load(Relaxed) & !FROZEN) as usize
    }

    /// Moves on from `at` to the next of so many places.
    #[inline]
    fn advance(&self, at: u32, places: usize) {
        let next = (at & !FROZEN) + 1;
        let next = if next as usize == places { 0 } else { next };
        self.count.store(self.count.load(Relaxed).wrapping_add(1), Relaxed);
        self.at.store(next | (at & FROZEN), Release);
    }
}
