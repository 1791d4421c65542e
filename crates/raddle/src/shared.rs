//! A cell that threads read and write without synchronization, to write down races.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};

use crate::raw::Guarded;
use crate::rt::{self, Kind, Op};

/// A value that threads load and store without synchronization: safe, and as racy as a plain variable.
///
/// [`get`](Shared::get) is a load and [`set`](Shared::set) is a store, and other threads may run between the two. Use it to write
/// a program with a race, and to see that race. A [recording](crate::trace::Recording) shows each load with its value, and each
/// store with the old and the new value. An explorer that checks for [data races](crate::rt::Kind::Load) reports conflicting
/// accesses that are unordered. To share a value between threads correctly, use a [`Mutex`](crate::Mutex) or an
/// [atomic](crate::atomic).
///
/// # Memory ordering
/// The loads and stores of all threads are in one total order, which agrees with the order in each thread.
///
/// # Examples
/// An update of another thread between the load and the store would be lost:
///
/// ```
/// use raddle::Shared;
///
/// let value = Shared::new(0);
/// let local_copy = value.get();
/// value.set(local_copy + 1);
/// assert_eq!(value.get(), 1);
/// ```
pub struct Shared<T> {
    value: Guarded<T>,
}

impl<T> Shared<T> {
    /// Creates a cell that holds `value`.
    ///
    /// # Examples
    /// ```
    /// use raddle::Shared;
    ///
    /// static HITS: Shared<u32> = Shared::new(0);
    /// assert_eq!(HITS.get(), 0);
    /// ```
    pub const fn new(value: T) -> Self {
        Self { value: Guarded::new(value) }
    }
}

impl<T: Copy + fmt::Debug> Shared<T> {
    /// Loads the value.
    ///
    /// # Examples
    /// ```
    /// use raddle::Shared;
    ///
    /// assert_eq!(Shared::new(3).get(), 3);
    /// ```
    #[track_caller]
    pub fn get(&self) -> T {
        let op = Op::new(self, "Shared", Kind::Load);
        rt::point(op);
        let guard = self.value.lock();
        let value = *guard;
        // Reported under the lock, so that reports are in the order of the accesses.
        rt::value(&op, || format!("{value:?}"));
        value
    }

    /// Stores a value.
    ///
    /// # Examples
    /// ```
    /// use raddle::Shared;
    ///
    /// let value = Shared::new(1);
    /// value.set(2);
    /// assert_eq!(value.get(), 2);
    /// ```
    #[track_caller]
    pub fn set(&self, value: T) {
        let op = Op::new(self, "Shared", Kind::Store);
        rt::point(op);
        let mut guard = self.value.lock();
        let before = std::mem::replace(&mut *guard, value);
        rt::value(&op, || format!("{before:?} → {value:?}"));
    }
}

impl<T: Copy + fmt::Debug + Default> Default for Shared<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for Shared<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

// A store is not interrupted by a panic.
impl<T> UnwindSafe for Shared<T> {}
impl<T> RefUnwindSafe for Shared<T> {}

impl<T: Copy + fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shared").field(&self.get()).finish()
    }
}
