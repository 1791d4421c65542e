//! The record of a thread, which the registry, the watch and `thread::current` share.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::fork::{ForkSafe, Rank, forks, locked};
use super::lock_id::Held;

/// A token that a thread holds while it does something for the program. If the thread calls `exit`, it is abandoned.
pub(crate) trait HeldToken: Send + Sync {
    /// Called when the thread has terminated without removing the token.
    fn abandon(&self);
}

/// States of [`ThreadRecord::state`].
pub(crate) const RUNNING: u32 = 0;
pub(crate) const AWAITED: u32 = 1;
pub(crate) const FINISHED: u32 = 2;

/// The names that internal threads have while they run a function of the program, by their identifiers.
///
/// They are not in the records, where a fork might leave them locked.
static ALIASES: [ForkSafe<BTreeMap<u64, Arc<str>>>; ALIAS_SHARDS] =
    [const { ForkSafe::new(Rank::Leaf, BTreeMap::new()) }; ALIAS_SHARDS];
const ALIAS_SHARDS: usize = 16;

/// A thread.
pub(crate) struct ThreadRecord {
    pub(crate) ident: u64,
    name: Arc<str>,
    /// The process in which the thread exists, as a number of [forks].
    process: AtomicU32,
    pub(crate) daemon: AtomicBool,
    /// The default of `daemon` for threads that it starts: its own value, except for workers of a pool.
    pub(crate) daemon_default: AtomicBool,
    /// Whether it is a thread of the toolkit itself, which `enumerate` leaves out.
    pub(crate) internal: bool,
    /// `RUNNING`, `AWAITED` (running, with a joiner parked on this word) or `FINISHED`.
    pub(crate) state: AtomicU32,
    /// The identifier in the operating system; 0 if unknown.
    native_id: AtomicU64,
    /// Locked by the thread itself and, before it runs or after it has called `exit`, by one other thread. So no fork
    /// leaves it locked in a child that needs it. The same holds for `held`.
    tokens: Mutex<Vec<Arc<dyn HeldToken>>>,
    /// The number of the pool that it works for; 0 if none.
    pub(crate) group: AtomicU64,
    /// The locks that it has acquired while lock orders are checked. It may have released some.
    pub(crate) held: Mutex<Vec<Held>>,
}

impl ThreadRecord {
    pub(crate) fn new(name: &str, daemon: bool, internal: bool) -> Arc<Self> {
        Self::numbered(Self::next_ident(), name, daemon, internal)
    }

    /// Returns an identifier that no thread has had. It is never 0.
    pub(crate) fn next_ident() -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns a record for a thread whose locals are dropped: only its identifier is known.
    pub(crate) fn of_terminated(ident: u64) -> Arc<Self> {
        Self::numbered(ident, "terminating thread", true, true)
    }

    fn numbered(ident: u64, name: &str, daemon: bool, internal: bool) -> Arc<Self> {
        Arc::new(Self {
            ident,
            name: name.into(),
            process: AtomicU32::new(forks()),
            daemon: AtomicBool::new(daemon),
            daemon_default: AtomicBool::new(daemon),
            internal,
            state: AtomicU32::new(RUNNING),
            native_id: AtomicU64::new(0),
            tokens: Mutex::new(Vec::new()),
            group: AtomicU64::new(0),
            held: Mutex::new(Vec::new()),
        })
    }

    pub(crate) fn name(&self) -> Arc<str> {
        let alias = if self.internal { self.aliases().lock().get(&self.ident).cloned() } else { None };
        alias.unwrap_or_else(|| self.name.clone())
    }

    /// Sets the name of an internal thread to that of the function it runs; `None` restores its own.
    pub(crate) fn set_alias(&self, name: Option<&str>) {
        debug_assert!(self.internal, "only internal threads have aliases");
        let before = match name {
            Some(name) => self.aliases().lock().insert(self.ident, name.into()),
            None => self.aliases().lock().remove(&self.ident),
        };
        drop(before); // after the lock is released
    }

    fn aliases(&self) -> &'static ForkSafe<BTreeMap<u64, Arc<str>>> {
        &ALIASES[usize::try_from(self.ident % ALIAS_SHARDS as u64).unwrap_or(0)]
    }

    pub(crate) fn native_id(&self) -> Option<u64> {
        Some(self.native_id.load(Ordering::Relaxed)).filter(|id| *id != 0)
    }

    pub(crate) fn set_native_id(&self, id: Option<u64>) {
        self.native_id.store(id.unwrap_or(0), Ordering::Relaxed);
    }

    /// Adopts the record in a forked child, for the thread that called `fork`. The tokens belong to the parent's program,
    /// so they are leaked and not abandoned.
    pub(crate) fn inherit(&self, native_id: Option<u64>) {
        self.process.store(forks(), Ordering::Relaxed);
        self.set_native_id(native_id);
        std::mem::forget(self.take_tokens());
    }

    /// Returns whether the thread exists only in an ancestor of this process.
    pub(crate) fn is_an_ancestors(&self) -> bool {
        self.process.load(Ordering::Relaxed) != forks()
    }

    /// Adds a token.
    pub(crate) fn add_token(&self, token: Arc<dyn HeldToken>) {
        locked(&self.tokens).push(token);
    }

    /// Removes a token.
    pub(crate) fn remove_token(&self, token: &Arc<dyn HeldToken>) {
        let mut tokens = locked(&self.tokens);
        let place = tokens.iter().rposition(|other| Arc::ptr_eq(other, token));
        let removed = place.map(|place| tokens.remove(place));
        drop(tokens);
        drop(removed); // after the lock is released
    }

    /// Replaces all tokens by this one.
    pub(crate) fn set_token(&self, token: Arc<dyn HeldToken>) {
        let before = std::mem::replace(&mut *locked(&self.tokens), vec![token]);
        drop(before); // after the lock is released
    }

    pub(crate) fn drop_tokens(&self) {
        drop(self.take_tokens());
    }

    pub(crate) fn take_tokens(&self) -> Vec<Arc<dyn HeldToken>> {
        std::mem::take(&mut *locked(&self.tokens))
    }

    /// Returns whether the thread has terminated. In a forked child, all threads of the parent have, except one.
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
