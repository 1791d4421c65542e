//! A state under its lock, and the waiting: all that the kinds of queue have in common.

use std::time::Duration;

use super::error::{GetError, PutError, TooManyTasksDoneError};
use super::hand::Load;
use super::limit::Limit;
use super::sides::Sides;
use super::state::{State, Turn};
use super::store::Store;
use crate::rt::{self, Op, Show};
use crate::sys::spin::SpinBudget;

pub(super) struct Monitor<T, S> {
    sides: Sides<T, S>,
    /// How observers see the items.
    pub(super) show: Show<T>,
}

impl<T, S: Store<T>> Monitor<T, S> {
    pub(super) const fn new(limit: usize) -> Self {
        Self { sides: Sides::new(limit), show: Show::new() }
    }

    pub(super) fn look<R>(&self, look: impl FnOnce(&State<T, S>) -> R) -> R {
        self.sides.look(look)
    }

    /// Puts an item if nothing stands in the way; gives it back otherwise.
    #[inline]
    pub(super) fn put_quickly(&self, item: T) -> Result<(), T> {
        if rt::quiet() { self.sides.put_quickly(item) } else { Err(item) }
    }

    /// Gets an item if nothing stands in the way.
    #[inline]
    pub(super) fn get_quickly(&self) -> Option<T> {
        if rt::quiet() { self.sides.get_quickly(false) } else { None }
    }

    /// Says that a task is done if nothing stands in the way.
    #[inline]
    pub(super) fn task_done_quickly(&self) -> bool {
        rt::quiet() && self.sides.task_done_quickly()
    }

    /// The error has what was not put.
    pub(super) fn put(&self, op: Op, mut load: Load<T>, limit: Limit) -> Result<(), PutError<Load<T>>> {
        rt::point(op);
        rt::value(&op, || self.show.many(load.iter()));
        let turn = patiently(
            limit,
            self.sides.patience(),
            || self.sides.may_have_room(),
            || self.sides.let_room_gather(),
            || false,
            |effort| match effort {
                Effort::Quick => self.put_one_quickly(&mut load),
                Effort::More if self.sides.goes_quickly() => Turn::NotNow,
                _ => self.sides.put(&mut load, effort == Effort::Wait),
            },
        );
        let party = match turn {
            Turn::Done(()) => return Ok(()),
            Turn::NotNow => return Err(PutError::Full(load)),
            Turn::ShutDown => return Err(PutError::ShutDown(load)),
            Turn::InLine(party) => party,
        };
        let served = party.wait(op, limit.end()).is_some()
            || !self.sides.step(|state, _| state.putters.remove(&party));
        let left = party.request.take();
        match (left.first().is_some(), served) {
            (false, _) => Ok(()),
            (true, false) => Err(PutError::Full(left)),
            (true, true) => Err(PutError::ShutDown(left)),
        }
    }

    /// Puts a load of one if nothing stands in the way.
    #[inline]
    fn put_one_quickly(&self, load: &mut Load<T>) -> Turn<T, ()> {
        if let Load::One(place) = load
            && let Some(item) = place.take()
        {
            match self.sides.put_quickly(item) {
                Ok(()) => return Turn::Done(()),
                Err(item) => *place = Some(item),
            }
        }
        Turn::NotNow
    }

    pub(super) fn get(&self, op: Op, limit: Limit) -> Result<T, GetError> {
        rt::point(op);
        let got = self.next(op, limit);
        rt::value(&op, || match &got {
            Ok(item) => self.show.one(item),
            Err(error) => outcome(*error).to_owned(),
        });
        got
    }

    fn next(&self, op: Op, limit: Limit) -> Result<T, GetError> {
        let turn = patiently(
            limit,
            self.sides.patience(),
            || self.sides.may_have_items(),
            || self.sides.let_items_gather(),
            || self.sides.has_plenty(),
            |effort| match effort {
                Effort::Quick => self.sides.get_quickly(true).map_or(Turn::NotNow, Turn::Done),
                Effort::More if self.sides.goes_quickly() => Turn::NotNow,
                _ => self.sides.get(effort == Effort::Wait),
            },
        );
        let party = match turn {
            Turn::Done(item) => return Ok(item),
            Turn::NotNow => return Err(GetError::Empty),
            Turn::ShutDown => return Err(GetError::ShutDown),
            Turn::InLine(party) => party,
        };
        if party.wait(op, limit.end()).is_none() && self.sides.step(|state, _| state.getters.remove(&party)) {
            return Err(GetError::Empty);
        }
        party.request.take().pop().ok_or(GetError::ShutDown)
    }

