//! `concurrent.futures.Future`.
//!
//! # State
//! The content is under a mutex that is held for a few instructions: no Python code runs, no reference is dropped and no
//! thread waits while it is locked. Threads that wait for the outcome block on an event, which is set only if there are any.
//!
//! # Steps of an exploration
//! Each operation is one step, since the standard library performs it while it holds the condition of the future. Three
//! [parts](Parts) of a future tell which of them conflict: the beginning of the call changes nothing for a thread that asks
//! for the outcome.
//!
//! # Compatibility
//! Programs and the standard library's `wait` use the attributes `_condition` and `_waiters` of futures. From the first use on,
//! a future is *visible*: it changes its state while it holds its condition, and notifies it.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicU32, AtomicUsize};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyException, PyRuntimeError, PyTimeoutError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple, PyType};
use raddle::rt::{self, Effect, Kind, Object, Op};

use crate::condition::Condition;
use crate::explore::member::is_explored;
use crate::explore::shown;
use crate::explore::state::Kept;
use crate::limit::{Limit, number};
use crate::number::Number;
use crate::watcher::Watcher;
use crate::{call, ending, seam};

pyo3::import_exception!(concurrent.futures, CancelledError);
pyo3::import_exception!(concurrent.futures, InvalidStateError);

/// The result of a call that runs in another thread.
///
/// The class `raddle.futures.Future` derives from it.
#[pyclass(frozen, subclass, module = "raddle._raddle", name = "Future")]
pub(crate) struct Future {
    content: Mutex<Content>,
    number: Number,
    /// The number of threads that wait for the outcome, or are about to.
    waiting: AtomicUsize,
    settled: raddle::Event,
    parts: Kept<Parts>,
}

/// What the operations of a future access, for observers.
#[derive(Default)]
struct Parts {
    /// Whether the outcome is known, and the outcome. An exploration waits for a change of it.
    outcome: AtomicU32,
    /// Whether the call has begun.
    beginning: u8,
    /// The order of the callbacks.
    callbacks: u8,
}

impl Parts {
    fn outcome(&self) -> Object {
        Object::of(&self.outcome, "Future")
    }

    fn beginning(&self) -> Object {
        Object::of(&self.beginning, "beginning of a future")
    }

    fn callbacks(&self) -> Object {
        Object::of(&self.callbacks, "callbacks of a future")
    }
}

#[derive(Default)]
struct Content {
    state: State,
    result: Option<Py<PyAny>>,
    exception: Option<Py<PyAny>>,
    callbacks: Vec<Py<PyAny>>,
    watchers: Vec<Watcher>,
    visible: Option<Visible>,
}

/// What programs see of a visible future.
struct Visible {
    condition: Py<Condition>,
    waiters: Py<PyList>,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum State {
    #[default]
    Pending,
    Running,
    Cancelled,
    /// Cancelled, and those that wait for several futures have been notified.
    CancelledAndNotified,
    Finished,
}

impl State {
    const ALL: [Self; 5] =
        [Self::Pending, Self::Running, Self::Cancelled, Self::CancelledAndNotified, Self::Finished];

    /// The name in the standard library.
    fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Cancelled => "CANCELLED",
            Self::CancelledAndNotified => "CANCELLED_AND_NOTIFIED",
            Self::Finished => "FINISHED",
        }
    }

    fn is_cancelled(self) -> bool {
        matches!(self, Self::Cancelled | Self::CancelledAndNotified)
    }

    /// Whether the outcome is known.
    fn is_done(self) -> bool {
        self.is_cancelled() || self == Self::Finished
    }

    /// Whether `wait` and `as_completed` count the future as completed.
    fn is_settled(self) -> bool {
        matches!(self, Self::CancelledAndNotified | Self::Finished)
    }
}

/// What came of a call.
pub(crate) enum Outcome {
    Returned(Py<PyAny>),
    Raised(Py<PyAny>),
}

/// A change of state that was made.
struct Change {
    /// The new state.
    state: State,
    callbacks: Vec<Py<PyAny>>,
    watchers: Vec<Watcher>,
}

