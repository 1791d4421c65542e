//! `threading.RLock`.

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use raddle::rt;

use crate::deprecated;
use crate::fast::{self, Answer};
use crate::limit::{Limit, Truth, number};
use crate::number::Number;
use crate::seam;

/// A re-entrant lock: the thread that holds it can acquire it again, and releases it once for each acquire.
#[pyclass(frozen, weakref, module = "raddle")]
pub(crate) struct RLock(pub(crate) raddle::RLock, Number);

fn not_owner<E>(_: E) -> PyErr {
    PyRuntimeError::new_err("cannot release un-acquired lock")
}

impl RLock {
    pub(crate) fn new() -> Self {
        Self(raddle::RLock::new(), Number::new())
    }

    pub(crate) fn acquire_within(&self, py: Python<'_>, limit: Limit) -> PyResult<bool> {
        let lock = &self.0;
        let acquire_until = |deadline| lock.acquire_deadline(deadline);
        let release = || _ = lock.release(); // held by this thread
        limit.acquire(py, || lock.try_acquire(), || lock.acquire(), acquire_until, release)
    }
}

#[pymethods]
impl RLock {
    #[new]
    #[pyo3(signature = (*args, **kwargs))]
    fn from_python(
        py: Python<'_>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let any = !args.is_empty() || kwargs.is_some();
        if any && py.version_info() >= (3, 15) {
            let kind = if args.is_empty() { "keyword" } else { "positional" };
            return Err(PyTypeError::new_err(format!("RLock() takes no {kind} arguments")));
        }
        if any && py.version_info() >= (3, 13) {
            deprecated::warn(py, c"passing arguments to RLock is deprecated: it ignores them")?;
        }
        Ok(Self::new())
    }

    /// Acquire the lock, or increase its level if the calling thread holds it. Return whether it was acquired.
    ///
    /// With blocking=False, do not block. With a timeout in seconds, block for at most that long; -1 means no timeout.
    #[pyo3(signature = (blocking=Truth(true), timeout=-1.0))]
    fn acquire(
        &self,
        py: Python<'_>,
        blocking: Truth,
        #[pyo3(from_py_with = number)] timeout: f64,
    ) -> PyResult<bool> {
        self.acquire_within(py, Limit::of_lock(blocking.0, timeout)?)
    }

    /// Decrease the level; at level zero, release the lock. Raise RuntimeError if the calling thread does not hold it.
    pub(crate) fn release(&self, py: Python<'_>) -> PyResult<()> {
        seam::quick(py, || self.0.release())?.map_err(not_owner)
    }

    /// Return whether the lock is held by any thread.
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

    /// Return whether the calling thread holds the lock. For conditions.
    fn _is_owned(&self) -> bool {
        self.0.is_mine()
    }

    /// Return how often the calling thread has acquired the lock without releasing it.
    fn _recursion_count(&self) -> usize {
        self.0.levels()
    }

    /// Release the lock at all levels and return their number. For conditions.
    fn _release_save(&self, py: Python<'_>) -> PyResult<usize> {
        let levels = self.0.levels();
        for _ in 1..levels {
            let _ = self.0.release(); // not visible to other threads
        }
        self.release(py)?;
        Ok(levels)
    }

    /// Acquire the lock at the levels that _release_save returned. For conditions: no signal interrupts it.
    fn _acquire_restore(&self, py: Python<'_>, levels: usize) -> PyResult<()> {
        seam::blocking(py, || {
            for _ in 0..levels {
                self.0.acquire();
            }
        })
    }

    /// Make the lock free in the child of a fork, where the thread that held it does not exist.
    fn _at_fork_reinit(&self) {
        self.0.reset_after_fork();
    }

    fn __hash__(slf: &Bound<'_, Self>) -> isize {
        slf.get().1.hash(slf)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> String {
        let this = slf.get();
        let state = if rt::unobserved(|| this.0.is_locked()) { "locked" } else { "unlocked" };
        let count = this.0.levels_held();
        format!("<{state} raddle.RLock object count={count} at {:p}>", slf.as_ptr())
    }
}

fast::method!(Acquire, RLock, c"acquire", "($self, /, blocking=True, timeout=-1)", |py, lock, args| {
    match args.flag(0, true) {
        Some(blocking) if args.get(1).is_none() => {
            let acquired = lock.0.try_acquire();
            if blocking && !acquired { Answer::Declined } else { Answer::truth(py, acquired) }
        }
        _ => Answer::Declined,
    }
});

fast::method!(Release, RLock, c"release", "($self, /)", |py, lock, args| {
    if args.is_empty() && lock.0.release().is_ok() { Answer::none(py) } else { Answer::Declined }
});

fast::method!(Enter, RLock, c"__enter__", "($self, /)", |py, lock, args| {
    if args.is_empty() && lock.0.try_acquire() { Answer::truth(py, true) } else { Answer::Declined }
});

fast::method!(
    Exit,
    RLock,
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
