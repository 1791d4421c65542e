//! Who waits, and what is proven of those that wait without limit.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, MutexGuard};
use std::time::Instant;

use crate::rt::fork::{ForkSafe, Rank, forks};
use crate::rt::lock_id::NO_LOCK;
use crate::rt::op::{Kind, Op};
use crate::rt::thread_record::ThreadRecord;
use crate::sys::os;

/// Locked for a moment at both ends of each wait. Under it, `holds` may be looked at, and the program's threads.
static TABLE: ForkSafe<Table> = ForkSafe::new(Rank::Waits, Table::new());

thread_local! {
    /// The calling thread has the table.
    static HAS_TABLE: Cell<bool> = const { Cell::new(false) };
}

/// A wake whose word could not be looked up: it may have been for anyone.
static WOKEN_UNSEEN: AtomicBool = AtomicBool::new(false);

/// The table, locked.
pub(crate) fn table() -> Locked {
    HAS_TABLE.set(true); // before the lock, which a signal handler must not find held without this
    let mut table = Locked(TABLE.lock(), HasTable);
    if table.process != forks() {
        table.inherit();
    }
    if WOKEN_UNSEEN.load(Relaxed) {
        WOKEN_UNSEEN.store(false, Relaxed);
        table.all_mut().for_each(Waiting::is_woken);
    }
    table
}

/// Takes the proof back from all threads that wait on `word`, which is about to be woken.
pub(crate) fn waking(word: &AtomicU32, count: u32) {
    if count == 0 {
        return;
    }
    // Nothing may be woken in a signal handler; but a program that does so should not hang here in debug builds alone.
    if HAS_TABLE.get() {
        WOKEN_UNSEEN.store(true, Relaxed);
    } else {
        table().waking(std::ptr::from_ref(word) as usize);
    }
}

