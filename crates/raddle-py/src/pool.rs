//! The tasks of a `concurrent.futures.ThreadPoolExecutor`.
//!
//! The threads of a pool are Python's, started by the class in `futures.py`. They block in [`Tasks::run`] until the queue of
//! tasks is shut down and empty. As in the standard library, idle ones are counted, and a submission that finds none starts a
//! thread.
//!
//! # Steps of an exploration
//! A submission is one step, start of a thread included, since the standard library holds a lock of the pool meanwhile. A thread
//! that finds no task is counted as idle in a step of its own, also as in the standard library: a submission between the two
//! starts a thread that is not needed. Once no more threads can be started, the count makes no difference, and a thread takes
//! one step for each task. A shutdown that cancels tasks removes each of them in a step, with the lock held: threads take
//! tasks meanwhile, and callbacks are called.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};
use raddle::queue::GetError;
use raddle::rt::{self, Effect, Kind, Object, Op, Place};

use crate::explore::member::is_explored;
use crate::explore::state::Kept;
use crate::explore::{own_object, shown};
use crate::future::{Future, Outcome, logger};
use crate::limit::Limit;
use crate::{call, ending, lines, seam};

/// A call that was submitted.
struct Task {
    future: Py<Future>,
    function: Py<PyAny>,
    args: Py<PyTuple>,
    kwargs: Option<Py<PyDict>>,
    /// The line that submitted it, if an observer was there.
    line: Option<Place>,
}

/// The queue of a pool's tasks.
#[pyclass(frozen, module = "raddle._raddle")]
pub(crate) struct Tasks {
    /// On the heap of Rust: its alignment is greater than that of Python's objects.
    queue: Box<raddle::Queue<Task>>,
    /// The number of threads that wait for a task, or are about to.
    idle: AtomicUsize,
    threads: AtomicUsize,
    max_threads: usize,
    /// Held by a submission until the thread that it needs has been started, so that a shutdown finds the thread. Re-entrant,
    /// because a destructor or the handler of a signal may submit a call meanwhile.
    submitting: raddle::RLock,
    /// The class of the futures.
    future: Py<PyType>,
    parts: Kept<Parts>,
    /// For each thread of an observed pool, the line of the submission that has started it.
    lines: Mutex<Vec<Option<Place>>>,
}

/// What the operations of a pool access, for observers.
#[derive(Default)]
struct Parts {
    /// The tasks, and whether further ones are accepted. An exploration waits for a change of it.
    tasks: AtomicU32,
    /// The number of idle threads.
    idle: u8,
    /// The number of threads that wait for a task in an exploration.
    waiting: AtomicUsize,
    /// 1 while an exploration removes tasks one by one, and none can be submitted.
    held: AtomicU32,
}

impl Parts {
    fn op(&self, kind: Kind, verb: &'static str) -> Op {
        Op::new(&self.tasks, "ThreadPoolExecutor", kind).with_verb(verb)
    }

    fn idle(&self) -> Object {
        Object::of(&self.idle, "idle threads")
    }

    fn is_held(&self) -> bool {
        self.held.load(Acquire) != 0
    }

    /// Reports that the current step changes the tasks or the number of threads.
    fn changed(&self) {
        rt::accesses(&Object::of(&self.tasks, "ThreadPoolExecutor"), Effect::Write);
        rt::signal(&self.tasks);
    }

    fn hold(&self, held: bool) {
        self.held.store(held.into(), Release);
        rt::signal(&self.held);
    }
}

/// Counts a thread that waits for a task while it lives.
struct Waiting<'a>(&'a Parts);

impl<'a> Waiting<'a> {
    fn begin(parts: &'a Parts) -> Self {
        parts.waiting.fetch_add(1, AcqRel);
        rt::signal(&parts.tasks);
        Self(parts)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, AcqRel);
    }
}

/// Whether the interpreter terminates, so that no pool accepts tasks.
static CLOSED: AtomicBool = AtomicBool::new(false);

