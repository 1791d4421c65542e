//! What is recorded of an execution: its steps, its failure, and what was left when it ended.

use std::time::Duration;

use raddle::rt::{Kind, Memory, Op, Place};

use super::objects::Access;
use super::panic_hook::SourceLocation;
use super::task_set::TaskSet;

/// One step of one thread.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) thread: usize,
    pub(crate) op: Option<Op>,
    /// What it said that it would touch, and then what else it touched.
    pub(crate) access: Option<Access>,
    pub(crate) more: Vec<Access>,
    /// The event that enabled it, if it was not enabled when its thread came to it.
    pub(crate) enabled_by: Option<u32>,
    /// The threads that could have taken a step instead, its own included.
    pub(crate) enabled: TaskSet,
    /// It is a wait with a timeout, or a sleep.
    pub(crate) timed: bool,
    /// It released what some thread held.
    pub(crate) released: bool,
    /// What it orders, if it is an atomic access or a fence.
    pub(crate) memory: Option<Memory>,
    /// It timed out under [`Time::Quiescent`](super::Time): the clock reached its deadline after so many events,
    /// because no other step was possible, so that all of them happened before it.
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

/// A step that was still to be taken when it all ended.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) thread: usize,
    pub(crate) op: Option<Op>,
    /// What it said it would touch; the first one is the operation's own object.
    pub(crate) accesses: Vec<Access>,
    pub(crate) enabled_by: Option<u32>,
    pub(crate) timed: bool,
}

/// One step, as a report shows it.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each says one thing, and they are independent")]
pub(crate) struct StepRecord {
    pub(crate) thread: usize,
    pub(crate) clock: Duration,
    /// Which event it belongs to.
    pub(crate) event: usize,
    pub(crate) kind: Option<Kind>,
    /// The operation in words.
    pub(crate) verb: Option<&'static str>,
    pub(crate) object: Option<u32>,
    pub(crate) at: Option<Place>,
    /// The thread had to wait for this step, and said when it is possible.
    pub(crate) conditional: bool,
    /// It takes back a lock after a wait on a condition.
    pub(crate) back: bool,
    /// The waiting threads whose next steps became possible by this one.
    pub(crate) wakes: Vec<usize>,
    /// Where the object was made, if its maker said so.
    pub(crate) made_at: Option<Place>,
    /// Where what is let go of was taken.
    pub(crate) taken_at: Option<Place>,
    /// What was seen or stored, and the notes.
    pub(crate) values: Vec<String>,
    pub(crate) timed_out: bool,
    /// Who could have gone on instead, had it not been for a preemption.
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
            preempts: None,
            acquires: Vec::new(),
            releases: Vec::new(),
            starts: None,
            ends: false,
            ends_program: false,
        }
    }

    /// Whether both are the same call, on the same line.
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

/// Who holds an object, and since which line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hold {
    pub(crate) by: usize,
    pub(crate) since: Place,
}

/// What a thread waited for when the execution ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockedTask {
    pub(crate) thread: usize,
    pub(crate) kind: Kind,
    pub(crate) object: u32,
    /// What it does, in words.
    pub(crate) verb: &'static str,
    pub(crate) at: Place,
    /// Where the object was made, if its maker said so.
    pub(crate) made_at: Option<Place>,
    pub(crate) held: Option<Hold>,
}

/// How an execution went wrong.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// A thread's function panicked, at this place of the sources if the panic hook was told.
    Panic { thread: usize, message: String, at: Option<(String, u32, u32)> },
    /// Nobody could go on, and no deadline was pending.
    Deadlock,
    /// Only threads are left that nobody will let go on, after the program's main thread had returned.
    ThreadsLeft,
    /// It went on and on.
    StepLimit,
    /// Two events touched a cell, one of them wrote, and nothing ordered them.
    Race { cell: u32, first: usize, second: usize },
    /// A primitive's predicate said that the step would succeed, and the step waited.
    FalselyEnabled,
    /// A primitive's predicate said that the step would wait though it would have succeeded: nobody was told that the
    /// word had changed.
    FalselyDisabled,
    /// A thread is stuck somewhere outside the toolkit.
    BlockedOutside { thread: usize, state: String },
    /// After the same choices the program did something else.
    NotRepeatable {
        /// In which step, counted from 0, two executions differed, and what each did there.
        differs: Option<(usize, String, String)>,
    },
    /// Something else, which the title says, with what is known of it.
    Other {
        kind: &'static str,
        title: String,
        message: String,
        thread: Option<usize>,
        at: Option<SourceLocation>,
    },
    /// More threads than may be alive at the same time.
    TooManyTasks,
}

impl Failure {
    /// Whether both are the same mistake, as far as can be told.
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
