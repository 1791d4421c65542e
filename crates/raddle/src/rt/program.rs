//! What is global to a program: its threads, and what must be over before it may end.

use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::fork::{Held, Listing, Quiesce, Rank, locked};
use super::op::Object;
use super::thread_record::ThreadRecord;
use crate::sys::os;

/// The program may end; nothing more can be begun that it would have to wait for.
pub(crate) const CLOSED: u32 = 1 << 31;
/// Somebody sleeps on the word until it falls to zero.
pub(crate) const AWAITED: u32 = 1 << 30;
const COUNT: u32 = AWAITED - 1;

/// The threads, the obligations and the services of one program; an exploration has one of its own.
pub struct Program {
    threads: Mutex<Threads>,
    names: AtomicU64,
    /// How many obligations stand, plus `CLOSED` and `AWAITED`.
    obligations: AtomicU32,
    /// Services that belong to the program, such as its timers.
    services: Slots,
    listing: Listing,
}

struct Threads {
    /// By their idents; some may belong to an ancestor of this process.
    all: BTreeMap<u64, Arc<ThreadRecord>>,
    main: Option<Arc<ThreadRecord>>,
}

impl Program {
    /// A program without threads.
    pub const fn new() -> Self {
        Self {
            threads: Mutex::new(Threads { all: BTreeMap::new(), main: None }),
            names: AtomicU64::new(0),
            obligations: AtomicU32::new(0),
            services: Slots::new(),
            listing: Listing::new(),
        }
    }

    /// For a program in a static: no fork leaves its locks held from now on.
    #[inline]
    pub(crate) fn survives_forks(&'static self) {
        self.listing.list(self);
    }

    /// The record of the thread in which the program began; in a forked child, of the thread that called `fork`.
    pub(crate) fn main(&self) -> Arc<ThreadRecord> {
        let mut threads = locked(&self.threads);
        if let Some(main) = &threads.main
            && !main.is_an_ancestors()
        {
            return main.clone();
        }
        let record = ThreadRecord::new("MainThread", false, false);
        record.set_native_id(os::process_id());
        threads.all.insert(record.ident, record.clone());
        let before = threads.main.replace(record.clone());
        drop(threads);
        drop(before); // after the lock is released
        record
    }

    pub(crate) fn has_main(&self) -> bool {
        locked(&self.threads).main.is_some()
    }

    /// Makes `record` the main thread, unless there is one.
    pub(crate) fn set_main(&self, record: Arc<ThreadRecord>) {
        let mut threads = locked(&self.threads);
        threads.all.insert(record.ident, record.clone());
        threads.main.get_or_insert(record);
    }

    pub(crate) fn add(&self, record: &Arc<ThreadRecord>) {
        locked(&self.threads).all.insert(record.ident, record.clone());
    }

    pub(crate) fn remove(&self, record: &ThreadRecord) {
        let gone = locked(&self.threads).all.remove(&record.ident);
        drop(gone); // after the lock is let go: the last owner's drop may be long
    }

    /// The registry of threads, as an object that steps touch: starts and ends of threads change it and commute, looks
    /// at it read it.
    pub fn registry(&self) -> Object {
        Object::of(&self.threads, "threads")
    }

    /// The threads alive: the main thread, and then the others in the order in which they were started or met.
    pub(crate) fn threads(&self) -> Vec<Arc<ThreadRecord>> {
        let threads = locked(&self.threads);
        let main = threads.main.as_ref().map(|main| main.ident);
        let is_main = |thread: &&Arc<ThreadRecord>| Some(thread.ident) == main;
        let (main, others) = (threads.all.values().filter(is_main), threads.all.values());
        let all = main.chain(others.filter(|thread| !is_main(thread)));
        all.filter(|thread| !thread.finished()).cloned().collect()
    }

    /// This is a forked child, with `me` as its only thread. What was begun before will never be fulfilled here. What the
    /// other threads own is leaked, like their stacks: to drop it is up to them.
    pub(crate) fn inherit(&self, me: Option<Arc<ThreadRecord>>) {
        let all = me.iter().map(|me| (me.ident, me.clone())).collect();
        let before = std::mem::replace(&mut *locked(&self.threads), Threads { all, main: me });
        std::mem::forget(before);
        self.obligations.store(0, Ordering::Relaxed);
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

    /// Releases one keep-alive token. Returns whether the thread that waits for the last one must be woken.
    pub(crate) fn discharge(&self) -> bool {
        // Release: what the thread did happens before the program's end.
        let before = self.obligations.fetch_sub(1, Ordering::AcqRel);
        debug_assert!(before & COUNT > 0, "more obligations fulfilled than taken on");
        before & COUNT == 1 && before & AWAITED != 0
    }

    /// Whether nothing keeps the program from ending once its main thread has returned: what is left are daemons,
    /// and a scheduler that ends the program abandons them.
    pub fn may_exit(&self) -> bool {
        self.obligations.load(Ordering::Acquire) & COUNT == 0
    }

    /// Closes the program if nothing keeps it; otherwise returns the word's value to sleep on.
    pub(crate) fn close(&self) -> Result<(), u32> {
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

    pub(crate) fn word(&self) -> &AtomicU32 {
        &self.obligations
    }
}

impl Quiesce for Program {
    fn rank(&self) -> Rank {
        Rank::Threads
    }

    fn hold(&'static self, held: &mut Vec<Box<dyn Held>>) {
        held.push(Box::new(locked(&self.threads)));
        self.services.hold(held);
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

/// One shared value of each type, made when first asked for.
pub(crate) struct Slots(Mutex<Vec<(TypeId, Arc<dyn Any + Send + Sync>)>>);

impl Slots {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Locks them.
    pub(crate) fn hold(&'static self, held: &mut Vec<Box<dyn Held>>) {
        held.push(Box::new(locked(&self.0)));
    }

    /// The program's `S`, which `make` makes if there is none yet.
    pub(crate) fn get<S: Any + Send + Sync>(&self, make: impl FnOnce() -> S) -> Arc<S> {
        let mut slots = locked(&self.0);
        if let Some((_, service)) = slots.iter().find(|(id, _)| *id == TypeId::of::<S>()) {
            return service.clone().downcast().expect("the slot's key is the type of its value");
        }
        let service = Arc::new(make());
        slots.push((TypeId::of::<S>(), service.clone()));
        service
    }
}
