//! The watch: says why a program hangs, and ends it, when it is certain that nothing can go on.
//!
//! Two things are certain. A thread that is about to wait without limit for a mutex whose guard it holds
//! itself; and a program in which every thread of the process, raddle's or not, sits in a wait without
//! limit. For the second, each such thread sleeps in slices. A slice that ran out *proves* that the thread
//! was not woken; a later wake on its word takes the proof back. When all threads of the process are proven
//! at one moment, no code runs that could wake any of them. Whoever waits with a limit, sleeps, or waits for
//! something outside raddle is never proven, so the watch does not cry wolf.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::Location;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::flags;
use super::op::{Kind, Object, Op, Wait};
use super::os;
use super::program::Program;
use super::record::{Record, locked};
use super::under;

/// The first slice is short, so that a deadlock is told soon; later ones cost next to nothing.
const FIRST_SLICE: Duration = Duration::from_millis(50);
const SLICE: Duration = Duration::from_secs(1);

/// The status with which a deadlocked program ends: that of a panic.
const FAILURE: i32 = 101;

struct Waiting {
    thread: Arc<Record>,
    op: Option<Op>,
    proven: bool,
}

struct Hold {
    by: u64,
    name: Arc<str>,
    at: &'static Location<'static>,
}

struct Table {
    /// Who waits without limit, by the address of the word and the thread's ident.
    waiting: BTreeMap<(usize, u64), Waiting>,
    /// Who holds what, by the address of the object.
    holds: BTreeMap<usize, Hold>,
}

static TABLE: Mutex<Table> = Mutex::new(Table { waiting: BTreeMap::new(), holds: BTreeMap::new() });

/// Waits like the operating system, and looks for a deadlock when a slice of the wait runs out.
pub(super) fn wait(
    thread: &Arc<Record>,
    word: &AtomicU32,
    expected: u32,
    deadline: Option<std::time::Instant>,
) -> Wait {
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
        let address = std::ptr::from_ref(word) as usize;
        let mut table = locked(&TABLE);
        table
            .waiting
            .range_mut((address, 0)..=(address, u64::MAX))
            .for_each(|(_, waiting)| waiting.proven = false);
    }
}

/// The thread will wait without limit unless `op` succeeds at once: the moment to see that it never will.
pub(super) fn will_wait(thread: &Arc<Record>, op: &Op) {
    if op.kind != Kind::Take || op.object.what != "Mutex" {
        return;
    }
    let table = locked(&TABLE);
    if table.holds.get(&op.object.address).is_some_and(|hold| hold.by == thread.ident) {
        let mut report = String::from("raddle: deadlock: a thread waits for a mutex that it holds itself\n");
        table.describe(&mut report, thread, Some(op), under::ordinary());
        end(report);
    }
}

pub(super) fn took(thread: &Record, op: &Op) {
    let hold = Hold { by: thread.ident, name: thread.name(), at: op.at };
    locked(&TABLE).holds.insert(op.object.address, hold);
}

pub(super) fn gave(object: &Object) {
    locked(&TABLE).holds.remove(&object.address);
}

/// A thread's place in the table while it waits without limit.
struct Entry {
    key: (usize, u64),
}

impl Entry {
    fn begin(thread: &Arc<Record>, word: &AtomicU32, op: Option<Op>) -> Self {
        let key = (std::ptr::from_ref(word) as usize, thread.ident);
        let waiting = Waiting { thread: thread.clone(), op, proven: false };
        locked(&TABLE).waiting.insert(key, waiting);
        Self { key }
    }

    /// A slice ran out, so nobody has woken this thread; if that holds for all threads, nobody ever will.
    fn prove(&self, program: &Program) {
        let mut table = locked(&TABLE);
        if let Some(waiting) = table.waiting.get_mut(&self.key) {
            waiting.proven = true;
        }
        if table.nobody_can_go_on(program) {
            let mut report = String::from("raddle: deadlock: every thread of the program waits for ever\n");
            for waiting in table.waiting.values() {
                table.describe(&mut report, &waiting.thread, waiting.op.as_ref(), program);
            }
            end(report);
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let gone = locked(&TABLE).waiting.remove(&self.key);
        drop(gone); // after the lock is let go
    }
}

impl Table {
    fn nobody_can_go_on(&self, program: &Program) -> bool {
        let proven = |id: Option<&u64>| {
            id.is_some()
                && self.waiting.values().any(|waiting| waiting.proven && waiting.thread.native_id.get() == id)
        };
        if !program.threads().iter().filter(|thread| thread.ours).all(|thread| proven(thread.native_id.get()))
        {
            return false;
        }
        // Threads that raddle does not know may still bring the release: all the process's must be here.
        os::tasks().is_some_and(|tasks| tasks.iter().all(|id| proven(Some(id))))
    }

    fn describe(&self, report: &mut String, thread: &Record, op: Option<&Op>, program: &Program) {
        let _ = write!(report, "  thread \"{}\" ", thread.name());
        let Some(op) = op else {
            let _ = writeln!(report, "waits for the threads that are not daemons");
            return;
        };
        let other =
            program.threads().into_iter().find(|other| Arc::as_ptr(other) as usize == op.object.address);
        let object = match other {
            Some(other) => format!("thread \"{}\"", other.name()),
            None => op.object.to_string(),
        };
        let _ = writeln!(report, "waits for {object}, at {}", op.at);
        if let Some(hold) = self.holds.get(&op.object.address) {
            let holder = if hold.by == thread.ident { "itself" } else { &*hold.name };
            let _ = writeln!(report, "      which was taken by {holder}, at {}", hold.at);
        }
    }
}

/// Says what was found and ends the program, without waiting for anybody: nobody would come.
fn end(mut report: String) -> ! {
    let _ = writeln!(report, "The program ends with status {FAILURE}; RADDLE_WATCH=0 turns this check off.");
    os::write_error(&report);
    os::end_process(FAILURE)
}
