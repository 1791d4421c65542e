//! What an execution did, in enough detail for a report.

use std::time::Duration;

use raddle::host::{Kind, Op};

use super::failure::Place;

/// One step, as a report shows it.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) thread: usize,
    pub(crate) clock: Duration,
    /// Which event it belongs to.
    pub(crate) event: usize,
    pub(crate) kind: Option<Kind>,
    pub(crate) object: Option<u32>,
    pub(crate) at: Option<Place>,
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
            object: None,
            at: None,
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

    pub(crate) fn does(&mut self, op: &Op, object: u32) {
        self.kind = Some(op.kind);
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
    pub(crate) at: Place,
    pub(crate) held: Option<Hold>,
}
