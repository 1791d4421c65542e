//! A lock without data.
//!
//! [`Lock`] is a [`RawMutex`] whose operations are visible to observers. The algorithm, with its fairness and its memory orderings,
//! is described there.

use std::fmt;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

use crate::raw::{RawMutex, ReleasedBy};
use crate::rt::{self, Kind, Op};

/// A lock that guards no data: acquired by one thread, released by that or by any other thread.
///
/// To guard data, use [`Mutex`](crate::Mutex), with which the compiler ensures that the lock is held. This type serves to pass turns
/// from thread to thread, and is the counterpart of Python's `Lock`.
///
/// A guard releases the lock on a panic, and there is no poisoning. A thread that acquires a lock twice blocks until another
/// thread releases it.
///
/// # Fairness
/// A running thread may barge ahead of a waiter, which keeps a contended lock fast. Once a waiter has been blocked for one
/// millisecond, the next release hands the lock over to a waiter instead of freeing it. Until that waiter runs, the lock counts as
/// held for all other threads. The same holds for the reacquisition after a [`Condition`](crate::Condition)'s wait. On Linux, the
/// waiter that has been parked longest is woken first. While the watch is on, this order is not kept, because waiters park for
/// short periods at a time.
///
/// # Memory ordering
/// A release happens before the return of the next acquire.
///
/// # Examples
/// One thread waits for its turn, which another thread passes on:
///
/// ```
/// use raddle::{Lock, thread};
///
/// let turn = Lock::new();
/// turn.acquire();
/// thread::scope(|s| {
///     s.spawn(|| turn.release());
///     turn.acquire(); // returns after the other thread's release
/// });
/// assert!(turn.is_locked());
/// ```
pub struct Lock {
    raw: RawMutex,
}

impl Lock {
    /// Creates a lock that is free.
    ///
    /// # Examples
    /// ```
    /// use raddle::Lock;
    ///
    /// static PRINTER: Lock = Lock::new();
    /// let _held = PRINTER.lock();
    /// ```
    pub const fn new() -> Self {
        Self { raw: RawMutex::new() }
    }

    /// Acquires the lock, blocking until it is free.
    ///
    /// Pairs with [`release`](Lock::release). [`lock`](Lock::lock) returns a guard instead.
    ///
    /// # Examples
    /// ```
    /// use raddle::Lock;
    ///
    /// let lock = Lock::new();
    /// lock.acquire();
    /// assert!(!lock.try_acquire());
    /// lock.release()?;
    /// # Ok::<(), raddle::NotHeldError>(())
    /// ```
    #[inline]
    #[track_caller]
    pub fn acquire(&self) {
        if !self.acquire_fast() {
            self.acquire_slow();
        }
    }

    /// Acquires the lock without blocking. Returns whether it was free.
    ///
    /// While the lock is handed over to a waiter, it is not free.
    ///
    /// # Examples
    /// ```
    /// use raddle::Lock;
    ///
    /// let lock = Lock::new();
    /// assert!(lock.try_acquire());
    /// assert!(!lock.try_acquire());
    /// ```
    #[inline]
    #[must_use = "the lock is held only if this is true"]
    #[track_caller]
    pub fn try_acquire(&self) -> bool {
        self.raw.try_acquire_observed(self.op(Kind::TryAcquire), ReleasedBy::AnyThread)
    }

    /// Acquires the lock, blocking for at most `timeout`. Returns whether it was acquired.
    ///
    /// # Examples
    /// ```
    /// use raddle::Lock;
    /// use std::time::Duration;
    ///
    /// let lock = Lock::new();
    /// lock.acquire();
    /// assert!(!lock.acquire_timeout(Duration::from_millis(1)));
    /// ```
    #[must_use = "the lock is held only if this is true"]
    #[track_caller]
    pub fn acquire_timeout(&self, timeout: Duration) -> bool {
        self.acquire_fast() || self.acquire_slow_until(rt::deadline(timeout))
    }

