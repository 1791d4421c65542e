//! `threading.Event`.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use raddle::rt;

use crate::condition::Condition;
use crate::deprecated;
use crate::fast::{self, Answer};
use crate::limit::{Limit, number};
use crate::lock::Lock;
use crate::number::Number;
use crate::seam;

/// A flag that threads wait for.
#[pyclass(frozen, weakref, subclass, dict, module = "raddle")]
pub(crate) struct Event {
    flag: raddle::Event,
    /// The condition of the standard library's event, for programs that use it. Nothing waits for it here.
    condition: PyOnceLock<Py<Condition>>,
    number: Number,
}

#[pymethods]
impl Event {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyAny>, _kwargs: Option<&Bound<'_, PyAny>>) -> Self {
        Self { flag: raddle::Event::new(), condition: PyOnceLock::new(), number: Number::new() }
    }

    /// A derived class may have arguments of its own.
    #[expect(clippy::unused_self, reason = "an initializer has no arguments but the object")]
    fn __init__(&self) {}

    /// Return whether the flag is set.
    fn is_set(&self, py: Python<'_>) -> PyResult<bool> {
        seam::quick(py, || self.flag.is_set())
    }

    /// Deprecated name of is_set().
    #[pyo3(name = "isSet")]
    fn is_set_deprecated(&self, py: Python<'_>) -> PyResult<bool> {
        deprecated::warn(py, c"isSet() is deprecated, use is_set() instead")?;
        self.is_set(py)
    }

    /// Set the flag, which wakes all threads that wait for it.
    fn set(&self, py: Python<'_>) -> PyResult<()> {
        seam::quick(py, || self.flag.set())?;
        match self.condition.get(py) {
            Some(condition) => condition.get().wake_all(py),
            None => Ok(()),
        }
    }

    /// Reset the flag, so that threads block in wait() again.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        seam::quick(py, || self.flag.clear())
    }

    /// Block until the flag is set, or for a timeout in seconds. Return whether the flag was set.
    #[pyo3(signature = (timeout=None))]
    fn wait(&self, py: Python<'_>, #[pyo3(from_py_with = number)] timeout: Option<f64>) -> PyResult<bool> {
        let flag = &self.flag;
        let wait_until = |deadline| flag.wait_deadline(deadline);
        Limit::of_wait(timeout)?.acquire(py, || flag.is_set(), || flag.wait(), wait_until, || ())
    }

    /// The condition of the standard library's event, which set() notifies too.
    #[getter]
    fn _cond(&self, py: Python<'_>) -> PyResult<Py<Condition>> {
        let condition = self.condition.get_or_try_init(py, || {
            let lock = Py::new(py, Lock::new())?;
            Py::new(py, Condition::over_lock(lock))
        })?;
        Ok(condition.clone_ref(py))
    }

    #[getter]
    fn _flag(&self, py: Python<'_>) -> PyResult<bool> {
        self.is_set(py)
    }

    /// Make the condition's lock free in the child of a fork.
    fn _at_fork_reinit(&self, py: Python<'_>) -> PyResult<()> {
        match self.condition.get(py) {
            Some(condition) => condition.get().free_after_fork(py),
            None => Ok(()),
        }
    }

    fn __hash__(slf: &Bound<'_, Self>) -> isize {
        slf.get().number.hash(slf)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let state = if rt::unobserved(|| slf.get().flag.is_set()) { "set" } else { "unset" };
        crate::repr::named(slf, state)
    }
}

fast::method!(IsSet, Event, c"is_set", "($self, /)", |py, event, args| {
    if args.is_empty() { Answer::truth(py, event.flag.is_set()) } else { Answer::Declined }
});

fast::method!(Set, Event, c"set", "($self, /)", |py, event, args| {
    if !args.is_empty() || event.condition.get(py).is_some() {
        return Answer::Declined;
    }
    event.flag.set();
    Answer::none(py)
});

fast::method!(Clear, Event, c"clear", "($self, /)", |py, event, args| {
    if !args.is_empty() {
        return Answer::Declined;
    }
    event.flag.clear();
    Answer::none(py)
});

/// Adds the frequent methods.
pub(crate) fn add_fast(py: Python<'_>) -> PyResult<()> {
    fast::add::<IsSet>(py)?;
    fast::add::<Set>(py)?;
    fast::add::<Clear>(py)
}
