//! The interface between scheduler and strategy: a [`Policy`] chooses the task of each step from a [`View`].

use std::hash::{DefaultHasher, Hash, Hasher};

use super::objects::{Access, Objects};
use super::record::Event;
use super::task::{Task, TaskStatus};

/// A task is starved if the others took more steps than this, and [`FAIR_SHARE`] per task, without it.
const LONG: usize = 250;

/// See [`LONG`].
const FAIR_SHARE: usize = 20;

/// The state of an execution before a choice.
#[derive(Debug)]
pub(crate) struct View<'a> {
    /// The task that took the last step.
    pub(crate) current: usize,
    /// The tasks to choose from: the current one first if it is enabled, then the others round robin, then the tasks
    /// that would have to time out.
    pub(crate) options: &'a [usize],
    pub(crate) tasks: &'a [Task],
    pub(crate) events: &'a [Event],
    pub(crate) objects: &'a Objects,
}

impl View<'_> {
    /// The declared access of the next step of `thread`.
    pub(crate) fn next(&self, thread: usize) -> Option<Access> {
        let access = self.tasks[thread].access?;
        Some(Access { object: self.objects.canonical(access.object), ..access })
    }

    /// All declared accesses of the next step of `thread`.
    pub(crate) fn all_next(&self, thread: usize) -> impl Iterator<Item = Access> {
        self.tasks[thread].next().map(|access| self.same(access))
    }

    /// How many steps other tasks have taken since `thread` reached its next step.
    pub(crate) fn waited(&self, thread: usize) -> usize {
        self.events.len() - self.tasks[thread].since
    }

    /// The position of the task that has waited longest, if it is starved. Without this, a random strategy might run
    /// an execution into the step limit because it never chooses the task on which the end depends.
    pub(crate) fn starving(&self) -> Option<usize> {
        // With more tasks, each one waits longer without being starved.
        let long = LONG.max(FAIR_SHARE * self.tasks.len());
        if self.events.len() < long {
            return None;
        }
        let places = 0..self.options.len();
        let longest = places.max_by_key(|&place| self.waited(self.options[place]))?;
        (self.waited(self.options[longest]) > long).then_some(longest)
    }

    /// The access with the number that stands for its object.
    pub(crate) fn same(&self, access: Access) -> Access {
        Access { object: self.objects.canonical(access.object), ..access }
    }

    /// A hash of the options, by which an execution that is not repeatable is noticed.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for &thread in self.options {
            let op = self.tasks[thread].op;
            (thread, op.map(|op| (op.kind, op.object.type_name, op.at.line(), op.at.column())))
                .hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Whether the task yielded, and other tasks go first.
    pub(crate) fn is_yielding(&self, thread: usize) -> bool {
        matches!(self.tasks[thread].status, TaskStatus::Yielding(_))
    }
}

/// Chooses the task of each step.
pub(crate) trait Policy: Send {
    /// Returns a position in `view.options`, or `None` to cut the execution short.
    fn pick(&mut self, view: &View<'_>) -> Option<usize>;

    /// Returns the policy to its owner after the execution.
    fn into_any(self: Box<Self>) -> Box<dyn std::any::Any + Send>;
}
