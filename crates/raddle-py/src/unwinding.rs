//! What unwinds a thread of an exploration, while it passes through frames of Python.
//!
//! A scheduler that no longer needs a thread unwinds it by a panic. While that passes through frames of Python, it is the
//! exception [`Abandoned`], and it becomes the panic again at the root of the thread. Meanwhile `finally` blocks, context
//! managers and finalizers run, and release what they hold.

use std::cell::Cell;
use std::mem::ManuallyDrop;

use pyo3::exceptions::PyBaseException;
use pyo3::prelude::*;
use raddle::rt::Unwinding;

pyo3::create_exception!(
    raddle,
    Abandoned,
    PyBaseException,
    "Ends a thread of an execution that raddle.check() no longer needs. Not to be caught."
);

thread_local! {
    /// Set while the exception passes through frames of Python. Without a destructor: the thread may be reused.
    static UNWINDING: Cell<Option<ManuallyDrop<Unwinding>>> = const { Cell::new(None) };
}

/// Returns the exception that unwinds the frames of Python of the calling thread.
pub(crate) fn abandoned() -> PyErr {
    let unwinding = UNWINDING.take().unwrap_or_else(|| ManuallyDrop::new(Unwinding::begin()));
    UNWINDING.set(Some(unwinding));
    Abandoned::new_err(())
}

/// Returns whether the calling thread is being unwound.
pub(crate) fn is_unwinding() -> bool {
    let unwinding = UNWINDING.take();
    let is_unwinding = unwinding.is_some();
    UNWINDING.set(unwinding);
    is_unwinding
}

/// Ends the unwinding of the calling thread, at its root. Returns whether it was being unwound.
pub(crate) fn end() -> bool {
    UNWINDING.take().map(ManuallyDrop::into_inner).is_some()
}
