//! A place for one item, with a lock of its own that is held for a few instructions only.
//!
//! Its word says everything: empty, full, or held by the thread that is about to change that. So what takes the lock also
//! sees whether there is an item, and what lets go of it says so, by an ordinary store. Such a store cannot tell whether
//! somebody sleeps, so the few who sleep here look again by themselves.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::spin_lock::NAP;
use crate::rt;
use crate::sys::spin::SpinBudget;

const EMPTY: u32 = 0;
const FULL: u32 = 1;
const HELD: u32 = 2;

pub(crate) struct Slot<T> {
    word: AtomicU32,
    /// There is an item if the word says `FULL`, or if it says `HELD` and the holder's [`SlotGuard::full`] is set.
    item: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: the item is touched only by the thread that has moved the word to `HELD`, so that sharing this hands the item
// from thread to thread but never shares it.
unsafe impl<T: Send> Sync for Slot<T> {}

impl<T> Slot<T> {
    pub(crate) const fn new() -> Self {
        Self { word: AtomicU32::new(EMPTY), item: UnsafeCell::new(MaybeUninit::uninit()) }
    }

    /// Whether there is an item, as a hint.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.word.load(Relaxed) == FULL
    }

    /// Whether there is neither an item nor somebody with it, as a hint.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.word.load(Relaxed) == EMPTY
    }

    /// Takes hold of the place if it is full, or if it is empty.
    #[inline]
    pub(crate) fn try_lock(&self, full: bool) -> Option<SlotGuard<'_, T>> {
        rt::atom(&self.word);
        self.try_lock_fast(full)
    }

    /// The same, saying nothing to whoever observes.
    #[inline]
    pub(crate) fn try_lock_fast(&self, full: bool) -> Option<SlotGuard<'_, T>> {
        let before = if full { FULL } else { EMPTY };
        match self.word.compare_exchange(before, HELD, Acquire, Relaxed) {
            Ok(_) => Some(SlotGuard { slot: self, full, not_send: PhantomData }),
            Err(_) => None,
        }
    }

    /// For the holder alone.
    #[cold]
    fn release(&self, state: u32) {
        rt::atom(&self.word);
        self.word.store(state, Release);
        if rt::explored() {
            rt::wake(&self.word, 1);
        }
    }

    /// Takes hold of the place as soon as nobody else has it.
    pub(crate) fn lock(&self) -> SlotGuard<'_, T> {
        let mut spin = SpinBudget::new();
        loop {
            rt::atom(&self.word);
            let before = self.word.load(Relaxed);
            if before != HELD {
                if let Some(open) = self.try_lock(before == FULL) {
                    return open;
                }
            } else if !spin.spin() {
                // Under a scheduler the holder wakes who waits, and time might pass in vain for ever.
                let until = if rt::explored() { None } else { rt::deadline(NAP) };
                rt::wait(&self.word, HELD, until);
            }
        }
    }
}

impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        if *self.word.get_mut() == FULL {
            // SAFETY: the word says that there is an item; it was written before the word was.
            unsafe { self.item.get_mut().assume_init_drop() };
        }
    }
}

impl<T> fmt::Debug for Slot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("full", &self.is_full()).finish_non_exhaustive()
    }
}

/// A place in hand; dropping it lets go of it.
pub(crate) struct SlotGuard<'a, T> {
    slot: &'a Slot<T>,
    full: bool,
    not_send: PhantomData<*const ()>,
}

impl<T> SlotGuard<'_, T> {
    /// Takes out what is there, and puts `item` in.
    #[inline]
    pub(crate) fn replace(&mut self, item: Option<T>) -> Option<T> {
        let content = self.slot.item.get();
        // SAFETY: the place is held by this alone, and it is full.
        let before = self.full.then(|| unsafe { (*content).assume_init_read() });
        self.full = item.is_some();
        if let Some(item) = item {
            // SAFETY: the place is held by this alone. What was there has been moved out.
            unsafe { (*content).write(item) };
        }
        before
    }
}

impl<T> Drop for SlotGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        let state = if self.full { FULL } else { EMPTY };
        if rt::quiet() {
            self.slot.word.store(state, Release);
        } else {
            self.slot.release(state);
        }
    }
}
