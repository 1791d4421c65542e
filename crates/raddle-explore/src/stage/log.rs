//! What an execution did, in enough detail for a report.

use std::time::Duration;

use raddle::rt::{Kind, Op};

use super::failure::Place;

/// One step, as a report shows it.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each says one thing, and they are independent")]
pub(crate) struct Row {
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
    pub(crate) gated: bool,
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
    pub(crate) takes: Vec<u32>,
    pub(crate) gives: Vec<u32>,
    pub(crate) starts: Option<usize>,
    pub(crate) ends: bool,
    pub(crate) ends_program: bool,
}

impl Row {
    pub(crate) fn new(thread: usize, event: usize, clock: Duration) -> Self {
        Self {
            thread,
            clock,
            event,
            kind: None,
            verb: None,
            object: None,
            at: None,
            gated: false,
            back: false,
            wakes: Vec::new(),
            made_at: None,
            taken_at: None,
            values: Vec::new(),
            timed_out: false,
            preempts: None,
            takes: Vec::new(),
            gives: Vec::new(),
            starts: None,
            ends: false,
            ends_program: false,
        }
    }

    /// Whether both are the same call, on the same line.
    pub(crate) fn is_same_operation(&self, other: &Row) -> bool {
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
pub(crate) struct Waits {
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
