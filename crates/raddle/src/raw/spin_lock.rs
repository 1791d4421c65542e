//! The lock inside primitives: held for a few instructions, and let go of by an ordinary store.
//!
//! A store costs half of what an exchange does, but cannot tell whether somebody sleeps. Who goes to sleep says so
//! beforehand, and who lets go looks after its store; the processor may do that in the other order, so that once in a
//! while somebody is overlooked, who wakes by itself after [`NAP`]. A lock that may be held for long is better off with
//! a [`RawMutex`](super::RawMutex).

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

use crate::rt;
use crate::sys::spin::SpinBudget;

const FREE: u32 = 0;
const HELD: u32 = 1;

/// The longest time for which a waiter sleeps without looking at the lock again.
pub(super) const NAP: Duration = Duration::from_micros(50);

#[derive(Debug)]
pub(crate) struct SpinLock {
    word: AtomicU32,
    /// How many threads sleep, or are about to.
    sleepers: AtomicU32,
}

impl SpinLock {
    pub(crate) const fn new() -> Self {
        Self { word: AtomicU32::new(FREE), sleepers: AtomicU32::new(0) }
    }

    #[inline]
    pub(crate) fn try_acquire(&self) -> bool {
        rt::atom(&self.word);
        self.try_acquire_fast()
    }

    /// Like `try_acquire`, without a call to the observer.
    #[inline]
    pub(crate) fn try_acquire_fast(&self) -> bool {
        self.word.compare_exchange(FREE, HELD, Acquire, Relaxed).is_ok()
    }

    #[inline]
    pub(crate) fn acquire(&self) {
        if !self.try_acquire() {
            self.acquire_slowly();
        }
    }

    /// For the holder alone.
    #[inline]
    pub(crate) fn release(&self) {
        rt::atom(&self.word);
        self.word.store(FREE, Release);
        if self.sleepers.load(Relaxed) > 0 {
            rt::wake(&self.word, 1);
        }
    }

    #[cold]
    fn acquire_slowly(&self) {
        let mut spin = SpinBudget::new();
        loop {
            rt::atom(&self.word);
            if self.word.load(Relaxed) == FREE {
                if self.try_acquire() {
                    return;
                }
            } else if !spin.spin() {
                self.nap();
            }
        }
    }

    fn nap(&self) {
        self.sleepers.fetch_add(1, Relaxed);
        // Under a scheduler nobody is overlooked, and time might pass in vain for ever.
        let until = if rt::explored() { None } else { rt::deadline(NAP) };
        rt::wait(&self.word, HELD, until);
        self.sleepers.fetch_sub(1, Relaxed);
    }
}
