//! Waiting while the watch is on: in slices, with a place in the table.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use super::deadlock::judge;
use super::wait_table::{Key, Waiting, table};
use crate::rt::lock_id::{LockId, NO_LOCK};
use crate::rt::op::{Kind, Op};
use crate::rt::program::Program;
use crate::rt::thread_record::ThreadRecord;
use crate::rt::{current_op, flags, scheduler};
use crate::sys::os::{self, Wait};

/// The first slice is short, so that a deadlock is told soon; later ones cost next to nothing.
const FIRST_SLICE: Duration = Duration::from_millis(50);
const SLICE: Duration = Duration::from_secs(1);

/// Waits like the operating system, and looks for a deadlock when a slice of the wait runs out.
pub(crate) fn wait(
    thread: &Arc<ThreadRecord>,
    word: &AtomicU32,
    expected: u32,
    deadline: Option<Instant>,
    lock: Option<&LockId>,
) -> Wait {
    if current_op::in_hook() {
        return os::wait(word, expected, deadline);
    }
    let entry = Entry::begin(word, Waiting::here(thread, lock.map_or(NO_LOCK, LockId::number), deadline));
    if deadline.is_some() {
        return os::wait(word, expected, deadline);
    }
    let mut slice = FIRST_SLICE;
    loop {
        match os::wait(word, expected, os::now().checked_add(slice)) {
            Wait::TimedOut => entry.judge(scheduler::default_program()),
            outcome => return outcome,
        }
        slice = SLICE;
    }
}

/// Sleeps like the operating system, where a dump can see it.
pub(crate) fn sleep_until(thread: &Arc<ThreadRecord>, op: &Op, until: Instant) {
    if current_op::in_hook() {
        return os::sleep_until(until);
    }
    let nothing = AtomicU32::new(0);
    let _entry = Entry::begin(&nothing, Waiting::new(thread.clone(), Some(*op), Some(until)));
    os::sleep_until(until);
}

impl Waiting {
    /// The wait that the calling thread begins now, perhaps for a lock.
    fn here(thread: &Arc<ThreadRecord>, lock: u32, until: Option<Instant>) -> Self {
        let op = current_op::get().map(|doing| doing.op);
        let takes = op.is_some_and(|op| op.kind == Kind::Acquire);
        Self { lock, may_panic: takes && current_op::may_panic(), ..Self::new(thread.clone(), op, until) }
    }
}

/// A thread's place in the table while it waits.
struct Entry {
    key: Key,
}

impl Entry {
    fn begin(word: &AtomicU32, waiting: Waiting) -> Self {
        let key = (std::ptr::from_ref(word) as usize, waiting.thread.ident);
        table().begin(key, waiting);
        Self { key }
    }

    /// A slice ran out, so nobody has woken this thread: is that for ever?
    fn judge(&self, program: &Program) {
        let found = {
            let mut table = table();
            table.prove(self.key);
            let found = judge(&mut table, self.key, program);
            if found.is_some() {
                table.unprove(self.key); // this thread does something now
            }
            found
        };
        if let Some(found) = found {
            found.act();
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let gone = table().end(self.key);
        drop(gone); // after the lock is let go
    }
}

/// The wait for the last keep-alive token, in a thread whose own record has ended.
pub(crate) struct Leaving<'a> {
    program: &'a Program,
    entry: Option<Entry>,
}

impl<'a> Leaving<'a> {
    pub(crate) fn begin(program: &'a Program, leaving: &Arc<ThreadRecord>) -> Self {
        let begin = || Entry::begin(program.word(), Waiting::new(leaving.clone(), None, None));
        Self { program, entry: flags::watching().then(begin) }
    }

    /// Waits for a while, unless the word has changed since it was seen.
    pub(crate) fn slice(&self, seen: u32, slice: Duration) {
        let outcome = os::wait(self.program.word(), seen, os::now().checked_add(slice));
        if outcome == Wait::TimedOut
            && let Some(entry) = &self.entry
        {
            entry.judge(self.program);
            table().unprove(entry.key); // it does something between two slices
        }
    }
}
