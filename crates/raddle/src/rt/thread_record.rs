//! What the host knows of one thread.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::fork::{ForkSafe, Rank, forks, locked};
use super::lock_id::Held;

/// Something that a thread does for the program, which ends with the thread if it calls `exit` in the middle.
pub(crate) trait HeldToken: Send + Sync {
    /// The thread will never come back to this duty.
    fn abandon(&self);
}

/// States of [`ThreadRecord::state`].
pub(crate) const RUNNING: u32 = 0;
pub(crate) const AWAITED: u32 = 1;
pub(crate) const FINISHED: u32 = 2;

/// The names that threads of the toolkit's own go by while they run something of the user's, by their idents.
///
/// Not in the records, where a fork might leave them locked.
static LENT_NAMES: [ForkSafe<BTreeMap<u64, Arc<str>>>; LENT_SHARDS] =
    [const { ForkSafe::new(Rank::Leaf, BTreeMap::new()) }; LENT_SHARDS];
const LENT_SHARDS: usize = 16;

/// One thread, as the registry, the watch and `thread::current` see it.
pub(crate) struct ThreadRecord {
    pub(crate) ident: u64,
    name: Arc<str>,
    /// The process in which the thread exists, by its [forks].
    process: AtomicU32,
    pub(crate) daemon: AtomicBool,
    /// Whether the threads that it starts are daemons, unless they say otherwise: as itself, but for a pool's workers.
    pub(crate) daemon_heirs: AtomicBool,
    /// A thread of the toolkit's own, which `enumerate` leaves out.
    pub(crate) internal: bool,
    /// `RUNNING`, `AWAITED` (running, and someone sleeps on this word) or `FINISHED`.
    pub(crate) state: AtomicU32,
    /// The operating system's number; 0: unknown.
    native_id: AtomicU64,
    /// Locked by the thread itself and, before it runs or after it called `exit`, by one other: no fork leaves it locked
    /// for who needs it in the child. The same holds for `held`.
    tokens: Mutex<Vec<Arc<dyn HeldToken>>>,
    /// The pool that it works for, as a number; 0: none.
    pub(crate) group: AtomicU64,
    /// The locks that it took while their order was watched; it may have let go of some.
    pub(crate) held: Mutex<Vec<Held>>,
}

impl ThreadRecord {
    pub(crate) fn new(name: &str, daemon: bool, internal: bool) -> Arc<Self> {
        Self::numbered(Self::next_ident(), name, daemon, internal)
    }

    /// A number that no thread has had, and never 0.
    pub(crate) fn next_ident() -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }

    /// What is still known of a thread whose locals are gone: its number.
    pub(crate) fn of_ended(ident: u64) -> Arc<Self> {
        Self::numbered(ident, "ending thread", true, true)
    }

    fn numbered(ident: u64, name: &str, daemon: bool, internal: bool) -> Arc<Self> {
        Arc::new(Self {
            ident,
            name: name.into(),
            process: AtomicU32::new(forks()),
            daemon: AtomicBool::new(daemon),
            daemon_heirs: AtomicBool::new(daemon),
            internal,
            state: AtomicU32::new(RUNNING),
            native_id: AtomicU64::new(0),
            tokens: Mutex::new(Vec::new()),
            group: AtomicU64::new(0),
            held: Mutex::new(Vec::new()),
        })
    }

    pub(crate) fn name(&self) -> Arc<str> {
        let lent = if self.internal { self.lent_names().lock().get(&self.ident).cloned() } else { None };
        lent.unwrap_or_else(|| self.name.clone())
    }

    /// For threads of the toolkit's own, which take the name of what they run; `None`: their own again.
    pub(crate) fn lend_name(&self, name: Option<&str>) {
        debug_assert!(self.internal, "other threads keep their names");
        let before = match name {
            Some(name) => self.lent_names().lock().insert(self.ident, name.into()),
            None => self.lent_names().lock().remove(&self.ident),
        };
        drop(before); // after the lock is released
    }

    fn lent_names(&self) -> &'static ForkSafe<BTreeMap<u64, Arc<str>>> {
        &LENT_NAMES[usize::try_from(self.ident % LENT_SHARDS as u64).unwrap_or(0)]
    }

    pub(crate) fn native_id(&self) -> Option<u64> {
        Some(self.native_id.load(Ordering::Relaxed)).filter(|id| *id != 0)
    }

    pub(crate) fn set_native_id(&self, id: Option<u64>) {
        self.native_id.store(id.unwrap_or(0), Ordering::Relaxed);
    }

    /// The thread is the one that called `fork`, and this is the child. What the thread did for the parent's program
    /// is the parent's business: it is forgotten, not abandoned.
    pub(crate) fn inherit(&self, native_id: Option<u64>) {
        self.process.store(forks(), Ordering::Relaxed);
        self.set_native_id(native_id);
        std::mem::forget(self.take_tokens());
    }

    /// Whether the thread exists in an ancestor of this process only.
    pub(crate) fn is_an_ancestors(&self) -> bool {
        self.process.load(Ordering::Relaxed) != forks()
    }

    /// What the thread does for the program, besides what it does already; let go of when it is over.
    pub(crate) fn add_token(&self, duty: Arc<dyn HeldToken>) {
        locked(&self.tokens).push(duty);
    }

    /// The thread has fulfilled one of its tokens.
    pub(crate) fn remove_token(&self, duty: &Arc<dyn HeldToken>) {
        let mut tokens = locked(&self.tokens);
        let place = tokens.iter().rposition(|other| Arc::ptr_eq(other, duty));
        let removed = place.map(|place| tokens.remove(place));
        drop(tokens);
        drop(removed); // after the lock is released
    }

    /// What the thread does for the program from now on.
    pub(crate) fn set_token(&self, duty: Arc<dyn HeldToken>) {
        let before = std::mem::replace(&mut *locked(&self.tokens), vec![duty]);
        drop(before); // after the lock is let go
    }

    pub(crate) fn drop_tokens(&self) {
        drop(self.take_tokens());
    }

    pub(crate) fn take_tokens(&self) -> Vec<Arc<dyn HeldToken>> {
        std::mem::take(&mut *locked(&self.tokens))
    }

    /// Whether the thread has terminated; in a forked child, all but one of the parent's have.
    pub(crate) fn finished(&self) -> bool {
        self.state.load(Ordering::Acquire) == FINISHED || self.is_an_ancestors()
    }
}

impl fmt::Debug for ThreadRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadRecord")
            .field("ident", &self.ident)
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}
