//! The state that belongs to a program: its threads, its services, and the keep-alive tokens that delay its exit.

use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::fork::{Held, Listing, Quiesce, Rank, locked};
use super::op::Object;
use super::thread_record::ThreadRecord;
use crate::sys::os;

/// The program is ending: no more keep-alive tokens are issued.
pub(crate) const CLOSED: u32 = 1 << 31;
/// A thread waits until the count is zero.
pub(crate) const AWAITED: u32 = 1 << 30;
const COUNT: u32 = AWAITED - 1;

/// The threads, keep-alive tokens and services of a program. Each [`Scheduler`](super::Scheduler) has one of its own.
///
/// # Examples
/// ```
/// use raddle::rt::Program;
///
/// let program = Program::new();
/// assert!(program.may_exit());
/// ```
pub struct Program {
    threads: Mutex<Threads>,
    names: AtomicU64,
    /// The number of keep-alive tokens, plus `CLOSED` and `AWAITED`.
    tokens: AtomicU32,
    /// Services that modules above add, such as the timers.
    services: Slots,
    listing: Listing,
}

struct Threads {
    /// By their identifiers. Some may belong to an ancestor of this process.
    all: BTreeMap<u64, Arc<ThreadRecord>>,
    main: Option<Arc<ThreadRecord>>,
}

impl Program {
    /// Returns a program without threads.
    ///
    /// # Examples
    /// See [`Program`].
    pub const fn new() -> Self {
        Self {
            threads: Mutex::new(Threads { all: BTreeMap::new(), main: None }),
            names: AtomicU64::new(0),
            tokens: AtomicU32::new(0),
            services: Slots::new(),
            listing: Listing::new(),
        }
    }

    /// Registers a program in a static, so that no fork leaves its locks held.
    #[inline]
    pub(crate) fn survives_forks(&'static self) {
        self.listing.list(self);
    }

    /// Returns the main thread: the thread that started the program or, in a forked child, the one that called `fork`.
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

    /// Sets the main thread, unless there is one.
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
        drop(gone); // after the lock is released: the last owner's drop may take long
    }

    /// Returns the registry of threads as the object of operations.
    ///
    /// Starts and terminations of threads are [commutative changes](super::commutative_change) of it, and `enumerate`
    /// reads it.
    ///
    /// # Examples
    /// ```
    /// use raddle::rt::Program;
    ///
    /// assert_eq!(Program::new().registry().type_name, "threads");
    /// ```
    pub fn registry(&self) -> Object {
        Object::of(&self.threads, "threads")
    }

    /// Returns the running threads: the main thread, and then the others in the order of registration.
    pub(crate) fn threads(&self) -> Vec<Arc<ThreadRecord>> {
        let threads = locked(&self.threads);
        let main = threads.main.as_ref().map(|main| main.ident);
        let is_main = |thread: &&Arc<ThreadRecord>| Some(thread.ident) == main;
        let (main, others) = (threads.all.values().filter(is_main), threads.all.values());
        let all = main.chain(others.filter(|thread| !is_main(thread)));
        all.filter(|thread| !thread.finished()).cloned().collect()
    }

    /// Resets the program in a forked child, with `me` as its only thread. The values of the other threads are
    /// leaked, like their stacks.
    pub(crate) fn inherit(&self, me: Option<Arc<ThreadRecord>>) {
        let all = me.iter().map(|me| (me.ident, me.clone())).collect();
        let before = std::mem::replace(&mut *locked(&self.threads), Threads { all, main: me });
        std::mem::forget(before);
        self.tokens.store(0, Ordering::Relaxed);
    }

    /// Returns the number for the next unnamed thread.
    pub(crate) fn next_name(&self) -> u64 {
        self.names.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn services(&self) -> &Slots {
        &self.services
    }

    /// Adds a keep-alive token, or returns false if the program is ending. See [`release_token`](Program::release_token).
    pub(crate) fn add_token(&self) -> bool {
        let mut seen = self.tokens.load(Ordering::Relaxed);
        loop {
            if seen & CLOSED != 0 {
                return false;
            }
            match self.tokens.compare_exchange_weak(seen, seen + 1, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
    }

    /// Releases one keep-alive token. Returns whether the thread that waits for the last one must be woken.
    pub(crate) fn release_token(&self) -> bool {
        // Release: everything that the thread did happens before the program ends.
        let before = self.tokens.fetch_sub(1, Ordering::AcqRel);
        debug_assert!(before & COUNT > 0, "more keep-alive tokens released than issued");
        before & COUNT == 1 && before & AWAITED != 0
    }

    /// Returns whether the program may end once its main thread has returned, because only daemons are left. A scheduler
    /// that ends the program abandons them.
    ///
    /// # Examples
    /// See [`Program`].
    pub fn may_exit(&self) -> bool {
        self.tokens.load(Ordering::Acquire) & COUNT == 0
    }

    /// Closes the program if no keep-alive token is left. Otherwise returns the value of the word to wait on.
    pub(crate) fn close(&self) -> Result<(), u32> {
        let mut seen = self.tokens.load(Ordering::Acquire);
        loop {
            let (next, done) = if seen & COUNT == 0 { (CLOSED, true) } else { (seen | AWAITED, false) };
            match self.tokens.compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) if done => return Ok(()),
                Ok(_) => return Err(next),
                Err(now) => seen = now,
            }
        }
    }

    pub(crate) fn word(&self) -> &AtomicU32 {
        &self.tokens
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
            .field("tokens", &(self.tokens.load(Ordering::Relaxed) & COUNT))
            .finish_non_exhaustive()
    }
}

/// One shared value of each type, created on first use.
pub(crate) struct Slots(Mutex<Vec<(TypeId, Arc<dyn Any + Send + Sync>)>>);

impl Slots {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Locks them.
    pub(crate) fn hold(&'static self, held: &mut Vec<Box<dyn Held>>) {
        held.push(Box::new(locked(&self.0)));
    }

    /// Returns the program's `S`, creating it with `make` if there is none yet.
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
