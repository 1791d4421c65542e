//! A lock that its holder may take again.

use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::{Duration, Instant};

use crate::raw::RawMutex;
use crate::rt::{self, Kind, Op};

/// A lock that the thread which holds it may take again; it is free when it was released as often as taken.
///
/// To guard data, use [`ReentrantMutex`](crate::ReentrantMutex).
///
/// A panic releases what its guards hold, and nothing is poisoned.
///
/// # Fairness
/// A running thread may barge ahead of a waiter, which keeps a busy lock fast. That ends when a waiter has been blocked for one
/// millisecond: the next release hands the lock over to a waiter instead of freeing it. Until that waiter runs, the lock counts as
/// held for all other threads, however they ask for it. The same holds for the way back into the lock after a
/// [`Condition`](crate::Condition)'s wait. On Linux, of several waiters the one that has been asleep longest is woken first;
/// while the watch is on, waiters sleep in slices, and that order is not kept.
/// The thread that holds it acquires further levels at once, whoever waits.
///
/// # Memory ordering
/// What a thread did before its last release happens before what the next holder does.
///
/// ```
/// use raddle::RLock;
///
/// let lock = RLock::new();
/// let _outer = lock.lock();
/// let _inner = lock.lock(); // a plain lock would wait for ever
/// ```
pub struct RLock {
    raw: RawMutex,
    /// Ident of the holder, 0 for nobody. Only the thread that holds the lock stores its own ident, so the
    /// comparison with one's own needs no ordering.
    owner: AtomicU64,
    /// How often the holder has taken it; used by the holder alone.
    depth: AtomicUsize,
}

/// No thread has this number.
const NOBODY: u64 = u64::MAX;

impl RLock {
    /// A free lock.
    pub const fn new() -> Self {
        Self { raw: RawMutex::new(), owner: AtomicU64::new(NOBODY), depth: AtomicUsize::new(0) }
    }

    /// Takes the lock, waiting for it unless the calling thread holds it already.
    #[inline]
    #[track_caller]
    pub fn acquire(&self) {
        self.take(None);
    }

    /// Takes the lock if it is free or the calling thread's; says whether it did.
    #[inline]
    #[must_use = "the lock is held only if this is true"]
    #[track_caller]
    pub fn try_acquire(&self) -> bool {
        self.again() || self.try_acquire_first()
    }

    /// Takes the lock, waiting at most `timeout`; says whether it did.
    #[must_use = "the lock is held only if this is true"]
    #[track_caller]
    pub fn acquire_timeout(&self, timeout: Duration) -> bool {
        self.take(rt::deadline(timeout))
    }

    /// Takes the lock, waiting until `deadline` at most; says whether it did.
    #[must_use = "the lock is held only if this is true"]
    #[track_caller]
    pub fn acquire_deadline(&self, deadline: Instant) -> bool {
        self.take(Some(deadline))
    }

    /// Undoes one `acquire` of the calling thread; the last one frees the lock.
    ///
    /// # Errors
    /// [`NotOwnerError`] if the calling thread does not hold it.
    #[inline]
    #[track_caller]
    pub fn release(&self) -> Result<(), NotOwnerError> {
        if !self.is_mine() {
            return Err(NotOwnerError);
        }
        let depth = self.depth.load(Relaxed);
        if depth == 1 {
            self.free();
        } else {
            self.depth.store(depth - 1, Relaxed);
        }
        Ok(())
    }

