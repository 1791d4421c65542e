//! Representations.

use pyo3::prelude::*;

use crate::ending;

/// The representation of an object whose class may be a subclass: its class, its address, and its state.
pub(crate) fn named<T>(object: &Bound<'_, T>, state: &str) -> PyResult<String> {
    ending::protect_thread();
    let class = object.as_any().get_type();
    Ok(format!("<{}.{} at {:p}: {state}>", class.module()?, class.qualname()?, object.as_any().as_ptr()))
}
