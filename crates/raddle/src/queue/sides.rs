//! Where the items are: behind one lock, or behind two for a queue that is first in, first out.
//!
//! In a queue of that kind those who put and those who get seldom need the same lock. New items are at the *back*, in
//! the [`State`]; who gets takes them from the *front*, and if that is empty swaps it with all that has gathered at the
//! back. What the front has given out makes room at the back only when somebody needs it there. Two locks instead of
//! one go back to M. M. Michael and M. L. Scott, "Simple, Fast, and Practical Non-Blocking and Blocking Concurrent Queue
//! Algorithms" (1996).
//!
//! The front is locked before the back. Whenever both are free:
//!
//! 1. [`State::ahead`] is how many items are in front, plus [`Out::freed`].
//! 2. If a thread is in line to get, nothing is in front. If one is in line to put, `freed` is 0, and
//!    [`Out::crowded`] is set.

use std::collections::VecDeque;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use super::hand::{LetGo, Load};
use super::state::{State, Turn};
use super::store::Store;
use crate::raw::Guarded;

pub(super) struct Sides<T, S> {
    front: Side<Out<T>>,
    back: Side<State<T, S>>,
    /// Whether the front is in use.
    split: bool,
    limit: usize,
}

/// In cache lines of its own, so that the sides do not slow each other down.
#[repr(C, align(128))]
struct Side<T> {
    /// How many items are here, or how much room. A hint: who waits actively looks at it without the lock.
    count: AtomicU32,
    state: Guarded<T>,
}

/// A queue for fewer items is better off with one lock: its items change sides all the time.
const SPLIT: usize = 4;

/// So many items are worth to be fetched at once.
const BATCH: u32 = 32;

/// The items that are next; not in use for other orders.
struct Out<T> {
    items: VecDeque<T>,
    /// How many were taken since the back was told.
    freed: usize,
    /// Somebody may be in line to put.
    crowded: bool,
}

impl<T> Side<T> {
    const fn new(state: T) -> Self {
        Self { count: AtomicU32::new(0), state: Guarded::new(state) }
    }

    /// To be called with the lock held.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "it is a hint")]
    fn note(&self, count: usize) {
        self.count.store(count as u32, Relaxed);
    }
}

impl<T, S: Store<T>> Sides<T, S> {
    pub(super) const fn new(limit: usize) -> Self {
        Self::with_front(limit, limit >= SPLIT)
    }

    /// With a front, if the order allows that.
    pub(super) const fn with_front(limit: usize, split: bool) -> Self {
        let out = Out { items: VecDeque::new(), freed: 0, crowded: false };
        Self { front: Side::new(out), back: Side::new(State::new(limit)), split: split && S::IN_ORDER, limit }
    }

    /// Whether a put may find room, as a hint.
    #[inline]
    pub(super) fn may_have_room(&self) -> bool {
        if self.split {
            self.front.count.load(Relaxed) > 0
        } else {
            (self.back.count.load(Relaxed) as usize) < self.limit
        }
    }

    /// Whether a get may find an item, as a hint.
    #[inline]
    pub(super) fn may_have_items(&self) -> bool {
        self.back.count.load(Relaxed) > 0
    }

    /// Takes one step at the back, then lets those go who were served by it.
    pub(super) fn step<R>(&self, step: impl FnOnce(&mut State<T, S>, &mut LetGo<T>) -> R) -> R {
        self.at_back(&mut LetGo::new(), step)
    }

    /// The same; `let_go` has to outlive all locks, on a panic too.
    fn at_back<R>(
        &self,
        let_go: &mut LetGo<T>,
        step: impl FnOnce(&mut State<T, S>, &mut LetGo<T>) -> R,
    ) -> R {
        let mut state = self.back.state.lock();
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
        look(&state)
    }

    /// Puts an item, if nobody has the lock or is in line; gives it back otherwise. For when nobody observes.
    #[inline]
    pub(super) fn put_quickly(&self, item: T) -> Result<(), T> {
        if self.back.count.load(Relaxed) as usize >= self.limit {
            return Err(item); // without taking the line away from those who make room
        }
        let Some(mut state) = self.back.state.grab() else { return Err(item) };
        state.keep_quickly(item)?;
        self.back.note(state.stored());
        Ok(())
    }

    /// Gets an item, if nobody has the lock or is in line. For when nobody observes.
    #[inline]
    pub(super) fn get_quickly(&self) -> Option<T> {
        if self.split {
            let mut front = self.front.state.grab()?;
            if front.crowded {
                return None;
            }
            if front.items.is_empty() {
                self.refill_quickly(&mut front)?;
            }
            let item = front.items.pop_front()?;
            front.freed += 1;
            self.front.note(front.freed);
            return Some(item);
        }
        if !self.may_have_items() {
            return None; // without taking the line away from those who put
        }
        let mut state = self.back.state.grab()?;
        let item = state.take_quickly()?;
        self.back.note(state.stored());
        Some(item)
    }

    /// Says that a task is done, if nobody has the lock or waits for that. For when nobody observes.
    #[inline]
    pub(super) fn task_done_quickly(&self) -> bool {
        self.back.state.grab().is_some_and(|mut state| state.task_done_quickly())
    }

