//! The lock inside the primitives, held for a few instructions.
//!
//! # State
//! One word: `FREE`, `HELD`, or `PARKED`, which is held while a thread may be parked on the word. This is the second mutex of
//! Drepper's "Futexes Are Tricky" (2011), with spinning before the first park.
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

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::rt::{self, Wait};
use crate::sys::spin::SpinBudget;

const FREE: u32 = 0;
const HELD: u32 = 1;
/// Held, and a thread may be parked.
const PARKED: u32 = 2;

#[derive(Debug)]
pub(crate) struct SpinLock {
    word: AtomicU32,
}

impl SpinLock {
    pub(crate) const fn new() -> Self {
        Self { word: AtomicU32::new(FREE) }
    }

    #[inline]
    pub(crate) fn try_acquire(&self) -> bool {
        rt::atom(&self.word);
        self.try_acquire_fast()
    }

    /// Like [`try_acquire`](SpinLock::try_acquire), without a call to the observer.
    #[inline]
    pub(crate) fn try_acquire_fast(&self) -> bool {
        self.word.compare_exchange(FREE, HELD, Acquire, Relaxed).is_ok()
    }

    #[inline]
    pub(crate) fn acquire(&self) {
        if !self.try_acquire() {
            self.acquire_contended();
        }
    }

    /// Releases the lock, which the calling thread holds.
    #[inline]
    pub(crate) fn release(&self) {
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
        let lock = SpinLock::new();
        assert!(lock.try_acquire());
        assert!(!lock.try_acquire());
        lock.release();
        assert!(lock.try_acquire());
    }

    #[test]
    fn every_parked_thread_is_woken() {
        let lock = SpinLock::new();
        lock.acquire();
        thread::scope(|s| {
            for _ in 0..3 {
                s.spawn(|| {
                    lock.acquire();
                    lock.release();
                });
            }
            while lock.word.load(Relaxed) != PARKED {
                rt::yield_now();
            }
            lock.release();
        });
        assert!(lock.try_acquire());
    }
}
