//! The watch of the toolkit, for Python: switched on, asked for a dump, and informed of the interpreter's signal handlers.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use raddle::watch::{self, Action, Watch};

use crate::ending;

/// Turn the watch on. It reports deadlocks on standard error, from now on until the process ends.
///
/// action is what follows the report of a deadlock: "end" ends the process with status 101, "raise" raises RuntimeError in one
/// of the deadlocked threads, "report" does nothing. With lock_order, inconsistent lock orders are reported too. Threads
/// that have waited for each other for suspect_after seconds are suspected to be deadlocked.
///
/// The environment variable RADDLE_WATCH overrides the arguments.
#[pyfunction]
#[pyo3(signature = (action="end", lock_order=false, suspect_after=10.0))]
pub(crate) fn watch_start(action: &str, lock_order: bool, suspect_after: f64) -> PyResult<()> {
    let action = match action {
        "end" => Action::End,
        "raise" => Action::Panic,
        "report" => Action::Report,
        _ => {
            let message = format!("action must be 'end', 'raise' or 'report', not {action:?}");
            return Err(PyValueError::new_err(message));
        }
    };
    let suspect_after = Duration::try_from_secs_f64(suspect_after).map_err(|_| {
        PyValueError::new_err("suspect_after must be a number of seconds that is not negative")
    })?;
    watch::before_end(flush);
    Watch::new().action(action).lock_order(lock_order).suspect_after(suspect_after).start();
    Ok(())
}

/// Return whether the watch is on.
#[pyfunction]
pub(crate) fn watch_is_on() -> bool {
    watch::is_on()
}

/// Return the text of a dump: each thread, what it waits for, and which locks it holds since which line.
#[pyfunction]
pub(crate) fn dump(py: Python<'_>) -> String {
    py.detach(|| watch::dump().to_string())
}

/// Write a dump to standard error whenever the process receives SIGQUIT, which Ctrl-\ in a terminal sends, and then the
/// stacks of all threads.
#[pyfunction]
pub(crate) fn dump_on_sigquit(py: Python<'_>) -> PyResult<()> {
    ending::protect_thread();
    WRITER.store(std::process::id(), Relaxed);
    let end = wrap_pyfunction!(end_stacks, py)?;
    py.import(intern!(py, "atexit"))?.call_method1("register", (end,))?;
    watch::after_dump(write_stacks);
    Ok(py.detach(watch::dump_on_sigquit)?)
}

/// Whether the interpreter is about to end. A thread that runs Python code then is parked, and what it writes would be
/// incomplete. Locked while the stacks are written.
static ENDS: Mutex<bool> = Mutex::new(false);

/// The process whose thread writes the stacks; not the child of a fork.
static WRITER: AtomicU32 = AtomicU32::new(0);

/// Wait until the stacks of a dump are written, and let later dumps have none. Called when the interpreter ends.
#[pyfunction]
fn end_stacks(py: Python<'_>) {
    if WRITER.load(Relaxed) == std::process::id() {
        py.detach(|| *ENDS.lock().unwrap_or_else(PoisonError::into_inner) = true);
    }
}

/// Writes the stacks of all threads to standard error, once no other thread holds the interpreter.
fn write_stacks() {
    let ends = ENDS.lock().unwrap_or_else(PoisonError::into_inner);
    if *ends {
        return;
    }
    ending::protect_thread();
    Python::try_attach(|py| {
        if let Err(error) = py.import("raddle._stacks").and_then(|module| module.call_method0("write")) {
            error.print(py);
        }
    });
}

/// Tells the watch which handlers of signals are the interpreter's own: `KeyboardInterrupt` on SIGINT ends a program
/// that is deadlocked, but does not resolve the deadlock. Called by the main thread before it waits.
pub(crate) fn exempt_signals(py: Python<'_>) -> PyResult<()> {
    const SIGINT: i32 = 2;
    let signal = py.import(intern!(py, "signal"))?;
    let handler = signal.call_method1(intern!(py, "getsignal"), (SIGINT,))?;
    let is_default = handler.is(&signal.getattr(intern!(py, "default_int_handler"))?);
    watch::exempt_signals(if is_default { &[SIGINT] } else { &[] });
    Ok(())
}

/// Writes out what the standard streams have buffered, before a deadlock ends the process.
fn flush() {
    ending::protect_thread();
    Python::try_attach(|py| {
        for name in ["stdout", "stderr"] {
            // A failure is no reason to keep a deadlocked program. Only of the interpreter's own class: the flush of a
            // class in Python may wait for one of the deadlocked threads.
            let _ = || -> PyResult<()> {
                let stream = py.import("sys")?.getattr(name)?;
                if stream.get_type().is(&py.import("io")?.getattr("TextIOWrapper")?) {
                    stream.call_method0("flush")?;
                }
                Ok(())
            }();
        }
    });
}
