//! Waiting while the watch is on: in slices, with a place in the table.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use super::judge::judge;
use super::table::{Key, Waiting, table, wakes};
use crate::rt::op::{Kind, Op};
use crate::rt::os::Wait;
use crate::rt::program::Program;
use crate::rt::record::Record;
use crate::rt::{doing, flags, os, under};

/// The first slice is short, so that a deadlock is told soon; later ones cost next to nothing.
const FIRST_SLICE: Duration = Duration::from_millis(50);
const SLICE: Duration = Duration::from_secs(1);

/// Waits like the operating system, and looks for a deadlock when a slice of the wait runs out.
pub(in crate::rt) fn wait(
    thread: &Arc<Record>,
    word: &AtomicU32,
    expected: u32,
    deadline: Option<Instant>,
) -> Wait {
    let lock = doing::take_awaited();
    if doing::is_telling() {
        return os::wait(word, expected, deadline);
    }
    let entry = Entry::begin(word, Waiting::here(thread, lock, deadline));
    if deadline.is_some() {
        return os::wait(word, expected, deadline);
    }
    let mut slice = FIRST_SLICE;
    loop {
        match os::wait(word, expected, os::now().checked_add(slice)) {
            Wait::TimedOut => entry.judge(under::ordinary()),
            outcome => return outcome,
        }
        slice = SLICE;
    }
}

/// Sleeps like the operating system, where a dump can see it.
pub(in crate::rt) fn sleep_until(thread: &Arc<Record>, op: &Op, until: Instant) {
    if doing::is_telling() {
        return os::sleep_until(until);
    }
    let nothing = AtomicU32::new(0);
    let _entry = Entry::begin(&nothing, Waiting::new(thread.clone(), Some(*op), Some(until)));
    os::sleep_until(until);
}

/// Takes the proof back from everyone who waits on `word`.
pub(in crate::rt) fn waking(word: &AtomicU32, count: u32) {
    if count > 0 {
        wakes(std::ptr::from_ref(word) as usize);
    }
}

impl Waiting {
    /// The wait that the calling thread begins now, perhaps for a lock.
    fn here(thread: &Arc<Record>, lock: u32, until: Option<Instant>) -> Self {
        let op = doing::doing().map(|doing| doing.op);
        let takes = op.is_some_and(|op| op.kind == Kind::Take);
        Self { lock, may_panic: takes && doing::may_panic(), ..Self::new(thread.clone(), op, until) }
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

/// The wait for the last obligation, in a thread whose own record has ended.
pub(in crate::rt) struct Leaving<'a> {
    program: &'a Program,
    entry: Option<Entry>,
}

impl<'a> Leaving<'a> {
    pub(in crate::rt) fn begin(program: &'a Program, leaving: &Arc<Record>) -> Self {
        let begin = || Entry::begin(program.word(), Waiting::new(leaving.clone(), None, None));
        Self { program, entry: flags::watching().then(begin) }
    }

    /// Waits for a while, unless the word has changed since it was seen.
    pub(in crate::rt) fn slice(&self, seen: u32, slice: Duration) {
        let outcome = os::wait(self.program.word(), seen, os::now().checked_add(slice));
        if outcome == Wait::TimedOut
            && let Some(entry) = &self.entry
        {
            entry.judge(self.program);
            table().unprove(entry.key); // it does something between two slices
        }
    }
}
