//! The hash of an object of the toolkit.
//!
//! Outside an exploration it is derived from the address, as that of any object. In an exploration it is derived from the
//! number of the object among those that the thread has created, so that sets of locks, queues or futures have the same order
//! after the same choices.

use pyo3::prelude::*;

use crate::explore::state;

/// The number of an object that was created in an exploration.
pub(crate) struct Number(Option<isize>);

impl Number {
    pub(crate) fn new() -> Self {
        Self(state::next_number())
    }

    /// The hash of the object `object`, which has this number.
    pub(crate) fn hash<T>(&self, object: &Bound<'_, T>) -> isize {
        // As CPython does: the lowest bits of addresses are 0.
        self.0.unwrap_or_else(|| object.as_ptr().addr().rotate_right(4).cast_signed())
    }
}