    /// Acquires the lock, blocking until `deadline` at most. Returns whether it was acquired.
    ///
    /// # Examples
    /// Two acquires share one time limit:
    ///
    /// ```
    /// use raddle::{Lock, time};
    /// use std::time::Duration;
    ///
    /// let (left, right) = (Lock::new(), Lock::new());
    /// let deadline = time::now() + Duration::from_secs(1);
    /// assert!(left.acquire_deadline(deadline) && right.acquire_deadline(deadline));
    /// ```
    #[must_use = "the lock is held only if this is true"]
    #[track_caller]
    pub fn acquire_deadline(&self, deadline: Instant) -> bool {
        self.acquire_fast() || self.acquire_slow_until(Some(deadline))
    }

    /// Releases the lock. Any thread may release it.
    ///
    /// # Errors
    /// Returns [`NotHeldError`] if the lock is free, or handed over to a waiter that has not run yet. Nothing changes then.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Lock, NotHeldError};
    ///
    /// let lock = Lock::new();
    /// lock.acquire();
    /// assert_eq!(lock.release(), Ok(()));
    /// assert_eq!(lock.release(), Err(NotHeldError));
    /// ```
    #[inline]
    #[track_caller]
    pub fn release(&self) -> Result<(), NotHeldError> {
        let held = if rt::quiet() { self.raw.release_fast() } else { self.release_slow() };
        if held { Ok(()) } else { Err(NotHeldError) }
    }

