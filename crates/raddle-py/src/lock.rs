//! `threading.Lock`.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::limit::{Limit, Truth};
use crate::seam;

/// A lock: acquired by one thread, released by that or by any other thread.
///
/// Like ``threading.Lock``. Once a thread has waited for a millisecond, the next release hands the lock over to a waiting thread.
#[pyclass(frozen, weakref, module = "raddle")]
pub(crate) struct Lock(raddle::Lock);

impl Lock {
    fn acquire_within(&self, py: Python<'_>, limit: Limit) -> PyResult<bool> {
        if seam::quick(py, || self.0.try_acquire())? {
            return Ok(true);
        }
        let Limit::Until(deadline) = limit else { return Ok(false) };
        let acquire = |deadline| {
            let Some(deadline) = deadline else {
                self.0.acquire();
                return Ok(());
            };
            self.0.acquire_deadline(deadline).then_some(()).ok_or(())
        };
        let acquired = seam::until(py, deadline, acquire, |()| {
            let _ = self.0.release(); // held by this thread
        })?;
        Ok(acquired.is_ok())
    }
}

#[pymethods]
impl Lock {
    #[new]
    fn new() -> Self {
        Self(raddle::Lock::new())
    }

    /// Acquire the lock. Return whether it was acquired.
    ///
    /// Without arguments, block until the lock is free. With blocking=False, do not block. With a timeout in seconds, block
    /// for at most that long; -1 means no timeout.
    #[pyo3(signature = (blocking=Truth(true), timeout=-1.0))]
    fn acquire(&self, py: Python<'_>, blocking: Truth, timeout: f64) -> PyResult<bool> {
        self.acquire_within(py, Limit::of_lock(blocking.0, timeout)?)
    }

    /// Release the lock. Any thread may do so. Raise RuntimeError if it is not held.
    fn release(&self, py: Python<'_>) -> PyResult<()> {
        seam::quick(py, || self.0.release())?.map_err(|_| PyRuntimeError::new_err("release unlocked lock"))
    }

    /// Return whether the lock is held.
    fn locked(&self, py: Python<'_>) -> PyResult<bool> {
        seam::quick(py, || self.0.is_locked())
    }

    fn __enter__(&self, py: Python<'_>) -> PyResult<bool> {
        self.acquire_within(py, Limit::Until(None))
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.release(py)
    }

    /// Make the lock free in the child of a fork, where the thread that held it does not exist.
    fn _at_fork_reinit(&self) {
        self.0.reset_after_fork();
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let state = if slf.get().locked(slf.py())? { "locked" } else { "unlocked" };
        Ok(format!("<{state} raddle.Lock object at {:p}>", slf.as_ptr()))
    }
}