impl Future {
    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> State {
        self.content().state
    }

    /// The operation of a step.
    #[track_caller]
    fn op(&self, kind: Kind, verb: &'static str) -> Op {
        Op::new(&self.parts.outcome, "Future", kind).with_verb(verb)
    }

    /// Announces a step that reads the outcome, and returns the state.
    fn read(&self, py: Python<'_>) -> PyResult<State> {
        seam::step(py, self.op(Kind::Read, "reads"), &[])?;
        Ok(self.state())
    }

    /// Announces a step that also reads whether the call has begun, and returns the state.
    fn read_all(&self, py: Python<'_>) -> PyResult<State> {
        seam::step(py, self.op(Kind::Read, "reads"), &[(self.parts.beginning(), Effect::Read)])?;
        Ok(self.state())
    }

    /// Reports that the current step changes the outcome.
    fn outcome_changes(&self) {
        rt::accesses(&self.parts.outcome(), Effect::Write);
        rt::signal(&self.parts.outcome);
    }

    /// Wakes the threads that wait for the outcome.
    fn wake(&self, py: Python<'_>) -> PyResult<()> {
        if self.waiting.load(SeqCst) == 0 {
            return Ok(());
        }
        seam::quick(py, || self.settled.set())
    }

    /// Changes the content by `change`, while the condition is held if the future is visible. If that settles the future, `method`
    /// is the one by which the waiters of a visible future are notified.
    fn change(
        slf: &Bound<'_, Self>,
        verb: &'static str,
        method: &str,
        mut change: impl FnMut(&mut Content) -> Result<(), State>,
    ) -> PyResult<Result<Change, State>> {
        let (py, this) = (slf.py(), slf.get());
        // A step that changes nothing, or the beginning of the call only, reads the outcome.
        let op = this.op(Kind::Read, verb);
        seam::step(py, op, &[(this.parts.beginning(), Effect::Write)])?;
        let mut held: Option<Py<Condition>> = None;
        let changed = loop {
            let mut content = this.content();
            if let (Some(visible), None) = (&content.visible, &held) {
                let condition = visible.condition.clone_ref(py);
                drop(content);
                condition.get().acquire(py)?;
                held = Some(condition);
                continue;
            }
            break change(&mut content).map(|()| {
                let state = content.state;
                let callbacks =
                    if state.is_done() { std::mem::take(&mut content.callbacks) } else { Vec::new() };
                let watchers =
                    if state.is_settled() { std::mem::take(&mut content.watchers) } else { Vec::new() };
                Change { state, callbacks, watchers }
            });
        };
        let woken = match &changed {
            Ok(change) if change.state.is_done() => {
                this.outcome_changes();
                this.wake(py)
            }
            _ => Ok(()),
        };
        if let Some(condition) = held {
            let notified = match &changed {
                Ok(change) if change.state.is_done() => {
                    let method = change.state.is_settled().then_some(method);
                    Self::notify_visible(slf, &condition, method)
                }
                _ => Ok(()),
            };
            condition.get().release(py)?;
            notified?;
        }
        woken.map(|()| changed)
    }

    /// Notifies those that wait for a visible future. The condition is held.
    fn notify_visible(
        slf: &Bound<'_, Self>,
        condition: &Py<Condition>,
        method: Option<&str>,
    ) -> PyResult<()> {
        let py = slf.py();
        if let Some(method) = method {
            let (_, waiters) = slf.get().visible(py)?;
            for waiter in waiters.bind(py).iter() {
                waiter.call_method1(method, (slf,))?;
            }
        }
        condition.call_method0(py, intern!(py, "notify_all")).map(drop)
    }

