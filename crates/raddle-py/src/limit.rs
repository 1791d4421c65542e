//! How long a call may block, from Python's arguments.

use std::time::{Duration, Instant};

use pyo3::Borrowed;
use pyo3::conversion::FromPyObjectOwned;
use pyo3::exceptions::{PyOverflowError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBool;
use raddle::rt;

use crate::ending;
use crate::seam;

/// How long a call may block.
#[derive(Clone, Copy)]
pub(crate) enum Limit {
    /// Not at all.
    Now,
    /// Until this moment, or without a limit.
    Until(Option<Instant>),
}

/// The longest timeout that `threading` accepts, `threading.TIMEOUT_MAX`, in seconds.
const LONGEST: f64 = 9_223_372_036.0;

impl Limit {
    /// Returns the limit of a timeout in seconds that is known not to be negative.
    fn after(seconds: f64) -> PyResult<Self> {
        if seconds.is_nan() {
            return Err(PyValueError::new_err("Invalid value NaN (not a number)"));
        }
        if seconds > LONGEST {
            return Err(PyOverflowError::new_err("timestamp out of range for platform time_t"));
        }
        seam::deadline(Duration::from_secs_f64(seconds)).map(Self::Until)
    }

    /// Returns the limit of `Lock.acquire(blocking, timeout)`, where -1 is no timeout.
    pub(crate) fn of_lock(blocking: bool, timeout: f64) -> PyResult<Self> {
        #[allow(clippy::float_cmp)] // Python's sentinel
        let unlimited = timeout == -1.0;
        match (blocking, unlimited) {
            (true, true) => Ok(Self::Until(None)),
            (false, true) => Ok(Self::Now),
            (false, false) => Err(PyValueError::new_err("can't specify a timeout for a non-blocking call")),
            (true, false) if timeout < 0.0 => {
                Err(PyValueError::new_err("timeout value must be a non-negative number"))
            }
            (true, false) if timeout > LONGEST => Err(PyOverflowError::new_err("timeout value is too large")),
            (true, false) => Self::after(timeout),
        }
    }

    /// Returns the limit of `Semaphore.acquire(blocking, timeout)`, where `None` is no timeout.
    pub(crate) fn of_semaphore(blocking: bool, timeout: Option<f64>) -> PyResult<Self> {
        match (blocking, timeout) {
            (true, None) => Ok(Self::Until(None)),
            (false, None) => Ok(Self::Now),
            (false, Some(_)) => Err(PyValueError::new_err("can't specify timeout for non-blocking acquire")),
            (true, Some(timeout)) => Self::of_wait(Some(timeout)),
        }
    }

    /// Returns the limit of `Event.wait(timeout)`. A negative timeout has passed.
    pub(crate) fn of_wait(timeout: Option<f64>) -> PyResult<Self> {
        match timeout {
            None => Ok(Self::Until(None)),
            Some(timeout) if timeout <= 0.0 => Ok(Self::Now),
            Some(timeout) => Self::after(timeout),
        }
    }

    /// Returns the limit of `Queue.get(block, timeout)`. The timeout is ignored by a call that does not block.
    pub(crate) fn of_queue(block: bool, timeout: Option<f64>) -> PyResult<Self> {
        Self::check_queue(block, timeout)?;
        if block { Self::of_wait(timeout) } else { Ok(Self::Now) }
    }

    /// Refuses the arguments that [`of_queue`](Self::of_queue) refuses, without reading the clock.
    pub(crate) fn check_queue(block: bool, timeout: Option<f64>) -> PyResult<()> {
        match timeout {
            Some(timeout) if block && timeout < 0.0 => {
                Err(PyValueError::new_err("'timeout' must be a non-negative number"))
            }
            _ => Ok(()),
        }
    }
}

impl Limit {
    /// Performs an acquire within the limit. Returns whether it succeeded.
    ///
    /// `attempt` does not block, `acquire` blocks, and `acquire_until` blocks until a deadline. `release` reverses them.
    pub(crate) fn acquire(
        self,
        py: Python<'_>,
        attempt: impl FnOnce() -> bool + Send,
        acquire: impl FnOnce() + Send,
        acquire_until: impl FnOnce(Instant) -> bool + Send,
        release: impl FnOnce(),
    ) -> PyResult<bool> {
        // To an observer, an attempt would be an operation of its own.
        if (self.is_now() || !rt::is_observed()) && seam::quick(py, attempt)? {
            return Ok(true);
        }
        let Self::Until(deadline) = self else { return Ok(false) };
        let acquire = |deadline: Option<Instant>| {
            let acquired = deadline.is_none_or(acquire_until);
            if deadline.is_none() {
                acquire();
            }
            acquired.then_some(()).ok_or(())
        };
        Ok(seam::until(py, deadline, acquire, |()| release())?.is_ok())
    }

    pub(crate) fn is_now(self) -> bool {
        matches!(self, Self::Now)
    }
}

/// An argument that is true or false, of any type, as in `q.get(block=0)`.
pub(crate) struct Truth(pub(crate) bool);

impl<'py> FromPyObject<'_, 'py> for Truth {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(flag) = object.cast_exact::<PyBool>() {
            return Ok(Self(flag.is_true()));
        }
        ending::protect_thread();
        object.is_truthy().map(Self)
    }
}

/// Converts an argument that is a number, of any type that converts itself, which may run Python code.
pub(crate) fn number<'py, T: FromPyObjectOwned<'py>>(object: &Bound<'py, PyAny>) -> PyResult<T> {
    ending::protect_thread();
    object.extract().map_err(Into::into)
}
