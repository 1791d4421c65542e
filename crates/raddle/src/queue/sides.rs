//! Where the items are: behind one lock, behind two, or in a ring of places with a lock each.
//!
//! One lock is enough for an order that has to look at all items. In a queue that is first in, first out, those who put
//! and those who get seldom need the same lock. Which way is quickest depends on the limit:
//!
//! - A [`Ring`] has a place for each item that the limit allows for. Between few places the two sides meet all the time,
//!   and this costs them the least.
//! - Without a limit that memory could be reserved for, new items are at the *back*, in the [`State`]; who gets takes
//!   them from the *front*, and if that is empty swaps it with all that has gathered at the back. What the front has given
//!   out makes room at the back only when somebody needs it there. Two locks instead of one go back to M. M. Michael and
//!   M. L. Scott, "Simple, Fast, and Practical Non-Blocking and Blocking Concurrent Queue Algorithms" (1996).
//!
//! The front is locked before the back. Whenever both are free:
//!
//! 1. [`State::ahead`] is how many items are in front, plus [`Out::freed`].
//! 2. If a thread is in line to get, nothing is in front. If one is in line to put, `freed` is 0, and
//!    [`Out::crowded`] is set.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicUsize};
use std::sync::{Arc, OnceLock};

use super::burst::let_gather;
use super::hand::LetGo;
use super::ring::Ring;
use super::state::State;
use super::store::Store;
use crate::raw::Guarded;
use crate::rt;
use crate::sys::spin::SpinBudget;

pub(super) struct Sides<T, S> {
    pub(super) front: Side<Out<T>>,
    back: Side<State<T, S>>,
    /// The places of the items, instead of either side.
    ring: OnceLock<Arc<Ring<T>>>,
    pub(super) way: Way,
    limit: usize,
}

/// Where the items of a queue are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// At the back, for orders other than first in, first out.
    Back,
    /// At the back and in front.
    Split,
    /// In a ring.
    Ring,
}

/// In cache lines of its own, so that the sides do not slow each other down.
#[repr(C, align(128))]
pub(super) struct Side<T> {
    /// How many items are here, or how much room. A hint: who waits actively looks at it without the lock.
    count: AtomicU32,
    /// The thread that was here last; a hint, too.
    by: AtomicUsize,
    pub(super) state: Guarded<T>,
}

/// So many items are worth to be fetched at once.
const BATCH: u32 = 32;

/// The items that are next; not in use for other orders.
pub(super) struct Out<T> {
    pub(super) items: VecDeque<T>,
    /// How many were taken since the back was told.
    pub(super) freed: usize,
    /// Somebody may be in line to put.
    pub(super) crowded: bool,
}

impl<T> Side<T> {
    const fn new(state: T) -> Self {
        Self { count: AtomicU32::new(0), by: AtomicUsize::new(0), state: Guarded::new(state) }
    }

    /// To be called with the lock held.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "it is a hint")]
    pub(super) fn note(&self, count: usize) {
        self.count.store(count as u32, Relaxed);
    }
}

impl<T, S: Store<T>> Sides<T, S> {
    pub(super) const fn new(limit: usize) -> Self {
        let way = if Ring::<T>::is_for(limit) { Way::Ring } else { Way::Split };
        let out = Out { items: VecDeque::new(), freed: 0, crowded: false };
        let way = if S::IN_ORDER { way } else { Way::Back };
        Self { front: Side::new(out), back: Side::new(State::new(limit)), ring: OnceLock::new(), way, limit }
    }

    /// The ring, if the queue has one.
    #[inline]
    fn ring(&self) -> Option<&Arc<Ring<T>>> {
        match self.way {
            Way::Ring => Some(self.ring.get_or_init(|| Arc::new(Ring::new(self.limit)))),
            _ => None,
        }
    }

    /// How long a thread looks for room or items before it lines up; and whether quick puts and gets are steps that an
    /// observer sees.
    pub(super) fn patience(&self) -> (SpinBudget, bool) {
        match self.way {
            Way::Ring => (SpinBudget::for_ring(self.limit), true),
            Way::Split | Way::Back => (SpinBudget::new(), false),
        }
    }

    /// Whether quick puts and gets are possible, if not at this very moment.
    pub(super) fn goes_quickly(&self) -> bool {
        self.ring().is_some_and(|ring| !ring.is_frozen())
    }

    /// Whether a put may find room, as a hint.
    #[inline]
    pub(super) fn may_have_room(&self) -> bool {
        match self.way {
            Way::Back => (self.back.count.load(Relaxed) as usize) < self.limit,
            Way::Split => {
                (self.back.count.load(Relaxed) as usize) < self.limit || self.front.count.load(Relaxed) > 0
            }
            Way::Ring => self.ring().is_some_and(|ring| ring.may_have_room()),
        }
    }

