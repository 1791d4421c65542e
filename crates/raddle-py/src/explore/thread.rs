//! Threads, and the clock, of a program that is being explored.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use raddle::rt;
use raddle::thread::JoinHandle;

use super::member::{ME, Member, is_explored};
use super::state::{self, State};
use crate::text::Text;
use crate::{call, seam};

/// A thread of a program that is being explored.
#[pyclass(frozen, module = "raddle")]
pub(crate) struct ExploredThread {
    #[pyo3(get)]
    ident: u32,
    handle: Option<JoinHandle<()>>,
}

impl Drop for ExploredThread {
    /// An exception that left the thread has failed the execution: it is not reported once more, as one that nobody has read.
    fn drop(&mut self) {
        let Some(handle) = self.handle.take() else { return };
        rt::unobserved(|| {
            if is_explored() || !handle.is_finished() {
                std::mem::forget(handle); // its execution has not ended
            } else {
                drop(handle.join());
            }
        });
    }
}

impl ExploredThread {
    fn handle(&self) -> &JoinHandle<()> {
        self.handle.as_ref().expect("until it is dropped")
    }
}

#[pymethods]
impl ExploredThread {
    /// Wait until the thread has terminated, or for a timeout in seconds. Return whether it has terminated.
    #[pyo3(signature = (timeout=None))]
    fn join(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let deadline = match timeout {
            None => None,
            Some(timeout) => seam::deadline(duration(timeout.max(0.0))?)?,
        };
        seam::blocking(py, || match deadline {
            None => self.handle().wait().map(|()| true),
            Some(deadline) => Ok(self.handle().wait_deadline(deadline)),
        })?
        .map_err(|_| PyRuntimeError::new_err("cannot join current thread"))
    }

    /// Return whether the thread has terminated.
    fn is_finished(&self, py: Python<'_>) -> PyResult<bool> {
        seam::blocking(py, || self.handle().is_finished())
    }
}

fn duration(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| PyValueError::new_err("the timeout must be a non-negative number of seconds"))
}

/// Start a thread that calls a function.
#[pyfunction]
pub(crate) fn spawn(
    py: Python<'_>,
    function: Py<PyAny>,
    name: Text,
    daemon: bool,
) -> PyResult<ExploredThread> {
    let ident = state::with(State::add_thread).unwrap_or_default();
    let body = move || {
        let _member = Member::new(ident);
        call::at_root(function);
    };
    let thread = raddle::Thread::new(body).name(name.0).daemon(daemon);
    let started = seam::blocking(py, || thread.start().map_err(|error| error.to_string()))?;
    let handle = started.map_err(PyRuntimeError::new_err)?;
    Ok(ExploredThread { ident, handle: Some(handle) })
}

/// Return the number of the calling thread, or 0 if it is not being explored.
#[pyfunction]
pub(crate) fn ident() -> u32 {
    ME.get()
}

/// The time that the clock of the execution showed when it was first read.
static BEGINNING: Mutex<Option<Instant>> = Mutex::new(None);

pub(super) fn reset_clock() {
    *BEGINNING.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
}

/// Return the seconds on the clock of the exploration.
#[pyfunction]
pub(crate) fn seconds(py: Python<'_>) -> PyResult<f64> {
    let now = seam::blocking(py, raddle::time::now)?;
    let mut beginning = BEGINNING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let beginning = *beginning.get_or_insert(now);
    Ok(now.saturating_duration_since(beginning).as_secs_f64())
}

/// Block for so many seconds of the clock of the exploration.
#[pyfunction]
pub(crate) fn sleep(py: Python<'_>, seconds: f64) -> PyResult<()> {
    if seconds.is_nan() || seconds < 0.0 {
        return Err(PyValueError::new_err("sleep length must be non-negative"));
    }
    let time = duration(seconds)?;
    seam::blocking(py, || raddle::time::sleep(time))
}

/// Let other threads run.
#[pyfunction]
pub(crate) fn pause(py: Python<'_>) -> PyResult<()> {
    seam::blocking(py, raddle::thread::yield_now)
}