    /// Acquires the lock and returns a guard that releases it: Python's `with lock:`.
    ///
    /// # Examples
    /// ```
    /// use raddle::Lock;
    ///
    /// let lock = Lock::new();
    /// {
    ///     let _held = lock.lock();
    ///     assert!(lock.is_locked());
    /// }
    /// assert!(!lock.is_locked());
    /// ```
    #[inline]
    #[must_use = "the lock is released at once if the guard is not bound"]
    #[track_caller]
    pub fn lock(&self) -> LockGuard<'_> {
        self.acquire();
        LockGuard::new(self)
    }

    /// Acquires the lock without blocking and returns a guard, or `None` if the lock is not free.
    ///
    /// # Examples
    /// ```
    /// use raddle::Lock;
    ///
    /// let lock = Lock::new();
    /// let held = lock.try_lock();
    /// assert!(held.is_some() && lock.try_lock().is_none());
    /// ```
    #[inline]
    #[must_use = "the lock is released at once if the guard is not bound"]
    #[track_caller]
    pub fn try_lock(&self) -> Option<LockGuard<'_>> {
        self.try_acquire().then(|| LockGuard::new(self))
    }

    /// Acquires the lock, blocking for at most `timeout`, and returns a guard.
    ///
    /// Returns `None` if the lock was not acquired in time.
    ///
    /// # Examples
    /// ```
    /// use raddle::Lock;
    /// use std::time::Duration;
    ///
    /// let lock = Lock::new();
    /// let _held = lock.lock();
    /// assert!(lock.lock_timeout(Duration::from_millis(1)).is_none());
    /// ```
    #[must_use = "the lock is released at once if the guard is not bound"]
    #[track_caller]
    pub fn lock_timeout(&self, timeout: Duration) -> Option<LockGuard<'_>> {
        self.acquire_timeout(timeout).then(|| LockGuard::new(self))
    }

    /// Acquires the lock, blocking until `deadline` at most, and returns a guard.
    ///
    /// Returns `None` if the lock was not acquired in time.
    #[must_use = "the lock is released at once if the guard is not bound"]
    #[track_caller]
    pub fn lock_deadline(&self, deadline: Instant) -> Option<LockGuard<'_>> {
        self.acquire_deadline(deadline).then(|| LockGuard::new(self))
    }

    /// Makes the lock free in the child process of a fork, in which the thread that held it may not exist.
    ///
    /// Call it there before a thread is started. While other threads use the lock, it breaks the mutual exclusion.
    ///
    /// # Examples
    /// ```
    /// use raddle::Lock;
    ///
    /// let lock = Lock::new();
    /// lock.acquire();
    /// // in the child of a fork:
    /// lock.reset_after_fork();
    /// assert!(lock.try_acquire());
    /// ```
    pub fn reset_after_fork(&self) {
        self.raw.reset_after_fork();
    }

    /// Returns whether the lock is held or handed over to a waiter.
    ///
    /// # Examples
    /// ```
    /// use raddle::Lock;
    ///
    /// let lock = Lock::new();
    /// lock.acquire();
    /// assert!(lock.is_locked());
    /// ```
    #[track_caller]
    pub fn is_locked(&self) -> bool {
        rt::point(self.op(Kind::Read));
        self.raw.is_held()
    }

    #[inline]
    fn acquire_fast(&self) -> bool {
        rt::quiet() && self.raw.try_acquire_fast()
    }

    #[cold]
    #[track_caller]
    fn acquire_slow(&self) {
        self.raw.acquire_observed(self.op(Kind::Acquire), ReleasedBy::AnyThread);
    }

    #[cold]
    #[track_caller]
    fn acquire_slow_until(&self, deadline: Option<Instant>) -> bool {
        self.raw.acquire_observed_until(self.op(Kind::Acquire), ReleasedBy::AnyThread, deadline)
    }

    #[cold]
    #[track_caller]
    fn release_slow(&self) -> bool {
        self.raw.release_observed(self.op(Kind::Release))
    }

    #[inline]
    #[track_caller]
    fn op(&self, kind: Kind) -> Op {
        Op::new(self, "Lock", kind)
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

impl sealed::WithoutData for Lock {
    type Marker = ();
    const GUARD: &'static str = "LockGuard";

    #[inline]
    fn release_guard(&self) {
        // Fails only if another thread has released the lock, which the documentation allows.
        let _ = self.release();
    }

    #[track_caller]
    fn unlocked<R>(&self, f: impl FnOnce() -> R) -> R {
        self.raw.unlocked(self.op(Kind::Acquire), ReleasedBy::AnyThread, f)
    }

    #[inline]
    fn is_held_by_guard(&self) -> bool {
        self.raw.is_held()
    }
}

pub(crate) mod sealed {
    use std::fmt;

    /// A lock without data, as its guard and conditions use it.
    pub trait WithoutData: fmt::Debug {
        /// Determines where a guard may be dropped: `()` on any thread, `*const ()` on the one that acquired the lock.
        type Marker;

        /// The name of the guard.
        const GUARD: &'static str;

        /// Releases what a guard holds.
        fn release_guard(&self);

        /// Releases the lock, at all levels, while `f` runs, and reacquires it, also if `f` panics.
        #[track_caller]
        fn unlocked<R>(&self, f: impl FnOnce() -> R) -> R;

        /// Returns whether the lock is still held on behalf of a guard of the calling thread. This is not an operation of the
        /// program.
        fn is_held_by_guard(&self) -> bool;
    }
}

/// Holds a [`Lock`], which is released when this is dropped, also on a panic.
///
/// If another thread has released the lock meanwhile, dropping the guard changes nothing, unless a third thread has acquired the
/// lock since. Then that hold ends. Use `acquire` and `release` to pass a lock from thread to thread, and guards otherwise.
///
/// The parameter `L` is for the guard of an `RLock`, the type [`RLockGuard`](crate::RLockGuard).
#[must_use = "the lock is released at once if the guard is not bound"]
pub struct LockGuard<'a, L: sealed::WithoutData = Lock> {
    lock: &'a L,
    marker: PhantomData<L::Marker>,
}

impl<'a, L: sealed::WithoutData> LockGuard<'a, L> {
    /// Returns the guard of a lock that the calling thread has acquired for it.
    #[inline]
    pub(crate) fn new(lock: &'a L) -> Self {
        Self { lock, marker: PhantomData }
    }

    pub(crate) fn lock(&self) -> &'a L {
        self.lock
    }
}

impl<L: sealed::WithoutData> Drop for LockGuard<'_, L> {
    #[inline]
    fn drop(&mut self) {
        self.lock.release_guard();
    }
}

impl<L: sealed::WithoutData> fmt::Debug for LockGuard<'_, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple(L::GUARD).field(&self.lock).finish()
    }
}

/// The error of [`Lock::release`] when the lock is not held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotHeldError;

impl fmt::Display for NotHeldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot release a free lock: acquire it first")
    }
}

impl std::error::Error for NotHeldError {}
