//! Plain depth-first search: every schedule, or every one with few preemptions.

use std::any::Any;

use crate::runtime::{Policy, View};

/// Goes through the choices, the last one first.
#[derive(Debug)]
pub(crate) struct Depth {
    /// More preemptions than this no schedule may have.
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
    /// Of what could be chosen.
    fingerprint: u64,
    /// The current thread could go on, so that every other choice is a preemption.
    preempts: bool,
    /// Preemptions before this choice.
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

    /// Whether every schedule there is fits into the bound.
    pub(crate) fn is_complete(&self) -> bool {
        self.exhausted && !self.pruned
    }

    /// Sets out for the next schedule; there may be none.
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
