//! Waits while the watch is on: in slices, with an entry in the table of waits.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use super::deadlock::detect;
use super::report::in_hook;
use super::wait_table::{Key, Waiting, table};
use crate::rt::lock_id::{LockId, NO_LOCK};
use crate::rt::op::Op;
use crate::rt::program::Program;
use crate::rt::thread_record::ThreadRecord;
use crate::rt::wait::Wait;
use crate::rt::{flags, scheduler};
use crate::sys::os::{self, WaitOutcome};

/// The first slice is short, so that a deadlock is reported soon. Later ones cost next to nothing.
const FIRST_SLICE: Duration = Duration::from_millis(50);
const SLICE: Duration = Duration::from_secs(1);

/// Waits like the operating system, and looks for a deadlock each time a slice of the wait runs out.
pub(crate) fn wait(
    thread: &Arc<ThreadRecord>,
    word: &AtomicU32,
    expected: u32,
    wait: &Wait<'_>,
) -> WaitOutcome {
    let deadline = wait.deadline();
    if in_hook() {
        return os::wait(word, expected, deadline);
    }
    let entry = Entry::begin(word, Waiting::here(thread, wait));
    if deadline.is_some() {
        return os::wait(word, expected, deadline);
    }
    let mut slice = FIRST_SLICE;
    loop {
        match os::wait(word, expected, os::now().checked_add(slice)) {
            WaitOutcome::TimedOut => entry.detect(scheduler::default_program()),
            outcome => return outcome,
        }
        slice = SLICE;
    }
}

/// Sleeps like the operating system, with an entry in the table, which dumps show.
pub(crate) fn sleep_until(thread: &Arc<ThreadRecord>, op: &Op, until: Instant) {
    if in_hook() {
        return os::sleep_until(until);
    }
    let word = AtomicU32::new(0);
    let _entry = Entry::begin(&word, Waiting::new(thread.clone(), Some(*op), Some(until)));
    os::sleep_until(until);
}

impl Waiting {
    /// Returns the wait that the calling thread begins.
    fn here(thread: &Arc<ThreadRecord>, wait: &Wait<'_>) -> Self {
        let lock = wait.lock().map_or(NO_LOCK, LockId::number);
        let (op, until) = (wait.op().map(Op::on_behalf), wait.deadline());
        Self { lock, may_panic: wait.may_panic(), ..Self::new(thread.clone(), op, until) }
    }
}

/// The entry of a waiting thread in the table.
struct Entry {
    key: Key,
}

impl Entry {
    fn begin(word: &AtomicU32, waiting: Waiting) -> Self {
        let key = (std::ptr::from_ref(word) as usize, waiting.thread.ident);
        table().begin(key, waiting);
        Self { key }
    }

    /// Looks for a deadlock. A slice ran out, so no thread has woken this one.
    fn detect(&self, program: &Program) {
        let found = {
            let mut table = table();
            table.prove(self.key);
            let found = detect(&mut table, self.key, program);
            if found.is_some() {
                table.unprove(self.key); // this thread is about to run
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
        let removed = table().end(self.key);
        drop(removed); // after the lock is released
    }
}

/// The wait for the last keep-alive token, in the thread that ends the program. Its own record has terminated.
pub(crate) struct ExitWait<'a> {
    program: &'a Program,
    entry: Option<Entry>,
}

impl<'a> ExitWait<'a> {
    pub(crate) fn begin(program: &'a Program, exiting: &Arc<ThreadRecord>) -> Self {
        let begin = || Entry::begin(program.word(), Waiting::at_exit(exiting.clone()));
        Self { program, entry: flags::watching().then(begin) }
    }

    /// Waits for at most `slice`, unless the word has changed since it was `seen`.
    pub(crate) fn wait(&self, seen: u32, slice: Duration) {
        let outcome = os::wait(self.program.word(), seen, os::now().checked_add(slice));
        if outcome == WaitOutcome::TimedOut
            && let Some(entry) = &self.entry
        {
            entry.detect(self.program);
            table().unprove(entry.key); // the thread runs between two slices
        }
    }
}