    /// Whether a get may find an item, as a hint.
    #[inline]
    pub(super) fn may_have_items(&self) -> bool {
        match self.ring() {
            Some(ring) => ring.may_have_items(),
            None => self.back.count.load(Relaxed) > 0,
        }
    }

    /// Whether many items are there, as a hint.
    pub(super) fn has_plenty(&self) -> bool {
        self.way == Way::Split && self.back.count.load(Relaxed) >= BATCH
    }

    /// Waits a moment for more room, if that is worthwhile.
    pub(super) fn let_room_gather(&self) {
        if let Some(ring) = self.ring() {
            ring.let_room_gather();
        }
    }

    /// Waits a moment for more items, if that is worthwhile.
    pub(super) fn let_items_gather(&self) {
        match self.ring() {
            Some(ring) => ring.let_items_gather(),
            None if self.way == Way::Split => {
                let_gather(self.limit, |count| self.back.count.load(Relaxed) as usize >= count);
            }
            None => {}
        }
    }

    /// Takes one step at the back, then lets those go who were served by it.
    pub(super) fn step<R>(&self, step: impl FnOnce(&mut State<T, S>, &mut LetGo<T>) -> R) -> R {
        self.at_back(&mut LetGo::new(), step)
    }

    /// The same; `let_go` has to outlive all locks, on a panic too.
    pub(super) fn at_back<R>(
        &self,
        let_go: &mut LetGo<T>,
        step: impl FnOnce(&mut State<T, S>, &mut LetGo<T>) -> R,
    ) -> R {
        let mut state = self.back.state.lock();
        if let Some(ring) = self.ring() {
            state.hold(ring);
        }
        let result = step(&mut state, let_go);
        state.tidy();
        self.back.note(state.stored());
        result
    }

    /// Looks at the state with nothing in front that it does not know of.
    pub(super) fn look<R>(&self, look: impl FnOnce(&State<T, S>) -> R) -> R {
        let mut front = self.front.state.lock();
        let mut state = self.back.state.lock();
        state.settle(&mut front.freed);
        if let Some(ring) = self.ring() {
            state.hold(ring);
        }
        let result = look(&state);
        state.tidy();
        result
    }

    /// Puts an item, if nobody has the lock or is in line; gives it back otherwise. For when nobody observes.
    #[inline]
    pub(super) fn put_quickly(&self, item: T) -> Result<(), T> {
        if let Some(ring) = self.ring() {
            return ring.put(item);
        }
        if self.back.count.load(Relaxed) as usize >= self.limit {
            return Err(item); // without taking the line away from those who make room
        }
        let Some(mut state) = self.back.state.try_lock_fast() else { return Err(item) };
        state.keep_quickly(item)?;
        self.back.note(state.stored());
        self.back.by.store(rt::thread_address(), Relaxed);
        Ok(())
    }

    /// Gets an item, if nobody has the lock or is in line. For when nobody observes.
    #[inline]
    pub(super) fn get_quickly(&self, few: bool) -> Option<T> {
        if let Some(ring) = self.ring() {
            return ring.get();
        }
        if self.way == Way::Split {
            let mut front = self.front.state.try_lock_fast()?;
            if front.crowded {
                return None;
            }
            if front.items.is_empty() {
                self.refill_quickly(&mut front, few)?;
            }
            let item = front.items.pop_front()?;
            front.freed += 1;
            self.front.note(front.freed);
            return Some(item);
        }
        if !self.may_have_items() {
            return None; // without taking the line away from those who put
        }
        let mut state = self.back.state.try_lock_fast()?;
        let item = state.take_quickly()?;
        self.back.note(state.stored());
        Some(item)
    }

    /// Says that a task is done, if nobody has the lock or waits for that. For when nobody observes.
    #[inline]
    pub(super) fn task_done_quickly(&self) -> bool {
        self.back.state.try_lock_fast().is_some_and(|mut state| state.task_done_quickly())
    }

    /// Moves what has gathered at the back to the empty front, if that is so many that it is worth taking the lock away
    /// from the putters, or if `few` will do, or if the calling thread itself has put the last.
    fn refill_quickly(&self, front: &mut Out<T>, few: bool) -> Option<()> {
        let enough = if few || self.back.by.load(Relaxed) == rt::thread_address() { 1 } else { BATCH };
        if self.back.count.load(Relaxed) < enough {
            return None;
        }
        let mut state = self.back.state.try_lock_fast()?;
        state.settle(&mut front.freed);
        state.hand_out(&mut front.items);
        self.back.note(0);
        Some(())
    }
}
