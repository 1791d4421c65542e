//! `threading.Condition`.
//!
//! A condition over a lock of this package is one of the toolkit. Over any other lock, it is the class of `_condition.py`, which
//! uses the lock's methods.

use std::sync::OnceLock;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use raddle::{Unguarded, rt};

use crate::deprecated;
use crate::ending;
use crate::limit::{Limit, number};
use crate::lock::Lock;
use crate::number::Number;
use crate::rlock::RLock;
use crate::seam;

/// Lets threads wait until another thread notifies them.
///
/// lock is the lock to use, an RLock by default. It is released during a wait.
#[pyclass(frozen, weakref, subclass, dict, module = "raddle")]
pub(crate) struct Condition {
    native: raddle::Condition,
    /// The number of threads that are in a wait.
    waiting: AtomicUsize,
    base: OnceLock<Base>,
    number: Number,
}

/// What the condition is built on.
enum Base {
    Lock(Py<Lock>),
    RLock(Py<RLock>),
    /// A condition over a lock of another kind.
    Foreign(Py<PyAny>),
}

impl Condition {
    pub(crate) fn over_lock(lock: Py<Lock>) -> Self {
        Self::over(Base::Lock(lock))
    }

    pub(crate) fn over_new_rlock(py: Python<'_>) -> PyResult<Self> {
        Ok(Self::over(Base::RLock(Py::new(py, RLock::new())?)))
    }

    fn over(base: Base) -> Self {
        Self {
            native: raddle::Condition::new(),
            waiting: AtomicUsize::new(0),
            base: OnceLock::from(base),
            number: Number::new(),
        }
    }

    fn base(&self) -> PyResult<&Base> {
        ending::protect_thread(); // for those of a foreign condition
        self.base.get().ok_or_else(|| PyRuntimeError::new_err("Condition.__init__() was not called"))
    }

    /// Acquires the lock, blocking until it is free.
    pub(crate) fn acquire(&self, py: Python<'_>) -> PyResult<()> {
        match self.base()? {
            Base::Lock(lock) => lock.get().acquire_within(py, Limit::Until(None)).map(drop),
            Base::RLock(lock) => lock.get().acquire_within(py, Limit::Until(None)).map(drop),
            Base::Foreign(condition) => condition.call_method0(py, intern!(py, "acquire")).map(drop),
        }
    }

    pub(crate) fn release(&self, py: Python<'_>) -> PyResult<()> {
        match self.base()? {
            Base::Lock(lock) => lock.get().release(py),
            Base::RLock(lock) => lock.get().release(py),
            Base::Foreign(condition) => condition.call_method0(py, intern!(py, "release")).map(drop),
        }
    }

    /// Acquires the lock, wakes all waiting threads, and releases the lock.
    pub(crate) fn wake_all(&self, py: Python<'_>) -> PyResult<()> {
        self.acquire(py)?;
        let notified = self.notify_all(py);
        self.release(py)?;
        notified
    }

    /// Makes the lock free in the child of a fork, where the thread that held it does not exist.
    pub(crate) fn free_after_fork(&self, py: Python<'_>) -> PyResult<()> {
        self.waiting.store(0, Relaxed);
        match self.base()? {
            Base::Lock(lock) => lock.get().0.reset_after_fork(),
            Base::RLock(lock) => lock.get().0.reset_after_fork(),
            Base::Foreign(condition) => {
                condition.call_method0(py, intern!(py, "_at_fork_reinit"))?;
            }
        }
        Ok(())
    }

    /// Returns an error unless the calling thread, or for a `Lock` any thread, holds the lock. Not for a foreign lock.
    fn check_held(&self, operation: &str) -> PyResult<()> {
        let held = match self.base()? {
            Base::Lock(lock) => lock.get().is_held(),
            Base::RLock(lock) => lock.get().0.is_mine(),
            Base::Foreign(_) => true,
        };
        if held {
            Ok(())
        } else {
            Err(PyRuntimeError::new_err(format!("cannot {operation} on un-acquired lock")))
        }
    }

