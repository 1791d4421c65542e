//! From a waiting thread to the one that it waits for, and on: does the way lead back?
//!
//! All of it is looked at while the table is locked. A thread that waits cannot leave its wait meanwhile, so it
//! neither takes nor releases anything, and what it holds stays held, unless another thread releases a `Lock`.

use std::sync::Arc;

use super::holds;
use super::table::{Key, Table, Waiting};
use crate::rt::mark::NO_LOCK;
use crate::rt::op::{Kind, Op};
use crate::rt::program::Program;
use crate::rt::record::Record;

/// Threads, each waiting without limit for the next one.
pub(super) struct Chain {
    pub(super) threads: Vec<Key>,
    pub(super) shape: Shape,
    /// None but they themselves could end it.
    pub(super) certain: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// One thread, waiting for itself.
    Own,
    /// The last waits for the first.
    Cycle,
    /// One thread, waiting for a lock whose holder is over.
    Ended,
}

/// What a waiting thread waits for.
enum Next {
    Thread { ident: u64, certain: bool },
    Over,
    Unknown,
}

impl Chain {
    /// The chain that begins with the wait `first`, if it comes back to it or leads nowhere.
    pub(super) fn of(table: &Table, first: Key, program: &Program) -> Option<Self> {
        let (mut threads, mut certain, mut at) = (vec![first], true, table.get(first)?);
        loop {
            let (ident, sure) = match next(at, program) {
                Next::Thread { ident, certain } => (ident, certain),
                Next::Over if threads.len() == 1 => {
                    return Some(Self { threads, shape: Shape::Ended, certain: false });
                }
                Next::Over | Next::Unknown => return None,
            };
            certain &= sure;
            if ident == first.1 {
                let shape = if threads.len() == 1 { Shape::Own } else { Shape::Cycle };
                return Some(Self { threads, shape, certain });
            }
            let (key, waiting) = table.of_thread(ident)?;
            if threads.contains(&key) {
                return None; // a cycle further on, which its own threads will find
            }
            threads.push(key);
            at = waiting;
        }
    }
}

fn next(waiting: &Waiting, program: &Program) -> Next {
    if waiting.until.is_some() {
        return Next::Unknown;
    }
    if waiting.lock != NO_LOCK {
        return holder(waiting.lock);
    }
    let joined = waiting.op.as_ref().and_then(|op| joined(op, program));
    joined.map_or(Next::Unknown, |thread| Next::Thread { ident: thread.ident, certain: true })
}

/// Whether something else than the progress of another thread could end the wait: it is neither for a lock that only its
/// holder can release nor for the end of a thread.
pub(super) fn ends_otherwise(waiting: &Waiting, program: &Program) -> bool {
    let owned = |lock| holds::get(lock).is_some_and(|hold| hold.owned);
    let ends = waiting.op.as_ref().is_none_or(|op| joined(op, program).is_some());
    !ends && (waiting.lock == NO_LOCK || !owned(waiting.lock))
}

fn holder(lock: u32) -> Next {
    let Some(hold) = holds::get(lock) else { return Next::Unknown };
    let certain = hold.owned;
    if !certain && holds::is_handed_over(lock) {
        return Next::Unknown;
    }
    // Who calls `exit` is over for others, but runs on to the end of the program, and may still release.
    if hold.by.finished() { Next::Over } else { Next::Thread { ident: hold.by.ident, certain } }
}

/// The thread whose end the step waits for.
fn joined(op: &Op, program: &Program) -> Option<Arc<Record>> {
    if op.kind != Kind::Join {
        return None;
    }
    program.threads().into_iter().find(|thread| Arc::as_ptr(thread) as usize == op.object.address)
}
