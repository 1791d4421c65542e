//! A value under a lock that is held for a few instructions: the state of every primitive.
//!
//! # State
//! One word beside the value: `FREE`, `HELD`, or `PARKED`, which is held while a thread may be parked on the word. This is the second
//! mutex of Drepper's "Futexes Are Tricky" (2011), with spinning before the first park.
//!
//! # Invariants
//! A reference to the value comes from a guard only. A guard is made only after an acquire, and only its drop releases the lock, so
//! one guard lives at a time.
//!
//! # Operations
//! An uncontended acquire is one compare-and-swap, an uncontended release one exchange. A thread that has used up its spin
//! budget exchanges `PARKED` into the word; if the word was not `FREE`, it parks. A release that finds `PARKED` wakes one thread,
//! which acquires the lock as `PARKED` again, because others may still be parked.
//!
//! # Why the release is an exchange
//! A plain store cannot detect that a thread has just parked, and a thread whose wake-up is missed would have to poll. The store
//! would save about one nanosecond in an uncontended operation of a queue. The slots of a ring are released by a store, in
//! [`slot`](super::slot), where the argument for it is written.
//!
//! # Fairness
//! None: a running thread may acquire the lock ahead of a woken one. A lock that can be held for long is a
//! [`RawMutex`](super::RawMutex).
//!
//! # Memory ordering
//! `Acquire` on acquiring and `Release` on releasing.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::rt::{self, Wait};
use crate::sys::spin::SpinBudget;

const FREE: u32 = 0;
const HELD: u32 = 1;
/// Held, and a thread may be parked.
const PARKED: u32 = 2;

/// A value under a spin lock.
pub(crate) struct Guarded<T: ?Sized> {
    lock: SpinLock,
    value: UnsafeCell<T>,
}

// SAFETY: one guard lives at a time, so sharing the whole moves the value from thread to thread but never shares it.
unsafe impl<T: ?Sized + Send> Sync for Guarded<T> {}

impl<T> Guarded<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self { lock: SpinLock { word: AtomicU32::new(FREE) }, value: UnsafeCell::new(value) }
    }
}

impl<T: ?Sized> Guarded<T> {
    #[inline]
    pub(crate) fn lock(&self) -> Guard<'_, T> {
        self.lock.acquire();
        // SAFETY: the lock has been acquired for this guard.
        unsafe { Guard::new(self) }
    }

    #[inline]
    pub(crate) fn try_lock(&self) -> Option<Guard<'_, T>> {
        // SAFETY: the lock has been acquired for this guard.
        self.lock.try_acquire().then(|| unsafe { Guard::new(self) })
    }

    /// Like [`try_lock`](Guarded::try_lock), without a call to the observer.
    #[inline]
    pub(crate) fn try_lock_fast(&self) -> Option<Guard<'_, T>> {
        // SAFETY: the lock has been acquired for this guard.
        self.lock.try_acquire_fast().then(|| unsafe { Guard::new(self) })
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

/// Access to the value; dropping it, also on a panic, releases the lock.
///
/// It is not `Send`: no thread holds a lock of another one.
pub(crate) struct Guard<'a, T: ?Sized> {
    guarded: &'a Guarded<T>,
    not_send: PhantomData<*const ()>,
}

// SAFETY: a shared guard gives out `&T` only.
unsafe impl<T: ?Sized + Sync> Sync for Guard<'_, T> {}

impl<'a, T: ?Sized> Guard<'a, T> {
    /// Returns a guard, whose drop releases the lock.
    ///
    /// # Safety
    /// The caller has acquired the lock and passes the hold to the guard: it neither releases the lock nor makes another guard.
    #[inline]
    unsafe fn new(guarded: &'a Guarded<T>) -> Self {
        Self { guarded, not_send: PhantomData }
    }
}

impl<T: ?Sized> Deref for Guard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: this guard holds the lock, so no other guard gives out a `&mut T`.
        unsafe { &*self.guarded.value.get() }
    }
}

impl<T: ?Sized> DerefMut for Guard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this guard holds the lock and is borrowed exclusively, so no other reference to the value exists.
        unsafe { &mut *self.guarded.value.get() }
    }
}

impl<T: ?Sized> Drop for Guard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.guarded.lock.release();
    }
}

/// The lock without the value, so that its slow paths are compiled once.
struct SpinLock {
    word: AtomicU32,
}

impl SpinLock {
    #[inline]
    fn try_acquire(&self) -> bool {
        rt::atom(&self.word);
        self.try_acquire_fast()
    }

    /// Like [`try_acquire`](SpinLock::try_acquire), without a call to the observer.
    #[inline]
    fn try_acquire_fast(&self) -> bool {
        self.word.compare_exchange(FREE, HELD, Acquire, Relaxed).is_ok()
    }

    #[inline]
    fn acquire(&self) {
        if !self.try_acquire() {
            self.acquire_contended();
        }
    }

    /// Releases the lock, which the calling thread holds.
    #[inline]
    fn release(&self) {
        rt::atom(&self.word);
        if self.word.swap(FREE, Release) == PARKED {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        rt::wake(&self.word, 1);
    }

    #[cold]
    fn acquire_contended(&self) {
        let mut spin = SpinBudget::new();
        while spin.spin() {
            rt::atom(&self.word);
            if self.word.load(Relaxed) == FREE && self.try_acquire() {
                return;
            }
        }
        loop {
            rt::atom(&self.word);
            if self.word.swap(PARKED, Acquire) == FREE {
                return;
            }
            rt::wait(&self.word, PARKED, &Wait::unreported());
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the toolkit's threads are a layer above")]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn released_lock_can_be_acquired() {
        let guarded = Guarded::new(1);
        let guard = guarded.try_lock();
        assert!(guard.is_some() && guarded.try_lock().is_none());
        drop(guard);
        assert!(guarded.try_lock().is_some());
    }

    #[test]
    fn every_parked_thread_is_woken() {
        let guarded = Guarded::new(0);
        let guard = guarded.lock();
        thread::scope(|s| {
            for _ in 0..3 {
                s.spawn(|| *guarded.lock() += 1);
            }
            while guarded.lock.word.load(Relaxed) != PARKED {
                rt::yield_now();
            }
            drop(guard);
        });
        assert_eq!(*guarded.lock(), 3);
    }
}
