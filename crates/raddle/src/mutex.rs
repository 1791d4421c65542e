//! A mutual exclusion lock that guards data.
//!
//! [`Mutex`] is a [`RawMutex`] with a value beside it, whose operations are visible to observers. The algorithm, with its fairness
//! and its memory orderings, is described in `raw/raw_mutex.rs`.
//!
//! # Invariants
//! A reference to the value comes from a guard only. A guard is made only after an acquire, and only its drop releases the mutex, so
//! one guard lives at a time.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::{Duration, Instant};

use crate::raw::{RawMutex, ReleasedBy};
use crate::rt::{self, Kind, Op};

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
    raw: RawMutex,
    value: UnsafeCell<T>,
}

// SAFETY: one guard lives at a time, so sharing the mutex moves the value from thread to thread but never shares it.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

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
        Self { raw: RawMutex::new(), value: UnsafeCell::new(value) }
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
        if !(rt::quiet() && self.raw.try_acquire_fast()) {
            self.acquire_slow();
        }
        // SAFETY: the mutex has been acquired for this guard.
        unsafe { MutexGuard::new(self) }
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
        let acquired = self.raw.try_acquire_observed(self.op(Kind::TryAcquire), ReleasedBy::Owner);
        // SAFETY: the mutex has been acquired for this guard.
        acquired.then(|| unsafe { MutexGuard::new(self) })
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
        rt::point(self.op(Kind::Read));
        self.raw.is_held()
    }

    #[cold]
    #[track_caller]
    fn acquire_slow(&self) {
        self.raw.acquire_observed(self.op(Kind::Acquire), ReleasedBy::Owner);
    }

    #[track_caller]
    fn lock_until(&self, deadline: Option<Instant>) -> Option<MutexGuard<'_, T>> {
        let acquired = self.raw.acquire_observed_until(self.op(Kind::Acquire), ReleasedBy::Owner, deadline);
        // SAFETY: the mutex has been acquired for this guard.
        acquired.then(|| unsafe { MutexGuard::new(self) })
    }

    #[inline]
    #[track_caller]
    fn op(&self, kind: Kind) -> Op {
        Op::new(&self.raw, "Mutex", kind)
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
    mutex: &'a Mutex<T>,
    not_send: PhantomData<*const ()>,
}

// SAFETY: a shared guard gives out `&T` only.
unsafe impl<T: ?Sized + Sync> Sync for MutexGuard<'_, T> {}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// Returns a guard, whose drop releases the mutex.
    ///
    /// # Safety
    /// The caller has acquired the mutex and passes the hold to the guard: it neither releases the mutex nor makes another guard.
    #[inline]
    unsafe fn new(mutex: &'a Mutex<T>) -> Self {
        Self { mutex, not_send: PhantomData }
    }

    /// Releases the mutex while `f` runs and reacquires it, also if `f` panics.
    #[track_caller]
    pub(crate) fn unlocked<R>(&mut self, f: impl FnOnce() -> R) -> R {
        // The exclusive borrow of the guard keeps the value from being used meanwhile.
        self.mutex.raw.unlocked(self.mutex.op(Kind::Acquire), ReleasedBy::Owner, f)
    }

    /// Identifies the mutex by its address.
    pub(crate) fn key(&self) -> usize {
        std::ptr::from_ref(self.mutex).cast::<u8>() as usize
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: this guard holds the mutex, so no other guard gives out a `&mut T`.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this guard holds the mutex and is borrowed exclusively, so no other reference to the value exists.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if rt::quiet() {
            self.mutex.raw.release_fast();
        } else {
            self.mutex.raw.release_observed(self.mutex.op(Kind::Release));
        }
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
