//! Waits that something else than a wake-up can end: in slices. While the watch is on, with an entry in the table of waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
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

/// The first slice is short, so that a deadlock is reported soon. Later ones cost next to nothing. All slices of an interruptible
/// wait are short, so that a signal that came just before the thread parked is noticed soon.
const FIRST_SLICE: Duration = Duration::from_millis(50);
const SLICE: Duration = Duration::from_secs(1);

/// Waits like the operating system, in slices: at the end of each, the thread looks for a deadlock if it is watched, and asks
/// whether an interruptible wait is interrupted.
pub(crate) fn wait(
    watched: Option<&Arc<ThreadRecord>>,
    word: &AtomicU32,
    expected: u32,
    wait: &Wait<'_>,
) -> WaitOutcome {
    if wait.is_interrupted() {
        return WaitOutcome::Interrupted;
    }
    let entry = watched.map(|thread| Entry::begin(word, Waiting::here(thread, wait)));
    let deadline = wait.deadline();
    let mut slice = FIRST_SLICE;
    loop {
        let until = match deadline {
            Some(_) if !wait.is_interruptible() => deadline,
            _ => [deadline, os::now().checked_add(slice)].into_iter().flatten().min(),
        };
        match os::wait_or_signal(word, expected, until) {
            WaitOutcome::TimedOut if until == deadline => return WaitOutcome::TimedOut,
            WaitOutcome::TimedOut => {
                if let Some(entry) = entry.as_ref().filter(|_| deadline.is_none()) {
                    entry.detect(scheduler::default_program());
                }
            }
            WaitOutcome::Interrupted if !wait.is_interruptible() => return WaitOutcome::Woken,
            WaitOutcome::Interrupted => {}
            outcome => return outcome,
        }
        if wait.is_interruptible() {
            let interrupted = match &entry {
                Some(entry) => entry.is_interrupted(word, expected, wait),
                None => wait.is_interrupted(),
            };
            if interrupted {
                return WaitOutcome::Interrupted;
            }
        } else {
            slice = SLICE;
        }
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

    /// Returns whether the wait is interrupted. While the thread finds that out, it is not blocked.
    fn is_interrupted(&self, word: &AtomicU32, expected: u32, wait: &Wait<'_>) -> bool {
        table().suspend(self.key);
        let interrupted = wait.is_interrupted();
        table().resume(self.key, word.load(SeqCst) != expected);
        interrupted
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