/// Have every pool refuse further tasks, because the interpreter terminates.
#[pyfunction]
pub(crate) fn close_pools() {
    CLOSED.store(true, Relaxed);
}

/// Return whether the calling thread is unwinding, so that its exceptions are not failures of the program.
#[pyfunction]
pub(crate) fn is_unwinding() -> bool {
    rt::is_unwinding()
}

impl Tasks {
    /// Returns the number of the thread to be started for a task that was submitted, if one is to be started.
    fn wants_thread(&self) -> Option<usize> {
        if self.threads.load(Relaxed) == self.max_threads {
            return None; // for good, so the number of idle threads does not matter any more
        }
        rt::accesses(&self.parts.idle(), Effect::Write);
        if self.idle.fetch_update(AcqRel, Relaxed, |idle| idle.checked_sub(1)).is_ok() {
            return None;
        }
        let more = |threads| (threads < self.max_threads).then_some(threads + 1);
        self.threads.fetch_update(AcqRel, Relaxed, more).ok()
    }

    /// Runs `f` while no other thread submits a task. To an exploration, it is the step `op`.
    fn submitting<R>(&self, py: Python<'_>, op: Op, f: impl FnOnce() -> PyResult<R>) -> PyResult<R> {
        if is_explored() {
            seam::step_until(py, op, None, &self.parts.held, || !self.parts.is_held())?;
            let result = seam::in_step(f);
            self.parts.changed();
            return result;
        }
        let lock = &self.submitting;
        let acquire_until = |deadline| lock.acquire_deadline(deadline);
        let release = || _ = lock.release(); // held by this thread
        let limit = Limit::Until(None);
        limit.acquire(py, || lock.try_acquire(), || lock.acquire(), acquire_until, release)?;
        let result = f();
        seam::quick(py, release)?;
        result
    }

    fn lines(&self) -> MutexGuard<'_, Vec<Option<Place>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_line(&self, number: usize, line: Option<Place>) {
        let mut lines = self.lines();
        lines.resize(number + 1, None);
        lines[number] = line;
    }

    /// Blocks until there is a task. Returns `None` once the queue is shut down and empty.
    fn next(&self, py: Python<'_>) -> PyResult<Option<Task>> {
        if is_explored() {
            return self.next_in_steps(py);
        }
        match seam::quick(py, || self.queue.try_get())? {
            Ok(task) => return Ok(Some(task)),
            Err(GetError::ShutDown) => return Ok(None),
            Err(GetError::Empty) => {}
        }
        self.idle.fetch_add(1, AcqRel);
        let get = |deadline| match deadline {
            Some(deadline) => self.queue.get_deadline(deadline),
            None => self.queue.get().map_err(|_| GetError::ShutDown),
        };
        Ok(seam::until(py, None, get, drop)?.ok())
    }

    /// [`next`](Self::next) in an exploration.
    fn next_in_steps(&self, py: Python<'_>) -> PyResult<Option<Task>> {
        let parts = &*self.parts;
        let has_task = || !self.queue.is_empty() || self.queue.is_shut_down();
        let may_grow = || self.threads.load(Acquire) < self.max_threads;
        let op = parts.op(Kind::Read, "waits for a task of");
        let _waiting = Waiting::begin(parts);
        seam::step_until(py, op, None, &parts.tasks, || has_task() || may_grow())?;
        let mut got = self.get_in_step(py, &op)?;
        if matches!(got, Err(GetError::Empty)) {
            // It makes no difference in which order idle threads are counted.
            let own = Op::at(own_object("idle thread"), Kind::Read, Place::caller());
            seam::step(py, own.with_verb("becomes"), &[(parts.idle(), Effect::Commute)])?;
            self.idle.fetch_add(1, AcqRel);
            seam::step_until(py, op, None, &parts.tasks, has_task)?;
            got = self.get_in_step(py, &op)?;
        }
        Ok(got.ok())
    }

    fn get_in_step(&self, py: Python<'_>, op: &Op) -> PyResult<Result<Task, GetError>> {
        let got = seam::in_step(|| seam::quick(py, || self.queue.try_get()))?;
        if got.is_ok() {
            self.parts.changed();
        }
        rt::value(op, || match &got {
            Ok(task) => Python::attach(|py| name_of(task.function.bind(py))),
            Err(GetError::ShutDown) => "shut down".to_owned(),
            Err(GetError::Empty) => "none".to_owned(),
        });
        Ok(got)
    }
}

