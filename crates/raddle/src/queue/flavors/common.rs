//! The common parts of the flavors: the observer of a fast path, and waiting for a burst to gather.

use std::sync::atomic::AtomicU32;

use crate::raw::{Guard, Guarded, Slot, SlotGuard};
use crate::rt;
use crate::sys::spin;

/// The observer of a fast path. It is notified before each atomic access.
///
/// Every fast path is written once. A thread that is not observed runs it with [`Unobserved`], which compiles to nothing.
/// A thread that is observed runs it with [`Observed`]. So an explorer interleaves the accesses of the code that ships.
pub(in crate::queue) trait Observer: Copy {
    /// Announces an access to `word`.
    fn atom(self, word: &AtomicU32);

    /// Locks the value if no other thread holds its lock.
    fn try_lock<T>(self, guarded: &Guarded<T>) -> Option<Guard<'_, T>>;

    /// Locks the slot if it is full, or if it is empty, and no other thread holds it.
    fn try_lock_slot<T>(self, slot: &Slot<T>, full: bool) -> Option<SlotGuard<'_, T>>;
}

/// The observer of a thread that is not observed.
#[derive(Clone, Copy)]
pub(in crate::queue) struct Unobserved;

/// The observer of a thread that may be under a scheduler.
#[derive(Clone, Copy)]
pub(in crate::queue) struct Observed;

impl Observer for Unobserved {
    #[inline]
    fn atom(self, _: &AtomicU32) {}

    #[inline]
    fn try_lock<T>(self, guarded: &Guarded<T>) -> Option<Guard<'_, T>> {
        guarded.try_lock_fast()
    }

    #[inline]
    fn try_lock_slot<T>(self, slot: &Slot<T>, full: bool) -> Option<SlotGuard<'_, T>> {
        slot.try_lock_fast(full)
    }
}

impl Observer for Observed {
    #[inline]
    fn atom(self, word: &AtomicU32) {
        rt::atom(word);
    }

    #[inline]
    fn try_lock<T>(self, guarded: &Guarded<T>) -> Option<Guard<'_, T>> {
        guarded.try_lock()
    }

    #[inline]
    fn try_lock_slot<T>(self, slot: &Slot<T>, full: bool) -> Option<SlotGuard<'_, T>> {
        slot.try_lock(full)
    }
}

/// The largest number of items, or of free slots, that a thread waits for.
const MOST: usize = 256;

/// The number of checks in a row that may find no more items than before.
const LOOKS: usize = 8;

/// Waits during a burst of items or of free slots, until there are [`MOST`] or `most` of them, or they arrive too
/// slowly.
///
/// A thread that took the first item at once would follow the putting thread closely, and the two would contend for
/// the same cache lines with each item.
pub(super) fn gather(most: usize, are_there: impl Fn(usize) -> bool) {
    let most = MOST.min(most);
    if most < 2 {
        return;
    }
    spin::pause(1);
    if !are_there(2) {
        return;
    }
    let (mut count, mut looks) = (4, 0);
    while count <= most && looks < LOOKS {
        if are_there(count) {
            (count, looks) = (2 * count, 0);
        } else {
            looks += 1;
            spin::pause(4);
        }
    }
}