    /// Makes the future visible, if it is not. Returns its condition and its list of waiters.
    fn visible(&self, py: Python<'_>) -> PyResult<(Py<Condition>, Py<PyList>)> {
        let condition = Py::new(py, Condition::over_new_rlock(py)?)?;
        let created = Visible { condition, waiters: PyList::empty(py).unbind() };
        let mut unused = None;
        let mut content = self.content();
        if content.visible.is_none() {
            content.visible = Some(created);
        } else {
            unused = Some(created);
        }
        let visible = content.visible.as_ref();
        let parts = visible.map(|visible| (visible.condition.clone_ref(py), visible.waiters.clone_ref(py)));
        drop(content);
        drop(unused);
        parts.ok_or_else(|| PyRuntimeError::new_err("the future is not visible"))
    }

    /// Notifies those that wait for several futures, and calls the callbacks.
    fn announce(slf: &Bound<'_, Self>, change: Change) -> PyResult<()> {
        let py = slf.py();
        let failed = slf.get().has_failed();
        for watcher in change.watchers {
            // In the step that has settled the future.
            seam::in_step(|| watcher.settled(py, slf.as_any(), failed))?;
        }
        for callback in change.callbacks {
            Self::call_back(slf, callback.bind(py))?;
        }
        Ok(())
    }

