//! A value under a lock: the state of every primitive, and the value of a `Mutex<T>`.
//!
//! [`Guarded`] is to this crate what `lock_api::Mutex` is to `parking_lot`: the one place where holding a lock turns into a
//! reference to the value. The obligations are in the types. A lock promises mutual exclusion by an `unsafe impl` of [`Exclusive`].
//! Its release and the making of a guard are `unsafe fn`, whose callers show that they hold the lock. The lock itself is private,
//! so no other code can release it while a guard lives.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::time::Instant;

use super::raw_mutex::{RawMutex, ReleasedBy};
use super::spin_lock::SpinLock;
use crate::rt::{self, Kind, Op, Wait};

pub(crate) struct Guarded<T: ?Sized, L = SpinLock> {
    lock: L,
    value: UnsafeCell<T>,
}

// SAFETY: moving the whole moves the value, and no guard borrows it at that time.
unsafe impl<T: ?Sized + Send, L: Send> Send for Guarded<T, L> {}
// SAFETY: a reference to the value comes from a guard only, and one guard lives at a time, so sharing the whole moves the value from
// thread to thread but never shares it.
unsafe impl<T: ?Sized + Send, L: Sync> Sync for Guarded<T, L> {}

/// A lock that a [`Guarded`] relies on.
///
/// # Safety
/// The lock is held from the return of `acquire`, or of a `try_acquire` that returns `true`, until `release` is called, and it
/// is held once at a time. A release happens before the next acquire returns.
pub(crate) unsafe trait Exclusive {
    const FREE: Self;

    fn acquire(&self);

    fn try_acquire(&self) -> bool;

    /// Like [`try_acquire`](Exclusive::try_acquire), without a call to the observer.
    fn try_acquire_fast(&self) -> bool;

    /// Releases the lock.
    ///
    /// # Safety
    /// The caller holds the lock, and does not use the value any more.
    unsafe fn release(&self);
}

// SAFETY: the word is not `FREE` while the lock is held, and only a change from `FREE`, with `Acquire`, acquires it.
unsafe impl Exclusive for SpinLock {
    const FREE: Self = Self::new();

    #[inline]
    fn acquire(&self) {
        SpinLock::acquire(self);
    }

    #[inline]
    fn try_acquire(&self) -> bool {
        SpinLock::try_acquire(self)
    }

    #[inline]
    fn try_acquire_fast(&self) -> bool {
        SpinLock::try_acquire_fast(self)
    }

    #[inline]
    unsafe fn release(&self) {
        SpinLock::release(self);
    }
}

/// The lock of a [`Mutex`](crate::Mutex), whose release is an operation of the program.
#[derive(Debug)]
pub(crate) struct MutexLock(RawMutex);

// SAFETY: the word says `HELD` while the lock is held, and only a change from another value, with `Acquire`, acquires it.
unsafe impl Exclusive for MutexLock {
    const FREE: Self = Self(RawMutex::new());

    #[inline]
    fn acquire(&self) {
        let acquired = self.0.acquire(&Wait::unreported());
        assert!(acquired, "a wait without a deadline has timed out");
    }

    #[inline]
    fn try_acquire(&self) -> bool {
        self.0.try_acquire()
    }

    #[inline]
    fn try_acquire_fast(&self) -> bool {
        self.0.try_acquire_fast()
    }

    #[inline]
    unsafe fn release(&self) {
        if rt::quiet() {
            self.0.release_fast();
        } else {
            self.0.release_observed(Op::new(self, "Mutex", Kind::Release));
        }
    }
}

impl<T, L: Exclusive> Guarded<T, L> {
    pub(crate) const fn new(value: T) -> Self {
        Self { lock: L::FREE, value: UnsafeCell::new(value) }
    }

    pub(crate) fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized, L: Exclusive> Guarded<T, L> {
    #[inline]
    pub(crate) fn lock(&self) -> Guard<'_, T, L> {
        self.lock.acquire();
        // SAFETY: the lock has been acquired for this guard.
        unsafe { self.guard() }
    }

