//! A lock that its owner can acquire again.
//!
//! # State
//! A [`RawMutex`], the owner's identity, and the number of levels at which the owner holds the lock.
//!
//! # Invariants
//! Only the thread that holds the mutex writes `owner` and `depth`. A thread can read its own identity in `owner` only if it has
//! written that itself, so `owner` needs no ordering, and `depth` is accessed by the owner only.

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::{Duration, Instant};

use crate::lock::LockGuard;
use crate::lock::sealed::WithoutData;
use crate::raw::{RawMutex, ReleasedBy};
use crate::rt::{self, Kind, Op};

/// A reentrant lock: its owner can acquire further levels, and the lock is free once each level has been released.
///
/// To guard data, use [`ReentrantMutex`](crate::ReentrantMutex).
///
/// A guard releases its level on a panic, and there is no poisoning.
///
/// # Fairness
/// The owner acquires further levels at once. Otherwise, a running thread may barge ahead of a waiter, which keeps a contended lock
/// fast. Once a waiter has been blocked for one millisecond, the next release hands the lock over to a waiter instead of freeing
/// it. Until that waiter runs, the lock counts as held for all other threads. The same holds for the reacquisition after a
/// [`Condition`](crate::Condition)'s wait. On Linux, the waiter that has been parked longest is woken first. While the watch is on,
/// this order is not kept, because waiters park for short periods at a time.
///
/// # Memory ordering
/// The release of the last level happens before the return of the next acquire by another thread.
///
/// # Examples
/// ```
/// use raddle::RLock;
///
/// let lock = RLock::new();
/// let _outer = lock.lock();
/// let _inner = lock.lock(); // a `Lock` would deadlock here
/// ```
pub struct RLock {
    raw: RawMutex,
    /// The identity of the owner, or [`NOBODY`].
    owner: AtomicU64,
    /// The number of levels that the owner holds.
    depth: AtomicUsize,
}

/// The identity of no thread.
const NOBODY: u64 = u64::MAX;

impl RLock {
    /// Creates a lock that is free.
    ///
    /// # Examples
    /// ```
    /// use raddle::RLock;
    ///
    /// static LOCK: RLock = RLock::new();
    /// let _held = LOCK.lock();
    /// ```
    pub const fn new() -> Self {
        Self { raw: RawMutex::new(), owner: AtomicU64::new(NOBODY), depth: AtomicUsize::new(0) }
    }

    /// Acquires a level, blocking while another thread holds the lock.
    ///
    /// Pairs with [`release`](RLock::release). [`lock`](RLock::lock) returns a guard instead.
    ///
    /// # Examples
    /// ```
    /// use raddle::RLock;
    ///
    /// let lock = RLock::new();
    /// lock.acquire();
    /// lock.acquire();
    /// lock.release()?;
    /// assert!(lock.is_locked(), "one level is left");
    /// lock.release()?;
    /// assert!(!lock.is_locked());
    /// # Ok::<(), raddle::NotOwnerError>(())
    /// ```
    #[inline]
    #[track_caller]
    pub fn acquire(&self) {
        if !self.acquire_fast() {
            self.acquire_slow();
        }
    }

    /// Acquires a level without blocking. Returns whether the lock was free or the calling thread's.
    ///
    /// # Examples
    /// ```
    /// use raddle::{RLock, thread};
    ///
    /// let lock = RLock::new();
    /// assert!(lock.try_acquire() && lock.try_acquire());
    /// thread::scope(|s| {
    ///     s.spawn(|| assert!(!lock.try_acquire()));
    /// });
    /// ```
    #[inline]
    #[must_use = "the lock is held only if this is true"]
    #[track_caller]
    pub fn try_acquire(&self) -> bool {
        self.acquire_again() || self.try_acquire_first()
    }

    /// Acquires a level, blocking for at most `timeout`. Returns whether it was acquired.
    ///
    /// # Examples
    /// ```
    /// use raddle::{RLock, thread};
    /// use std::time::Duration;
    ///
    /// let lock = RLock::new();
    /// lock.acquire();
    /// thread::scope(|s| {
    ///     s.spawn(|| assert!(!lock.acquire_timeout(Duration::from_millis(1))));
    /// });
    /// ```
    #[must_use = "the lock is held only if this is true"]
    #[track_caller]
    pub fn acquire_timeout(&self, timeout: Duration) -> bool {
        self.acquire_fast() || self.acquire_slow_until(rt::deadline(timeout))
    }

