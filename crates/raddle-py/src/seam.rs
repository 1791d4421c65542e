//! Where Python calls the toolkit: without the interpreter whenever it may block.
//!
//! Two rules keep the interpreter lock and the toolkit from blocking each other. A call that may wait for another thread
//! is made [detached](Python::detach) from the interpreter. And no Python code, a destructor included, runs while the
//! toolkit holds a lock of its own: items that are no longer needed are returned to the caller, who drops them.
//!
//! While something observes the process, even a call that does not block may wait for the observer, and is made detached
//! too. It is then reported on behalf of the Python line that made it.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Once;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use raddle::rt::{self, Effect, Object, Op};

use crate::ending;
use crate::explore::state::after_operation;
use crate::lines;
use crate::unwinding;

pub(crate) use crate::explore::member::is_explored;

/// Performs an operation of the toolkit that never waits for another thread.
#[inline]
pub(crate) fn quick<T: Send>(py: Python<'_>, operation: impl FnOnce() -> T + Send) -> PyResult<T> {
    ending::protect_thread();
    if rt::is_observed() { blocking(py, operation) } else { Ok(operation()) }
}

/// Performs an operation of the toolkit that may wait for another thread, but not for long: for that, [`until`] is there.
///
/// # Errors
/// `RuntimeError` with the report, if the watch ends the wait of a deadlocked thread by a panic.
#[cold]
pub(crate) fn blocking<T: Send>(py: Python<'_>, operation: impl FnOnce() -> T + Send) -> PyResult<T> {
    ending::protect_thread();
    let place = rt::is_observed().then(|| lines::calling_line(py)).flatten();
    let in_step = IN_STEP.get();
    let operation = || if in_step { rt::unobserved(operation) } else { operation() };
    let outer = CARRIES.replace(true);
    let done = py.detach(|| {
        catch_unwind(AssertUnwindSafe(|| match place {
            Some(place) => rt::on_behalf_of(place, operation),
            None => operation(),
        }))
    });
    CARRIES.set(outer);
    if !in_step {
        after_operation();
    }
    done.map_err(|payload| match payload.downcast::<String>() {
        Ok(report) => PyRuntimeError::new_err(*report),
        Err(payload) if payload.is::<rt::Abandoned>() => unwinding::abandoned(),
        Err(payload) => resume_unwind(payload),
    })
}

thread_local! {
    /// Whether the operations of the calling thread are parts of a step of an exploration that it has announced.
    static IN_STEP: Cell<bool> = const { Cell::new(false) };
}

/// Announces the next step of an exploration: one operation of a class that consists of several of the toolkit, which
/// [`in_step`] performs. It also accesses the objects of `others`.
pub(crate) fn step(py: Python<'_>, op: Op, others: &[(Object, Effect)]) -> PyResult<()> {
    ending::protect_thread();
    if !rt::is_observed() {
        return Ok(());
    }
    if IN_STEP.get() {
        let effect = if op.kind.is_read() { Effect::Read } else { Effect::Write };
        rt::accesses(&op.object, effect);
        for (object, effect) in others {
            rt::accesses(object, *effect);
        }
        return Ok(());
    }
    blocking(py, || rt::point_with(op, others))
}

/// Announces the next step of an exploration, which can be taken only while `ready` returns true, or after the deadline.
/// `ready` depends on what `word` stands for; each change of that is reported by [`rt::signal`]. No step is taken elsewhere.
pub(crate) fn step_until(
    py: Python<'_>,
    op: Op,
    deadline: Option<Instant>,
    word: &AtomicU32,
    ready: impl Fn() -> bool + Sync,
) -> PyResult<()> {
    if !is_explored() || IN_STEP.get() {
        return Ok(());
    }
    blocking(py, || rt::point_until(op, deadline, word, &ready))
}

/// Performs what belongs to the step that the calling thread has announced: the operations in it are no steps of an
/// exploration, and do not block.
pub(crate) fn in_step<T>(perform: impl FnOnce() -> T) -> T {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            IN_STEP.set(self.0);
        }
    }
    if !is_explored() {
        return perform();
    }
    let _restore = Restore(IN_STEP.replace(true));
    perform()
}

