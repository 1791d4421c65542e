//! Data under a lock that its holder may take again.
#![allow(unsafe_code)]

use std::fmt;
use std::ops::Deref;
use std::time::{Duration, Instant};

use crate::rlock::{RLock, RLockGuard};

/// Data that one thread at a time may look at, and that this thread may lock again while it does.
///
/// Its guards give shared references only, since several may live in the one thread: keep a `Cell` or a
/// `RefCell` inside to change the data. Fairness, panics and ordering are those of [`RLock`].
///
/// ```
/// use raddle::ReentrantMutex;
/// use std::cell::Cell;
///
/// let count = ReentrantMutex::new(Cell::new(0));
/// let outer = count.lock();
/// {
///     let inner = count.lock();
///     inner.set(inner.get() + 1);
/// }
/// assert_eq!(outer.get(), 1);
/// ```
pub struct ReentrantMutex<T: ?Sized> {
    lock: RLock,
    value: T,
}

// SAFETY: the value is reached only through a guard, which stays on the thread that holds the lock; a
// condition's wait suspends that thread inside the wait while others hold it. So the value is handed from
// thread to thread, which `Send` allows, and never used by two at once.
unsafe impl<T: ?Sized + Send> Sync for ReentrantMutex<T> {}

impl<T> ReentrantMutex<T> {
    /// A free mutex around `value`.
    pub const fn new(value: T) -> Self {
        Self { lock: RLock::new(), value }
    }

    /// The value, out of its mutex.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T: ?Sized> ReentrantMutex<T> {
    /// Waits for the data, unless the calling thread has it, and keeps it until the guard is dropped.
    #[inline]
    #[track_caller]
    pub fn lock(&self) -> ReentrantMutexGuard<'_, T> {
        self.guard(self.lock.lock())
    }

    /// A guard, if the data is free or the calling thread's.
    #[must_use = "the mutex is released when the guard is dropped"]
    #[track_caller]
    pub fn try_lock(&self) -> Option<ReentrantMutexGuard<'_, T>> {
        self.lock.try_lock().map(|held| self.guard(held))
    }

    /// A guard, if the data comes free within `timeout`.
    #[must_use = "the mutex is released when the guard is dropped"]
    #[track_caller]
    pub fn lock_timeout(&self, timeout: Duration) -> Option<ReentrantMutexGuard<'_, T>> {
        self.lock.lock_timeout(timeout).map(|held| self.guard(held))
    }

    /// A guard, if the data comes free before `deadline`.
    #[must_use = "the mutex is released when the guard is dropped"]
    #[track_caller]
    pub fn lock_deadline(&self, deadline: Instant) -> Option<ReentrantMutexGuard<'_, T>> {
        self.lock.lock_deadline(deadline).map(|held| self.guard(held))
    }

    /// The data, without locking: the borrow shows that nobody else has it.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.value
    }

    /// Says whether somebody has the data.
    #[track_caller]
    pub fn is_locked(&self) -> bool {
        self.lock.is_locked()
    }

    fn guard<'a>(&'a self, held: RLockGuard<'a>) -> ReentrantMutexGuard<'a, T> {
        ReentrantMutexGuard { held, value: &self.value }
    }
}

impl<T: Default> Default for ReentrantMutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for ReentrantMutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_lock() {
            Some(guard) => f.debug_struct("ReentrantMutex").field("value", &&*guard).finish(),
            None => f.debug_struct("ReentrantMutex").field("value", &"<locked>").finish(),
        }
    }
}

/// A look at the data of a [`ReentrantMutex`]; dropping it, on a panic too, undoes one lock.
#[must_use = "the mutex is released when the guard is dropped"]
pub struct ReentrantMutexGuard<'a, T: ?Sized> {
    held: RLockGuard<'a>,
    value: &'a T,
}

impl<'a, T: ?Sized> ReentrantMutexGuard<'a, T> {
    pub(crate) fn rlock(&self) -> &'a RLock {
        self.held.lock()
    }
}

impl<T: ?Sized> Deref for ReentrantMutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.value
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for ReentrantMutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
