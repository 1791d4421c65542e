//! A cell without a lock: every race with it is the program's own.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};

use crate::raw::Guarded;
use crate::rt::{self, Kind, Op};

/// A value that threads read and write as they please: safe, and as racy as a plain variable.
///
/// [`get`](Shared::get) is a load, [`set`](Shared::set) is a store, and anything may happen between the two: this
/// is the cell with which to write down a race and see it. A [recording](crate::trace::Recording) shows every load
/// with its value and every store with the old and the new one. For a value that is really shared, take
/// [`Mutex`](crate::Mutex) or an atomic.
///
/// # Memory ordering
/// Loads and stores are in one total order that agrees with each thread's own.
///
/// ```
/// use raddle::Shared;
/// let value = Shared::new(0);
/// let local_copy = value.get();
/// value.set(local_copy + 1);
/// assert_eq!(value.get(), 1);
/// ```
pub struct Shared<T> {
    value: Guarded<T>,
}

impl<T> Shared<T> {
    /// A cell that holds `value`.
    pub const fn new(value: T) -> Self {
        Self { value: Guarded::new(value) }
    }
}

impl<T: Copy + fmt::Debug> Shared<T> {
    /// Loads the value.
    #[track_caller]
    pub fn get(&self) -> T {
        let op = Op::new(self, "Shared", Kind::Load);
        rt::point(op);
        let held = self.value.lock();
        let value = *held;
        // Recorded before the next access is possible, so that the record is in the order of the accesses.
        rt::value(&op, || format!("{value:?}"));
        value
    }

    /// Stores a value.
    #[track_caller]
    pub fn set(&self, value: T) {
        let op = Op::new(self, "Shared", Kind::Store);
        rt::point(op);
        let mut held = self.value.lock();
        let before = std::mem::replace(&mut *held, value);
        rt::value(&op, || format!("{before:?} → {value:?}"));
    }
}

impl<T: Copy + fmt::Debug + Default> Default for Shared<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

// No panic comes between the halves of a store.
impl<T> UnwindSafe for Shared<T> {}
impl<T> RefUnwindSafe for Shared<T> {}

impl<T: Copy + fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shared").field(&self.get()).finish()
    }
}
