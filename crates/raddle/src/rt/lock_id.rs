//! The identifiers of locks, which the watch uses.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::op::Object;
use super::place::Place;

/// Identifies a lock to the [watch](crate::watch). Each lock contains one.
///
/// An address does not identify a lock: a lock can be moved, and its memory is reused once it is dropped. The identifier
/// is assigned when the watch first sees the lock and moves with it. It takes four bytes, and costs nothing while the
/// watch is off.
///
/// The example of the [module](crate::rt) uses it.
///
/// # Examples
/// ```
/// use raddle::rt::LockId;
/// use std::sync::atomic::AtomicU32;
///
/// struct RawLock { word: AtomicU32, id: LockId }
/// static LOCK: RawLock = RawLock { word: AtomicU32::new(0), id: LockId::new() };
/// ```
#[derive(Debug, Default)]
pub struct LockId(AtomicU32); // relaxed throughout: the number orders nothing

/// The number of no lock.
pub(crate) const NO_LOCK: u32 = 0;

impl LockId {
    /// Returns an identifier that is not assigned yet.
    ///
    /// # Examples
    /// ```
    /// use raddle::rt::LockId;
    ///
    /// const ID: LockId = LockId::new();
    /// ```
    pub const fn new() -> Self {
        Self(AtomicU32::new(NO_LOCK))
    }

    /// Returns the number if the watch has seen the lock, and `NO_LOCK` otherwise.
    pub(crate) fn known(&self) -> u32 {
        self.0.load(Relaxed)
    }

    /// Returns the number, assigning one if there is none. After 2³² locks there are no more, and it stays `NO_LOCK`.
    pub(crate) fn number(&self) -> u32 {
        static LAST: AtomicU32 = AtomicU32::new(NO_LOCK);
        let known = self.known();
        if known != NO_LOCK {
            return known;
        }
        let Ok(last) = LAST.fetch_update(Relaxed, Relaxed, |last| last.checked_add(1)) else {
            return NO_LOCK;
        };
        // The holder and a waiter may do this at the same time.
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
