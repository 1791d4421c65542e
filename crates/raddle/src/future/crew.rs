//! Which pool the calling thread works for, told upwards: futures do not know pools.
//!
//! A worker that waits for a task of its own pool takes a worker away from that task. If all do, nobody is
//! left to run what they wait for. So such a wait goes through the pool, which sees when the last one stops.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::raw::Waiter;
use crate::rt;

/// In [`Waiter::request`]: the wait can be ended by the verdict [`DEADLOCK`](super::listen::DEADLOCK).
pub(crate) const CAN_FAIL: usize = 1;

/// In place of a task's address: the wait is for several, or for what others do.
pub(crate) const NOTHING: usize = 0;
/// In place of a task's address: the wait is for room in the pool's queue.
pub(crate) const ROOM: usize = 1;

/// One worker of a pool, as those see it who wait in its thread.
pub(crate) trait Crew: Send + Sync {
    /// The worker is about to wait without limit for its own pool; the waiter is told if that would never end.
    /// `task` is the address of what it waits for, or one of the constants.
    fn block(&self, waiter: &Arc<Waiter>, task: usize);

    /// The wait is over.
    fn unblock(&self, waiter: &Arc<Waiter>);

    /// Whether the worker runs the task whose future lies at `address`.
    fn runs(&self, address: usize) -> bool;

    /// The worker as its pool knows it.
    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

thread_local! {
    static HOME: Cell<u64> = const { Cell::new(NOWHERE) };
    static CREW: RefCell<Option<Arc<dyn Crew>>> = const { RefCell::new(None) };
}

/// The home of futures that belong to no pool, and of threads that are no workers.
pub(crate) const NOWHERE: u64 = 0;

/// A number for a new pool, which says in its upper bits to which process the pool belongs.
pub(crate) fn new_home() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(NOWHERE + 1);
    u64::from(rt::forks()) << PROCESS | NEXT.fetch_add(1, Ordering::Relaxed)
}

const PROCESS: u32 = 40;

/// Whether the pool `home` belongs to the process that this one was forked from, or to an earlier one. Then it has no
/// worker here but the one, if any, that called `fork`.
pub(crate) fn is_an_ancestors(home: u64) -> bool {
    home != NOWHERE && home >> PROCESS != u64::from(rt::forks())
}

/// The calling thread works for the pool `home` until the returned value is dropped. It remains one of its threads, which the
/// pool cannot wait for in that thread, until its thread-locals have been dropped.
pub(crate) fn enlist(home: u64, crew: Arc<dyn Crew>) -> Enlisted {
    HOME.set(home);
    rt::record().group.store(home, Ordering::Relaxed); // for the watch
    CREW.set(Some(crew));
    Enlisted
}

pub(crate) struct Enlisted;

impl Drop for Enlisted {
    fn drop(&mut self) {
        let crew = CREW.try_with(RefCell::take);
        drop(crew);
    }
}

/// The pool that the calling thread works for, or has worked for.
pub(crate) fn home() -> u64 {
    HOME.get()
}

/// The calling thread as a worker of the pool `home`, if it is one.
pub(crate) fn of(home: u64) -> Option<Arc<dyn Crew>> {
    if home == NOWHERE || home != HOME.get() {
        return None;
    }
    CREW.try_with(|crew| crew.borrow().clone()).ok().flatten()
}
