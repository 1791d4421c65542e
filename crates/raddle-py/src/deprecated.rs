//! Names and arguments that Python has deprecated.

use std::ffi::CStr;

use pyo3::exceptions::PyDeprecationWarning;
use pyo3::prelude::*;

use crate::ending;

/// Warns at the line of the caller.
pub(crate) fn warn(py: Python<'_>, message: &CStr) -> PyResult<()> {
    ending::protect_thread();
    PyErr::warn(py, &py.get_type::<PyDeprecationWarning>(), message, 1)
}
