//! Who decides which thread goes next.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::objects::{Access, Objects};
use super::record::Event;
use super::task::{Task, TaskStatus};

/// So many steps of others without one of its own are long.
const LONG: usize = 250;

/// So many steps of each thread are no long execution yet.
const TURNS: usize = 20;

/// What a policy sees before each step.
#[derive(Debug)]
pub(crate) struct View<'a> {
    /// Who took the last step.
    pub(crate) current: usize,
    /// Who can go next: the one with the last step first, if it can, then round robin; then those whose time would
    /// have to be up for that.
    pub(crate) options: &'a [usize],
    pub(crate) tasks: &'a [Task],
    pub(crate) events: &'a [Event],
    pub(crate) objects: &'a Objects,
}

impl View<'_> {
    /// What the next step of `thread` is going to touch, as far as it said.
    pub(crate) fn next(&self, thread: usize) -> Option<Access> {
        let access = self.tasks[thread].access?;
        Some(Access { object: self.objects.canonical(access.object), ..access })
    }

    /// All that the next step of `thread` is going to touch, as far as it said.
    pub(crate) fn all_next(&self, thread: usize) -> impl Iterator<Item = Access> {
        self.tasks[thread].next().map(|access| self.same(access))
    }

    /// How many steps others have taken since `thread` came to its own next step.
    pub(crate) fn waited(&self, thread: usize) -> usize {
        self.events.len() - self.tasks[thread].since
    }

    /// The place of the thread that could proceed and has waited longest, once an execution is long and that is: chance
    /// may starve a thread of whose step the end depends.
    pub(crate) fn starving(&self) -> Option<usize> {
        // The more threads there are, the longer each one's turn takes to come without any being starved.
        let long = LONG.max(TURNS * self.tasks.len());
        if self.events.len() < long {
            return None;
        }
        let places = 0..self.options.len();
        let longest = places.max_by_key(|&place| self.waited(self.options[place]))?;
        (self.waited(self.options[longest]) > long).then_some(longest)
    }

    /// The access, under the number that stands for its object by now.
    pub(crate) fn same(&self, access: Access) -> Access {
        Access { object: self.objects.canonical(access.object), ..access }
    }

    /// A mark of what can be chosen here: the same after the same choices, unless the program is not repeatable.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for &thread in self.options {
            let op = self.tasks[thread].op;
            (thread, op.map(|op| (op.kind, op.object.what, op.at.line(), op.at.column()))).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// The thread asked that others go first.
    pub(crate) fn is_yielding(&self, thread: usize) -> bool {
        matches!(self.tasks[thread].status, TaskStatus::Yielding(_))
    }
}

/// Decides which thread goes next, step by step.
pub(crate) trait Policy: Send {
    /// The place in `view.options` of who goes next; `None`: this execution need not go on.
    fn pick(&mut self, view: &View<'_>) -> Option<usize>;

    /// For its owner to have it back.
    fn into_any(self: Box<Self>) -> Box<dyn std::any::Any + Send>;
}
