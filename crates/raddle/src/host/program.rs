//! What is global to a program: its threads, and what must be over before it may end.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use super::op::Object;
use super::os;
use super::record::{FINISHED, Record, locked};
use super::slot::Slots;

/// The program may end; nothing more can be begun that it would have to wait for.
pub(super) const CLOSED: u32 = 1 << 31;
/// Somebody sleeps on the word until it falls to zero.
pub(super) const AWAITED: u32 = 1 << 30;
const COUNT: u32 = AWAITED - 1;

/// The threads, the obligations and the services of one program; an exploration has one of its own.
pub struct Program {
    threads: Mutex<BTreeMap<u64, Arc<Record>>>,
    main: OnceLock<Arc<Record>>,
    names: AtomicU64,
    /// How many obligations stand, plus `CLOSED` and `AWAITED`.
    obligations: AtomicU32,
    /// Services that belong to the program, such as its timers.
    services: Slots,
}

impl Program {
    /// A program without threads.
    pub const fn new() -> Self {
        Self {
            threads: Mutex::new(BTreeMap::new()),
            main: OnceLock::new(),
            names: AtomicU64::new(0),
            obligations: AtomicU32::new(0),
            services: Slots::new(),
        }
    }

    /// The record of the thread in which the program began.
    pub(crate) fn main(&self) -> &Arc<Record> {
        self.main.get_or_init(|| {
            let record = Record::new("MainThread", false, false);
            if let Some(id) = os::process_id() {
                let _ = record.native_id.set(id);
            }
            self.add(&record);
            record
        })
    }

    pub(super) fn has_main(&self) -> bool {
        self.main.get().is_some()
    }

    /// Makes `record` the main thread, unless there is one.
    pub(crate) fn set_main(&self, record: Arc<Record>) {
        self.add(&record);
        let _ = self.main.set(record);
    }

    pub(crate) fn add(&self, record: &Arc<Record>) {
        locked(&self.threads).insert(record.ident, record.clone());
    }

    pub(crate) fn remove(&self, record: &Record) {
        let gone = locked(&self.threads).remove(&record.ident);
        drop(gone); // after the lock is let go: the last owner's drop may be long
    }

    /// The registry of threads, as an object that steps touch: starts and ends of threads change it and commute, looks
    /// at it read it.
    pub fn registry(&self) -> Object {
        Object::of(&self.threads, "threads")
    }

    /// The threads alive, in the order in which they were started.
    pub(crate) fn threads(&self) -> Vec<Arc<Record>> {
        locked(&self.threads)
            .values()
            .filter(|thread| thread.state.load(Ordering::Acquire) != FINISHED)
            .cloned()
            .collect()
    }

    /// The number for the next thread without a name.
    pub(crate) fn next_name(&self) -> u64 {
        self.names.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn services(&self) -> &Slots {
        &self.services
    }

    /// The program must not end before [`discharge`](Program::discharge); false: it is ending already.
    pub(crate) fn oblige(&self) -> bool {
        let mut seen = self.obligations.load(Ordering::Relaxed);
        loop {
            if seen & CLOSED != 0 {
                return false;
            }
            match self.obligations.compare_exchange_weak(seen, seen + 1, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
    }

    /// One obligation is fulfilled; says whether somebody must be woken who waits for the last one.
    pub(super) fn discharge(&self) -> bool {
        // Release: what the thread did happens before the program's end.
        let before = self.obligations.fetch_sub(1, Ordering::AcqRel);
        debug_assert!(before & COUNT > 0, "more obligations fulfilled than taken on");
        before & COUNT == 1 && before & AWAITED != 0
    }

    /// Whether nothing keeps the program from ending once its main thread has returned: what is left are daemons,
    /// and a scheduler that ends the program abandons them.
    pub fn may_end(&self) -> bool {
        self.obligations.load(Ordering::Acquire) & COUNT == 0
    }

    /// Nothing of what was begun will ever be fulfilled here.
    pub(super) fn forget_obligations(&self) {
        self.obligations.store(0, Ordering::Relaxed);
    }

    /// Closes the program if nothing keeps it; otherwise returns the word's value to sleep on.
    pub(super) fn close(&self) -> Result<(), u32> {
        let mut seen = self.obligations.load(Ordering::Acquire);
        loop {
            let (next, done) = if seen & COUNT == 0 { (CLOSED, true) } else { (seen | AWAITED, false) };
            match self.obligations.compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) if done => return Ok(()),
                Ok(_) => return Err(next),
                Err(now) => seen = now,
            }
        }
    }

    pub(super) fn word(&self) -> &AtomicU32 {
        &self.obligations
    }
}

impl Default for Program {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("threads", &self.threads())
            .field("obligations", &(self.obligations.load(Ordering::Relaxed) & COUNT))
            .finish_non_exhaustive()
    }
}
