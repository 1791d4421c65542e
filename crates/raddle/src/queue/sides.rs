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
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use super::hand::{LetGo, Load};
use super::state::{State, Turn};
use super::store::Store;
use crate::raw::{Guard, Guarded};

pub(super) struct Sides<T, S> {
    front: Side<Out<T>>,
    back: Side<State<T, S>>,
}

/// In cache lines of its own, so that the sides do not slow each other down.
#[repr(align(128))]
struct Side<T> {
    state: Guarded<T>,
    /// Whether something has happened here that the other side may wait for. A hint: who spins looks at it without
    /// the lock.
    news: AtomicBool,
}

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
        Self { state: Guarded::new(state), news: AtomicBool::new(false) }
    }

    /// Read first: while the hint stands, the line stays shared with those who look at it.
    #[inline]
    fn note(&self) {
        if !self.news.load(Relaxed) {
            self.news.store(true, Relaxed);
        }
    }
}

impl<T, S: Store<T>> Sides<T, S> {
    pub(super) const fn new(limit: usize) -> Self {
        let out = Out { items: VecDeque::new(), freed: 0, crowded: false };
        Self { front: Side::new(out), back: Side::new(State::new(limit)) }
    }

    /// Whether a put may find room, as a hint.
    pub(super) fn may_have_room(&self) -> bool {
        self.front.news.load(Relaxed)
    }

    /// Whether a get may find an item, as a hint.
    pub(super) fn may_have_items(&self) -> bool {
        self.back.news.load(Relaxed)
    }

    /// Takes one step at the back, then lets those go who were served by it.
    pub(super) fn step<R>(&self, step: impl FnOnce(&mut State<T, S>, &mut LetGo<T>) -> R) -> R {
        let mut let_go = LetGo::new(); // dropped after the guard, on a panic too
        let mut state = self.back.state.lock();
        step(&mut state, &mut let_go)
    }

    /// Looks at the state with nothing in front that it does not know of.
    pub(super) fn look<R>(&self, look: impl FnOnce(&State<T, S>) -> R) -> R {
        let mut front = self.front.state.lock();
        let mut state = self.back.state.lock();
        state.settle(&mut front.freed);
        look(&state)
    }

    /// Puts an item the usual way, if nobody has the lock, waits for an item, or observes; gives it back otherwise.
    #[inline]
    pub(super) fn put_quickly(&self, item: T) -> Result<(), T> {
        let Some(mut state) = self.back.state.grab() else { return Err(item) };
        let left = state.keep_quickly(item);
        if left.is_ok() {
            self.back.note();
        }
        left
    }

    /// Gets an item the usual way, if nobody has the lock, waits for room, or observes.
    #[inline]
    pub(super) fn get_quickly(&self) -> Option<T> {
        let item = if S::SPLIT {
            let mut front = self.front.state.grab()?;
            if front.crowded {
                return None;
            }
            let item = front.items.pop_front()?;
            front.freed += 1;
            item
        } else {
            self.back.state.grab()?.take_quickly()?
        };
        self.front.note();
        Some(item)
    }

    /// Puts the load, or lines up with what of it found no room. What was refused stays in it.
    pub(super) fn put(&self, load: &mut Load<T>, may_wait: bool) -> Turn<T, ()> {
        let mut let_go = LetGo::new();
        if S::SPLIT {
            let mut state = self.back.state.lock();
            match state.put_or_wait(load, false, &mut let_go) {
                Turn::NotNow => {}
                turn => {
                    self.back.note();
                    return turn;
                }
            }
        }
        let mut front = self.front.state.lock();
        let mut state = self.back.state.lock();
        state.settle(&mut front.freed);
        let turn = state.put_or_wait(load, may_wait, &mut let_go);
        front.crowded |= matches!(turn, Turn::InLine(_));
        if !matches!(turn, Turn::Done(())) {
            self.front.news.store(false, Relaxed);
        }
        self.back.note();
        turn
    }

    /// Gets an item, or lines up for one.
    pub(super) fn get(&self, may_wait: bool) -> Turn<T, T> {
        let mut let_go = LetGo::new();
        let mut front = self.front.state.lock();
        if S::SPLIT {
            let back = if front.items.is_empty() { Some(self.refill(&mut front)) } else { None };
            if let Some(item) = front.items.pop_front() {
                front.freed += 1;
                self.make_room(&mut front, back, &mut let_go);
                return Turn::Done(item);
            }
            let mut state = back.expect("the front was empty");
            self.back.news.store(false, Relaxed);
            return state.get_or_wait(may_wait, &mut let_go);
        }
        let mut state = self.back.state.lock();
        let turn = state.get_or_wait(may_wait, &mut let_go);
        if matches!(turn, Turn::Done(_)) {
            self.front.note();
        } else {
            self.back.news.store(false, Relaxed);
        }
        turn
    }

    /// Fills the batch up to `max` with what is there.
    pub(super) fn get_many(&self, batch: &mut Vec<T>, max: usize) {
        let mut let_go = LetGo::new();
        let mut front = self.front.state.lock();
        self.drain(&mut front, batch, max, &mut let_go);
    }

    /// Fills the batch up to `max` items, or lines up with it for more.
    pub(super) fn fill(&self, batch: &mut Vec<T>, max: usize) -> Turn<T, ()> {
        let mut let_go = LetGo::new();
        let mut front = self.front.state.lock();
        match self.drain(&mut front, batch, max, &mut let_go) {
            Some(mut state) => state.fill_or_wait(batch, max, &mut let_go),
            None => Turn::Done(()),
        }
    }

    /// Ends the queue and removes all items, which come back in their order.
    pub(super) fn shut_down_now(&self) -> S {
        let mut let_go = LetGo::new();
        let mut front = self.front.state.lock();
        let mut state = self.back.state.lock();
        state.settle(&mut front.freed);
        state.take_back(&mut front.items);
        state.shut_down(&mut let_go);
        state.clear(&mut let_go)
    }

    /// Moves what has gathered at the back to the empty front.
    fn refill(&self, front: &mut Out<T>) -> Guard<'_, State<T, S>> {
        let mut state = self.back.state.lock();
        state.settle(&mut front.freed);
        state.hand_out(&mut front.items);
        state
    }

    /// Lets in who waits for room, after an item was taken from the front.
    fn make_room(&self, front: &mut Out<T>, back: Option<Guard<'_, State<T, S>>>, let_go: &mut LetGo<T>) {
        if front.crowded {
            let mut state = back.unwrap_or_else(|| self.back.state.lock());
            state.settle(&mut front.freed);
            state.admit(let_go);
            front.crowded = !state.putters.is_empty();
        }
        self.front.note();
    }

    /// Fills the batch up to `max` with what is there; the back if that was not enough.
    fn drain(
        &self,
        front: &mut Out<T>,
        batch: &mut Vec<T>,
        max: usize,
        let_go: &mut LetGo<T>,
    ) -> Option<Guard<'_, State<T, S>>> {
        loop {
            let count = front.items.len().min(max - batch.len());
            if count > 0 {
                batch.extend(front.items.drain(..count));
                front.freed += count;
                self.make_room(front, None, let_go);
            }
            let mut state = self.back.state.lock();
            if !S::SPLIT {
                state.get_many(batch, max, let_go);
                self.front.note();
                return (batch.len() < max).then_some(state);
            }
            if batch.len() >= max {
                return None;
            }
            state.settle(&mut front.freed);
            state.hand_out(&mut front.items);
            if front.items.is_empty() {
                return Some(state);
            }
        }
    }
}
