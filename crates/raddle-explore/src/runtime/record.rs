//! The records of an execution: its steps, its failure, and the tasks that were left when it ended.

use std::time::Duration;

use raddle::rt::{Kind, Memory, Op, Place};

use super::objects::Access;
use super::panic_hook::SourceLocation;
use super::task_set::TaskSet;

/// One step of one task, as the search needs it.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) thread: usize,
    pub(crate) op: Option<Op>,
    /// The declared access, and further accesses.
    pub(crate) access: Option<Access>,
    pub(crate) more: Vec<Access>,
    /// The event that enabled the step, if it was disabled when its task reached it.
    pub(crate) enabled_by: Option<u32>,
    /// The tasks that were enabled, including its own.
    pub(crate) enabled: TaskSet,
    /// The step is a wait with a timeout, or a sleep.
    pub(crate) timed: bool,
    /// The step released an object that was held.
    pub(crate) released: bool,
    /// The memory order, if the step is an atomic access or a fence.
    pub(crate) memory: Option<Memory>,
    /// The step timed out under [`Time::Quiescent`](crate::options::Time): the clock reached its deadline after so
    /// many events, because no other step was possible, so all of them happened before it.
    pub(crate) due: Option<usize>,
}

impl Event {
    pub(crate) fn accesses(&self) -> impl Iterator<Item = Access> {
        self.access.into_iter().chain(self.more.iter().copied())
    }

    pub(crate) fn touches(&mut self, access: Access) {
        if self.access != Some(access) && !self.more.contains(&access) {
            self.more.push(access);
        }
    }
}

/// A step that a task had not taken when the execution ended.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) thread: usize,
    pub(crate) op: Option<Op>,
    /// The declared accesses; the first one is that of the operation's own object.
    pub(crate) accesses: Vec<Access>,
    pub(crate) enabled_by: Option<u32>,
    pub(crate) timed: bool,
}

/// One step, as a report shows it.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent flags")]
pub(crate) struct StepRecord {
    pub(crate) thread: usize,
    pub(crate) clock: Duration,
    /// The index of its event.
    pub(crate) event: usize,
    pub(crate) kind: Option<Kind>,
    /// The operation, in words.
    pub(crate) verb: Option<&'static str>,
    pub(crate) object: Option<u32>,
    pub(crate) at: Option<Place>,
    /// The task had to wait for this step, and declared an enabling condition.
    pub(crate) conditional: bool,
    /// The step reacquires a lock after a wait on a condition.
    pub(crate) back: bool,
    /// The waiters whose next steps this step enabled.
    pub(crate) wakes: Vec<usize>,
    /// Where the object was created, if that is known.
    pub(crate) made_at: Option<Place>,
    /// Where the released object was acquired.
    pub(crate) taken_at: Option<Place>,
    /// Values that were read or written, and notes.
    pub(crate) values: Vec<String>,
    pub(crate) timed_out: bool,
    /// Whether the step acquired its object, if that is not a lock and the step did not wait for it.
    pub(crate) acquired: Option<bool>,
    /// The enabled thread that was preempted.
    pub(crate) preempts: Option<usize>,
    pub(crate) acquires: Vec<u32>,
    pub(crate) releases: Vec<u32>,
    pub(crate) starts: Option<usize>,
    pub(crate) ends: bool,
    pub(crate) ends_program: bool,
}

impl StepRecord {
    pub(crate) fn new(thread: usize, event: usize, clock: Duration) -> Self {
        Self {
            thread,
            clock,
            event,
            kind: None,
            verb: None,
            object: None,
            at: None,
            conditional: false,
            back: false,
            wakes: Vec::new(),
            made_at: None,
            taken_at: None,
            values: Vec::new(),
            timed_out: false,
            acquired: None,
            preempts: None,
            acquires: Vec::new(),
            releases: Vec::new(),
            starts: None,
            ends: false,
            ends_program: false,
        }
    }

    /// Whether both are the same call on the same line.
    pub(crate) fn is_same_operation(&self, other: &StepRecord) -> bool {
        (self.thread, self.kind, self.object) == (other.thread, other.kind, other.object)
            && self.at == other.at
    }

    pub(crate) fn does(&mut self, op: &Op, object: u32) {
        self.kind = Some(op.kind);
        self.verb = Some(op.verb());
        self.object = Some(object);
        self.at = Some(op.at);
    }
}

/// The holder of an object, and the line that acquired it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hold {
    pub(crate) by: usize,
    pub(crate) since: Place,
}

/// A task that was blocked when the execution ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockedTask {
    pub(crate) thread: usize,
    pub(crate) kind: Kind,
    pub(crate) object: u32,
    /// The operation, in words.
    pub(crate) verb: &'static str,
    pub(crate) at: Place,
    /// Where the object was created, if that is known.
    pub(crate) made_at: Option<Place>,
    pub(crate) held: Option<Hold>,
}

/// How an execution failed.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// A thread panicked. The source position is known if the panic hook was called.
    Panic { thread: usize, message: String, at: Option<SourceLocation> },
    /// No task was enabled, and no deadline was pending.
    Deadlock,
    /// The main task has returned, and the remaining tasks can never make progress.
    ThreadsLeft,
    /// The execution reached the step limit.
    StepLimit,
    /// Two conflicting accesses of a cell were unordered.
    Race { cell: u32, first: usize, second: usize },
    /// A primitive's predicate held, but the step blocked.
    FalselyEnabled,
    /// A primitive's predicate did not hold although the step would have succeeded: the change of the word was not
    /// announced.
    FalselyDisabled,
    /// A thread is blocked outside the toolkit.
    BlockedOutside { thread: usize, state: String },
    /// The program took different steps after the same choices.
    NotRepeatable {
        /// The first step that differs, counted from 0, and that step of each execution.
        differs: Option<(usize, String, String)>,
    },
    /// Any other failure, described by its title and message.
    Other {
        kind: &'static str,
        title: String,
        message: String,
        thread: Option<usize>,
        at: Option<SourceLocation>,
    },
    /// More threads were alive than an execution supports.
    TooManyTasks,
}

impl Failure {
    /// Whether both are the same failure, as far as that can be determined.
    pub(crate) fn is_like(&self, other: &Failure) -> bool {
        match (self, other) {
            (Failure::Panic { message: a, at: x, .. }, Failure::Panic { message: b, at: y, .. })
            | (Failure::Other { title: a, at: x, .. }, Failure::Other { title: b, at: y, .. }) => {
                if x.is_some() { x == y } else { a == b }
            }
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}
