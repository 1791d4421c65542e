//! The steps of the state that nothing stands in the way of, and those with which items move to the front.

use std::collections::VecDeque;
use std::sync::Arc;

use super::hand::LetGo;
use super::ring::Ring;
use super::state::State;
use super::store::Store;

impl<T, S: Store<T>> State<T, S> {
    /// Keeps an item if there is room for it and nobody waits for one; gives it back otherwise.
    #[inline]
    pub(super) fn keep_quickly(&mut self, item: T) -> Result<(), T> {
        if !self.plain || self.is_full() {
            return Err(item);
        }
        let place = self.store.place(&item);
        self.store.insert(place, item);
        self.unfinished += 1;
        Ok(())
    }

    /// Takes the next item if nobody waits for its room.
    #[inline]
    pub(super) fn take_quickly(&mut self) -> Option<T> {
        if !self.plain {
            return None;
        }
        let gap = self.store.gap(None);
        self.store.take(gap, None)
    }

    /// Says that one task is done, unless that is one too many or somebody waits for the last one; says whether it did.
    #[inline]
    pub(super) fn task_done_quickly(&mut self) -> bool {
        self.unfinished += self.store.count();
        let plain = self.unfinished > 1 || (self.unfinished == 1 && self.joiners.is_empty());
        self.unfinished -= usize::from(plain);
        plain
    }

    /// Counts the items that were taken in front as room here.
    #[inline]
    pub(super) fn settle(&mut self, freed: &mut usize) {
        self.ahead -= std::mem::take(freed);
    }

    /// Moves all items to `front`, which is empty. They take up room here until they are settled.
    #[inline]
    pub(super) fn hand_out(&mut self, front: &mut VecDeque<T>) {
        self.ahead += self.store.len();
        self.store.hand_out(front);
    }

    /// Takes back what was handed out and is left.
    pub(super) fn take_back(&mut self, front: &mut VecDeque<T>) {
        self.ahead -= front.len();
        self.store.put_back(front);
    }

    /// Lets in as many of those who wait to put as there is room for.
    pub(super) fn admit(&mut self, let_go: &mut LetGo<T>) {
        while !self.is_full()
            && let Some(putter) = self.putters.front()
        {
            let mut load = putter.request.load();
            while self.store.len() + self.ahead < self.limit
                && let Some(item) = load.pop()
            {
                let place = self.store.place(&item);
                self.store.insert(place, item);
                self.unfinished += 1;
            }
            if load.first().is_none() {
                drop(load);
                let_go.add(self.putters.dequeue());
            }
        }
    }

    /// Takes hold of the items in `ring`, until the state is [tidied](State::tidy).
    pub(super) fn hold(&mut self, ring: &Arc<Ring<T>>) {
        self.store.hold(ring);
        self.unfinished += self.store.count();
    }

    /// Notes whether anything stands in the way of quick puts and gets. To be called after each step that was none.
    #[inline]
    pub(super) fn tidy(&mut self) {
        self.plain =
            !self.shut_down && self.getters.is_empty() && self.fillers.is_empty() && self.putters.is_empty();
        if self.plain {
            self.store.release();
        }
    }
}