    /// Acquires a level, blocking until `deadline` at most. Returns whether it was acquired.
    #[must_use = "the lock is held only if this is true"]
    #[track_caller]
    pub fn acquire_deadline(&self, deadline: Instant) -> bool {
        self.acquire_fast() || self.acquire_slow_until(Some(deadline))
    }

    /// Releases one level. The release of the last level frees the lock.
    ///
    /// # Errors
    /// Returns [`NotOwnerError`] if the calling thread does not hold the lock.
    ///
    /// # Examples
    /// ```
    /// use raddle::{NotOwnerError, RLock};
    ///
    /// let lock = RLock::new();
    /// lock.acquire();
    /// assert_eq!(lock.release(), Ok(()));
    /// assert_eq!(lock.release(), Err(NotOwnerError));
    /// ```
    #[inline]
    #[track_caller]
    pub fn release(&self) -> Result<(), NotOwnerError> {
        if !self.is_mine() {
            return Err(NotOwnerError);
        }
        let depth = self.depth.load(Relaxed);
        if depth == 1 {
            self.release_last();
        } else {
            self.depth.store(depth - 1, Relaxed);
        }
        Ok(())
    }

    /// Acquires a level and returns a guard that releases it: Python's `with lock:`.
    ///
    /// # Examples
    /// ```
    /// use raddle::RLock;
    ///
    /// let lock = RLock::new();
    /// let outer = lock.lock();
    /// drop(lock.lock());
    /// assert!(lock.is_mine(), "the outer level is still held");
    /// drop(outer);
    /// ```
    #[inline]
    #[track_caller]
    pub fn lock(&self) -> RLockGuard<'_> {
        self.acquire();
        LockGuard::new(self)
    }

    /// Acquires a level without blocking and returns a guard, or `None` if another thread holds the lock.
    ///
    /// # Examples
    /// ```
    /// use raddle::{RLock, thread};
    ///
    /// let lock = RLock::new();
    /// let _held = lock.lock();
    /// assert!(lock.try_lock().is_some());
    /// thread::scope(|s| {
    ///     s.spawn(|| assert!(lock.try_lock().is_none()));
    /// });
    /// ```
    #[must_use = "the level is released at once if the guard is not bound"]
    #[track_caller]
    pub fn try_lock(&self) -> Option<RLockGuard<'_>> {
        self.try_acquire().then(|| LockGuard::new(self))
    }

    /// Acquires a level, blocking for at most `timeout`, and returns a guard.
    ///
    /// Returns `None` if the lock was not acquired in time.
    ///
    /// # Examples
    /// ```
    /// use raddle::RLock;
    /// use std::time::Duration;
    ///
    /// let lock = RLock::new();
    /// let _outer = lock.lock();
    /// assert!(lock.lock_timeout(Duration::ZERO).is_some(), "it is the calling thread's");
    /// ```
    #[must_use = "the level is released at once if the guard is not bound"]
    #[track_caller]
    pub fn lock_timeout(&self, timeout: Duration) -> Option<RLockGuard<'_>> {
        self.acquire_timeout(timeout).then(|| LockGuard::new(self))
    }

    /// Acquires a level, blocking until `deadline` at most, and returns a guard.
    ///
    /// Returns `None` if the lock was not acquired in time.
    #[must_use = "the level is released at once if the guard is not bound"]
    #[track_caller]
    pub fn lock_deadline(&self, deadline: Instant) -> Option<RLockGuard<'_>> {
        self.acquire_deadline(deadline).then(|| LockGuard::new(self))
    }

    /// Makes the lock free in the child process of a fork, in which the thread that held it may not exist.
    ///
    /// Call it there before a thread is started. While other threads use the lock, it breaks the mutual exclusion.
    ///
    /// # Examples
    /// ```
    /// use raddle::RLock;
    ///
    /// let lock = RLock::new();
    /// lock.acquire();
    /// // in the child of a fork:
    /// lock.reset_after_fork();
    /// assert!(lock.try_acquire());
    /// ```
    pub fn reset_after_fork(&self) {
        self.owner.store(NOBODY, Relaxed);
        self.raw.reset_after_fork();
    }

    /// Returns whether any thread holds the lock.
    ///
    /// # Examples
    /// ```
    /// use raddle::RLock;
    ///
    /// let lock = RLock::new();
    /// assert!(!lock.is_locked());
    /// let _held = lock.lock();
    /// assert!(lock.is_locked());
    /// ```
    #[track_caller]
    pub fn is_locked(&self) -> bool {
        rt::point(self.op(Kind::Read));
        self.raw.is_held()
    }

    /// Returns whether the calling thread holds the lock.
    ///
    /// This is not a step for observers, since no other thread can change the answer.
    ///
    /// # Examples
    /// ```
    /// use raddle::{RLock, thread};
    ///
    /// let lock = RLock::new();
    /// let _held = lock.lock();
    /// assert!(lock.is_mine());
    /// thread::scope(|s| {
    ///     s.spawn(|| assert!(!lock.is_mine()));
    /// });
    /// ```
    #[inline]
    pub fn is_mine(&self) -> bool {
        rt::is_me(self.owner.load(Relaxed))
    }

    /// Returns the number of levels that the calling thread holds.
    ///
    /// Like [`is_mine`](RLock::is_mine), this is not a step for observers.
    ///
    /// # Examples
    /// ```
    /// use raddle::RLock;
    ///
    /// let lock = RLock::new();
    /// let (_outer, _inner) = (lock.lock(), lock.lock());
    /// assert_eq!(lock.levels(), 2);
    /// ```
    pub fn levels(&self) -> usize {
        if self.is_mine() { self.depth.load(Relaxed) } else { 0 }
    }

    /// Returns the number of levels at which any thread holds the lock, for output.
    ///
    /// A program must not depend on it: this is not a step for observers, and the number may be out of date at once.
    ///
    /// # Examples
    /// ```
    /// use raddle::{RLock, thread};
    ///
    /// let lock = RLock::new();
    /// let (_outer, _inner) = (lock.lock(), lock.lock());
    /// thread::scope(|s| {
    ///     s.spawn(|| assert_eq!((lock.levels(), lock.levels_held()), (0, 2)));
    /// });
    /// ```
    pub fn levels_held(&self) -> usize {
        if self.raw.is_held() { self.depth.load(Relaxed) } else { 0 }
    }

    /// Releases all levels at once, and returns them for [`acquire_restore`](RLock::acquire_restore).
    ///
    /// The two are for code that waits while its callers may hold any number of levels, such as a condition variable of its own.
    /// With a [`Condition`](crate::Condition) they are not needed.
    ///
    /// # Errors
    /// Returns [`NotOwnerError`] if the calling thread does not hold the lock.
    ///
    /// # Examples
    /// ```
    /// use raddle::{RLock, thread};
    ///
    /// let lock = RLock::new();
    /// let (_outer, _inner) = (lock.lock(), lock.lock());
    /// let saved = lock.release_save()?;
    /// thread::scope(|s| {
    ///     s.spawn(|| drop(lock.lock())); // the lock is free
    /// });
    /// lock.acquire_restore(saved);
    /// assert_eq!(lock.levels(), 2);
    /// # Ok::<(), raddle::NotOwnerError>(())
    /// ```
    #[track_caller]
    pub fn release_save(&self) -> Result<SavedLevels, NotOwnerError> {
        if !self.is_mine() {
            return Err(NotOwnerError);
        }
        let saved = SavedLevels { count: self.depth.load(Relaxed) };
        self.release_last();
        Ok(saved)
    }

    /// Acquires the levels that [`release_save`](RLock::release_save) has released, blocking while another thread holds the lock.
    ///
    /// The calling thread becomes the owner. If it has acquired the lock meanwhile, the levels are added.
    ///
    /// # Examples
    /// See [`release_save`](RLock::release_save).
    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "levels are restored once")]
    pub fn acquire_restore(&self, saved: SavedLevels) {
        self.acquire();
        // This was one of the levels.
        self.depth.store(self.depth.load(Relaxed) + saved.count - 1, Relaxed);
    }

    /// Acquires a level without blocking, except for the first level while the program is observed.
    #[inline]
    fn acquire_fast(&self) -> bool {
        if self.acquire_again() {
            return true;
        }
        let acquired = rt::quiet() && self.raw.try_acquire_fast();
        if acquired {
            self.set_owner(1);
        }
        acquired
    }

    /// Acquires a further level if the calling thread is the owner. This is not a step for observers, since no other thread
    /// can see the difference.
    #[inline]
    fn acquire_again(&self) -> bool {
        let mine = self.is_mine();
        if mine {
            self.depth.store(self.depth.load(Relaxed) + 1, Relaxed);
        }
        mine
    }

    #[track_caller]
    fn try_acquire_first(&self) -> bool {
        let acquired = self.raw.try_acquire_observed(self.op(Kind::TryAcquire), ReleasedBy::Owner);
        if acquired {
            self.set_owner(1);
        }
        acquired
    }

    #[cold]
    #[track_caller]
    fn acquire_slow(&self) {
        self.raw.acquire_observed(self.op(Kind::Acquire), ReleasedBy::Owner);
        self.set_owner(1);
    }

    #[cold]
    #[track_caller]
    fn acquire_slow_until(&self, deadline: Option<Instant>) -> bool {
        let op = self.op(Kind::Acquire);
        let acquired = self.raw.acquire_observed_until(op, ReleasedBy::Owner, deadline);
        if acquired {
            self.set_owner(1);
        }
        acquired
    }

    #[inline]
    fn set_owner(&self, depth: usize) {
        self.owner.store(rt::ident(), Relaxed);
        self.depth.store(depth, Relaxed);
    }

    #[inline]
    #[track_caller]
    fn release_last(&self) {
        self.owner.store(NOBODY, Relaxed);
        if rt::quiet() {
            self.raw.release_fast();
        } else {
            self.raw.release_observed(self.op(Kind::Release));
        }
    }

    #[inline]
    #[track_caller]
    fn op(&self, kind: Kind) -> Op {
        Op::new(self, "RLock", kind)
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

impl WithoutData for RLock {
    type Marker = *const ();
    const GUARD: &'static str = "RLockGuard";

    #[inline]
    fn release_guard(&self) {
        // Fails only if the owner has also called `release` once too often. Then the lock is free.
        let _ = self.release();
    }

    #[track_caller]
    fn unlocked<R>(&self, f: impl FnOnce() -> R) -> R {
        struct RestoreOwner<'a>(&'a RLock, usize);
        impl Drop for RestoreOwner<'_> {
            fn drop(&mut self) {
                self.0.set_owner(self.1);
            }
        }
        // Dropped after `unlocked` has reacquired the mutex.
        let _restore = RestoreOwner(self, self.depth.load(Relaxed));
        self.owner.store(NOBODY, Relaxed);
        self.raw.unlocked(self.op(Kind::Acquire), ReleasedBy::Owner, f)
    }

    #[inline]
    fn is_held_by_guard(&self) -> bool {
        self.is_mine()
    }
}

/// Holds one level of an [`RLock`], which is released when this is dropped, also on a panic.
///
/// It is not `Send`, because only the owner can release the lock.
pub type RLockGuard<'a> = LockGuard<'a, RLock>;

/// The levels that [`RLock::release_save`] has released.
#[derive(Debug)]
#[must_use = "the lock is released, and only `acquire_restore` acquires its levels again"]
pub struct SavedLevels {
    /// At least 1.
    count: usize,
}

impl SavedLevels {
    /// Returns the number of levels.
    ///
    /// # Examples
    /// ```
    /// use raddle::RLock;
    ///
    /// let lock = RLock::new();
    /// lock.acquire();
    /// lock.acquire();
    /// assert_eq!(lock.release_save().unwrap().count(), 2);
    /// ```
    pub fn count(&self) -> usize {
        self.count
    }
}

/// The error of [`RLock::release`] and [`RLock::release_save`] when the calling thread does not hold the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOwnerError;

impl fmt::Display for NotOwnerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot release a lock that the calling thread does not hold: release it once per acquire, in its owner")
    }
}

impl std::error::Error for NotOwnerError {}
