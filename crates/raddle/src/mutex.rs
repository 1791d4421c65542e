//! A mutual exclusion lock that guards data.
//!
//! [`Mutex`] is a [`Guarded`] value whose lock is a `RawMutex` and whose operations are visible to observers. The algorithm, with its
//! fairness and its memory orderings, is described in `raw/raw_mutex.rs`.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::{Duration, Instant};

use crate::raw::{Guard, Guarded, MutexLock};
use crate::rt::{self, Kind};

/// A mutual exclusion lock that guards data.
///
/// The data is accessible only through a guard, whose drop releases the lock.
///
/// A panic in a thread that holds the guard releases the lock. The data stays as it was left, and there is no poisoning. A thread
/// that locks a mutex twice deadlocks. The watch, where it is on, reports that and ends the program.
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
/// ```
/// use raddle::{Mutex, thread};
///
/// static TOTAL: Mutex<u64> = Mutex::new(0);
/// thread::scope(|s| {
///     for n in 1..=4 {
///         s.spawn(move || *TOTAL.lock() += n);
///     }
/// });
/// assert_eq!(*TOTAL.lock(), 10);
/// ```
pub struct Mutex<T: ?Sized> {
    value: Guarded<T, MutexLock>,
}

impl<T> Mutex<T> {
    /// Creates a mutex that is free and guards `value`.
    ///
    /// # Examples
    /// ```
    /// use raddle::Mutex;
    ///
    /// static NAMES: Mutex<Vec<String>> = Mutex::new(Vec::new());
    /// NAMES.lock().push("Ada".to_owned());
    /// ```
    pub const fn new(value: T) -> Self {
        Self { value: Guarded::new(value) }
    }

