//! Policies that repeat a schedule: [`Replay`] exactly, by its choices, and [`RunOrder`] approximately, by the order
//! of its tasks.

use std::any::Any;
use std::collections::VecDeque;

use crate::runtime::{Policy, View};

/// Repeats the given choices, and chooses the first option after them.
#[derive(Debug)]
pub(crate) struct Replay {
    choices: Vec<usize>,
    at: usize,
    /// A choice was out of range: the program has changed.
    pub(crate) diverged: bool,
}

impl Replay {
    pub(crate) fn new(choices: Vec<usize>) -> Self {
        Self { choices, at: 0, diverged: false }
    }
}

impl Policy for Replay {
    fn pick(&mut self, view: &View<'_>) -> Option<usize> {
        if view.options.len() < 2 {
            return Some(0);
        }
        let choice = self.choices.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        self.diverged |= choice >= view.options.len();
        Some(choice.min(view.options.len() - 1))
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

/// Repeats an order of tasks, given as runs. A task that is disabled leaves the rest of its run for later; after all
/// runs, any enabled task continues.
#[derive(Debug)]
pub(crate) struct RunOrder {
    runs: VecDeque<Run>,
}

/// A number of consecutive steps of one task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) thread: usize,
    pub(crate) steps: usize,
}

impl RunOrder {
    pub(crate) fn new(runs: impl IntoIterator<Item = Run>) -> Self {
        Self { runs: runs.into_iter().filter(|run| run.steps > 0).collect() }
    }
}

impl Policy for RunOrder {
    fn pick(&mut self, view: &View<'_>) -> Option<usize> {
        let place_of = |thread| view.options.iter().position(|&option| option == thread);
        let found = self.runs.iter().enumerate().find_map(|(at, run)| Some((at, place_of(run.thread)?)));
        let Some((at, place)) = found else { return Some(0) };
        self.runs[at].steps -= 1;
        if self.runs[at].steps == 0 {
            self.runs.remove(at);
        }
        Some(place)
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

/// Groups a sequence of tasks into runs.
pub(crate) fn runs(threads: impl IntoIterator<Item = usize>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for thread in threads {
        match runs.last_mut().filter(|last| last.thread == thread) {
            Some(last) => last.steps += 1,
            None => runs.push(Run { thread, steps: 1 }),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consecutive_steps_of_one_task_form_a_run() {
        let run = |thread, steps| Run { thread, steps };
        assert_eq!(runs([0, 0, 1, 0]), [run(0, 2), run(1, 1), run(0, 1)]);
        assert_eq!(runs([]), []);
    }
}
