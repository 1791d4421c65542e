//! `threading.Event`.

use pyo3::prelude::*;

use crate::limit::Limit;
use crate::seam;

/// A flag that threads wait for.
#[pyclass(frozen, weakref, subclass, dict, module = "raddle")]
pub(crate) struct Event(raddle::Event);

#[pymethods]
impl Event {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyAny>, _kwargs: Option<&Bound<'_, PyAny>>) -> Self {
        Self(raddle::Event::new())
    }

    /// Return whether the flag is set.
    fn is_set(&self, py: Python<'_>) -> PyResult<bool> {
        seam::quick(py, || self.0.is_set())
    }

    /// Set the flag, which wakes all threads that wait for it.
    fn set(&self, py: Python<'_>) -> PyResult<()> {
        seam::quick(py, || self.0.set())
    }

    /// Reset the flag, so that threads block in wait() again.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        seam::quick(py, || self.0.clear())
    }

    /// Block until the flag is set, or for a timeout in seconds. Return whether the flag was set.
    #[pyo3(signature = (timeout=None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        if self.is_set(py)? {
            return Ok(true);
        }
        let Limit::Until(deadline) = Limit::of_wait(timeout)? else { return Ok(false) };
        let wait = |deadline| {
            let Some(deadline) = deadline else {
                self.0.wait();
                return Ok(());
            };
            self.0.wait_deadline(deadline).then_some(()).ok_or(())
        };
        Ok(seam::until(py, deadline, wait, drop)?.is_ok())
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let state = if slf.get().is_set(slf.py())? { "set" } else { "unset" };
        crate::repr::named(slf, state)
    }
}
