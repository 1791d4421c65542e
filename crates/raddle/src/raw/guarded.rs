//! A value under a lock: what every primitive keeps its state in, and what `Mutex<T>` is made of.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::time::Instant;

use super::raw_mutex::RawMutex;
use super::spin_lock::SpinLock;
use crate::rt::{self, Kind, Op};

pub(crate) struct Guarded<T: ?Sized, L = SpinLock> {
    lock: L,
    value: UnsafeCell<T>,
}

// SAFETY: the value can be moved to another thread with the whole, since nobody holds a guard then.
unsafe impl<T: ?Sized + Send, L: Send> Send for Guarded<T, L> {}
// SAFETY: the lock is held while a guard lives and by one guard at a time, so sharing this hands the value
// from thread to thread but never shares it.
unsafe impl<T: ?Sized + Send, L: Sync> Sync for Guarded<T, L> {}

/// How a value is locked. Guards rely on it: all that locks something is in this file.
pub(crate) trait Exclusive {
    const FREE: Self;

    fn acquire(&self);

    fn try_acquire(&self) -> bool;

    /// The same, saying nothing to whoever observes.
    fn try_acquire_fast(&self) -> bool;

    /// For the holder alone.
    fn release(&self);
}

/// Inside a primitive: no step of its own.
impl Exclusive for SpinLock {
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
    fn release(&self) {
        SpinLock::release(self);
    }
}

/// Of a mutex: letting go is a step that others can see.
#[derive(Debug)]
pub(crate) struct Outer(pub(crate) RawMutex);

impl Exclusive for Outer {
    const FREE: Self = Self(RawMutex::new());

    #[inline]
    fn acquire(&self) {
        self.0.acquire(None);
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
    fn release(&self) {
        if rt::quiet() {
            self.0.release_fast();
        } else {
            self.release_observed();
        }
    }
}

impl Outer {
    #[cold]
    fn release_observed(&self) {
        rt::releasing_lock(Op::new(self, "Mutex", Kind::Release), self.0.id());
        self.0.release();
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
        self.guard()
    }

    /// The value, if nobody has it now; says nothing to whoever observes.
    #[inline]
    pub(crate) fn try_lock_fast(&self) -> Option<Guard<'_, T, L>> {
        self.lock.try_acquire_fast().then(|| self.guard())
    }

    #[inline]
    pub(crate) fn try_lock(&self) -> Option<Guard<'_, T, L>> {
        self.lock.try_acquire().then(|| self.guard())
    }

    /// To be called by the holder of the lock alone: the guard's drop releases it.
    #[inline]
    fn guard(&self) -> Guard<'_, T, L> {
        Guard { guarded: self, not_send: PhantomData }
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<T: ?Sized> Guarded<T, Outer> {
    #[inline]
    pub(crate) fn lock_until(&self, deadline: Option<Instant>) -> Option<Guard<'_, T, Outer>> {
        self.raw().acquire(deadline).then(|| self.guard())
    }

    /// What it is in reports.
    #[inline]
    pub(crate) fn object(&self) -> &Outer {
        &self.lock
    }

    #[inline]
    pub(crate) fn raw(&self) -> &RawMutex {
        &self.lock.0
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

/// Access to the value; dropping it, on a panic too, lets go of the lock.
///
/// It stays on its thread: the watch relies on the holder being the one who releases.
pub(crate) struct Guard<'a, T: ?Sized, L: Exclusive = SpinLock> {
    guarded: &'a Guarded<T, L>,
    not_send: PhantomData<*const ()>,
}

// SAFETY: a shared guard gives out only `&T`.
unsafe impl<T: ?Sized + Sync, L: Exclusive + Sync> Sync for Guard<'_, T, L> {}

impl<'a, T: ?Sized, L: Exclusive> Guard<'a, T, L> {
    /// Where the guard came from.
    pub(crate) fn guarded(&self) -> &'a Guarded<T, L> {
        self.guarded
    }
}

impl<T: ?Sized> Guard<'_, T, Outer> {
    /// Lets go of the lock, runs `f`, and takes the lock back, also if `f` panics. The caller says so to observers.
    pub(crate) fn unlocked<R>(&mut self, f: impl FnOnce() -> R) -> R {
        struct Retake<'b>(&'b RawMutex);
        impl Drop for Retake<'_> {
            fn drop(&mut self) {
                self.0.acquire(None);
            }
        }
        self.guarded.raw().release();
        let _retake = Retake(self.guarded.raw());
        f()
    }
}

impl<T: ?Sized, L: Exclusive> Deref for Guard<'_, T, L> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: this guard holds the lock, so no `&mut T` exists elsewhere.
        unsafe { &*self.guarded.value.get() }
    }
}

impl<T: ?Sized, L: Exclusive> DerefMut for Guard<'_, T, L> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this guard holds the lock and is borrowed alone, so no other reference exists.
        unsafe { &mut *self.guarded.value.get() }
    }
}

impl<T: ?Sized, L: Exclusive> Drop for Guard<'_, T, L> {
    #[inline]
    fn drop(&mut self) {
        self.guarded.lock.release();
    }
}
