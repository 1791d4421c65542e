//! A reentrant lock that guards data.
#![allow(unsafe_code)]

use std::fmt;
use std::ops::Deref;
use std::time::{Duration, Instant};

use crate::rlock::{RLock, RLockGuard};

/// A reentrant mutual exclusion lock that guards data: its owner can lock it again.
///
/// A guard gives shared access only, because several guards can live in one thread. Keep a `Cell` or a `RefCell` inside to change
/// the data. Fairness, memory ordering and the behavior on a panic are those of [`RLock`].
///
/// # Examples
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

// SAFETY: the value is accessible only through a guard, which stays on the thread that holds the lock. During a condition's wait,
// when other threads can hold the lock, that thread is inside the wait. So one thread at a time accesses the value, which `Send` allows.
unsafe impl<T: ?Sized + Send> Sync for ReentrantMutex<T> {}

impl<T> ReentrantMutex<T> {
    /// Creates a mutex that is free and guards `value`.
    ///
    /// # Examples
    /// ```
    /// use raddle::ReentrantMutex;
    /// use std::cell::Cell;
    ///
    /// static DEPTH: ReentrantMutex<Cell<u32>> = ReentrantMutex::new(Cell::new(0));
    /// DEPTH.lock().set(1);
    /// ```
    pub const fn new(value: T) -> Self {
        Self { lock: RLock::new(), value }
    }

    /// Consumes the mutex and returns its data.
    ///
    /// # Examples
    /// ```
    /// use raddle::ReentrantMutex;
    ///
    /// assert_eq!(ReentrantMutex::new(7).into_inner(), 7);
    /// ```
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T: ?Sized> ReentrantMutex<T> {
    /// Acquires a level, blocking while another thread holds the mutex, and returns a guard.
    ///
    /// # Examples
    /// ```
    /// use raddle::ReentrantMutex;
    /// use std::cell::RefCell;
    ///
    /// let log = ReentrantMutex::new(RefCell::new(Vec::new()));
    /// let write = |line: &str| log.lock().borrow_mut().push(line.to_owned());
    /// let held = log.lock();
    /// write("called by the owner"); // a `Mutex` would deadlock here
    /// assert_eq!(held.borrow().len(), 1);
    /// ```
    #[inline]
    #[track_caller]
    pub fn lock(&self) -> ReentrantMutexGuard<'_, T> {
        self.guard(self.lock.lock())
    }

    /// Acquires a level without blocking, or returns `None` if another thread holds the mutex.
    ///
    /// # Examples
    /// ```
    /// use raddle::{ReentrantMutex, thread};
    ///
    /// let mutex = ReentrantMutex::new(1);
    /// let _held = mutex.lock();
    /// assert!(mutex.try_lock().is_some());
    /// thread::scope(|s| {
    ///     s.spawn(|| assert!(mutex.try_lock().is_none()));
    /// });
    /// ```
    #[must_use = "the level is released at once if the guard is not bound"]
    #[track_caller]
    pub fn try_lock(&self) -> Option<ReentrantMutexGuard<'_, T>> {
        self.lock.try_lock().map(|held| self.guard(held))
    }

    /// Acquires a level, blocking for at most `timeout`.
    ///
    /// Returns `None` if the mutex was not acquired in time.
    ///
    /// # Examples
    /// ```
    /// use raddle::{ReentrantMutex, thread};
    /// use std::time::Duration;
    ///
    /// let mutex = ReentrantMutex::new(1);
    /// let _held = mutex.lock();
    /// thread::scope(|s| {
    ///     s.spawn(|| assert!(mutex.lock_timeout(Duration::from_millis(1)).is_none()));
    /// });
    /// ```
    #[must_use = "the level is released at once if the guard is not bound"]
    #[track_caller]
    pub fn lock_timeout(&self, timeout: Duration) -> Option<ReentrantMutexGuard<'_, T>> {
        self.lock.lock_timeout(timeout).map(|held| self.guard(held))
    }

    /// Acquires a level, blocking until `deadline` at most.
    ///
    /// Returns `None` if the mutex was not acquired in time.
    #[must_use = "the level is released at once if the guard is not bound"]
    #[track_caller]
    pub fn lock_deadline(&self, deadline: Instant) -> Option<ReentrantMutexGuard<'_, T>> {
        self.lock.lock_deadline(deadline).map(|held| self.guard(held))
    }

    /// Returns the data without locking, which the exclusive borrow makes unnecessary.
    ///
    /// # Examples
    /// ```
    /// use raddle::ReentrantMutex;
    ///
    /// let mut mutex = ReentrantMutex::new(1);
    /// *mutex.get_mut() = 2;
    /// assert_eq!(*mutex.lock(), 2);
    /// ```
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.value
    }

    /// Returns whether any thread holds the mutex.
    ///
    /// # Examples
    /// ```
    /// use raddle::ReentrantMutex;
    ///
    /// let mutex = ReentrantMutex::new(1);
    /// let _held = mutex.lock();
    /// assert!(mutex.is_locked());
    /// ```
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

impl<T> From<T> for ReentrantMutex<T> {
    fn from(value: T) -> Self {
        Self::new(value)
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

/// Shared access to the data of a [`ReentrantMutex`]. Dropping it, also on a panic, releases one level.
#[must_use = "the level is released at once if the guard is not bound"]
pub struct ReentrantMutexGuard<'a, T: ?Sized> {
    held: RLockGuard<'a>,
    value: &'a T,
}

impl<'a, T: ?Sized> ReentrantMutexGuard<'a, T> {
    pub(crate) fn held(&self) -> &RLockGuard<'a> {
        &self.held
    }

    pub(crate) fn held_mut(&mut self) -> &mut RLockGuard<'a> {
        &mut self.held
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

impl<T: ?Sized + fmt::Display> fmt::Display for ReentrantMutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
