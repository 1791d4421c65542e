//! `threading.Lock`.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use raddle::rt;

use crate::fast::{self, Answer};
use crate::limit::{Limit, Truth, number};
use crate::number::Number;
use crate::seam;

/// A lock: acquired by one thread, released by that or by any other thread.
///
/// Like ``threading.Lock``. Once a thread has waited for a millisecond, the next release hands the lock over to a waiting thread.
#[pyclass(frozen, weakref, module = "raddle")]
pub(crate) struct Lock(pub(crate) raddle::Lock, Number);

impl Lock {
    pub(crate) fn acquire_within(&self, py: Python<'_>, limit: Limit) -> PyResult<bool> {
        let lock = &self.0;
        let acquire_until = |deadline| lock.acquire_deadline(deadline);
        let release = || _ = lock.release(); // held by this thread
        limit.acquire(py, || lock.try_acquire(), || lock.acquire(), acquire_until, release)
    }

    /// Returns whether the lock is held, which is not an operation of the program.
    pub(crate) fn is_held(&self) -> bool {
        rt::unobserved(|| self.0.is_locked())
    }
}

#[pymethods]
impl Lock {
    #[new]
    pub(crate) fn new() -> Self {
        Self(raddle::Lock::new(), Number::new())
    }

    /// Acquire the lock. Return whether it was acquired.
    ///
    /// Without arguments, block until the lock is free. With blocking=False, do not block. With a timeout in seconds, block
    /// for at most that long; -1 means no timeout.
    #[pyo3(signature = (blocking=Truth(true), timeout=-1.0))]
    fn acquire(
        &self,
        py: Python<'_>,
        blocking: Truth,
        #[pyo3(from_py_with = number)] timeout: f64,
    ) -> PyResult<bool> {
        self.acquire_within(py, Limit::of_lock(blocking.0, timeout)?)
    }

    /// Release the lock. Any thread may do so. Raise RuntimeError if it is not held.
    pub(crate) fn release(&self, py: Python<'_>) -> PyResult<()> {
        seam::quick(py, || self.0.release())?.map_err(|_| PyRuntimeError::new_err("release unlocked lock"))
    }

    /// Obsolete name of acquire().
    #[pyo3(signature = (blocking=Truth(true), timeout=-1.0))]
    fn acquire_lock(
        &self,
        py: Python<'_>,
        blocking: Truth,
        #[pyo3(from_py_with = number)] timeout: f64,
    ) -> PyResult<bool> {
        self.acquire(py, blocking, timeout)
    }

    /// Obsolete name of release().
    fn release_lock(&self, py: Python<'_>) -> PyResult<()> {
        self.release(py)
    }

    /// Obsolete name of locked().
    fn locked_lock(&self, py: Python<'_>) -> PyResult<bool> {
        self.locked(py)
    }

    /// Return whether the lock is held.
    fn locked(&self, py: Python<'_>) -> PyResult<bool> {
        seam::quick(py, || self.0.is_locked())
    }

    fn __enter__(&self, py: Python<'_>) -> PyResult<bool> {
        self.acquire_within(py, Limit::Until(None))
    }

    #[pyo3(signature = (_class=None, _exception=None, _traceback=None))]
    fn __exit__(
        &self,
        py: Python<'_>,
        _class: Option<&Bound<'_, PyAny>>,
        _exception: Option<&Bound<'_, PyAny>>,
        _traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        self.release(py)
    }

    /// Make the lock free in the child of a fork, where the thread that held it does not exist.
    fn _at_fork_reinit(&self) {
        self.0.reset_after_fork();
    }

    fn __hash__(slf: &Bound<'_, Self>) -> isize {
        slf.get().1.hash(slf)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> String {
        let state = if slf.get().is_held() { "locked" } else { "unlocked" };
        format!("<{state} raddle.Lock object at {:p}>", slf.as_ptr())
    }
}

fast::method!(Acquire, Lock, c"acquire", "($self, /, blocking=True, timeout=-1)", |py, lock, args| {
    match args.flag(0, true) {
        Some(blocking) if args.get(1).is_none() => {
            let acquired = lock.0.try_acquire();
            if blocking && !acquired { Answer::Declined } else { Answer::truth(py, acquired) }
        }
        _ => Answer::Declined,
    }
});

fast::method!(Release, Lock, c"release", "($self, /)", |py, lock, args| {
    if args.is_empty() && lock.0.release().is_ok() { Answer::none(py) } else { Answer::Declined }
});

fast::method!(Enter, Lock, c"__enter__", "($self, /)", |py, lock, args| {
    if args.is_empty() && lock.0.try_acquire() { Answer::truth(py, true) } else { Answer::Declined }
});

fast::method!(
    Exit,
    Lock,
    c"__exit__",
    "($self, /, _class=None, _exception=None, _traceback=None)",
    |py, lock, _| match lock.0.release() {
        Ok(()) => Answer::none(py),
        Err(_) => Answer::Declined,
    }
);

/// Adds the frequent methods.
pub(crate) fn add_fast(py: Python<'_>) -> PyResult<()> {
    fast::add::<Acquire>(py)?;
    fast::add::<Release>(py)?;
    fast::add::<Enter>(py)?;
    fast::add::<Exit>(py)
}
