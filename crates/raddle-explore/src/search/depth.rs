//! Depth-first search through all schedules, or through those within a preemption bound.
//!
//! The bound is that of Musuvathi and Qadeer, "Iterative context bounding for systematic testing of multithreaded
//! programs" (PLDI 2007), for one fixed bound.
//!
//! Invariant: `trail` is the sequence of choices of the current schedule. Every schedule with a smaller sequence, in
//! lexicographic order, has been run or exceeds the bound. Termination: executions are limited in length, and each one
//! advances the sequence.

use std::any::Any;

use crate::runtime::{Policy, View};

/// Enumerates the schedules by advancing the last choice.
#[derive(Debug)]
pub(crate) struct Depth {
    /// The maximal number of preemptions.
    bound: usize,
    trail: Vec<ChoicePoint>,
    at: usize,
    preemptions: usize,
    exhausted: bool,
    /// Schedules were left out because of the bound.
    pruned: bool,
    pub(crate) diverged: bool,
}

#[derive(Clone, Copy, Debug)]
struct ChoicePoint {
    chosen: usize,
    options: usize,
    /// Of the options.
    fingerprint: u64,
    /// The current task was enabled, so every other choice is a preemption.
    preempts: bool,
    /// The number of preemptions before this choice.
    preemptions: usize,
}

impl ChoicePoint {
    fn spent_after(&self) -> usize {
        self.preemptions + usize::from(self.preempts && self.chosen > 0)
    }
}

impl Depth {
    pub(crate) fn new(bound: usize) -> Self {
        Self {
            bound,
            trail: Vec::new(),
            at: 0,
            preemptions: 0,
            exhausted: false,
            pruned: false,
            diverged: false,
        }
    }

    pub(crate) fn is_exhausted(&self) -> bool {
        self.exhausted
    }

    /// Whether the bound excluded no schedule.
    pub(crate) fn is_complete(&self) -> bool {
        self.exhausted && !self.pruned
    }

    /// Advances to the next schedule, if there is one.
    pub(crate) fn advance(&mut self) {
        (self.at, self.preemptions) = (0, 0);
        while let Some(last) = self.trail.last_mut() {
            if last.chosen + 1 < last.options {
                last.chosen += 1;
                if last.spent_after() <= self.bound {
                    return;
                }
                self.pruned = true;
            }
            self.trail.pop();
        }
        self.exhausted = true;
    }
}

impl Policy for Depth {
    fn pick(&mut self, view: &View<'_>) -> Option<usize> {
        if view.options.len() < 2 {
            return Some(0);
        }
        let (options, preempts) = (view.options.len(), view.options[0] == view.current);
        if let Some(branch) = self.trail.get(self.at) {
            self.diverged |= (branch.options, branch.preempts, branch.fingerprint)
                != (options, preempts, view.fingerprint());
        } else {
            self.trail.push(ChoicePoint {
                chosen: 0,
                options,
                fingerprint: view.fingerprint(),
                preempts,
                preemptions: self.preemptions,
            });
        }
        let branch = self.trail[self.at];
        self.at += 1;
        self.preemptions = branch.spent_after();
        Some(branch.chosen.min(options - 1))
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}
