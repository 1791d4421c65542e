//! From what the watch knows to what it shows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::holds::{self, Hold};
use super::state::{HoldState, Holder, ThreadState, WaitState};
use super::table::Waiting;
use crate::rt::mark::NO_LOCK;
use crate::rt::op::{Kind, Op};
use crate::rt::os;
use crate::rt::program::Program;
use crate::rt::record::Record;

/// What all threads hold, at one time.
pub(super) struct View {
    holds: BTreeMap<u64, Vec<Hold>>,
    /// The threads' names, by the addresses that they are waited for under.
    names: BTreeMap<usize, Arc<str>>,
}

impl View {
    pub(super) fn of(program: &Program) -> Self {
        let threads = program.threads();
        let names = threads.iter().map(|thread| (Arc::as_ptr(thread) as usize, thread.name())).collect();
        Self { holds: holds::by_thread(), names }
    }

    pub(super) fn thread(&self, thread: &Record, waiting: Option<&Waiting>) -> ThreadState {
        let holds = self.holds.get(&thread.ident).into_iter().flatten();
        ThreadState {
            name: thread.name(),
            ident: thread.ident,
            native_id: thread.native_id(),
            daemon: thread.daemon.load(Relaxed),
            waits: waiting.map(|waiting| self.wait(waiting)),
            holds: holds.map(|hold| HoldState { object: hold.object.to_string(), at: hold.at }).collect(),
        }
    }

    /// A thread that waits.
    pub(super) fn waiting(&self, waiting: &Waiting) -> ThreadState {
        self.thread(&waiting.thread, Some(waiting))
    }

    fn wait(&self, waiting: &Waiting) -> WaitState {
        let now = os::now();
        let hold = if waiting.lock == NO_LOCK { None } else { holds::get(waiting.lock) };
        WaitState {
            object: waiting.op.as_ref().map_or_else(the_end, |op| self.object(op)),
            at: waiting.op.map(|op| op.at),
            waited: now.saturating_duration_since(waiting.since),
            left: waiting.until.map(|until| until.saturating_duration_since(now)),
            holder: hold.map(|hold| Holder { name: hold.by.name(), ident: hold.by.ident, at: hold.at }),
        }
    }

    fn object(&self, op: &Op) -> String {
        match self.names.get(&op.object.address) {
            Some(name) => format!("thread \"{name}\""),
            None if op.kind == Kind::Sleep => "its time".to_owned(),
            None => op.object.to_string(),
        }
    }
}

fn the_end() -> String {
    "the threads that are not daemons".to_owned()
}