    /// Takes the lock until the guard is dropped: Python's `with lock:`.
    #[inline]
    #[track_caller]
    pub fn lock(&self) -> RLockGuard<'_> {
        self.take(None);
        RLockGuard::new(self)
    }

    /// A guard, if the lock is free or the calling thread's.
    #[must_use = "the lock is released when the guard is dropped"]
    #[track_caller]
    pub fn try_lock(&self) -> Option<RLockGuard<'_>> {
        self.try_acquire().then(|| RLockGuard::new(self))
    }

    /// A guard, if the lock comes free within `timeout`.
    #[must_use = "the lock is released when the guard is dropped"]
    #[track_caller]
    pub fn lock_timeout(&self, timeout: Duration) -> Option<RLockGuard<'_>> {
        self.take(rt::deadline(timeout)).then(|| RLockGuard::new(self))
    }

    /// A guard, if the lock comes free before `deadline`.
    #[must_use = "the lock is released when the guard is dropped"]
    #[track_caller]
    pub fn lock_deadline(&self, deadline: Instant) -> Option<RLockGuard<'_>> {
        self.take(Some(deadline)).then(|| RLockGuard::new(self))
    }

    /// Says whether somebody holds the lock.
    #[track_caller]
    pub fn is_locked(&self) -> bool {
        rt::point(Op::new(self, "RLock", Kind::Read));
        self.raw.is_held()
    }

    /// Says whether the calling thread holds the lock. That is no step: no other thread can change it.
    #[inline]
    pub fn is_mine(&self) -> bool {
        rt::is_me(self.owner.load(Relaxed))
    }

    #[inline]
    #[track_caller]
    fn take(&self, deadline: Option<Instant>) -> bool {
        if self.again() {
            return true;
        }
        if rt::quiet() && self.raw.try_acquire_fast() {
            self.own(1);
            return true;
        }
        self.take_slowly(deadline)
    }

    #[track_caller]
    fn try_acquire_first(&self) -> bool {
        let op = Op::new(self, "RLock", Kind::TryAcquire);
        rt::point(op);
        self.raw.try_acquire() && self.first(op)
    }

    #[cold]
    #[track_caller]
    fn take_slowly(&self, deadline: Option<Instant>) -> bool {
        let op = Op::new(self, "RLock", Kind::Acquire);
        rt::point_until(op, deadline, self.raw.word(), || !self.raw.is_held());
        self.raw.acquire(deadline) && self.first(op)
    }

    /// Takes it once more, if it is the calling thread's. No point: nobody else can see the difference.
    #[inline]
    fn again(&self) -> bool {
        let mine = self.is_mine();
        if mine {
            self.depth.store(self.depth.load(Relaxed) + 1, Relaxed);
        }
        mine
    }

    #[inline]
    fn first(&self, op: Op) -> bool {
        self.own(1);
        rt::acquired_lock(op, self.raw.id());
        true
    }

    #[inline]
    fn own(&self, depth: usize) {
        self.owner.store(rt::ident(), Relaxed);
        self.depth.store(depth, Relaxed);
    }

    #[inline]
    #[track_caller]
    fn free(&self) {
        if rt::quiet() {
            self.owner.store(NOBODY, Relaxed);
            self.raw.release_fast();
        } else {
            self.free_slowly();
        }
    }

    #[cold]
    #[track_caller]
    fn free_slowly(&self) {
        rt::releasing_lock(Op::new(self, "RLock", Kind::Release), self.raw.id());
        self.release_raw();
    }

    #[inline]
    fn release_raw(&self) {
        self.owner.store(NOBODY, Relaxed);
        self.raw.release();
    }

    /// Lets go of all levels while `f` runs and takes them all back, also when `f` panics.
    #[track_caller]
    pub(crate) fn unlocked<R>(&self, f: impl FnOnce() -> R) -> R {
        struct Retake<'a>(&'a RLock, usize, Op);
        impl Drop for Retake<'_> {
            #[inline]
            fn drop(&mut self) {
                rt::point_until(self.2, None, self.0.raw.word(), || !self.0.raw.is_held());
                self.0.raw.acquire(None);
                self.0.own(self.1);
                rt::acquired_lock(self.2, self.0.raw.id());
            }
        }
        let _retake = Retake(self, self.depth.load(Relaxed), Op::new(self, "RLock", Kind::Acquire));
        rt::releasing_lock_for_wait(Op::new(self, "RLock", Kind::Release), self.raw.id());
        self.release_raw();
        f()
    }
}

impl Default for RLock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RLock")
            .field("locked", &self.is_locked())
            .field("mine", &self.is_mine())
            .finish_non_exhaustive()
    }
}

/// Holds one level of an [`RLock`]; dropping it, on a panic too, undoes that one `acquire`.
///
/// It stays on its thread, which alone may release.
#[must_use = "the lock is released when the guard is dropped"]
pub struct RLockGuard<'a> {
    lock: &'a RLock,
    not_send: PhantomData<*const ()>,
}

impl<'a> RLockGuard<'a> {
    fn new(lock: &'a RLock) -> Self {
        Self { lock, not_send: PhantomData }
    }

    pub(crate) fn lock(&self) -> &'a RLock {
        self.lock
    }
}

impl Drop for RLockGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        // An error means that the holder has also called `release` once too often; then it is free already.
        let _ = self.lock.release();
    }
}

impl fmt::Debug for RLockGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RLockGuard").field(&self.lock).finish()
    }
}

/// A release of a re-entrant lock by a thread that does not hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOwnerError;

impl fmt::Display for NotOwnerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the calling thread does not hold the lock; only its holder can release it, as often as it took it")
    }
}

impl std::error::Error for NotOwnerError {}