    #[inline]
    pub(crate) fn try_lock(&self) -> Option<Guard<'_, T, L>> {
        // SAFETY: the lock has been acquired for this guard.
        self.lock.try_acquire().then(|| unsafe { self.guard() })
    }

    /// Like [`try_lock`](Guarded::try_lock), without a call to the observer.
    #[inline]
    pub(crate) fn try_lock_fast(&self) -> Option<Guard<'_, T, L>> {
        // SAFETY: the lock has been acquired for this guard.
        self.lock.try_acquire_fast().then(|| unsafe { self.guard() })
    }

    /// Returns a guard, whose drop releases the lock.
    ///
    /// # Safety
    /// The caller has acquired the lock and passes the hold to the guard: it neither releases the lock nor makes another guard.
    #[inline]
    unsafe fn guard(&self) -> Guard<'_, T, L> {
        Guard { guarded: self, not_send: PhantomData }
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<T: ?Sized> Guarded<T, MutexLock> {
    /// Acquires the lock as the announced operation `op`, blocking without limit.
    pub(crate) fn lock_observed(&self, op: Op) -> Guard<'_, T, MutexLock> {
        self.lock.0.acquire_observed(op, ReleasedBy::Owner);
        // SAFETY: the lock has been acquired for this guard.
        unsafe { self.guard() }
    }

    /// Like [`lock_observed`](Guarded::lock_observed), blocking until `deadline`; `None`: without limit.
    pub(crate) fn lock_observed_until(
        &self,
        op: Op,
        deadline: Option<Instant>,
    ) -> Option<Guard<'_, T, MutexLock>> {
        let acquired = self.lock.0.acquire_observed_until(op, ReleasedBy::Owner, deadline);
        // SAFETY: the lock has been acquired for this guard.
        acquired.then(|| unsafe { self.guard() })
    }

    /// Like [`lock_observed`](Guarded::lock_observed), without blocking.
    #[inline]
    pub(crate) fn try_lock_observed(&self, op: Op) -> Option<Guard<'_, T, MutexLock>> {
        let acquired = self.lock.0.try_acquire_observed(op, ReleasedBy::Owner);
        // SAFETY: the lock has been acquired for this guard.
        acquired.then(|| unsafe { self.guard() })
    }

    /// Returns an operation of the mutex, performed by the caller.
    #[inline]
    #[track_caller]
    pub(crate) fn op(&self, kind: Kind) -> Op {
        Op::new(&self.lock, "Mutex", kind)
    }

    pub(crate) fn is_locked(&self) -> bool {
        self.lock.0.is_held()
    }
}

impl<T: ?Sized + fmt::Debug, L: Exclusive> fmt::Debug for Guarded<T, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_lock() {
            Some(guard) => guard.fmt(f),
            None => f.write_str("<locked>"),
        }
    }
}

/// Access to the value; dropping it, also on a panic, releases the lock.
///
/// It is not `Send`: the watch relies on the thread that acquired a mutex being the one that releases it.
pub(crate) struct Guard<'a, T: ?Sized, L: Exclusive = SpinLock> {
    guarded: &'a Guarded<T, L>,
    not_send: PhantomData<*const ()>,
}

// SAFETY: a shared guard gives out `&T` only.
unsafe impl<T: ?Sized + Sync, L: Exclusive + Sync> Sync for Guard<'_, T, L> {}

impl<'a, T: ?Sized, L: Exclusive> Guard<'a, T, L> {
    /// Returns the [`Guarded`] of this guard.
    pub(crate) fn guarded(&self) -> &'a Guarded<T, L> {
        self.guarded
    }
}

impl<T: ?Sized> Guard<'_, T, MutexLock> {
    /// Releases the lock, runs `f`, and reacquires the lock as the operation `reacquire`, also if `f` panics.
    pub(crate) fn unlocked<R>(&mut self, reacquire: Op, f: impl FnOnce() -> R) -> R {
        // The exclusive borrow of the guard keeps the value from being used meanwhile.
        self.guarded.lock.0.unlocked(reacquire, ReleasedBy::Owner, f)
    }
}

impl<T: ?Sized, L: Exclusive> Deref for Guard<'_, T, L> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: this guard holds the lock, so no other guard gives out a `&mut T`.
        unsafe { &*self.guarded.value.get() }
    }
}

impl<T: ?Sized, L: Exclusive> DerefMut for Guard<'_, T, L> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this guard holds the lock and is borrowed exclusively, so no other reference to the value exists.
        unsafe { &mut *self.guarded.value.get() }
    }
}

impl<T: ?Sized, L: Exclusive> Drop for Guard<'_, T, L> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: this guard holds the lock, and no reference to the value outlives the guard.
        unsafe { self.guarded.lock.release() };
    }
}
