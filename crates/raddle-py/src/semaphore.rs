//! `threading.Semaphore` and `threading.BoundedSemaphore`.

use std::sync::OnceLock;
use std::time::Instant;

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use raddle::{Permit, rt};

use crate::limit::{Limit, Truth, number};
use crate::number::Number;
use crate::seam;

/// A counter of permits. acquire() takes one, blocking while there is none, and release() returns some.
///
/// Waiting threads are served in the order in which they came.
#[pyclass(frozen, weakref, subclass, dict, module = "raddle")]
pub(crate) struct Semaphore(OnceLock<Permits>, Number);

enum Permits {
    Counting(raddle::Semaphore),
    Bounded(raddle::BoundedSemaphore, usize),
}

impl Semaphore {
    fn permits(&self) -> PyResult<&Permits> {
        self.0.get().ok_or_else(|| PyRuntimeError::new_err("Semaphore.__init__() was not called"))
    }
}

impl Permits {
    fn available(&self) -> usize {
        match self {
            Self::Counting(permits) => permits.available(),
            Self::Bounded(permits, _) => permits.available(),
        }
    }

    fn try_acquire(&self) -> bool {
        match self {
            Self::Counting(permits) => keep(permits.try_acquire()),
            Self::Bounded(permits, _) => keep(permits.try_acquire()),
        }
    }

    fn acquire(&self) {
        match self {
            Self::Counting(permits) => permits.acquire().forget(),
            Self::Bounded(permits, _) => permits.acquire().forget(),
        }
    }

    fn acquire_deadline(&self, deadline: Instant) -> bool {
        match self {
            Self::Counting(permits) => keep(permits.acquire_deadline(deadline)),
            Self::Bounded(permits, _) => keep(permits.acquire_deadline(deadline)),
        }
    }

    /// Returns whether the permits were released, which a bounded semaphore refuses if they are too many.
    fn release(&self, count: usize) -> bool {
        match self {
            Self::Counting(permits) => permits.release_many(count).is_ok(),
            Self::Bounded(permits, _) => permits.release_many(count).is_ok(),
        }
    }
}

/// Python releases by hand what it acquires.
fn keep(permit: Option<Permit<'_>>) -> bool {
    permit.map(Permit::forget).is_some()
}

fn count_of(value: isize) -> PyResult<usize> {
    usize::try_from(value).map_err(|_| PyValueError::new_err("semaphore initial value must be >= 0"))
}

#[pymethods]
impl Semaphore {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self(OnceLock::new(), Number::new())
    }

    #[pyo3(signature = (value=1))]
    fn __init__(&self, #[pyo3(from_py_with = number)] value: isize) -> PyResult<()> {
        let _ = self.0.set(Permits::Counting(raddle::Semaphore::new(count_of(value)?)));
        Ok(())
    }

    /// Take a permit, blocking until there is one. Return whether one was taken.
    ///
    /// With blocking=False, do not block. With a timeout in seconds, block for at most that long.
    #[pyo3(signature = (blocking=Truth(true), timeout=None))]
    fn acquire(
        &self,
        py: Python<'_>,
        blocking: Truth,
        #[pyo3(from_py_with = number)] timeout: Option<f64>,
    ) -> PyResult<bool> {
        let limit = Limit::of_semaphore(blocking.0, timeout)?;
        let permits = self.permits()?;
        let acquire_until = |deadline| permits.acquire_deadline(deadline);
        let release = || _ = permits.release(1);
        limit.acquire(py, || permits.try_acquire(), || permits.acquire(), acquire_until, release)
    }

    /// Return n permits, which wakes up to n waiting threads.
    #[pyo3(signature = (n=1))]
    fn release(&self, py: Python<'_>, #[pyo3(from_py_with = number)] n: isize) -> PyResult<()> {
        let count = usize::try_from(n).ok().filter(|&count| count > 0);
        let count = count.ok_or_else(|| PyValueError::new_err("n must be one or more"))?;
        let permits = self.permits()?;
        if seam::quick(py, || permits.release(count))? {
            Ok(())
        } else {
            Err(PyValueError::new_err("Semaphore released too many times"))
        }
    }

    #[pyo3(signature = (blocking=Truth(true), timeout=None))]
    fn __enter__(
        &self,
        py: Python<'_>,
        blocking: Truth,
        #[pyo3(from_py_with = number)] timeout: Option<f64>,
    ) -> PyResult<bool> {
        self.acquire(py, blocking, timeout)
    }

    #[pyo3(signature = (_class=None, _exception=None, _traceback=None))]
    fn __exit__(
        &self,
        py: Python<'_>,
        _class: Option<&Bound<'_, PyAny>>,
        _exception: Option<&Bound<'_, PyAny>>,
        _traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        self.release(py, 1)
    }

    /// The number of permits that can be taken without blocking.
    #[getter(_value)]
    fn value(&self, py: Python<'_>) -> PyResult<usize> {
        let permits = self.permits()?;
        seam::quick(py, || permits.available())
    }

    fn __hash__(slf: &Bound<'_, Self>) -> isize {
        slf.get().1.hash(slf)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let permits = slf.get().permits()?;
        let value = rt::unobserved(|| permits.available());
        match permits {
            Permits::Counting(_) => crate::repr::named(slf, &format!("value={value}")),
            Permits::Bounded(_, initial) => crate::repr::named(slf, &format!("value={value}/{initial}")),
        }
    }
}

/// A semaphore that refuses a release beyond its initial value with ValueError, which finds surplus releases.
#[pyclass(frozen, weakref, subclass, dict, extends = Semaphore, module = "raddle")]
pub(crate) struct BoundedSemaphore;

#[pymethods]
impl BoundedSemaphore {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> PyClassInitializer<Self> {
        PyClassInitializer::from(Semaphore(OnceLock::new(), Number::new())).add_subclass(Self)
    }

    #[pyo3(signature = (value=1))]
    fn __init__(slf: &Bound<'_, Self>, #[pyo3(from_py_with = number)] value: isize) -> PyResult<()> {
        let initial = count_of(value)?;
        let permits = Permits::Bounded(raddle::BoundedSemaphore::new(initial), initial);
        let _ = slf.as_super().get().0.set(permits);
        Ok(())
    }

    #[getter]
    fn _initial_value(slf: &Bound<'_, Self>) -> PyResult<usize> {
        match slf.as_super().get().permits()? {
            Permits::Bounded(_, initial) => Ok(*initial),
            Permits::Counting(_) => {
                Err(PyRuntimeError::new_err("BoundedSemaphore.__init__() was not called"))
            }
        }
    }
}