/// The name of a function, for reports.
fn name_of(function: &Bound<'_, PyAny>) -> String {
    let name =
        function.getattr(intern!(function.py(), "__qualname__")).and_then(|name| name.extract::<String>());
    let local = |name: String| name.rsplit("<locals>.").next().map(str::to_owned);
    name.ok().and_then(local).unwrap_or_else(|| shown(function))
}

impl Task {
    /// Runs the call. A failure of the call is stored in the future.
    fn run(self, py: Python<'_>) -> PyResult<()> {
        let Self { future, function, args, kwargs, line: _ } = self;
        let future = future.into_bound(py);
        if !Future::begin(&future)? {
            return Ok(());
        }
        let kwargs_of_call = kwargs.as_ref().map(|kwargs| kwargs.bind(py));
        let returned = call::function(function.bind(py), args.bind(py), kwargs_of_call);
        // The future does not keep alive what the call has used, nor does this thread while it waits for the next one.
        drop((function, args, kwargs));
        let outcome = match returned {
            Ok(result) => Outcome::Returned(result.unbind()),
            Err(error) if rt::is_unwinding() => return Err(error),
            Err(error) => Outcome::Raised(error.into_value(py).into_any()),
        };
        Future::settle(&future, outcome)
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        ending::protect_thread(); // for the destructors of arguments
    }
}

#[pymethods]
impl Tasks {
    #[new]
    fn new(max_threads: usize, future: Py<PyType>) -> Self {
        Self {
            queue: Box::new(raddle::Queue::unbounded()),
            idle: AtomicUsize::new(0),
            threads: AtomicUsize::new(0),
            max_threads,
            submitting: raddle::RLock::new(),
            future,
            parts: Kept::new(Parts::default()),
            lines: Mutex::new(Vec::new()),
        }
    }

    /// Submit a call for an executor, and have the executor start a thread if all of its threads are busy.
    fn submit(
        &self,
        executor: &Bound<'_, PyAny>,
        function: Py<PyAny>,
        args: Py<PyTuple>,
        kwargs: Bound<'_, PyDict>,
    ) -> PyResult<Py<Future>> {
        let py = executor.py();
        if CLOSED.load(Relaxed) {
            return Err(PyRuntimeError::new_err("cannot schedule new futures after interpreter shutdown"));
        }
        let future: Py<Future> = self.future.bind(py).call0()?.extract()?;
        let kwargs = (!kwargs.is_empty()).then(|| kwargs.unbind());
        let line = rt::is_observed().then(|| lines::calling_line(py)).flatten();
        let op = self.parts.op(Kind::Put, "submits a task to");
        let named = function.clone_ref(py);
        let task = Task { future: future.clone_ref(py), function, args, kwargs, line };
        self.submitting(py, op, || {
            rt::value(&op, || Python::attach(|py| name_of(named.bind(py))));
            if let Err(refused) = seam::quick(py, || self.queue.put(task))? {
                drop(refused);
                executor.call_method0(intern!(py, "_refuse"))?;
                return Err(PyRuntimeError::new_err("cannot schedule new futures after shutdown"));
            }
            let Some(number) = self.wants_thread() else { return Ok(()) };
            if line.is_some() {
                self.set_line(number, line);
            }
            let started = executor.call_method1(intern!(py, "_start_thread"), (number,));
            if started.is_err() {
                self.threads.fetch_sub(1, AcqRel); // the next submission tries again
            }
            let thread = started?;
            rt::value(&op, || {
                format!(
                    "starts thread {}",
                    thread.repr().map_or_else(|_| String::new(), |name| name.to_string())
                )
            });
            Ok(())
        })?;
        Ok(future)
    }