/// After a timeout the clock of an exploration is past it, as in reality: programs compare what is left with zero.
const PAST: Duration = Duration::from_micros(1);

/// Returns the time `timeout` from now, or `None` if it is beyond the range of the clock.
///
/// # Errors
/// The exception that unwinds a thread of an exploration.
pub(crate) fn deadline(timeout: Duration) -> PyResult<Option<Instant>> {
    if !is_explored() {
        return Ok(rt::deadline(timeout));
    }
    Python::attach(|py| blocking(py, || rt::deadline(timeout.saturating_add(PAST))))
}

thread_local! {
    /// Whether a panic with a report becomes an exception of Python.
    static CARRIES: Cell<bool> = const { Cell::new(false) };
}

/// Has Rust write no message about a panic that becomes an exception.
pub(crate) fn hide_carried_panics() {
    static HIDDEN: Once = Once::new();
    HIDDEN.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !(CARRIES.get() && panic.payload().is::<String>()) {
                before(panic);
            }
        }));
    });
}

/// Performs an operation of the toolkit that blocks until a deadline, or without a limit. `operation` receives the deadline.
///
/// The main thread executes the handlers of the signals that arrive meanwhile.
///
/// # Errors
/// The exception of such a handler, `KeyboardInterrupt` for example. The operation has then had no effect. If it took effect
/// at the same moment, `undo` reverses that.
#[cold]
pub(crate) fn until<T: Send, E: Send>(
    py: Python<'_>,
    deadline: Option<Instant>,
    operation: impl FnOnce(Option<Instant>) -> Result<T, E> + Send,
    undo: impl FnOnce(T),
) -> PyResult<Result<T, E>> {
    ending::protect_thread();
    if is_explored() || !is_main_thread(py)? {
        return blocking(py, || operation(deadline));
    }
    py.check_signals()?;
    if raddle::watch::is_on() {
        crate::watch::exempt_signals(py)?;
    }
    RAISED.set(None);
    MAIN_THREAD_ENDS.set(false);
    let done = blocking(py, || match deadline {
        Some(deadline) => rt::interruptible(signal_raises, || operation(Some(deadline))),
        None => rt::until_interrupted(signal_raises, |deadline| operation(Some(deadline))),
    })?;
    let raised = match RAISED.take() {
        None if MAIN_THREAD_ENDS.get() => ending::error_of_wait(py)?,
        raised => raised,
    };
    match raised {
        None => Ok(done),
        Some(exception) => {
            done.map(undo).ok();
            Err(exception)
        }
    }
}

/// The number of forks between the first process and this one.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// Tells this module that the process is the child of a fork, in which another thread may be the main thread.
#[pyfunction]
pub(crate) fn after_fork_in_child() {
    FORKS.fetch_add(1, Relaxed);
}

/// Returns whether the calling thread is the one that executes the handlers of signals.
fn is_main_thread(py: Python<'_>) -> PyResult<bool> {
    thread_local!(static KNOWN: Cell<Option<(u32, bool)>> = const { Cell::new(None) });
    let forks = FORKS.load(Relaxed);
    match KNOWN.get() {
        Some((known, is_main)) if known == forks => Ok(is_main),
        _ => {
            let threading = py.import("threading")?;
            let main = threading.call_method0("main_thread")?.getattr("ident")?;
            let is_main = main.eq(threading.call_method0("get_ident")?)?;
            KNOWN.set(Some((forks, is_main)));
            Ok(is_main)
        }
    }
}

thread_local! {
    /// The exception of a signal handler that was executed during a wait of the thread.
    static RAISED: RefCell<Option<PyErr>> = const { RefCell::new(None) };
    /// The interpreter ends, in this thread, and a destructor waits.
    static MAIN_THREAD_ENDS: Cell<bool> = const { Cell::new(false) };
}

/// Executes the handlers of the signals that have arrived, if this is the main thread. Returns whether one has raised.
fn signal_raises() -> bool {
    let raises = Python::try_attach(|py| match py.check_signals() {
        Ok(()) => false,
        Err(exception) => {
            RAISED.set(Some(exception));
            true
        }
    });
    raises.unwrap_or_else(|| {
        MAIN_THREAD_ENDS.set(true);
        ending::ends_waits()
    })
}