    /// Waits on the toolkit's condition. Returns whether the thread was notified.
    fn wait_until(&self, py: Python<'_>, deadline: Option<Instant>) -> PyResult<bool> {
        self.check_held("wait")?;
        let base = self.base()?;
        let wait = |deadline: Option<Instant>| -> Result<bool, ()> {
            let condition = &self.native;
            Ok(match (base, deadline) {
                (Base::Lock(lock), Some(end)) => condition.wait_deadline(&mut Unguarded(&lock.get().0), end),
                (Base::RLock(lock), Some(end)) => condition.wait_deadline(&mut Unguarded(&lock.get().0), end),
                (Base::Lock(lock), None) => {
                    condition.wait(&mut Unguarded(&lock.get().0));
                    true
                }
                (Base::RLock(lock), None) => {
                    condition.wait(&mut Unguarded(&lock.get().0));
                    true
                }
                (Base::Foreign(_), _) => false,
            })
        };
        self.waiting.fetch_add(1, Relaxed);
        let notified = seam::until(py, deadline, wait, drop);
        self.waiting.fetch_sub(1, Relaxed);
        Ok(notified?.unwrap_or(false))
    }

    /// The attribute of the lock, as the standard library copies it into the condition.
    fn of_lock<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        match self.base()? {
            Base::Lock(lock) => lock.bind(py).as_any().getattr(name),
            Base::RLock(lock) => lock.bind(py).as_any().getattr(name),
            Base::Foreign(condition) => condition.bind(py).getattr(name),
        }
    }
}

impl Drop for Condition {
    fn drop(&mut self) {
        ending::protect_thread(); // for the destructor of a foreign lock
    }
}

/// The deadline of a wait, which releases the lock however short the timeout is.
fn deadline_of(timeout: Option<f64>) -> PyResult<Option<Instant>> {
    match Limit::of_wait(timeout)? {
        Limit::Until(deadline) => Ok(deadline),
        Limit::Now => seam::deadline(Duration::ZERO),
    }
}

