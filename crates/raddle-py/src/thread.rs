//! The toolkit's record of a thread that Python has started.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use raddle::rt;
use raddle::thread::{self, ThreadHandle};

use crate::limit::{Limit, number};
use crate::seam;
use crate::text::Text;

/// A thread as the watch knows it: by its name, and as something that other threads wait for.
#[pyclass(frozen, module = "raddle._raddle")]
pub(crate) struct ThreadRecord(ThreadHandle);

#[pymethods]
impl ThreadRecord {
    /// Return the record of the calling thread, which has this name from now on if it has not used the package yet.
    #[staticmethod]
    #[pyo3(signature = (name, daemon))]
    fn begin(name: Text, daemon: bool) -> Self {
        rt::name_foreign(&name.0, daemon);
        Self(thread::current())
    }

    #[getter]
    fn name(&self) -> String {
        self.0.name()
    }

    /// Block until the thread has terminated, or for a timeout in seconds. Return whether it has.
    #[pyo3(signature = (timeout=None))]
    fn join(&self, py: Python<'_>, #[pyo3(from_py_with = number)] timeout: Option<f64>) -> PyResult<bool> {
        let Limit::Until(deadline) = Limit::of_wait(timeout)? else {
            return seam::quick(py, || self.0.is_finished());
        };
        if thread::current() == self.0 {
            return Err(PyRuntimeError::new_err("cannot join current thread"));
        }
        let wait = |deadline| match deadline {
            Some(deadline) => self.0.wait_deadline(deadline).then_some(()).ok_or(()),
            None => self.0.wait().map_err(drop),
        };
        Ok(seam::until(py, deadline, wait, drop)?.is_ok())
    }
}
