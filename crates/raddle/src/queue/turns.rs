//! Puts and gets in full, with both locks of a queue where it takes them: what lines up, and whom it lets go.

use super::hand::{LetGo, Load};
use super::sides::{Out, Sides, Way};
use super::state::{State, Turn};
use super::store::Store;

impl<T, S: Store<T>> Sides<T, S> {
    /// Puts the load, or lines up with what of it found no room. What was refused stays in it.
    pub(super) fn put(&self, load: &mut Load<T>, may_wait: bool) -> Turn<T, ()> {
        let turn =
            self.step(|state, let_go| state.put_or_wait(load, may_wait && self.way != Way::Split, let_go));
        if self.way == Way::Split && matches!(turn, Turn::NotNow) {
            self.put_with_front(load, may_wait)
        } else {
            turn
        }
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
        if self.way != Way::Split {
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
        if self.way != Way::Split {
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
