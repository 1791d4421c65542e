//! A state under its lock, and the waiting: all that the kinds of queue have in common.

use std::time::{Duration, Instant};

use super::error::{GetError, PutError, TooManyTasksDone};
use super::hand::{LetGo, Load};
use super::state::{State, Turn};
use super::store::Store;
use crate::host::{self, Op};
use crate::raw::Guarded;

pub(super) struct Monitor<T, S> {
    state: Guarded<State<T, S>>,
}

/// How long a thread is ready to wait.
#[derive(Clone, Copy)]
pub(super) enum Limit {
    /// Not at all.
    Now,
    /// Until then; `None`: for ever.
    Until(Option<Instant>),
}

impl Limit {
    pub(super) const NONE: Self = Limit::Until(None);

    pub(super) fn timeout(timeout: Duration) -> Self {
        if timeout.is_zero() { Limit::Now } else { Limit::Until(host::deadline(timeout)) }
    }

    pub(super) fn deadline(deadline: Instant) -> Self {
        Limit::Until(Some(deadline))
    }

    fn may_wait(self) -> bool {
        matches!(self, Limit::Until(_))
    }

    fn end(self) -> Option<Instant> {
        match self {
            Limit::Now => Some(host::now()),
            Limit::Until(end) => end,
        }
    }
}

impl<T, S: Store<T>> Monitor<T, S> {
    pub(super) const fn new(limit: usize) -> Self {
        Self { state: Guarded::new(State::new(limit)) }
    }

    /// Takes one step under the lock, then lets those go who were served by it.
    #[inline]
    fn step<R>(&self, step: impl FnOnce(&mut State<T, S>, &mut LetGo<T>) -> R) -> R {
        let mut let_go = LetGo::new(); // dropped after the guard, on a panic too
        let mut state = self.state.lock();
        step(&mut state, &mut let_go)
    }

    /// Looks at the state.
    pub(super) fn look<R>(&self, look: impl FnOnce(&State<T, S>) -> R) -> R {
        look(&self.state.lock())
    }

    pub(super) fn put(&self, op: Op, mut load: Load<T>, limit: Limit) -> Result<(), PutError<Load<T>>> {
        host::point(op);
        let turn = self.step(|state, let_go| state.put_or_wait(&mut load, limit.may_wait(), let_go));
        let party = match turn {
            Turn::Done(()) => return Ok(()),
            Turn::NotNow => return Err(PutError::Full(load)),
            Turn::ShutDown => return Err(PutError::ShutDown(load)),
            Turn::InLine(party) => party,
        };
        let served = party.sleep(op, limit.end()).is_some() || !self.state.lock().putters.leave(&party);
        let left = party.asks.take();
        match (left.first().is_some(), served) {
            (false, _) => Ok(()),
            (true, false) => Err(PutError::Full(left)),
            (true, true) => Err(PutError::ShutDown(left)),
        }
    }

    pub(super) fn get(&self, op: Op, limit: Limit) -> Result<T, GetError> {
        host::point(op);
        self.next(op, limit)
    }

    fn next(&self, op: Op, limit: Limit) -> Result<T, GetError> {
        let turn = self.step(|state, let_go| state.get_or_wait(limit.may_wait(), let_go));
        let party = match turn {
            Turn::Done(item) => return Ok(item),
            Turn::NotNow => return Err(GetError::Empty),
            Turn::ShutDown => return Err(GetError::ShutDown),
            Turn::InLine(party) => party,
        };
        if party.sleep(op, limit.end()).is_none() && self.state.lock().getters.leave(&party) {
            return Err(GetError::Empty);
        }
        party.asks.take().pop().ok_or(GetError::ShutDown)
    }

    /// Gets a first item within `limit`, then up to `max` in all, waiting at most `linger` for them.
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
        }
        if batch.len() < max {
            batch = self.fill(op, batch, max, linger);
        }
        Ok(batch)
    }

    pub(super) fn get_many_now(&self, op: Op, max: usize) -> Vec<T> {
        assert!(max > 0, "a batch of no items at all was asked for");
        host::point(op);
        let mut batch = Vec::new();
        self.step(|state, let_go| state.get_many(&mut batch, max, let_go));
        batch
    }

    fn fill(&self, op: Op, mut batch: Vec<T>, max: usize, linger: Duration) -> Vec<T> {
        if linger.is_zero() {
            self.step(|state, let_go| state.get_many(&mut batch, max, let_go));
            return batch;
        }
        let turn = self.step(|state, let_go| state.fill_or_wait(&mut batch, max, let_go));
        let Turn::InLine(party) = turn else {
            return batch;
        };
        if party.sleep(op, host::deadline(linger)).is_none() {
            self.state.lock().fillers.leave(&party);
        }
        party.asks.take().into_vec()
    }

    pub(super) fn tasks_done(&self, op: Op, count: usize) -> Result<(), TooManyTasksDone> {
        host::point(op);
        self.step(|state, let_go| state.tasks_done(count, let_go))
    }

    pub(super) fn join(&self, op: Op, limit: Limit) -> bool {
        host::point(op);
        match self.step(|state, _| state.join_or_wait(limit.may_wait())) {
            Turn::Done(()) => true,
            Turn::NotNow | Turn::ShutDown => false,
            Turn::InLine(party) => {
                party.sleep(op, limit.end()).is_some() || !self.state.lock().joiners.leave(&party)
            }
        }
    }

    pub(super) fn shut_down(&self, op: Op) {
        host::point(op);
        self.step(State::shut_down);
    }

    pub(super) fn shut_down_now(&self, op: Op) -> Vec<T> {
        host::point(op);
        let store = self.step(|state, let_go| {
            state.shut_down(let_go);
            state.clear(let_go)
        });
        store.into_items()
    }
}
