//! A number by which the watch knows a lock, for an address says little: locks are moved, and memory is used again.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::op::Object;
use super::place::Place;

/// Part of every lock: 0 until the watch first meets it, then a number that no other lock has had. It moves with
/// the lock and ends with it, so what the watch remembers of one lock is never taken for another's.
///
/// Relaxed throughout: the number stands for nothing but itself.
#[derive(Debug)]
pub(crate) struct LockId(AtomicU32);

/// In place of a number: there is no lock, or it has none.
pub(crate) const NO_LOCK: u32 = 0;

impl LockId {
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(NO_LOCK))
    }

    /// The number, if the watch has met the lock.
    pub(crate) fn known(&self) -> u32 {
        self.0.load(Relaxed)
    }

    /// The number; a new one if it has none. After four billion locks there are no more, and it stays unknown.
    pub(crate) fn number(&self) -> u32 {
        static LAST: AtomicU32 = AtomicU32::new(NO_LOCK);
        let known = self.known();
        if known != NO_LOCK {
            return known;
        }
        let Ok(last) = LAST.fetch_update(Relaxed, Relaxed, |last| last.checked_add(1)) else {
            return NO_LOCK;
        };
        // The holder and a waiter may ask at the same time.
        match self.0.compare_exchange(NO_LOCK, last + 1, Relaxed, Relaxed) {
            Ok(_) => last + 1,
            Err(other) => other,
        }
    }
}

/// A lock that a thread holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) lock: u32,
    pub(crate) object: Object,
    pub(crate) at: Place,
}
