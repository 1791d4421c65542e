//! What the lock of a queue guards, and the steps that are taken under it.
//!
//! Whenever the lock is free:
//!
//! 1. If a thread is in line to get, there is no item, nobody is in line to put, and the queue is not shut down.
//! 2. If a thread is in line to put, the queue is full, what it brings is in its hand, and the queue is not shut down.
//! 3. If a thread is in line to join, there are unfinished tasks.
//!
//! A thread lines up in the same hold of the lock in which it saw that it cannot go on. Whoever changes that
//! takes it out of line in the hold in which he changes it, with what becomes of it in its hand, and lets it go
//! afterwards. So nobody waits for what is there already, and no wake-up can be lost: one whose time is up either
//! finds itself in line, and has got nothing, or has been served, and takes what is in its hand.
//!
//! That the one who makes waiting unnecessary also does what was waited for, is from C. A. R. Hoare, "Monitors: An
//! Operating System Structuring Concept" (1974): nobody can come in between, so nobody has to look again.

use super::error::TooManyTasksDoneError;
use super::hand::{Hand, LetGo, Load, Party};
use super::store::Store;
use crate::raw::WaitQueue;

/// What every put and get touches is in the first cache line, together with the lock.
#[repr(C)]
pub(super) struct State<T, S> {
    /// No more than a lock is needed: nobody is in line to put or to get, and the queue is not shut down.
    pub(super) plain: bool,
    pub(super) shut_down: bool,
    pub(super) store: S,
    /// How many items were put and not yet said to be done.
    pub(super) unfinished: usize,
    /// How many have gone to the front and take up room here still.
    pub(super) ahead: usize,
    /// How many items there may be.
    pub(super) limit: usize,
    /// Threads that wait for an item.
    pub(super) getters: WaitQueue<Hand<T>>,
    /// Threads that have a batch begun and wait for more; served when no getter waits.
    pub(super) fillers: WaitQueue<Hand<T>>,
    pub(super) putters: WaitQueue<Hand<T>>,
    pub(super) joiners: WaitQueue<Hand<T>>,
}

/// How far a thread came in one step.
pub(super) enum Turn<T, R> {
    Done(R),
    /// The queue is full, or empty, and the thread does not want to wait.
    NotNow,
    ShutDown,
    InLine(Party<T>),
}

impl<T, S: Store<T>> State<T, S> {
    pub(super) const fn new(limit: usize) -> Self {
        Self {
            plain: true,
            shut_down: false,
            store: S::EMPTY,
            unfinished: 0,
            ahead: 0,
            limit,
            getters: WaitQueue::new(),
            fillers: WaitQueue::new(),
            putters: WaitQueue::new(),
            joiners: WaitQueue::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.store.len() + self.ahead
    }

    /// How many items are here, and not in front.
    #[inline]
    pub(super) fn stored(&self) -> usize {
        self.store.len()
    }

    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.len() >= self.limit
    }

    pub(super) fn is_shut_down(&self) -> bool {
        self.shut_down
    }

    pub(super) fn unfinished(&self) -> usize {
        self.unfinished
    }

    /// Puts the load, or lines up with what of it found no room. What was refused stays in it.
    #[inline]
    pub(super) fn put_or_wait(
        &mut self,
        load: &mut Load<T>,
        may_wait: bool,
        let_go: &mut LetGo<T>,
    ) -> Turn<T, ()> {
        if !self.shut_down {
            self.put(load, let_go);
        }
        if load.first().is_none() {
            Turn::Done(())
        } else if self.shut_down {
            Turn::ShutDown
        } else if may_wait {
            let load = std::mem::replace(load, Load::NONE);
            Turn::InLine(self.putters.enqueue(Hand::new(load, 0)))
        } else {
            Turn::NotNow
        }
    }

    /// Gets an item, or lines up for one.
    #[inline]
    pub(super) fn get_or_wait(&mut self, may_wait: bool, let_go: &mut LetGo<T>) -> Turn<T, T> {
        if let Some(item) = self.get(let_go) {
            Turn::Done(item)
        } else if self.shut_down {
            Turn::ShutDown
        } else if may_wait {
            Turn::InLine(self.getters.enqueue(Hand::new(Load::NONE, 1)))
        } else {
            Turn::NotNow
        }
    }

