//! Forks: locks that are consistent in a child, and the generation by which a child is recognized.
//!
//! A child has a copy of the memory of its parent, but only the thread that called `fork`. A lock that another thread of
//! the parent held at that moment is held forever in the child, and the data that it guards may be inconsistent. So the
//! handlers that are registered here acquire every lock of the toolkit itself before the fork and release them on both
//! sides. Locks inside the user's objects are not among them.
//!
//! Everything else is recognized by its generation: [`forks`] counts how many forks lie between the first process and this
//! one. Threads, waiters and services record the count when they are created. One that was recorded with another count
//! belongs to an ancestor, and does not exist in this process.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::sys::os;

pub(crate) use crate::sys::os::forks;

/// The order in which locks are acquired: a thread that holds one acquires only those of a later rank.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// Held while a thread is started.
    Start,
    /// Threads that are being started.
    Spawn,
    /// The graph of the lock order.
    Order,
    /// The recordings.
    Trace,
    /// The table of waits.
    Waits,
    /// The threads of a program.
    Threads,
    /// The locks that are held.
    Holds,
    /// A lock under which no other one is acquired.
    Leaf,
}

/// A mutex of the toolkit itself, in a static. No fork leaves it locked in the child.
pub(crate) struct ForkSafe<T: 'static> {
    rank: Rank,
    listing: Listing,
    value: Mutex<T>,
}

impl<T: Send + 'static> ForkSafe<T> {
    pub(crate) const fn new(rank: Rank, value: T) -> Self {
        Self { rank, listing: Listing::new(), value: Mutex::new(value) }
    }

    pub(crate) fn lock(&'static self) -> MutexGuard<'static, T> {
        self.listing.list(self);
        locked(&self.value)
    }
}

/// Locks a mutex of the toolkit itself. No user code runs under one, so poisoning is ignored.
pub(crate) fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One or more locks that a fork must not leave held.
pub(crate) trait Quiesce: Sync {
    fn rank(&self) -> Rank;

    /// Acquires the locks.
    fn hold(&'static self, held: &mut Vec<Box<dyn Held>>);
}

/// A guard of any type.
pub(crate) trait Held {}

impl<T: ?Sized> Held for MutexGuard<'_, T> {}

impl<T: Send> Quiesce for ForkSafe<T> {
    fn rank(&self) -> Rank {
        self.rank
    }

    fn hold(&'static self, held: &mut Vec<Box<dyn Held>>) {
        held.push(Box::new(locked(&self.value)));
    }
}

/// Whether a lock is registered with the handlers.
pub(crate) struct Listing(AtomicBool);

impl Listing {
    pub(crate) const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Registers `locks` with the handlers, once. Called before each acquisition.
    #[inline]
    pub(crate) fn list(&self, locks: &'static dyn Quiesce) {
        if !self.0.load(Ordering::Acquire) {
            self.list_now(locks);
        }
    }

    #[cold]
    fn list_now(&self, locks: &'static dyn Quiesce) {
        register();
        let mut listed = locked(&LISTED);
        if !self.0.swap(true, Ordering::Release) {
            listed.locks.push(locks);
        }
    }
}

/// Registers a function that every forked child calls, after all locks are released.
pub(crate) fn in_child(function: fn()) {
    register();
    locked(&LISTED).in_child.push(function);
}

struct Listed {
    locks: Vec<&'static dyn Quiesce>,
    in_child: Vec<fn()>,
}

/// Held briefly, and never while another lock is waited for.
static LISTED: Mutex<Listed> = Mutex::new(Listed { locks: Vec::new(), in_child: Vec::new() });

fn register() {
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    // No lock: a fork might leave it held. Two threads may both register the handlers; the second registration has no
    // effect.
    if !REGISTERED.load(Ordering::Acquire) {
        os::at_fork(before, after_in_parent, after_in_child);
        REGISTERED.store(true, Ordering::Release);
    }
}

/// All locks of the toolkit itself.
struct AllHeld {
    listed: MutexGuard<'static, Listed>,
    others: Vec<Box<dyn Held>>,
}

thread_local! {
    /// Without a destructor, so that a thread can fork in the destructors of its other locals.
    static ALL_HELD: Cell<Option<ManuallyDrop<Box<AllHeld>>>> = const { Cell::new(None) };
}

extern "C" fn before() {
    let held = ALL_HELD.take().unwrap_or_else(|| ManuallyDrop::new(Box::new(hold_all())));
    ALL_HELD.set(Some(held));
}

fn hold_all() -> AllHeld {
    loop {
        let mut locks = locked(&LISTED).locks.clone();
        locks.sort_by_key(|locks| locks.rank());
        let mut others = Vec::with_capacity(locks.len());
        for locks in &locks {
            locks.hold(&mut others);
        }
        // Last, since a thread that holds another lock may be about to register the next one.
        let listed = locked(&LISTED);
        if listed.locks.len() == locks.len() {
            return AllHeld { listed, others };
        }
    }
}

extern "C" fn after_in_parent() {
    if let Some(held) = ALL_HELD.take() {
        drop(ManuallyDrop::into_inner(held));
    }
}

extern "C" fn after_in_child() {
    if let Some(held) = ALL_HELD.take() {
        os::is_a_fork();
        let AllHeld { listed, others } = *ManuallyDrop::into_inner(held);
        let functions = listed.in_child.clone();
        drop(listed);
        drop(others);
        for function in functions {
            function();
        }
    }
}