    /// Moves what has gathered at the back to the empty front; not while a few items are becoming more, since each
    /// time the putters have to do without their lock.
    fn refill_quickly(&self, front: &mut Out<T>) -> Option<()> {
        let count = self.back.count.load(Relaxed);
        if count < BATCH {
            std::hint::spin_loop();
            if count == 0 || self.back.count.load(Relaxed) > count {
                return None;
            }
        }
        let mut state = self.back.state.grab()?;
        state.settle(&mut front.freed);
        state.hand_out(&mut front.items);
        self.back.note(0);
        Some(())
    }

    /// Puts the load, or lines up with what of it found no room. What was refused stays in it.
    pub(super) fn put(&self, load: &mut Load<T>, may_wait: bool) -> Turn<T, ()> {
        let turn = self.step(|state, let_go| state.put_or_wait(load, may_wait && !self.split, let_go));
        if self.split && matches!(turn, Turn::NotNow) { self.put_with_front(load, may_wait) } else { turn }
    }

    /// The same for a full back, with the room that has come free in front.
    fn put_with_front(&self, load: &mut Load<T>, may_wait: bool) -> Turn<T, ()> {
        let (mut let_go, mut front) = (LetGo::new(), self.front.state.lock());
        let turn = self.at_back(&mut let_go, |state, let_go| {
            state.settle(&mut front.freed);
            state.put_or_wait(load, may_wait, let_go)
        });
        if !matches!(turn, Turn::Done(())) {
            self.front.note(0);
        }
        front.crowded |= matches!(turn, Turn::InLine(_));
        turn
    }

    /// Gets an item, or lines up for one.
    pub(super) fn get(&self, may_wait: bool) -> Turn<T, T> {
        if !self.split {
            return self.step(|state, let_go| state.get_or_wait(may_wait, let_go));
        }
        let (mut let_go, mut front) = (LetGo::new(), self.front.state.lock());
        let mut turn = Turn::NotNow;
        if front.items.is_empty() {
            turn = self.at_back(&mut let_go, |state, let_go| {
                state.settle(&mut front.freed);
                state.hand_out(&mut front.items);
                if front.items.is_empty() { state.get_or_wait(may_wait, let_go) } else { Turn::NotNow }
            });
        }
        match front.items.pop_front() {
            Some(item) => {
                self.make_room(&mut front, 1, &mut let_go);
                Turn::Done(item)
            }
            None => turn,
        }
    }

    /// Fills the batch up to `max` with what is there.
    pub(super) fn get_many(&self, batch: &mut Vec<T>, max: usize) {
        // Of the turns only those that wait need a hand.
        let _ = self.get_many_and(batch, max, |state, batch, let_go| state.get_many(batch, max, let_go));
    }

    /// Fills the batch up to `max` items, or lines up with it for more.
    pub(super) fn fill(&self, batch: &mut Vec<T>, max: usize) -> Turn<T, ()> {
        self.get_many_and(batch, max, |state, batch, let_go| state.fill_or_wait(batch, max, let_go))
            .unwrap_or(Turn::Done(()))
    }

    /// Fills the batch with what is in front, again and again; if that is not enough, `rest` goes on at the back.
    fn get_many_and<R>(
        &self,
        batch: &mut Vec<T>,
        max: usize,
        rest: impl FnOnce(&mut State<T, S>, &mut Vec<T>, &mut LetGo<T>) -> R,
    ) -> Option<R> {
        if !self.split {
            return Some(self.step(|state, let_go| rest(state, batch, let_go)));
        }
        let (mut let_go, mut front) = (LetGo::new(), self.front.state.lock());
        let mut rest = Some(rest);
        loop {
            let count = front.items.len().min(max - batch.len());
            if count > 0 {
                batch.extend(front.items.drain(..count));
                self.make_room(&mut front, count, &mut let_go);
            }
            if batch.len() >= max {
                return None;
            }
            let done = self.at_back(&mut let_go, |state, let_go| {
                state.settle(&mut front.freed);
                state.hand_out(&mut front.items);
                if front.items.is_empty() { rest.take().map(|rest| rest(state, batch, let_go)) } else { None }
            });
            if done.is_some() {
                return done;
            }
        }
    }

    /// Ends the queue and removes all items, which come back in their order.
    pub(super) fn shut_down_now(&self) -> S {
        let (mut let_go, mut front) = (LetGo::new(), self.front.state.lock());
        self.at_back(&mut let_go, |state, let_go| {
            state.settle(&mut front.freed);
            state.take_back(&mut front.items);
            state.shut_down(let_go);
            state.clear(let_go)
        })
    }

    /// Lets in who waits for room, after items were taken from the front.
    fn make_room(&self, front: &mut Out<T>, taken: usize, let_go: &mut LetGo<T>) {
        front.freed += taken;
        if front.crowded {
            front.crowded = self.at_back(let_go, |state, let_go| {
                state.settle(&mut front.freed);
                state.admit(let_go);
                !state.putters.is_empty()
            });
        }
        self.front.note(front.freed.max(1));
    }
}