    /// Run tasks until the queue is shut down and empty, in the thread of a number.
    ///
    /// An exception that is not one of the call, but of a callback or of a future that the program has changed meanwhile, is
    /// logged. The thread continues, because others may wait for its next task.
    fn run(&self, py: Python<'_>, number: usize) -> PyResult<()> {
        let started_by = self.lines().get(number).copied().flatten();
        let line = lines::Line::stand_for(started_by);
        while let Some(task) = self.next(py)? {
            line.set(task.line.or(started_by));
            match task.run(py) {
                Err(error) if !rt::is_unwinding() => {
                    let options = PyDict::new(py);
                    options.set_item("exc_info", error)?;
                    logger(py)?.call_method("critical", ("Exception in worker",), Some(&options))?;
                }
                ran => ran?,
            }
            line.set(started_by);
        }
        Ok(())
    }

    /// Refuse further tasks. The threads for those that were accepted have been started.
    fn shutdown(&self, py: Python<'_>) -> PyResult<()> {
        let op = self.parts.op(Kind::Write, "shuts down");
        self.submitting(py, op, || seam::quick(py, || self.queue.shutdown()))
    }

    /// Refuse further tasks, remove those that no thread has begun, and return their futures.
    fn shutdown_now(&self, py: Python<'_>) -> PyResult<Vec<Py<Future>>> {
        let op = self.parts.op(Kind::Write, "shuts down");
        let tasks: Vec<Task> = self.submitting(py, op, || seam::quick(py, || self.queue.shutdown_now()))?;
        Ok(tasks.into_iter().map(|task| task.future).collect())
    }

    /// Return whether the queue is shut down, for the end of an execution.
    fn is_shut_down(&self) -> bool {
        rt::unobserved(|| self.queue.is_shut_down())
    }

    /// In an exploration, block until all tasks have ended.
    fn wait_until_idle(&self, py: Python<'_>) -> PyResult<()> {
        let _line = lines::Line::stand_for(self.lines().first().copied().flatten());
        let is_idle = || {
            self.queue.is_empty() && self.parts.waiting.load(Acquire) == self.threads.load(Acquire)
                || self.queue.is_shut_down()
        };
        seam::step_until(
            py,
            self.parts.op(Kind::Read, "waits for the tasks of"),
            None,
            &self.parts.tasks,
            is_idle,
        )
    }

    /// In an exploration, remove the next task that no thread has begun, and return its future. No task can be submitted until
    /// there is none any more and the queue is shut down, or until unhold().
    fn withdraw(&self, py: Python<'_>, first: bool) -> PyResult<Option<Py<Future>>> {
        let (parts, op) = (&*self.parts, self.parts.op(Kind::Write, "withdraws a task from"));
        seam::step_until(py, op, None, &parts.held, || !first || !parts.is_held())?;
        let got = self.get_in_step(py, &op)?.ok();
        if got.is_none() {
            seam::in_step(|| seam::quick(py, || self.queue.shutdown()))?;
        }
        parts.changed();
        parts.hold(got.is_some());
        Ok(got.map(|task| task.future))
    }

    /// Let tasks be submitted again, after withdraw().
    fn unhold(&self, py: Python<'_>) -> PyResult<()> {
        if self.parts.is_held() {
            seam::step(py, self.parts.op(Kind::Write, "releases"), &[])?;
            self.parts.hold(false);
        }
        Ok(())
    }

    /// Return the number of tasks that no thread has begun.
    fn qsize(&self, py: Python<'_>) -> PyResult<usize> {
        seam::step(py, self.parts.op(Kind::Read, "reads the length of"), &[])?;
        seam::in_step(|| seam::quick(py, || self.queue.len()))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.future)
    }
}
