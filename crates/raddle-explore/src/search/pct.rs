//! Probabilistic concurrency testing: tasks have random priorities, and at a few random steps the running task gets
//! the lowest one.
//!
//! After Burckhardt, Kothari, Musuvathi and Nagarakatte, "A randomized scheduler with probabilistic guarantees of
//! finding bugs" (ASPLOS 2010). With n tasks and k steps, each execution finds a bug of depth d with a probability of
//! at least 1 / (n k^(d-1)). The guarantee requires that the steps at which priorities change are drawn from all
//! steps, and that the running task is demoted.
//!
//! Invariant: the chosen task has the highest priority of all enabled tasks.

use std::any::Any;

use fastrand::Rng;
use raddle::rt::Kind;

use crate::runtime::{Event, Policy, View};

/// The depth d for which the guarantee holds.
const DEPTH: usize = 3;

#[derive(Debug)]
pub(crate) struct Pct {
    rng: Rng,
    /// The largest number of steps of an execution so far.
    longest: usize,
    /// The priority of each task; the highest one goes first.
    priorities: Vec<u64>,
    changes: Vec<usize>,
}

/// The assumed number of steps, before any execution was seen.
const USUAL: usize = 16;

/// Initial priorities are higher than those of demoted tasks.
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

    /// The position of the task with the highest priority.
    fn first(&self, view: &View<'_>) -> Option<usize> {
        (0..view.options.len()).max_by_key(|&place| self.priorities[view.options[place]])
    }
}

/// Whether the event is the termination of a task or a join. A preemption there changes nothing.
fn is_about_ends(event: &Event) -> bool {
    event.op.is_some_and(|op| matches!(op.kind, Kind::Terminate | Kind::Join))
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
        // A task that polls would otherwise poll forever.
        if view.is_yielding(view.options[place]) {
            self.priorities[view.options[place]] = 0;
        }
        self.first(view)
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}