#[pymethods]
impl Condition {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self {
            native: raddle::Condition::new(),
            waiting: AtomicUsize::new(0),
            base: OnceLock::new(),
            number: Number::new(),
        }
    }

    #[pyo3(signature = (lock=None))]
    fn __init__(&self, py: Python<'_>, lock: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        let base = match lock {
            None => Base::RLock(Py::new(py, RLock::new())?),
            Some(lock) => match (lock.cast::<Lock>(), lock.cast::<RLock>()) {
                (Ok(lock), _) => Base::Lock(lock.clone().unbind()),
                (_, Ok(lock)) => Base::RLock(lock.clone().unbind()),
                _ => {
                    let general = py.import(intern!(py, "raddle._condition"))?;
                    Base::Foreign(general.getattr(intern!(py, "Condition"))?.call1((lock,))?.unbind())
                }
            },
        };
        let _ = self.base.set(base);
        Ok(())
    }

    /// Release the lock, block until notified or for a timeout in seconds, and acquire the lock again.
    ///
    /// Return False if the timeout passed. Raise RuntimeError if the lock is not held.
    #[pyo3(signature = (timeout=None))]
    fn wait(&self, py: Python<'_>, #[pyo3(from_py_with = number)] timeout: Option<f64>) -> PyResult<bool> {
        if let Base::Foreign(condition) = self.base()? {
            return condition.call_method1(py, intern!(py, "wait"), (timeout,))?.extract(py);
        }
        self.wait_until(py, deadline_of(timeout)?)
    }

    /// Wait until predicate() is true, or for a timeout in seconds. Return what it returned last.
    #[pyo3(signature = (predicate, timeout=None))]
    fn wait_for<'py>(
        &self,
        py: Python<'py>,
        predicate: &Bound<'py, PyAny>,
        #[pyo3(from_py_with = number)] timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if let Base::Foreign(condition) = self.base()? {
            return condition.bind(py).call_method1(intern!(py, "wait_for"), (predicate, timeout));
        }
        let mut result = predicate.call0()?;
        if result.is_truthy()? {
            return Ok(result);
        }
        let deadline = deadline_of(timeout)?;
        // As in the standard library, the predicate is called again however short the timeout is.
        while !result.is_truthy()? {
            self.wait_until(py, deadline)?;
            result = predicate.call0()?;
            if deadline.is_some_and(|deadline| rt::now() >= deadline) {
                break;
            }
        }
        Ok(result)
    }

    /// Wake up to n of the threads that wait. Raise RuntimeError if the lock is not held.
    #[pyo3(signature = (n=1))]
    fn notify(&self, py: Python<'_>, #[pyo3(from_py_with = number)] n: isize) -> PyResult<()> {
        self.check_held("notify")?;
        let count = usize::try_from(n).unwrap_or(0);
        let condition = &self.native;
        match self.base()? {
            Base::Lock(lock) => {
                seam::quick(py, || condition.notify(&Unguarded(&lock.get().0), count)).map(drop)
            }
            Base::RLock(lock) => {
                seam::quick(py, || condition.notify(&Unguarded(&lock.get().0), count)).map(drop)
            }
            Base::Foreign(condition) => condition.call_method1(py, intern!(py, "notify"), (n,)).map(drop),
        }
    }

    /// Wake all threads that wait. Raise RuntimeError if the lock is not held.
    fn notify_all(&self, py: Python<'_>) -> PyResult<()> {
        if let Base::Foreign(condition) = self.base()? {
            return condition.call_method0(py, intern!(py, "notify_all")).map(drop);
        }
        self.notify(py, isize::MAX)
    }

    /// Deprecated name of notify_all().
    #[pyo3(name = "notifyAll")]
    fn notify_all_deprecated(&self, py: Python<'_>) -> PyResult<()> {
        deprecated::warn(py, c"notifyAll() is deprecated, use notify_all() instead")?;
        self.notify_all(py)
    }

    /// Acquire the lock: its acquire().
    #[getter(acquire)]
    fn acquire_of_lock<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.of_lock(py, "acquire")
    }

    /// Release the lock: its release().
    #[getter(release)]
    fn release_of_lock<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.of_lock(py, "release")
    }

    /// Return whether the lock is held: its locked().
    #[getter]
    fn locked<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.of_lock(py, "locked")
    }

    #[getter(_lock)]
    fn lock<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.base()? {
            Base::Lock(lock) => Ok(lock.bind(py).as_any().clone()),
            Base::RLock(lock) => Ok(lock.bind(py).as_any().clone()),
            Base::Foreign(condition) => condition.bind(py).getattr(intern!(py, "_lock")),
        }
    }

    fn _is_owned<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let name = if matches!(self.base()?, Base::Lock(_)) { "locked" } else { "_is_owned" };
        self.of_lock(py, name)?.call0()
    }

    fn _release_save<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let name = if matches!(self.base()?, Base::Lock(_)) { "release" } else { "_release_save" };
        self.of_lock(py, name)?.call0()
    }

    fn _acquire_restore<'py>(
        &self,
        py: Python<'py>,
        state: Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match self.base()? {
            Base::Lock(lock) => lock.bind(py).as_any().call_method0("acquire"),
            Base::RLock(lock) => lock.bind(py).as_any().call_method1("_acquire_restore", (state,)),
            Base::Foreign(condition) => condition.bind(py).call_method1("_acquire_restore", (state,)),
        }
    }

    fn __enter__(&self, py: Python<'_>) -> PyResult<bool> {
        if let Base::Foreign(condition) = self.base()? {
            return condition.call_method0(py, intern!(py, "__enter__"))?.is_truthy(py);
        }
        self.acquire(py)?;
        Ok(true)
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

    fn _at_fork_reinit(&self, py: Python<'_>) -> PyResult<()> {
        self.free_after_fork(py)
    }

    /// The threads that wait. Only their number is known.
    #[getter]
    fn _waiters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if let Base::Foreign(condition) = self.base()? {
            return condition.bind(py).getattr("_waiters");
        }
        Ok(PyTuple::new(py, (0..self.waiting.load(Relaxed)).map(|_| py.None()).collect::<Vec<_>>())?
            .into_any())
    }

    fn __hash__(slf: &Bound<'_, Self>) -> isize {
        slf.get().number.hash(slf)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        if let Base::Foreign(condition) = self.base()? {
            return Ok(condition.bind(py).repr()?.to_string());
        }
        let waiting = self.waiting.load(Relaxed);
        Ok(format!("<Condition({}, {waiting})>", self.lock(py)?.repr()?))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.base.get() {
            Some(Base::Foreign(condition)) => visit.call(condition),
            _ => Ok(()), // native locks refer to nothing
        }
    }
}
