//! Partial order sampling: every step that is to be taken gets a random priority, and a new one whenever a step that
//! it conflicts with was taken.
//!
//! After Yuan, Yang and Gu, "Partial order aware concurrency sampling" (2018).

use std::any::Any;

use fastrand::Rng;

use crate::runtime::{Policy, View};

#[derive(Debug)]
pub(crate) struct Pos {
    rng: Rng,
    /// The priority of each thread's next step.
    priorities: Vec<Option<u64>>,
}

impl Pos {
    pub(crate) fn new(rng: Rng) -> Self {
        Self { rng, priorities: Vec::new() }
    }

    /// The step that was taken, and those that conflict with it, are to have new priorities.
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
