//! A count of permits and the line of those who wait for some: what both kinds of semaphore are made of.

use std::sync::Arc;
use std::time::Instant;

use crate::host::{self, Op};
use crate::raw::{Guarded, Line, Waiter};

#[derive(Debug)]
pub(super) struct Permits {
    state: Guarded<State>,
}

#[derive(Debug)]
struct State {
    free: usize,
    line: Line,
}

/// What a waiter is told once its permits have been taken for it.
const GRANTED: u32 = 0;

impl Permits {
    pub(super) const fn new(free: usize) -> Self {
        Self { state: Guarded::new(State { free, line: Line::new() }) }
    }

    pub(super) fn free(&self) -> usize {
        self.state.lock().free
    }

    pub(super) fn waiting(&self) -> usize {
        self.state.lock().line.len()
    }

    /// Takes `count` permits if they are free and nobody is in line before.
    pub(super) fn try_take(&self, op: Op, count: usize) -> bool {
        host::point(op);
        self.state.lock().take(count)
    }

    /// Takes `count` permits, in line behind those who came before.
    pub(super) fn take(&self, op: Op, count: usize, deadline: Option<Instant>) -> bool {
        host::point(op);
        let waiter = {
            let mut state = self.state.lock();
            if state.take(count) {
                return true;
            }
            state.line.join(count)
        };
        waiter.sleep(op, deadline).is_some() || self.was_granted(&waiter)
    }

    /// Gives `count` permits back and serves the line; false, and nothing changed, if there would be more
    /// than `bound`.
    pub(super) fn give(&self, op: Op, count: usize, bound: usize) -> bool {
        host::point(op);
        let mut state = self.state.lock();
        match state.free.checked_add(count).filter(|free| *free <= bound) {
            Some(free) => state.free = free,
            None => return false,
        }
        let granted = state.serve();
        drop(state);
        tell(&granted);
        true
    }

    /// A waiter's time is up: it leaves the line, unless its permits have just been taken for it.
    fn was_granted(&self, waiter: &Arc<Waiter>) -> bool {
        let mut state = self.state.lock();
        if !state.line.leave(waiter) {
            return true;
        }
        // It may have been the one that asked for more than there is, with others behind it.
        let granted = state.serve();
        drop(state);
        tell(&granted);
        false
    }
}

impl State {
    fn take(&mut self, count: usize) -> bool {
        let free = self.line.is_empty() && self.free >= count;
        if free {
            self.free -= count;
        }
        free
    }

    /// Takes permits for those at the head of the line, as far as they reach.
    fn serve(&mut self) -> Vec<Arc<Waiter>> {
        let mut granted = Vec::new();
        while let Some(first) = self.line.first().filter(|first| first.asks <= self.free) {
            self.free -= first.asks;
            granted.extend(self.line.pop());
        }
        granted
    }
}

fn tell(granted: &[Arc<Waiter>]) {
    for waiter in granted {
        waiter.tell(GRANTED);
    }
}