    pub(super) fn get_many(
        &self,
        op: Op,
        max: usize,
        linger: Duration,
        limit: Limit,
    ) -> Result<Vec<T>, GetError> {
        let mut batch = self.get_many_now(op, max);
        if batch.is_empty() {
            batch.push(self.next(op, limit)?);
            rt::value(&op, || self.show.many(batch.iter()));
        }
        if batch.len() < max {
            batch = self.fill(op, batch, max, linger);
            rt::value(&op, || self.show.many(batch.iter()));
        }
        Ok(batch)
    }

    pub(super) fn get_many_now(&self, op: Op, max: usize) -> Vec<T> {
        assert!(max > 0, "a batch of no items at all was asked for");
        rt::point(op);
        let mut batch = Vec::new();
        self.sides.get_many(&mut batch, max);
        rt::value(&op, || self.show.many(batch.iter()));
        batch
    }

    fn fill(&self, op: Op, mut batch: Vec<T>, max: usize, linger: Duration) -> Vec<T> {
        if linger.is_zero() {
            self.sides.get_many(&mut batch, max);
            return batch;
        }
        let turn = self.sides.fill(&mut batch, max);
        let Turn::InLine(party) = turn else {
            return batch;
        };
        if party.wait(op, rt::deadline(linger)).is_none() {
            self.sides.step(|state, _| state.fillers.remove(&party));
        }
        party.request.take().into_vec()
    }

    pub(super) fn tasks_done(&self, op: Op, count: usize) -> Result<(), TooManyTasksDoneError> {
        rt::point(op);
        self.sides.step(|state, let_go| state.tasks_done(count, let_go))
    }

    pub(super) fn join(&self, op: Op, limit: Limit) -> bool {
        rt::point(op);
        match self.sides.step(|state, _| state.join_or_wait(limit.may_wait())) {
            Turn::Done(()) => true,
            Turn::NotNow | Turn::ShutDown => false,
            Turn::InLine(party) => {
                party.wait(op, limit.end()).is_some()
                    || !self.sides.step(|state, _| state.joiners.remove(&party))
            }
        }
    }

    pub(super) fn shut_down(&self, op: Op) {
        rt::point(op);
        self.sides.step(State::shut_down);
    }

    pub(super) fn shut_down_now(&self, op: Op) -> Vec<T> {
        rt::point(op);
        let items = self.sides.shut_down_now().into_items();
        rt::value(&op, || self.show.many(items.iter()));
        items
    }
}

/// A get without an item, as observers see it.
fn outcome(error: GetError) -> &'static str {
    match error {
        GetError::Empty => "empty",
        GetError::ShutDown => "shut down",
    }
}

/// How much is tried in one step.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effort {
    /// The usual case alone.
    Quick,
    /// More, if the usual case may have come to an end.
    More,
    /// All, short of waiting.
    Whole,
    /// To get in line, if nothing else helps.
    Wait,
}

/// Takes a step as soon as `hint` says that it may succeed, if that is soon, and lines up for it otherwise. Who waits
/// actively is not in line yet; on a single processor nothing happens meanwhile, and who is in line is served by others. `at_once`: the usual case can be tried before anything else, even while somebody observes.
#[inline]
fn patiently<T, R>(
    limit: Limit,
    (mut spin, at_once): (SpinBudget, bool),
    hint: impl Fn() -> bool,
    gather: impl Fn(),
    plenty: impl Fn() -> bool,
    mut step: impl FnMut(Effort) -> Turn<T, R>,
) -> Turn<T, R> {
    if at_once && let Turn::Done(result) = step(Effort::Quick) {
        return Turn::Done(result);
    }
    while limit.may_wait() && spin.has_pauses() {
        if !hint() && !spin.until(&hint) {
            break;
        }
        if plenty() {
            spin.forgive_yields();
        }
        gather();
        // The usual case again and again: a moment later there may be more to do at one go.
        for effort in [Effort::Quick, Effort::Quick, Effort::Quick, Effort::More] {
            match step(effort) {
                Turn::NotNow => spin.spin(),
                turn => return turn,
            };
        }
    }
    step(if limit.may_wait() { Effort::Wait } else { Effort::Whole })
}
