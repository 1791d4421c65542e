//! A lock that guards data.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::{Duration, Instant};

use crate::raw::{Guard, Guarded, Outer};
use crate::rt::{self, Kind, Op};

/// Data that one thread at a time may use.
///
/// The data can be reached through the guard alone, and only the guard's drop releases the lock.
///
/// A panic in a thread that holds the guard releases the lock; the data stays as it was left, and nothing is poisoned. Locking it
/// twice in one thread can never succeed: the watch, where it is on, says so and ends the program.
///
/// # Fairness
/// A running thread may barge ahead of a waiter, which keeps a busy lock fast. That ends when a waiter has been blocked for one
/// millisecond: the next release hands the lock over to a waiter instead of freeing it. Until that waiter runs, the lock counts as
/// held for all other threads, however they ask for it. The same holds for the way back into the lock after a
/// [`Condition`](crate::Condition)'s wait. On Linux, of several waiters the one that has been asleep longest is woken first;
/// while the watch is on, waiters sleep in slices, and that order is not kept.
///
/// # Memory ordering
/// What a thread did while it held the guard happens before what the next holder does.
///
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
    value: Guarded<T, Outer>,
}

impl<T> Mutex<T> {
    /// A free mutex around `value`.
    pub const fn new(value: T) -> Self {
        Self { value: Guarded::new(value) }
    }

    /// The value, out of its mutex.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits for the data and takes it until the guard is dropped.
    #[inline]
    #[track_caller]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        match if rt::quiet() { self.value.try_lock_fast() } else { None } {
            Some(guard) => MutexGuard { guard },
            None => self.lock_slowly(),
        }
    }

    /// A guard, if nobody holds the data.
    #[inline]
    #[must_use = "the mutex is released when the guard is dropped"]
    #[track_caller]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let op = self.op(Kind::TryAcquire);
        rt::point(op);
        let guard = self.value.try_lock()?;
        rt::acquired_lock(op, self.value.raw().id());
        Some(MutexGuard { guard })
    }

    /// A guard, if the data comes free within `timeout`.
    #[must_use = "the mutex is released when the guard is dropped"]
    #[track_caller]
    pub fn lock_timeout(&self, timeout: Duration) -> Option<MutexGuard<'_, T>> {
        self.lock_until(rt::deadline(timeout))
    }

    /// A guard, if the data comes free before `deadline`.
    #[must_use = "the mutex is released when the guard is dropped"]
    #[track_caller]
    pub fn lock_deadline(&self, deadline: Instant) -> Option<MutexGuard<'_, T>> {
        self.lock_until(Some(deadline))
    }

    /// The data, without locking: the borrow shows that nobody else has it.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    /// Says whether somebody holds the data.
    #[track_caller]
    pub fn is_locked(&self) -> bool {
        rt::point(self.op(Kind::Read));
        self.value.raw().is_held()
    }

    #[cold]
    #[track_caller]
    fn lock_slowly(&self) -> MutexGuard<'_, T> {
        self.lock_until(None).expect("a wait without limit ends with the lock")
    }

    #[track_caller]
    fn lock_until(&self, deadline: Option<Instant>) -> Option<MutexGuard<'_, T>> {
        let op = self.op(Kind::Acquire);
        rt::point_until(op, deadline, self.value.raw().word(), || !self.value.raw().is_held());
        let guard = self.value.lock_until(deadline)?;
        rt::acquired_lock(op, self.value.raw().id());
        Some(MutexGuard { guard })
    }

    #[inline]
    #[track_caller]
    fn op(&self, kind: Kind) -> Op {
        Op::new(self.value.object(), "Mutex", kind)
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

// As in the standard library, though nothing is poisoned: see the documentation of the type.
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

/// The data of a [`Mutex`], for the one thread that holds it; dropping it, on a panic too, releases the mutex.
#[must_use = "the mutex is released when the guard is dropped"]
pub struct MutexGuard<'a, T: ?Sized> {
    guard: Guard<'a, T, Outer>,
}

impl<T: ?Sized> MutexGuard<'_, T> {
    /// Lets go of the data while `f` runs and takes it back, also when `f` panics.
    #[track_caller]
    pub(crate) fn unlocked<R>(&mut self, f: impl FnOnce() -> R) -> R {
        let guarded = self.guard.guarded();
        let take = Op::new(guarded.object(), "Mutex", Kind::Acquire);
        rt::releasing_lock_for_wait(Op { kind: Kind::Release, ..take }, guarded.raw().id());
        let result = self.guard.unlocked(|| {
            let result = f();
            rt::point_until(take, None, guarded.raw().word(), || !guarded.raw().is_held());
            result
        });
        rt::acquired_lock(take, guarded.raw().id());
        result
    }

    /// Which mutex this is the guard of.
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
