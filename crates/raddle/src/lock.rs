//! A lock that only locks.

use std::fmt;
use std::time::{Duration, Instant};

use crate::raw::RawMutex;
use crate::rt::{self, Kind, Op};

/// A lock that guards no data: taken by one thread, released by it or by any other.
///
/// To guard data, use [`Mutex`](crate::Mutex): the compiler then sees to it that the lock is held. This one is
/// for handing turns from thread to thread, and for what Python's `Lock` does.
///
/// A panic releases what a guard holds, and nothing is poisoned. Acquiring it twice in one thread blocks until another thread
/// releases it.
///
/// # Fairness
/// A running thread may barge ahead of a waiter, which keeps a busy lock fast. That ends when a waiter has been blocked for one
/// millisecond: the next release hands the lock over to a waiter instead of freeing it. Until that waiter runs, the lock counts as
/// held for all other threads, however they ask for it. The same holds for the way back into the lock after a
/// [`Condition`](crate::Condition)'s wait. On Linux, of several waiters the one that has been asleep longest is woken first;
/// while the watch is on, waiters sleep in slices, and that order is not kept.
///
/// # Memory ordering
/// What a thread did before it released the lock happens before the return of the next `acquire`.
///
/// ```
/// use raddle::{Lock, Thread};
/// use std::sync::Arc;
///
/// let turn = Arc::new(Lock::new());
/// turn.acquire();
/// let other = Thread::spawn({ let turn = turn.clone(); move || turn.release() });
/// turn.acquire(); // once the other thread has released it
/// assert!(other.join()?.is_ok());
/// # Ok::<(), raddle::thread::JoinError>(())
/// ```
pub struct Lock {
    raw: RawMutex,
}

impl Lock {
    /// A free lock.
    pub const fn new() -> Self {
        Self { raw: RawMutex::new() }
    }

    /// Takes the lock, waiting for it.
    #[inline]
    #[track_caller]
    pub fn acquire(&self) {
        self.take(None);
    }

    /// Takes the lock if it is free; says whether it did. While it is handed over to a waiter it is not free.
    #[inline]
    #[must_use = "the lock is held only if this is true"]
    #[track_caller]
    pub fn try_acquire(&self) -> bool {
        let op = Op::new(self, "Lock", Kind::TryAcquire);
        rt::point(op);
        let taken = self.raw.try_acquire();
        if taken {
            rt::acquired_shared_lock(op, self.raw.id());
        }
        taken
    }

    /// Takes the lock, waiting at most `timeout`; says whether it did.
    #[must_use = "the lock is held only if this is true"]
    #[track_caller]
    pub fn acquire_timeout(&self, timeout: Duration) -> bool {
        (rt::quiet() && self.raw.try_acquire_fast()) || self.take_slowly(rt::deadline(timeout))
    }

    /// Takes the lock, waiting until `deadline` at most; says whether it did.
    #[must_use = "the lock is held only if this is true"]
    #[track_caller]
    pub fn acquire_deadline(&self, deadline: Instant) -> bool {
        self.take(Some(deadline))
    }

    /// Releases the lock, whichever thread took it.
    ///
    /// # Errors
    /// [`NotHeldError`] if it was free, or handed over to a waiter that has not run yet.
    #[inline]
    #[track_caller]
    pub fn release(&self) -> Result<(), NotHeldError> {
        let held = if rt::quiet() { self.raw.release_fast() } else { self.release_slowly() };
        if held { Ok(()) } else { Err(NotHeldError) }
    }

    /// Takes the lock until the guard is dropped: Python's `with lock:`.
    #[inline]
    #[must_use = "the lock is released when the guard is dropped"]
    #[track_caller]
    pub fn lock(&self) -> LockGuard<'_> {
        self.take(None);
        LockGuard { lock: self }
    }

    /// A guard, if the lock is free.
    #[inline]
    #[must_use = "the lock is released when the guard is dropped"]
    #[track_caller]
    pub fn try_lock(&self) -> Option<LockGuard<'_>> {
        self.try_acquire().then(|| LockGuard { lock: self })
    }

    /// A guard, if the lock comes free within `timeout`.
    #[must_use = "the lock is released when the guard is dropped"]
    #[track_caller]
    pub fn lock_timeout(&self, timeout: Duration) -> Option<LockGuard<'_>> {
        self.acquire_timeout(timeout).then(|| LockGuard { lock: self })
    }

    /// A guard, if the lock comes free before `deadline`.
    #[must_use = "the lock is released when the guard is dropped"]
    #[track_caller]
    pub fn lock_deadline(&self, deadline: Instant) -> Option<LockGuard<'_>> {
        self.take(Some(deadline)).then(|| LockGuard { lock: self })
    }

    /// Says whether somebody holds the lock.
    #[track_caller]
    pub fn is_locked(&self) -> bool {
        rt::point(Op::new(self, "Lock", Kind::Read));
        self.raw.is_held()
    }

    /// Like [`is_locked`](Lock::is_locked), without a point.
    /// Lets go of it for as long as `f` runs and takes it back.
    #[track_caller]
    pub(crate) fn unlocked<R>(&self, f: impl FnOnce() -> R) -> R {
        rt::releasing_lock_for_wait(Op::new(self, "Lock", Kind::Release), self.raw.id());
        // It was held a moment ago. If another thread has released it since, as it may, nothing is left to do.
        let _ = self.raw.release();
        let result = f();
        self.acquire();
        result
    }

    pub(crate) fn is_held(&self) -> bool {
        self.raw.is_held()
    }

    #[inline]
    #[track_caller]
    fn take(&self, deadline: Option<Instant>) -> bool {
        (rt::quiet() && self.raw.try_acquire_fast()) || self.take_slowly(deadline)
    }

    #[cold]
    #[track_caller]
    fn release_slowly(&self) -> bool {
        rt::releasing_lock(Op::new(self, "Lock", Kind::Release), self.raw.id());
        self.raw.release()
    }

    #[cold]
    #[track_caller]
    fn take_slowly(&self, deadline: Option<Instant>) -> bool {
        let op = Op::new(self, "Lock", Kind::Acquire);
        rt::point_until(op, deadline, self.raw.word(), || !self.raw.is_held());
        let taken = self.raw.acquire(deadline);
        if taken {
            rt::acquired_shared_lock(op, self.raw.id());
        }
        taken
    }
}

impl Default for Lock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock").field("locked", &self.is_locked()).finish()
    }
}

/// Holds a [`Lock`]; dropping it, on a panic too, releases the lock.
///
/// If another thread has released the lock meanwhile, as it may, dropping the guard changes nothing, unless
/// a third has taken it since: then it is that one's hold which ends. Use `acquire` and `release` for handing
/// over, guards for everything else.
#[must_use = "the lock is released when the guard is dropped"]
pub struct LockGuard<'a> {
    lock: &'a Lock,
}

impl<'a> LockGuard<'a> {
    pub(crate) fn lock(&self) -> &'a Lock {
        self.lock
    }
}

impl Drop for LockGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        // The only error is that somebody else has released it already, which the docs allow.
        let _ = self.lock.release();
    }
}

impl fmt::Debug for LockGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LockGuard").field(&self.lock).finish()
    }
}

/// A release of a lock that nobody holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotHeldError;

impl fmt::Display for NotHeldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the lock is free; only a lock that was taken can be released")
    }
}

impl std::error::Error for NotHeldError {}