    fn call_back(slf: &Bound<'_, Self>, callback: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        match call::function(callback, &PyTuple::new(py, [slf])?, None) {
            Ok(_) => Ok(()),
            Err(error) if error.is_instance_of::<PyException>(py) && !rt::is_unwinding() => {
                let options = PyDict::new(py);
                options.set_item("exc_info", error)?;
                let message = "exception calling callback for %r";
                logger(py)?.call_method("exception", (message, slf), Some(&options)).map(drop)
            }
            Err(error) => Err(error),
        }
    }

    /// Stores what came of the call.
    pub(crate) fn settle(slf: &Bound<'_, Self>, outcome: Outcome) -> PyResult<()> {
        let method = if matches!(outcome, Outcome::Returned(_)) { "add_result" } else { "add_exception" };
        let mut outcome = Some(outcome);
        let changed = Self::change(slf, "settles", method, |content| {
            if content.state.is_done() {
                return Err(content.state);
            }
            match outcome.take() {
                Some(Outcome::Returned(result)) => content.result = Some(result),
                Some(Outcome::Raised(exception)) => content.exception = Some(exception),
                None => {}
            }
            content.state = State::Finished;
            Ok(())
        })?;
        match changed {
            Ok(change) => {
                let this = slf.get();
                rt::value(&this.op(Kind::Write, "settles"), || this.described());
                Self::announce(slf, change)
            }
            Err(state) => {
                Err(InvalidStateError::new_err(format!("{}: {}", state.name(), slf.as_any().repr()?)))
            }
        }
    }

    /// Moves the future from pending to running. Returns false if it was cancelled.
    pub(crate) fn begin(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let changed = Self::change(slf, "begins", "add_cancelled", |content| {
            content.state = match content.state {
                State::Pending => State::Running,
                State::Cancelled => State::CancelledAndNotified,
                other => return Err(other),
            };
            Ok(())
        })?;
        match changed {
            // The callbacks were called when it was cancelled.
            Ok(change) if change.state.is_cancelled() => Self::announce(slf, change).map(|()| false),
            Ok(_) => Ok(true),
            Err(state) => {
                let py = slf.py();
                let (message, id) = ("Future %s in unexpected state: %s", slf.as_ptr().addr());
                logger(py)?.call_method1("critical", (message, id, state.name()))?;
                Err(PyRuntimeError::new_err("Future in unexpected state"))
            }
        }
    }

    /// Blocks until the outcome is known, or for a timeout in seconds. Returns the result, or the exception.
    fn outcome(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Outcome> {
        if is_explored() {
            return self.outcome_in_one_step(py, timeout);
        }
        seam::step(py, self.op(Kind::Await, "waits for"), &[])?;
        if let Some(outcome) = self.known(py) {
            return outcome;
        }
        let limit = Limit::of_wait(timeout)?;
        if limit.is_now() {
            return Err(PyTimeoutError::new_err(()));
        }
        let _counted = Counted::new(&self.waiting);
        // Either this thread sees the outcome, or the one that stores it sees this thread.
        if !self.state().is_done() {
            let settled = &self.settled;
            let wait_until = |deadline| settled.wait_deadline(deadline);
            limit.acquire(py, || settled.is_set(), || settled.wait(), wait_until, || ())?;
        }
        self.known_under_condition(py)
    }

    /// [`outcome`](Self::outcome) in an exploration: one step, which is taken once the outcome is known or after the timeout.
    fn outcome_in_one_step(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Outcome> {
        let op = self.op(Kind::Await, "waits for");
        match Limit::of_wait(timeout)? {
            Limit::Now => seam::step(py, op, &[])?,
            Limit::Until(deadline) => {
                seam::step_until(py, op, deadline, &self.parts.outcome, || self.state().is_done())?;
            }
        }
        rt::value(&op, || self.described());
        self.known_under_condition(py)
    }

    /// Returns the outcome of a future for which the thread has waited.
    fn known_under_condition(&self, py: Python<'_>) -> PyResult<Outcome> {
        // A program may store the outcome in several steps while it holds the condition.
        let condition = self.content().visible.as_ref().map(|visible| visible.condition.clone_ref(py));
        if let Some(condition) = condition {
            condition.get().acquire(py)?;
            condition.get().release(py)?;
        }
        self.known(py).unwrap_or_else(|| Err(PyTimeoutError::new_err(())))
    }

    /// The outcome, for reports.
    fn described(&self) -> String {
        Python::attach(|py| match self.known(py) {
            None => "no outcome yet".to_owned(),
            Some(Err(_)) => "cancelled".to_owned(),
            Some(Ok(Outcome::Returned(result))) => shown(result.bind(py)),
            Some(Ok(Outcome::Raised(exception))) => shown(exception.bind(py)),
        })
    }

    /// Returns the outcome if it is known.
    fn known(&self, py: Python<'_>) -> Option<PyResult<Outcome>> {
        let content = self.content();
        if content.state.is_cancelled() {
            drop(content);
            return Some(Err(CancelledError::new_err(())));
        }
        if content.state != State::Finished {
            return None;
        }
        Some(Ok(match (&content.exception, &content.result) {
            (Some(exception), _) => Outcome::Raised(exception.clone_ref(py)),
            (None, Some(result)) => Outcome::Returned(result.clone_ref(py)),
            (None, None) => Outcome::Returned(py.None()),
        }))
    }

    /// Returns whether the call has raised an exception, for a future that is settled.
    pub(crate) fn has_failed(&self) -> bool {
        self.content().exception.is_some()
    }

    /// Announces a step that reads the outcomes of several futures.
    pub(crate) fn read_outcomes(
        py: Python<'_>,
        futures: &[Bound<'_, Self>],
        verb: &'static str,
    ) -> PyResult<()> {
        ending::protect_thread();
        let Some((first, others)) = futures.split_first() else { return Ok(()) };
        if !is_explored() {
            return Ok(());
        }
        let others: Vec<_> =
            others.iter().map(|future| (future.get().parts.outcome(), Effect::Read)).collect();
        seam::step(py, first.get().op(Kind::Read, verb), &others)
    }

    /// Adds a watcher that is notified once the future is settled. Returns false if it is settled already.
    pub(crate) fn watch(&self, watcher: Watcher) -> bool {
        let mut unused = Some(watcher);
        let mut content = self.content();
        if !content.state.is_settled() {
            content.watchers.extend(unused.take());
        }
        drop(content);
        unused.is_none()
    }

    /// Removes a watcher, if it has not been notified. Returns whether the future is settled.
    pub(crate) fn unwatch(&self, watcher: &Watcher) -> bool {
        let mut content = self.content();
        let position = content.watchers.iter().position(|other| other.is(watcher));
        let removed = position.map(|position| content.watchers.swap_remove(position));
        let is_settled = content.state.is_settled();
        drop(content);
        drop(removed);
        is_settled
    }

    fn replace(
        &self,
        py: Python<'_>,
        change: impl FnOnce(&mut Content) -> Option<Py<PyAny>>,
    ) -> PyResult<()> {
        seam::step(py, self.op(Kind::Write, "changes"), &[(self.parts.beginning(), Effect::Write)])?;
        let mut content = self.content();
        let replaced = change(&mut content);
        let done = content.state.is_done();
        drop(content);
        self.outcome_changes();
        drop(replaced);
        if done { self.wake(py) } else { seam::in_step(|| seam::quick(py, || self.settled.clear())) }
    }
}

/// The logger of `concurrent.futures`.
pub(crate) fn logger(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    py.import(intern!(py, "concurrent.futures._base"))?.getattr(intern!(py, "LOGGER"))
}

/// Adds one to a count while it lives.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, SeqCst);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl Drop for Future {
    fn drop(&mut self) {
        ending::protect_thread(); // for the destructors of results and callbacks
    }
}

#[pymethods]
impl Future {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self {
            content: Mutex::new(Content::default()),
            number: Number::new(),
            waiting: AtomicUsize::new(0),
            settled: raddle::Event::new(),
            parts: Kept::new(Parts::default()),
        }
    }

    #[allow(clippy::unused_self)]
    fn __init__(&self) {}

    /// Cancel the call if it has not begun. Return whether it is cancelled.
    fn cancel(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let changed = Self::change(slf, "cancels", "add_cancelled", |content| match content.state {
            State::Pending => {
                content.state = State::Cancelled;
                Ok(())
            }
            other => Err(other),
        })?;
        match changed {
            Ok(change) => Self::announce(slf, change).map(|()| true),
            Err(state) => Ok(state.is_cancelled()),
        }
    }

    /// Return whether the call was cancelled.
    fn cancelled(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.read(py)?.is_cancelled())
    }

    /// Return whether the call is being executed.
    fn running(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.read_all(py)? == State::Running)
    }

    /// Return whether the call has ended or was cancelled.
    fn done(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.read(py)?.is_done())
    }

    /// Return what the call returned, or raise what it raised, blocking until it has ended.
    ///
    /// Raise TimeoutError after a timeout in seconds, and CancelledError if the call was cancelled.
    #[pyo3(signature = (timeout=None))]
    fn result(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = number)] timeout: Option<f64>,
    ) -> PyResult<Py<PyAny>> {
        match self.outcome(py, timeout)? {
            Outcome::Returned(result) => Ok(result),
            Outcome::Raised(exception) => Err(PyErr::from_value(exception.into_bound(py))),
        }
    }

    /// Return what the call raised, or None, blocking until it has ended.
    ///
    /// Raise TimeoutError after a timeout in seconds, and CancelledError if the call was cancelled.
    #[pyo3(signature = (timeout=None))]
    fn exception(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = number)] timeout: Option<f64>,
    ) -> PyResult<Py<PyAny>> {
        match self.outcome(py, timeout)? {
            Outcome::Returned(_) => Ok(py.None()),
            Outcome::Raised(exception) => Ok(exception),
        }
    }

    /// Call a function with this future once the call has ended or was cancelled; at once if that is the case already.
    fn add_done_callback(slf: &Bound<'_, Self>, r#fn: Py<PyAny>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let others = [(this.parts.callbacks(), Effect::Write)];
        seam::step(py, this.op(Kind::Read, "adds a callback to"), &others)?;
        let mut now = Some(r#fn);
        let mut content = this.content();
        if !content.state.is_done() {
            content.callbacks.extend(now.take());
        }
        drop(content);
        now.map_or(Ok(()), |callback| Self::call_back(slf, callback.bind(py)))
    }

    /// Mark the call as being executed. Return False if it was cancelled. For executors and tests.
    fn set_running_or_notify_cancel(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Self::begin(slf)
    }

    /// Store what the call returned. For executors and tests.
    fn set_result(slf: &Bound<'_, Self>, result: Py<PyAny>) -> PyResult<()> {
        Self::settle(slf, Outcome::Returned(result))
    }

    /// Store what the call raised. For executors and tests.
    fn set_exception(slf: &Bound<'_, Self>, exception: Py<PyAny>) -> PyResult<()> {
        // As in the standard library, no exception is a result that is None.
        let raised = !exception.is_none(slf.py());
        Self::settle(slf, if raised { Outcome::Raised(exception) } else { Outcome::Returned(exception) })
    }

    /// Return whether wait() and as_completed() count the future as completed.
    fn _is_settled(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.read(py)?.is_settled())
    }

    #[getter]
    fn _condition(&self, py: Python<'_>) -> PyResult<Py<Condition>> {
        Ok(self.visible(py)?.0)
    }

    #[getter]
    fn _waiters(&self, py: Python<'_>) -> PyResult<Py<PyList>> {
        Ok(self.visible(py)?.1)
    }

    #[getter]
    fn _done_callbacks(&self, py: Python<'_>) -> Vec<Py<PyAny>> {
        self.content().callbacks.iter().map(|callback| callback.clone_ref(py)).collect()
    }

    #[getter(_state)]
    fn state_name(&self, py: Python<'_>) -> PyResult<&'static str> {
        Ok(self.read_all(py)?.name())
    }

    #[setter(_state)]
    fn set_state_by_name(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        let state = State::ALL.into_iter().find(|state| state.name() == name);
        let state =
            state.ok_or_else(|| PyValueError::new_err(format!("unknown state of a future: {name}")))?;
        self.replace(py, |content| {
            content.state = state;
            None
        })
    }

    #[getter]
    fn _result(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.read(py)?;
        Ok(self.content().result.as_ref().map(|result| result.clone_ref(py)))
    }

    #[setter(_result)]
    fn replace_result(&self, py: Python<'_>, result: Option<Py<PyAny>>) -> PyResult<()> {
        self.replace(py, |content| std::mem::replace(&mut content.result, result))
    }

    #[getter]
    fn _exception(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.read(py)?;
        Ok(self.content().exception.as_ref().map(|exception| exception.clone_ref(py)))
    }

    #[setter(_exception)]
    fn replace_exception(&self, py: Python<'_>, exception: Option<Py<PyAny>>) -> PyResult<()> {
        self.replace(py, |content| std::mem::replace(&mut content.exception, exception))
    }

    fn __hash__(slf: &Bound<'_, Self>) -> isize {
        slf.get().number.hash(slf)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let py = slf.py();
        let (state, outcome) = {
            let content = slf.get().content();
            let outcome = match (&content.exception, &content.result) {
                _ if content.state != State::Finished => None,
                (Some(exception), _) => Some(("raised", exception.clone_ref(py))),
                (None, Some(result)) => Some(("returned", result.clone_ref(py))),
                (None, None) => Some(("returned", py.None())),
            };
            (content.state, outcome)
        };
        let state = match state {
            State::Pending => "pending",
            State::Running => "running",
            State::Cancelled | State::CancelledAndNotified => "cancelled",
            State::Finished => "finished",
        };
        let outcome = match outcome {
            Some((verb, value)) => format!(" {verb} {}", value.bind(py).get_type().name()?),
            None => String::new(),
        };
        let class = slf.as_any().get_type().name()?;
        Ok(format!("<{class} at {:p} state={state}{outcome}>", slf.as_ptr()))
    }

    #[classmethod]
    fn __class_getitem__(class: &Bound<'_, PyType>, item: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        crate::queue::alias(class, item)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Ok(content) = self.content.try_lock() else { return Ok(()) }; // in use, so not garbage
        visit.call(&content.result)?;
        visit.call(&content.exception)?;
        for callback in &content.callbacks {
            visit.call(callback)?;
        }
        for watcher in &content.watchers {
            watcher.traverse(&visit)?;
        }
        match &content.visible {
            Some(visible) => visit.call(&visible.condition).and_then(|()| visit.call(&visible.waiters)),
            None => Ok(()),
        }
    }

    fn __clear__(&self) {
        ending::protect_thread();
        let dropped = std::mem::take(&mut *self.content());
        drop(dropped);
    }
}