pub(crate) struct Locked(MutexGuard<'static, Table>, HasTable);

impl Deref for Locked {
    type Target = Table;

    fn deref(&self) -> &Table {
        &self.0
    }
}

impl DerefMut for Locked {
    fn deref_mut(&mut self) -> &mut Table {
        &mut self.0
    }
}

/// Dropped last: the lock is released before this is noted.
struct HasTable;

impl Drop for HasTable {
    fn drop(&mut self) {
        HAS_TABLE.set(false);
    }
}

pub(crate) struct Table {
    waiting: BTreeMap<Key, Waiting>,
    /// The word that each thread waits on, by its ident.
    words: BTreeMap<u64, usize>,
    /// The process whose threads these are, by its forks.
    process: u32,
    /// It has been reported that only a signal handler could wake a thread.
    pub(crate) signals_suspected: bool,
}

/// A wait: the address of the word, and the ident of the thread.
pub(crate) type Key = (usize, u64);

pub(crate) struct Waiting {
    pub(crate) thread: Arc<ThreadRecord>,
    pub(crate) op: Option<Op>,
    /// The number of the lock that it waits for.
    pub(crate) lock: u32,
    pub(crate) since: Instant,
    pub(crate) until: Option<Instant>,
    /// A panic may end it.
    pub(crate) may_panic: bool,
    pub(crate) said: Said,
    /// Somebody woke the word since the slice began, so that its running out says nothing.
    pub(crate) woken: bool,
    /// A slice ran out, and nobody has woken the word since it began.
    pub(crate) proven: bool,
}

/// In which reports a wait has been already.
#[derive(Clone, Copy, Default)]
pub(crate) struct Said {
    pub(crate) in_cycle: bool,
    pub(crate) in_all: bool,
    pub(crate) in_suspicion: bool,
}

impl Waiting {
    pub(crate) fn new(thread: Arc<ThreadRecord>, op: Option<Op>, until: Option<Instant>) -> Self {
        Self {
            thread,
            op,
            lock: NO_LOCK,
            since: os::now(),
            until,
            may_panic: false,
            said: Said::default(),
            woken: false,
            proven: false,
        }
    }

    /// The word was woken since the slice began.
    fn is_woken(&mut self) {
        self.woken = true;
        self.proven = false;
    }

    /// Whether it is part of a deadlock: who waits for signals brings no release, and misses none.
    pub(crate) fn is_of_interest(&self) -> bool {
        self.op.is_none_or(|op| op.kind != Kind::Signal)
    }
}

impl Table {
    pub(crate) const fn new() -> Self {
        Self { waiting: BTreeMap::new(), words: BTreeMap::new(), process: 0, signals_suspected: false }
    }

    /// This is a forked child, where none of the threads exists that waited in the parent. What they own is leaked.
    fn inherit(&mut self) {
        std::mem::forget(std::mem::take(&mut self.waiting));
        self.words.clear();
        self.process = forks();
    }

    pub(crate) fn begin(&mut self, key: Key, waiting: Waiting) {
        self.words.insert(key.1, key.0);
        self.waiting.insert(key, waiting);
    }

    /// The wait is over; returns what is to be dropped after the table's lock is let go.
    pub(crate) fn end(&mut self, key: Key) -> Option<Waiting> {
        self.words.remove(&key.1);
        self.waiting.remove(&key)
    }

    pub(crate) fn get(&self, key: Key) -> Option<&Waiting> {
        self.waiting.get(&key)
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut Waiting> {
        self.waiting.get_mut(&key)
    }

    /// What the thread waits for.
    pub(crate) fn of_thread(&self, ident: u64) -> Option<(Key, &Waiting)> {
        let key = (*self.words.get(&ident)?, ident);
        Some((key, self.waiting.get(&key)?))
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Waiting> {
        self.waiting.values()
    }

    pub(crate) fn all_mut(&mut self) -> impl Iterator<Item = &mut Waiting> {
        self.waiting.values_mut()
    }

    /// The word is about to be woken: takes the proof back from all who wait there.
    pub(crate) fn waking(&mut self, address: usize) {
        for (_, waiting) in self.waiting.range_mut((address, 0)..=(address, u64::MAX)) {
            waiting.is_woken();
        }
    }

    /// A slice ran out. The next one begins.
    pub(crate) fn prove(&mut self, key: Key) {
        if let Some(waiting) = self.waiting.get_mut(&key) {
            waiting.proven = !std::mem::take(&mut waiting.woken);
        }
    }

    /// The thread does something else for a while, though its wait is not over.
    pub(crate) fn unprove(&mut self, key: Key) {
        if let Some(waiting) = self.waiting.get_mut(&key) {
            waiting.proven = false;
        }
    }

    /// Whether every thread of the process, raddle's or not, is proven at this moment.
    pub(crate) fn nobody_can_go_on(&self) -> bool {
        // The first two are cheap, and fail where a thread works or sleeps while many wait.
        self.waiting.values().all(|waiting| waiting.proven)
            && os::thread_count() == Some(self.waiting.len())
            && os::tasks().is_some_and(|tasks| self.has_all(&tasks))
    }

    fn has_all(&self, tasks: &[u64]) -> bool {
        let waiting = self.waiting.values().filter_map(|waiting| waiting.thread.native_id());
        let waiting: BTreeSet<_> = waiting.collect();
        tasks.len() == self.waiting.len() && tasks.iter().all(|id| waiting.contains(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = (64, 7);

    fn waiting() -> Table {
        let mut table = Table::new();
        table.begin(KEY, Waiting::new(ThreadRecord::new("waits", false, false), None, None));
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
    fn a_thread_is_found_by_its_number() {
        let mut table = waiting();
        assert_eq!(table.of_thread(KEY.1).map(|(key, _)| key), Some(KEY));
        assert!(table.of_thread(8).is_none());
        drop(table.end(KEY));
        assert!(table.of_thread(KEY.1).is_none());
    }
}
