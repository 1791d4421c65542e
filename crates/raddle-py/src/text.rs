//! Text of Python.

use pyo3::prelude::*;
use pyo3::types::PyString;

/// A string of Python, for reports.
///
/// Python's strings may have lone surrogates, as the names of files and threads do whose bytes are no text. Text of Rust has
/// `U+FFFD` in their place.
#[derive(Debug)]
pub(crate) struct Text(pub(crate) String);

impl<'py> FromPyObject<'_, 'py> for Text {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        Ok(Self(object.cast::<PyString>()?.to_string_lossy().into_owned()))
    }
}
