//! Probabilistic concurrency testing: threads have random priorities, and at a few random steps the one that runs
//! gets the lowest of all.
//!
//! After Burckhardt, Kothari, Musuvathi and Nagarakatte, "A randomized scheduler with probabilistic guarantees of
//! finding bugs" (2010). The steps at which priorities change are taken from all steps, and it is the running thread
//! that is demoted: with less the guarantee is lost.

use std::any::Any;

use fastrand::Rng;
use raddle::rt::Kind;

use crate::runtime::{Event, Policy, View};

/// Bugs that need so many steps in one order are found with the paper's probability.
const DEPTH: usize = 3;

#[derive(Debug)]
pub(crate) struct Pct {
    rng: Rng,
    /// The most steps that an execution had so far.
    longest: usize,
    /// Each thread's priority, the highest goes first.
    priorities: Vec<u64>,
    changes: Vec<usize>,
}

/// How many steps an execution may have, before any was seen.
const USUAL: usize = 16;

/// Priorities that threads begin with lie above those that they are demoted to.
const INITIAL: u64 = 1 << 32;

impl Pct {
    pub(crate) fn new(rng: Rng) -> Self {
        Self { rng, longest: USUAL, priorities: Vec::new(), changes: Vec::new() }
    }

    fn begin(&mut self) {
        self.priorities.clear();
        let steps = self.longest.max(DEPTH);
        self.changes = (1..DEPTH).map(|_| self.rng.usize(..steps)).collect();
    }

    /// The place among the options of the thread with the highest priority.
    fn first(&self, view: &View<'_>) -> Option<usize> {
        (0..view.options.len()).max_by_key(|&place| self.priorities[view.options[place]])
    }
}

/// A thread's end, or the wait for one: to be interrupted there changes nothing.
fn is_about_ends(event: &Event) -> bool {
    event.op.is_some_and(|op| matches!(op.kind, Kind::End | Kind::Join))
}

impl Policy for Pct {
    fn pick(&mut self, view: &View<'_>) -> Option<usize> {
        if let Some(place) = view.starving() {
            return Some(place);
        }
        let step = view.events.iter().filter(|event| !is_about_ends(event)).count();
        if view.events.is_empty() {
            self.begin();
        }
        self.longest = self.longest.max(step);
        while self.priorities.len() < view.tasks.len() {
            self.priorities.push(INITIAL + self.rng.u64(..INITIAL));
        }
        for number in 0..self.changes.len() {
            if self.changes[number] == step {
                let running = view.options[self.first(view)?];
                self.priorities[running] = (DEPTH - number) as u64;
            }
        }
        let place = self.first(view)?;
        // A thread that looks in vain would look for ever.
        if view.is_yielding(view.options[place]) {
            self.priorities[view.options[place]] = 0;
        }
        self.first(view)
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}
