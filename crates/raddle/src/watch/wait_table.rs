//! The table of waits: the object of each thread's wait, and which unlimited waits are proven to be blocked.

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

/// Locked briefly at both ends of each wait. While it is locked, `holds` and the threads of the program may be read.
static TABLE: ForkSafe<Table> = ForkSafe::new(Rank::Waits, Table::new());

thread_local! {
    /// Whether the calling thread has locked the table.
    static HAS_TABLE: Cell<bool> = const { Cell::new(false) };
}

/// A wake-up whose word could not be looked up, so it may have been for any thread.
static WOKEN_UNSEEN: AtomicBool = AtomicBool::new(false);

/// Locks the table.
pub(crate) fn table() -> Locked {
    HAS_TABLE.set(true); // first, so that a signal handler never finds the lock held without this
    let mut table = Locked(TABLE.lock(), HasTable);
    if table.process != forks() {
        table.inherit();
    }
    if WOKEN_UNSEEN.load(Relaxed) {
        WOKEN_UNSEEN.store(false, Relaxed);
        table.set_all_woken();
    }
    table
}

/// Records that `word` is about to be woken: the threads that wait on it are no longer proven to be blocked.
pub(crate) fn waking(word: &AtomicU32, count: u32) {
    if count == 0 {
        return;
    }
    // A signal handler must not wake threads. A program that does so anyway must not hang here in debug builds only.
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

/// Dropped last, after the lock is released.
struct HasTable;

impl Drop for HasTable {
    fn drop(&mut self) {
        HAS_TABLE.set(false);
    }
}

pub(crate) struct Table {
    waiting: BTreeMap<Key, Waiting>,
    /// Waits whose threads run for a moment, to find out whether the wait is interrupted. They may begin other waits meanwhile.
    suspended: Vec<(Key, Waiting)>,
    /// The word that each thread waits on, by the identifier of the thread.
    words: BTreeMap<u64, usize>,
    /// The process whose threads these are, as a number of forks.
    process: u32,
    /// Whether it has been reported that only a signal handler could wake a thread.
    pub(crate) signals_suspected: bool,
}

/// A wait: the address of the word, and the identifier of the thread.
pub(crate) type Key = (usize, u64);

pub(crate) struct Waiting {
    pub(crate) thread: Arc<ThreadRecord>,
    pub(crate) cause: Cause,
    /// The number of the lock that it waits for.
    pub(crate) lock: u32,
    pub(crate) since: Instant,
    pub(crate) until: Option<Instant>,
    /// Whether a panic may end the wait.
    pub(crate) may_panic: bool,
    pub(crate) reported: Reported,
    /// Whether the word has been woken since the slice began. Then the end of the slice proves nothing.
    pub(crate) woken: bool,
    /// Whether a slice ran out and the word has not been woken since that slice began.
    pub(crate) proven: bool,
}

/// Why a thread waits.
pub(crate) enum Cause {
    /// For this operation.
    Operation(Op),
    /// For a lock inside a primitive, which is not reported.
    Unreported,
    /// For the last keep-alive token, in the thread that ends the program.
    ProgramEnd,
}

/// The reports that have included a wait.
#[derive(Clone, Copy, Default)]
pub(crate) struct Reported {
    pub(crate) in_cycle: bool,
    pub(crate) in_all: bool,
    pub(crate) in_suspicion: bool,
}

impl Waiting {
    pub(crate) fn new(thread: Arc<ThreadRecord>, op: Option<Op>, until: Option<Instant>) -> Self {
        Self {
            thread,
            cause: op.map_or(Cause::Unreported, Cause::Operation),
            lock: NO_LOCK,
            since: os::now(),
            until,
            may_panic: false,
            reported: Reported::default(),
            woken: false,
            proven: false,
        }
    }

    /// Returns the wait for the last keep-alive token.
    pub(crate) fn at_exit(exiting: Arc<ThreadRecord>) -> Self {
        Self { cause: Cause::ProgramEnd, ..Self::new(exiting, None, None) }
    }

    /// Returns the operation that blocks, if it is reported.
    pub(crate) fn op(&self) -> Option<&Op> {
        match &self.cause {
            Cause::Operation(op) => Some(op),
            Cause::Unreported | Cause::ProgramEnd => None,
        }
    }

    /// The word has been woken.
    fn set_woken(&mut self) {
        self.woken = true;
        self.proven = false;
    }

    /// Returns whether the wait can be part of a deadlock. A thread that waits for signals neither releases nor needs anything.
    pub(crate) fn is_relevant(&self) -> bool {
        self.op().is_none_or(|op| op.kind != Kind::Signal)
    }
}

impl Table {
    pub(crate) const fn new() -> Self {
        Self {
            waiting: BTreeMap::new(),
            suspended: Vec::new(),
            words: BTreeMap::new(),
            process: 0,
            signals_suspected: false,
        }
    }

    /// Clears the table in a forked child, where the waiting threads of the parent do not exist. Their values are leaked.
    fn inherit(&mut self) {
        std::mem::forget((std::mem::take(&mut self.waiting), std::mem::take(&mut self.suspended)));
        self.words.clear();
        self.process = forks();
    }

    pub(crate) fn begin(&mut self, key: Key, waiting: Waiting) {
        self.words.insert(key.1, key.0);
        self.waiting.insert(key, waiting);
    }

    /// Removes a wait and returns it. It is dropped after the lock of the table is released.
    pub(crate) fn end(&mut self, key: Key) -> Option<Waiting> {
        self.words.remove(&key.1);
        self.waiting.remove(&key).or_else(|| self.take_suspended(key)) // suspended: its thread unwinds
    }

    /// Removes a wait until it is [resumed](Table::resume): the thread is not blocked.
    pub(crate) fn suspend(&mut self, key: Key) {
        self.words.remove(&key.1);
        if let Some(waiting) = self.waiting.remove(&key) {
            self.suspended.push((key, waiting));
        }
    }

    /// Returns a suspended wait to the table. It is still proven unless it has been woken meanwhile: the thread parks again.
    pub(crate) fn resume(&mut self, key: Key, woken: bool) {
        if let Some(mut waiting) = self.take_suspended(key) {
            if woken {
                waiting.set_woken();
            }
            self.begin(key, waiting);
        }
    }

    fn take_suspended(&mut self, key: Key) -> Option<Waiting> {
        let index = self.suspended.iter().rposition(|(suspended, _)| *suspended == key)?;
        Some(self.suspended.remove(index).1)
    }

    pub(crate) fn get(&self, key: Key) -> Option<&Waiting> {
        self.waiting.get(&key)
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut Waiting> {
        self.waiting.get_mut(&key)
    }

    /// Returns the wait of a thread.
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

    /// A word that is not known is about to be woken.
    fn set_all_woken(&mut self) {
        let suspended = self.suspended.iter_mut().map(|(_, waiting)| waiting);
        self.waiting.values_mut().chain(suspended).for_each(Waiting::set_woken);
    }

    /// The word at `address` is about to be woken.
    pub(crate) fn waking(&mut self, address: usize) {
        for (_, waiting) in self.waiting.range_mut((address, 0)..=(address, u64::MAX)) {
            waiting.set_woken();
        }
        for (key, waiting) in &mut self.suspended {
            if key.0 == address {
                waiting.set_woken();
            }
        }
    }

    /// A slice ran out, and the next one begins.
    pub(crate) fn prove(&mut self, key: Key) {
        if let Some(waiting) = self.waiting.get_mut(&key) {
            waiting.proven = !std::mem::take(&mut waiting.woken);
        }
    }

    /// The thread is about to run, although its wait has not ended.
    pub(crate) fn unprove(&mut self, key: Key) {
        if let Some(waiting) = self.waiting.get_mut(&key) {
            waiting.proven = false;
        }
    }

    /// Returns whether every thread of the process, started by raddle or not, is proven at this moment.
    pub(crate) fn all_threads_are_proven(&self) -> bool {
        // The first two checks are cheap, and fail if a thread runs or sleeps while many wait.
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

    /// A slice may run out while the word is woken. The thread then continues, even if it reports that late.
    #[test]
    fn wake_during_a_slice_proves_nothing() {
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
    fn wake_of_another_word_keeps_the_proof() {
        let mut table = waiting();
        table.prove(KEY);
        table.waking(KEY.0 + 4);
        table.waking(KEY.0 - 4);
        assert!(table.waiting[&KEY].proven);
    }

    #[test]
    fn suspended_wait_keeps_its_proof_unless_it_is_woken() {
        let mut table = waiting();
        for (wakes, woken) in [(false, false), (true, false), (false, true)] {
            table.prove(KEY);
            table.prove(KEY);
            assert!(table.waiting[&KEY].proven);
            table.suspend(KEY);
            assert!(table.get(KEY).is_none() && table.of_thread(KEY.1).is_none());
            if wakes {
                table.waking(KEY.0);
            }
            table.resume(KEY, woken);
            assert_eq!(table.waiting[&KEY].proven, !wakes && !woken);
            assert!(table.of_thread(KEY.1).is_some());
        }
        table.suspend(KEY);
        drop(table.end(KEY));
        assert!(table.suspended.is_empty(), "its thread has unwound");
    }

    #[test]
    fn thread_is_found_by_its_identifier() {
        let mut table = waiting();
        assert_eq!(table.of_thread(KEY.1).map(|(key, _)| key), Some(KEY));
        assert!(table.of_thread(8).is_none());
        drop(table.end(KEY));
        assert!(table.of_thread(KEY.1).is_none());
    }
}