    /// Consumes the mutex and returns its data.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Mutex, thread};
    ///
    /// let squares = Mutex::new(Vec::new());
    /// thread::scope(|s| {
    ///     s.spawn(|| squares.lock().push(4));
    /// });
    /// assert_eq!(squares.into_inner(), [4]);
    /// ```
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Acquires the mutex, blocking until it is free, and returns a guard.
    ///
    /// # Examples
    /// ```
    /// use raddle::Mutex;
    ///
    /// let count = Mutex::new(0);
    /// *count.lock() += 1;
    /// assert_eq!(*count.lock(), 1);
    /// ```
    #[inline]
    #[track_caller]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        match if rt::quiet() { self.value.try_lock_fast() } else { None } {
            Some(guard) => MutexGuard { guard },
            None => self.lock_slow(),
        }
    }

    /// Acquires the mutex without blocking, or returns `None` if it is not free.
    ///
    /// While the mutex is handed over to a waiter, it is not free.
    ///
    /// # Examples
    /// ```
    /// use raddle::Mutex;
    ///
    /// let mutex = Mutex::new(1);
    /// let guard = mutex.try_lock();
    /// assert!(guard.is_some() && mutex.try_lock().is_none());
    /// ```
    #[inline]
    #[must_use = "the mutex is released at once if the guard is not bound"]
    #[track_caller]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let guard = self.value.try_lock_observed(self.value.op(Kind::TryAcquire))?;
        Some(MutexGuard { guard })
    }

    /// Acquires the mutex, blocking for at most `timeout`.
    ///
    /// Returns `None` if the mutex was not acquired in time.
    ///
    /// # Examples
    /// ```
    /// use raddle::Mutex;
    /// use std::time::Duration;
    ///
    /// let mutex = Mutex::new(1);
    /// let guard = mutex.lock();
    /// assert!(mutex.lock_timeout(Duration::from_millis(1)).is_none());
    /// drop(guard);
    /// assert!(mutex.lock_timeout(Duration::ZERO).is_some());
    /// ```
    #[must_use = "the mutex is released at once if the guard is not bound"]
    #[track_caller]
    pub fn lock_timeout(&self, timeout: Duration) -> Option<MutexGuard<'_, T>> {
        self.lock_until(rt::deadline(timeout))
    }

    /// Acquires the mutex, blocking until `deadline` at most.
    ///
    /// Returns `None` if the mutex was not acquired in time.
    ///
    /// # Examples
    /// Two acquires share one time limit:
    ///
    /// ```
    /// use raddle::{Mutex, time};
    /// use std::time::Duration;
    ///
    /// let (from, to) = (Mutex::new(10), Mutex::new(0));
    /// let deadline = time::now() + Duration::from_secs(1);
    /// let mut from = from.lock_deadline(deadline).expect("it is free");
    /// let mut to = to.lock_deadline(deadline).expect("it is free");
    /// (*from, *to) = (*from - 3, *to + 3);
    /// ```
    #[must_use = "the mutex is released at once if the guard is not bound"]
    #[track_caller]
    pub fn lock_deadline(&self, deadline: Instant) -> Option<MutexGuard<'_, T>> {
        self.lock_until(Some(deadline))
    }

    /// Returns the data without locking, which the exclusive borrow makes unnecessary.
    ///
    /// # Examples
    /// ```
    /// use raddle::Mutex;
    ///
    /// let mut mutex = Mutex::new(1);
    /// *mutex.get_mut() = 2;
    /// assert_eq!(mutex.into_inner(), 2);
    /// ```
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    /// Returns whether the mutex is held or handed over to a waiter.
    ///
    /// # Examples
    /// ```
    /// use raddle::Mutex;
    ///
    /// let mutex = Mutex::new(1);
    /// let _guard = mutex.lock();
    /// assert!(mutex.is_locked());
    /// ```
    #[track_caller]
    pub fn is_locked(&self) -> bool {
        rt::point(self.value.op(Kind::Read));
        self.value.is_locked()
    }

    #[cold]
    #[track_caller]
    fn lock_slow(&self) -> MutexGuard<'_, T> {
        MutexGuard { guard: self.value.lock_observed(self.value.op(Kind::Acquire)) }
    }

    #[track_caller]
    fn lock_until(&self, deadline: Option<Instant>) -> Option<MutexGuard<'_, T>> {
        let guard = self.value.lock_observed_until(self.value.op(Kind::Acquire), deadline)?;
        Some(MutexGuard { guard })
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

// As `std::sync::Mutex` is, although a panic does not poison this one: see the documentation of the type.
impl<T: ?Sized> UnwindSafe for Mutex<T> {}
impl<T: ?Sized> RefUnwindSafe for Mutex<T> {}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_lock() {
            Some(guard) => f.debug_struct("Mutex").field("value", &&*guard).finish(),
            None => f.debug_struct("Mutex").field("value", &format_args!("<locked>")).finish(),
        }
    }
}

/// Access to the data of a [`Mutex`]. Dropping it, also on a panic, releases the mutex.
///
/// It is not `Send`: the thread that acquired the mutex releases it.
#[must_use = "the mutex is released at once if the guard is not bound"]
pub struct MutexGuard<'a, T: ?Sized> {
    guard: Guard<'a, T, MutexLock>,
}

impl<T: ?Sized> MutexGuard<'_, T> {
    /// Releases the mutex while `f` runs and reacquires it, also if `f` panics.
    #[track_caller]
    pub(crate) fn unlocked<R>(&mut self, f: impl FnOnce() -> R) -> R {
        let reacquire = self.guard.guarded().op(Kind::Acquire);
        self.guard.unlocked(reacquire, f)
    }

    /// Identifies the mutex by its address.
    pub(crate) fn key(&self) -> usize {
        std::ptr::from_ref(self.guard.guarded()).cast::<u8>() as usize
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

impl<T: ?Sized> UnwindSafe for MutexGuard<'_, T> {}
impl<T: ?Sized> RefUnwindSafe for MutexGuard<'_, T> {}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
