//! What the watch knows: who waits without limit, what is proven of them, and who holds what.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::panic::Location;
use std::sync::Arc;

use super::op::{Object, Op};
use super::os;
use super::program::Program;
use super::record::Record;

pub(super) struct Table {
    waiting: BTreeMap<Key, Waiting>,
    /// By the address of the object.
    holds: BTreeMap<usize, Hold>,
}

/// A wait: the address of the word, and the ident of the thread.
pub(super) type Key = (usize, u64);

pub(super) struct Waiting {
    thread: Arc<Record>,
    op: Option<Op>,
    /// Somebody woke the word since the slice began, so that its running out says nothing.
    woken: bool,
    /// A slice ran out, and nobody has woken the word since it began.
    proven: bool,
}

/// An object that was dropped while it was held leaves its hold behind: it says something of another object at
/// that address only once somebody has taken that one, too.
struct Hold {
    object: Object,
    by: u64,
    name: Arc<str>,
    at: &'static Location<'static>,
}

impl Table {
    pub(super) const fn new() -> Self {
        Self { waiting: BTreeMap::new(), holds: BTreeMap::new() }
    }

    pub(super) fn begin(&mut self, key: Key, thread: Arc<Record>, op: Option<Op>) {
        self.waiting.insert(key, Waiting { thread, op, woken: false, proven: false });
    }

    /// The wait is over; returns what is to be dropped after the table's lock is let go.
    pub(super) fn end(&mut self, key: Key) -> Option<Waiting> {
        self.waiting.remove(&key)
    }

    /// The word is about to be woken: takes the proof back from all who wait there.
    pub(super) fn waking(&mut self, address: usize) {
        for (_, waiting) in self.waiting.range_mut((address, 0)..=(address, u64::MAX)) {
            waiting.woken = true;
            waiting.proven = false;
        }
    }

    /// A slice ran out. The next one begins.
    pub(super) fn prove(&mut self, key: Key) {
        if let Some(waiting) = self.waiting.get_mut(&key) {
            waiting.proven = !std::mem::take(&mut waiting.woken);
        }
    }

    /// Whether every thread of the process, raddle's or not, is proven at this moment.
    pub(super) fn nobody_can_go_on(&self) -> bool {
        // The first two are cheap, and fail where a thread works or sleeps while many wait.
        self.waiting.values().all(|waiting| waiting.proven)
            && os::thread_count() == Some(self.waiting.len())
            && os::tasks().is_some_and(|tasks| self.has_all(&tasks))
    }

    fn has_all(&self, tasks: &[u64]) -> bool {
        let waiting = self.waiting.values().filter_map(|waiting| waiting.thread.native_id.get());
        let waiting: BTreeSet<_> = waiting.collect();
        tasks.len() == self.waiting.len() && tasks.iter().all(|id| waiting.contains(id))
    }

    pub(super) fn took(&mut self, thread: &Record, op: &Op) {
        let hold = Hold { object: op.object, by: thread.ident, name: thread.name(), at: op.at };
        self.holds.insert(op.object.address, hold);
    }

    pub(super) fn gave(&mut self, object: &Object) {
        self.holds.remove(&object.address);
    }

    /// The ident of the thread that took the object last, if it has not been released.
    pub(super) fn holder(&self, object: &Object) -> Option<u64> {
        self.hold(object).map(|hold| hold.by)
    }

    fn hold(&self, object: &Object) -> Option<&Hold> {
        self.holds.get(&object.address).filter(|hold| hold.object == *object)
    }

    pub(super) fn describe_all(&self, report: &mut String, program: &Program) {
        for waiting in self.waiting.values() {
            self.describe(report, &waiting.thread, waiting.op.as_ref(), program);
        }
    }

    pub(super) fn describe(&self, report: &mut String, thread: &Record, op: Option<&Op>, program: &Program) {
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
        if let Some(hold) = self.hold(&op.object) {
            let by = if hold.by == thread.ident { "itself" } else { &*format!("thread \"{}\"", hold.name) };
            let _ = writeln!(report, "      which was taken by {by}, at {}", hold.at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::op::Kind;
    use super::*;

    const KEY: Key = (64, 7);

    fn waiting() -> Table {
        let mut table = Table::new();
        table.begin(KEY, Record::new("waits", false, false), None);
        table
    }

    /// The slice's running out and the wake may meet; the thread then goes on, however late it says so.
    #[test]
    fn a_wake_during_a_slice_leaves_nothing_proven() {
        let mut table = waiting();
        table.waking(KEY.0);
        table.prove(KEY);
        assert!(!table.waiting[&KEY].proven);
        table.prove(KEY);
        assert!(table.waiting[&KEY].proven);
        table.waking(KEY.0);
        assert!(!table.waiting[&KEY].proven);
        table.prove(KEY);
        assert!(!table.waiting[&KEY].proven);
    }

    #[test]
    fn a_wake_elsewhere_proves_nothing_of_this_one() {
        let mut table = waiting();
        table.prove(KEY);
        table.waking(KEY.0 + 4);
        table.waking(KEY.0 - 4);
        assert!(table.waiting[&KEY].proven);
    }

    #[test]
    fn a_hold_is_of_one_kind_of_object() {
        let (mut table, thread, place) = (Table::new(), Record::new("holds", false, false), 0);
        let op = Op::new(&place, "Lock", Kind::Take);
        table.took(&thread, &op);
        assert_eq!(table.holder(&op.object), Some(thread.ident));
        assert_eq!(table.holder(&Object::of(&place, "Mutex")), None);
        table.gave(&op.object);
        assert_eq!(table.holder(&op.object), None);
    }
}
