//! A slot for one item, with a lock of its own that is held for a few instructions.
//!
//! # State
//! One word: `EMPTY`, `FULL`, or `HELD` by the thread that is about to change it. The compare-and-swap that acquires the slot also
//! checks whether there is an item, and the store that releases the slot also publishes whether there is one.
//!
//! # Invariants
//! The item is accessed only by the thread that has moved the word to `HELD`. It is initialized while the word is `FULL`, and
//! while the word is `HELD` if the holder's [`SlotGuard::full`] is set. No user code runs while a slot is held.
//!
//! # Why the release is a plain store
//! Putting an item into a ring and getting it back takes two acquires and two releases of a slot. As stores, the releases leave two
//! read-modify-writes of a slot per item, as many as in other bounded queues; as exchanges they would double that. The price is
//! that a release cannot determine whether a thread has parked. It is small, because almost no thread parks here: [`Slot::lock`] is
//! called only outside of the fast path, when another thread is in the middle of those few instructions, and it parks only after
//! the whole spin budget, which means that the holder has lost its processor. Such a thread checks the slot again after [`RECHECK`]
//! at the latest.
//!
//! Under a scheduler, time passes only when no thread can run, so there the release wakes the waiter instead. The accesses
//! to the slot are the same.
//!
//! # Memory ordering
//! `Acquire` on acquiring and `Release` on releasing: the item is published with the word.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

use crate::rt::{self, Wait};
use crate::sys::spin::SpinBudget;

const EMPTY: u32 = 0;
const FULL: u32 = 1;
const HELD: u32 = 2;

/// The longest time for which a waiter sleeps without reading the word again.
const RECHECK: Duration = Duration::from_micros(50);

pub(crate) struct Slot<T> {
    word: AtomicU32,
    item: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: the item is accessed only by the thread that has moved the word to `HELD`, so sharing the slot moves the item from thread
// to thread but never shares it.
unsafe impl<T: Send> Sync for Slot<T> {}

impl<T> Slot<T> {
    pub(crate) const fn new() -> Self {
        Self { word: AtomicU32::new(EMPTY), item: UnsafeCell::new(MaybeUninit::uninit()) }
    }

    /// Returns the word that changes with the state of the slot.
    #[inline]
    pub(crate) fn word(&self) -> &AtomicU32 {
        &self.word
    }

    /// Returns whether there is an item, as a hint.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.word.load(Relaxed) == FULL
    }

    /// Returns whether the slot is free and without an item, as a hint.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.word.load(Relaxed) == EMPTY
    }

    /// Acquires the slot if it is free and has an item, if `full` is set, or has none otherwise.
    #[inline]
    pub(crate) fn try_lock(&self, full: bool) -> Option<SlotGuard<'_, T>> {
        rt::atom(&self.word);
        self.try_lock_fast(full)
    }

    /// Like [`try_lock`](Slot::try_lock), without a call to the observer.
    #[inline]
    pub(crate) fn try_lock_fast(&self, full: bool) -> Option<SlotGuard<'_, T>> {
        let free = if full { FULL } else { EMPTY };
        match self.word.compare_exchange(free, HELD, Acquire, Relaxed) {
            Ok(_) => Some(SlotGuard { slot: self, full, not_send: PhantomData }),
            Err(_) => None,
        }
    }

    /// Acquires the slot, blocking while another thread holds it.
    pub(crate) fn lock(&self) -> SlotGuard<'_, T> {
        let mut spin = SpinBudget::new();
        loop {
            rt::atom(&self.word);
            let seen = self.word.load(Relaxed);
            if seen != HELD {
                if let Some(guard) = self.try_lock(seen == FULL) {
                    return guard;
                }
            } else if !spin.spin() {
                let recheck = if rt::explored() { None } else { rt::deadline(RECHECK) };
                rt::wait(&self.word, HELD, &Wait::unreported().with_deadline(recheck));
            }
        }
    }

    /// Releases the slot, which the calling thread holds.
    #[inline]
    fn release(&self, full: bool) {
        let observed = !rt::quiet();
        if observed {
            rt::atom(&self.word);
        }
        self.word.store(if full { FULL } else { EMPTY }, Release);
        if observed {
            self.wake_explored();
        }
    }

    #[cold]
    fn wake_explored(&self) {
        if rt::explored() {
            rt::wake(&self.word, 1);
        }
    }
}

impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        if *self.word.get_mut() == FULL {
            // SAFETY: the word is `FULL`, so the item is initialized, and no thread can access it any more.
            unsafe { self.item.get_mut().assume_init_drop() };
        }
    }
}

impl<T> fmt::Debug for Slot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("full", &self.is_full()).finish_non_exhaustive()
    }
}

/// A slot that is held by the calling thread; dropping the guard releases it.
pub(crate) struct SlotGuard<'a, T> {
    slot: &'a Slot<T>,
    full: bool,
    not_send: PhantomData<*const ()>,
}

impl<T> SlotGuard<'_, T> {
    /// Moves the item out, if there is one, and `item` in, if it is one.
    #[inline]
    pub(crate) fn replace(&mut self, item: Option<T>) -> Option<T> {
        let content = self.slot.item.get();
        // SAFETY: this guard holds the slot, so no other thread accesses the item. `full` shows that it is initialized, and
        // is corrected below, before anything can panic, so the item is not read twice.
        let before = self.full.then(|| unsafe { (*content).assume_init_read() });
        self.full = item.is_some();
        if let Some(item) = item {
            // SAFETY: as above. The previous item has been moved out, so nothing is overwritten.
            unsafe { (*content).write(item) };
        }
        before
    }
}

impl<T> Drop for SlotGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.slot.release(self.full);
    }
}
