//! A value under a [`RawLock`]: what every primitive keeps its state in, and what `Mutex<T>` is made of.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::AtomicU32;
use std::time::Instant;

use super::lock::RawLock;
use crate::host::{self, Kind, Mark, Op};

pub(crate) struct Guarded<T: ?Sized> {
    lock: RawLock,
    value: UnsafeCell<T>,
}

// SAFETY: the value can be moved to another thread with the whole, since nobody holds a guard then.
unsafe impl<T: ?Sized + Send> Send for Guarded<T> {}
// SAFETY: the lock is held while a guard lives and by one guard at a time, so sharing this hands the value
// from thread to thread but never shares it.
unsafe impl<T: ?Sized + Send> Sync for Guarded<T> {}

impl<T> Guarded<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self { lock: RawLock::new(), value: UnsafeCell::new(value) }
    }

    pub(crate) fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Guarded<T> {
    #[inline]
    pub(crate) fn lock(&self) -> Guard<'_, T> {
        self.lock.acquire_inner();
        self.guard()
    }

    /// The value, if nobody has it now; says nothing to whoever observes.
    #[inline]
    pub(crate) fn grab(&self) -> Option<Guard<'_, T>> {
        self.lock.grab().then(|| self.guard())
    }

    #[inline]
    pub(crate) fn lock_until(&self, deadline: Option<Instant>) -> Option<Guard<'_, T>> {
        self.lock.acquire(deadline).then(|| self.guard())
    }

    #[inline]
    pub(crate) fn try_lock(&self) -> Option<Guard<'_, T>> {
        self.lock.try_acquire().then(|| self.guard())
    }

    /// To be called by the holder of the lock alone: the guard's drop releases it.
    #[inline]
    fn guard(&self) -> Guard<'_, T> {
        Guard { guarded: self, not_send: PhantomData }
    }

    #[inline]
    pub(crate) fn is_locked(&self) -> bool {
        self.lock.is_held()
    }

    #[inline]
    pub(crate) fn mark(&self) -> &Mark {
        self.lock.mark()
    }

    /// The lock's word.
    #[inline]
    pub(crate) fn word(&self) -> &AtomicU32 {
        self.lock.word()
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Guarded<T> {
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
pub(crate) struct Guard<'a, T: ?Sized, W: Way = Inner> {
    guarded: &'a Guarded<T>,
    not_send: PhantomData<(*const (), W)>,
}

// SAFETY: a shared guard gives out only `&T`.
unsafe impl<T: ?Sized + Sync, W: Way> Sync for Guard<'_, T, W> {}

/// How the lock is let go of when a guard is dropped.
pub(crate) trait Way {
    fn let_go<T: ?Sized>(guarded: &Guarded<T>);
}

/// Inside a primitive: no step of its own.
pub(crate) enum Inner {}

impl Way for Inner {
    #[inline]
    fn let_go<T: ?Sized>(guarded: &Guarded<T>) {
        guarded.lock.release();
    }
}

/// Of a mutex: a step that others can see.
pub(crate) enum Outer {}

impl Way for Outer {
    #[inline]
    fn let_go<T: ?Sized>(guarded: &Guarded<T>) {
        if host::quiet() {
            guarded.lock.let_go();
        } else {
            release_mutex(guarded);
        }
    }
}

#[cold]
fn release_mutex<T: ?Sized>(mutex: &Guarded<T>) {
    host::gave_lock(Op::new(mutex, "Mutex", Kind::Give), mutex.mark());
    mutex.lock.release();
}

impl<'a, T: ?Sized> Guard<'a, T> {
    /// The same guard, which lets go of the lock another way.
    #[inline]
    pub(crate) fn with_way<W: Way>(self) -> Guard<'a, T, W> {
        let guarded = self.guarded;
        std::mem::forget(self); // the lock passes to the other guard
        Guard { guarded, not_send: PhantomData }
    }
}

impl<'a, T: ?Sized, W: Way> Guard<'a, T, W> {
    /// Where the guard came from.
    pub(crate) fn guarded(&self) -> &'a Guarded<T> {
        self.guarded
    }

    /// Lets go of the lock, runs `f`, and takes the lock back, also if `f` panics.
    pub(crate) fn unlocked<R>(&mut self, f: impl FnOnce() -> R) -> R {
        struct Retake<'b>(&'b RawLock);
        impl Drop for Retake<'_> {
            fn drop(&mut self) {
                self.0.acquire(None);
            }
        }
        self.guarded.lock.release();
        let _retake = Retake(&self.guarded.lock);
        f()
    }
}

impl<T: ?Sized, W: Way> Deref for Guard<'_, T, W> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: this guard holds the lock, so no `&mut T` exists elsewhere.
        unsafe { &*self.guarded.value.get() }
    }
}

impl<T: ?Sized, W: Way> DerefMut for Guard<'_, T, W> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this guard holds the lock and is borrowed alone, so no other reference exists.
        unsafe { &mut *self.guarded.value.get() }
    }
}

impl<T: ?Sized, W: Way> Drop for Guard<'_, T, W> {
    #[inline]
    fn drop(&mut self) {
        W::let_go(self.guarded);
    }
}