    /// Fills the batch up to `max` items, or lines up with it for more.
    pub(super) fn fill_or_wait(
        &mut self,
        batch: &mut Vec<T>,
        max: usize,
        let_go: &mut LetGo<T>,
    ) -> Turn<T, ()> {
        self.get_many(batch, max, let_go);
        if batch.len() >= max {
            Turn::Done(())
        } else if self.shut_down {
            Turn::ShutDown
        } else {
            let load = Load::many(std::mem::take(batch));
            Turn::InLine(self.fillers.enqueue(Hand::new(load, max)))
        }
    }

    /// Gets what is there until the batch has `max` items.
    #[inline]
    pub(super) fn get_many(&mut self, batch: &mut Vec<T>, max: usize, let_go: &mut LetGo<T>) {
        batch.reserve(self.store.len().min(max - batch.len()));
        while batch.len() < max
            && let Some(item) = self.get(let_go)
        {
            batch.push(item);
        }
    }

    /// Puts as much as there is somebody to take it, or room for it.
    #[inline]
    fn put(&mut self, load: &mut Load<T>, let_go: &mut LetGo<T>) {
        while self.hand_over(load, let_go) || self.keep(load) {
            self.unfinished += 1;
        }
    }

    /// Gives the next item to a thread that waits for it.
    #[inline]
    fn hand_over(&mut self, load: &mut Load<T>, let_go: &mut LetGo<T>) -> bool {
        let line = if self.getters.is_empty() { &mut self.fillers } else { &mut self.getters };
        let Some(taker) = line.front() else { return false };
        let Some(item) = load.pop() else { return false };
        if taker.request.give(item) {
            let_go.add(line.dequeue());
        }
        true
    }

    /// Stores the next item if there is room.
    #[inline]
    fn keep(&mut self, load: &mut Load<T>) -> bool {
        if self.is_full() {
            return false;
        }
        let Some(place) = load.first().map(|item| self.store.place(item)) else { return false };
        let Some(item) = load.pop() else { return false };
        self.store.insert(place, item);
        true
    }

    /// Gets the next item; its room goes to the first in line to put.
    #[inline]
    fn get(&mut self, let_go: &mut LetGo<T>) -> Option<T> {
        let Some(putter) = self.putters.front() else {
            let gap = self.store.gap(None);
            return self.store.take(gap, None);
        };
        let mut load = putter.request.load();
        let gap = self.store.gap(load.first());
        let item = self.store.take(gap, load.pop());
        self.unfinished += 1;
        let all_in = load.first().is_none();
        drop(load);
        if all_in {
            let_go.add(self.putters.dequeue());
        }
        item
    }

    /// Lines up until there are no unfinished tasks.
    pub(super) fn join_or_wait(&mut self, may_wait: bool) -> Turn<T, ()> {
        if self.unfinished == 0 {
            Turn::Done(())
        } else if may_wait {
            Turn::InLine(self.joiners.enqueue(Hand::new(Load::NONE, 0)))
        } else {
            Turn::NotNow
        }
    }

    pub(super) fn tasks_done(
        &mut self,
        done: usize,
        let_go: &mut LetGo<T>,
    ) -> Result<(), TooManyTasksDoneError> {
        let unfinished = self.unfinished;
        let left = unfinished.checked_sub(done).ok_or(TooManyTasksDoneError { done, unfinished })?;
        self.set_unfinished(left, let_go);
        Ok(())
    }

    fn set_unfinished(&mut self, left: usize, let_go: &mut LetGo<T>) {
        self.unfinished = left;
        if left == 0 {
            let_go.add(self.joiners.dequeue_many(usize::MAX));
        }
    }

    pub(super) fn shut_down(&mut self, let_go: &mut LetGo<T>) {
        self.shut_down = true;
        for line in [&mut self.getters, &mut self.fillers, &mut self.putters] {
            let_go.add(line.dequeue_many(usize::MAX));
        }
    }

    /// Removes all items. They count as done, as far as there are unfinished tasks.
    pub(super) fn clear(&mut self, let_go: &mut LetGo<T>) -> S {
        let store = self.store.clear();
        self.set_unfinished(self.unfinished.saturating_sub(store.len()), let_go);
        store
    }
}
