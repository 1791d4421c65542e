//! What the host knows of one thread.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::mark::Held;

/// Something that a thread does for the program, which ends with the thread if it calls `exit` in the middle.
pub(crate) trait Duty: Send + Sync {
    /// The thread will never come back to this duty.
    fn abandon(&self);
}

/// States of [`Record::state`].
pub(crate) const RUNNING: u32 = 0;
pub(crate) const AWAITED: u32 = 1;
pub(crate) const FINISHED: u32 = 2;

/// One thread, as the registry, the watch and `thread::current` see it.
pub(crate) struct Record {
    pub(crate) ident: u64,
    name: Mutex<Arc<str>>,
    pub(crate) daemon: AtomicBool,
    /// Whether the threads that it starts are daemons, unless they say otherwise: as itself, but for a pool's workers.
    pub(crate) daemon_heirs: AtomicBool,
    /// A thread of the toolkit's own, which `enumerate` leaves out.
    pub(crate) internal: bool,
    /// `RUNNING`, `AWAITED` (running, and someone sleeps on this word) or `FINISHED`.
    pub(crate) state: AtomicU32,
    pub(crate) native_id: OnceLock<u64>,
    duties: Mutex<Vec<Arc<dyn Duty>>>,
    /// The pool that it works for, as a number; 0: none.
    pub(crate) group: AtomicU64,
    /// The locks that it took while their order was watched; it may have let go of some.
    pub(super) held: Mutex<Vec<Held>>,
}

impl Record {
    pub(crate) fn new(name: &str, daemon: bool, internal: bool) -> Arc<Self> {
        Self::numbered(Self::next_ident(), name, daemon, internal)
    }

    /// A number that no thread has had, and never 0.
    pub(super) fn next_ident() -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }

    /// What is still known of a thread whose locals are gone: its number.
    pub(super) fn of_ended(ident: u64) -> Arc<Self> {
        Self::numbered(ident, "ending thread", true, true)
    }

    fn numbered(ident: u64, name: &str, daemon: bool, internal: bool) -> Arc<Self> {
        Arc::new(Self {
            ident,
            name: Mutex::new(name.into()),
            daemon: AtomicBool::new(daemon),
            daemon_heirs: AtomicBool::new(daemon),
            internal,
            state: AtomicU32::new(RUNNING),
            native_id: OnceLock::new(),
            duties: Mutex::new(Vec::new()),
            group: AtomicU64::new(0),
            held: Mutex::new(Vec::new()),
        })
    }

    pub(crate) fn name(&self) -> Arc<str> {
        locked(&self.name).clone()
    }

    /// For threads of the toolkit's own, which take the name of what they run.
    pub(crate) fn set_name(&self, name: &str) {
        let before = std::mem::replace(&mut *locked(&self.name), name.into());
        drop(before); // after the lock is let go
    }

    /// What the thread does for the program, besides what it does already; let go of when it is over.
    pub(crate) fn add_duty(&self, duty: Arc<dyn Duty>) {
        locked(&self.duties).push(duty);
    }

    /// What the thread does for the program from now on.
    pub(crate) fn set_duty(&self, duty: Arc<dyn Duty>) {
        let before = std::mem::replace(&mut *locked(&self.duties), vec![duty]);
        drop(before); // after the lock is let go
    }

    pub(crate) fn drop_duty(&self) {
        drop(self.take_duties());
    }

    pub(super) fn take_duties(&self) -> Vec<Arc<dyn Duty>> {
        std::mem::take(&mut *locked(&self.duties))
    }

    pub(crate) fn finished(&self) -> bool {
        self.state.load(Ordering::Acquire) == FINISHED
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("ident", &self.ident)
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

/// Locks a mutex of the host's own; no code of the user runs under one, so poison says nothing.
pub(super) fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
