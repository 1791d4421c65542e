//! The watch: says why a program hangs, and ends it, when it is certain that nothing can go on.
//!
//! Two things are certain. A thread that is about to wait without limit for a mutex whose guard it holds
//! itself; and a program in which every thread of the process, raddle's or not, sits in a wait without
//! limit. For the second, each such thread sleeps in slices. A slice that ran out *proves* that the thread
//! was not woken, unless somebody woke its word in the meantime; a later wake takes the proof back. When all
//! threads of the process are proven at one moment, no code runs that could wake any of them. Whoever waits
//! with a limit, sleeps, or waits for something outside raddle is never proven, so the watch does not cry
//! wolf. A signal handler could not bring a release either: nothing of raddle may be used in one.

use std::fmt::Write as _;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::flags;
use super::op::{Kind, Object, Op, Wait};
use super::os;
use super::program::Program;
use super::record::{Record, locked};
use super::table::{Key, Table};
use super::under;

/// The first slice is short, so that a deadlock is told soon; later ones cost next to nothing.
const FIRST_SLICE: Duration = Duration::from_millis(50);
const SLICE: Duration = Duration::from_secs(1);

/// The status with which a deadlocked program ends: that of a panic.
const FAILURE: i32 = 101;

static TABLE: Mutex<Table> = Mutex::new(Table::new());

/// Waits like the operating system, and looks for a deadlock when a slice of the wait runs out.
pub(super) fn wait(thread: &Arc<Record>, word: &AtomicU32, expected: u32, deadline: Option<Instant>) -> Wait {
    if deadline.is_some() {
        return os::wait(word, expected, deadline);
    }
    let entry = Entry::begin(thread, word, thread.doing());
    let mut slice = FIRST_SLICE;
    loop {
        match os::wait(word, expected, os::now().checked_add(slice)) {
            Wait::TimedOut => entry.prove(under::ordinary()),
            outcome => return outcome,
        }
        slice = SLICE;
    }
}

/// One slice of the wait for the last obligation, in a thread whose own record has ended.
pub(super) fn wait_for_the_end(program: &Program, leaving: &Arc<Record>, seen: u32, slice: Duration) {
    let deadline = os::now().checked_add(slice);
    if !flags::watching() {
        os::wait(program.word(), seen, deadline);
        return;
    }
    let entry = Entry::begin(leaving, program.word(), None);
    if os::wait(program.word(), seen, deadline) == Wait::TimedOut {
        entry.prove(program);
    }
}

/// Takes the proof back from everyone who waits on `word`.
pub(super) fn waking(word: &AtomicU32, count: u32) {
    if count > 0 {
        locked(&TABLE).waking(std::ptr::from_ref(word) as usize);
    }
}

/// The thread will wait without limit unless it is `ready` for `op`: the moment to see that it never will be.
///
/// Only a mutex is released by its holder alone. But a guard that was forgotten leaves a hold behind, and another
/// mutex may have come to that address, whose holder is about to say so: so this takes a second look, later.
pub(super) fn will_wait(thread: &Arc<Record>, op: &Op, ready: &dyn Fn() -> bool) {
    if op.kind != Kind::Take || op.object.what != "Mutex" {
        return;
    }
    let holds_it = || locked(&TABLE).holder(&op.object) == Some(thread.ident) && !ready();
    if !holds_it() {
        return;
    }
    os::sleep_until(os::now() + FIRST_SLICE);
    if holds_it() {
        let mut report = String::from("raddle: deadlock: a thread waits for a mutex that it holds itself\n");
        locked(&TABLE).describe(&mut report, thread, Some(op), under::ordinary());
        end(report);
    }
}

pub(super) fn took(thread: &Record, op: &Op) {
    locked(&TABLE).took(thread, op);
}

pub(super) fn gave(object: &Object) {
    locked(&TABLE).gave(object);
}

/// A thread's place in the table while it waits without limit.
struct Entry {
    key: Key,
}

impl Entry {
    fn begin(thread: &Arc<Record>, word: &AtomicU32, op: Option<Op>) -> Self {
        let key = (std::ptr::from_ref(word) as usize, thread.ident);
        locked(&TABLE).begin(key, thread.clone(), op);
        Self { key }
    }

    /// A slice ran out, so nobody has woken this thread; if that holds for all threads, nobody ever will.
    fn prove(&self, program: &Program) {
        let mut table = locked(&TABLE);
        table.prove(self.key);
        if table.nobody_can_go_on() {
            let mut report = String::from("raddle: deadlock: every thread of the program waits for ever\n");
            table.describe_all(&mut report, program);
            end(report);
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let gone = locked(&TABLE).end(self.key);
        drop(gone); // after the lock is let go
    }
}

/// Says what was found and ends the program, without waiting for anybody: nobody would come.
fn end(mut report: String) -> ! {
    let _ = writeln!(report, "The program ends with status {FAILURE}; RADDLE_WATCH=0 turns this check off.");
    os::write_error(&report);
    os::end_process(FAILURE)
}
