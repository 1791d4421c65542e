//! Partial order sampling: each pending step has a random priority, and gets a new one whenever a step that conflicts
//! with it is taken.
//!
//! After Yuan, Yang and Gu, "Partial order aware concurrency sampling" (CAV 2018).
//!
//! Invariant: the priorities of the pending steps are independent and uniform, so the order of two conflicting steps
//! that become pending at the same time is a fair coin.

use std::any::Any;

use fastrand::Rng;

use crate::runtime::{Policy, View};

#[derive(Debug)]
pub(crate) struct Pos {
    rng: Rng,
    /// The priority of each task's next step.
    priorities: Vec<Option<u64>>,
}

impl Pos {
    pub(crate) fn new(rng: Rng) -> Self {
        Self { rng, priorities: Vec::new() }
    }

    /// Drops the priorities of the last step's task, and of the steps that conflict with that step.
    fn forget(&mut self, view: &View<'_>) {
        let Some(last) = view.events.last() else { return self.priorities.clear() };
        for (thread, priority) in self.priorities.iter_mut().enumerate() {
            let races = |next| last.accesses().any(|access| view.same(access).conflicts(next));
            if thread == last.thread || view.all_next(thread).any(races) {
                *priority = None;
            }
        }
    }
}

impl Policy for Pos {
    fn pick(&mut self, view: &View<'_>) -> Option<usize> {
        if let Some(place) = view.starving() {
            return Some(place);
        }
        self.forget(view);
        self.priorities.resize(view.tasks.len(), None);
        let places = 0..view.options.len();
        places.max_by_key(|&place| {
            let priority = &mut self.priorities[view.options[place]];
            *priority.get_or_insert_with(|| self.rng.u64(..))
        })
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}
