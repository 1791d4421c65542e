//! The tasks of a `concurrent.futures.ThreadPoolExecutor`.
//!
//! The threads of a pool are Python's, started by the class in `futures.py`. They block in [`Tasks::run`] until the queue of
//! tasks is shut down and empty. As in the standard library, a semaphore counts the idle ones, and a submission that finds none
//! starts a thread.

use std::sync::atomic::Ordering::{AcqRel, Relaxed};
use std::sync::atomic::{AtomicBool, AtomicUsize};

use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};
use raddle::Permit;
use raddle::queue::GetError;
use raddle::rt::{self, Kind, Op};

use crate::future::{Future, Outcome, logger};
use crate::limit::Limit;
use crate::{call, ending, seam};

/// A call that was submitted.
struct Task {
    future: Py<Future>,
    function: Py<PyAny>,
    args: Py<PyTuple>,
    kwargs: Option<Py<PyDict>>,
}

/// The queue of a pool's tasks.
#[pyclass(frozen, module = "raddle._raddle")]
pub(crate) struct Tasks {
    /// On the heap of Rust: its alignment is greater than that of Python's objects.
    queue: Box<raddle::Queue<Task>>,
    /// Counts the threads that wait for a task.
    idle: raddle::Semaphore,
    threads: AtomicUsize,
    max_threads: usize,
    /// Held by a submission until the thread that it needs has been started, so that a shutdown finds the thread. Re-entrant,
    /// because a destructor or the handler of a signal may submit a call meanwhile.
    submitting: raddle::RLock,
    /// The class of the futures.
    future: Py<PyType>,
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
    fn wants_thread(&self, py: Python<'_>) -> PyResult<Option<usize>> {
        if self.threads.load(Relaxed) == self.max_threads {
            return Ok(None); // for good, so the number of idle threads does not matter any more
        }
        if seam::quick(py, || self.idle.try_acquire().map(Permit::forget).is_some())? {
            return Ok(None);
        }
        seam::quick(py, || rt::point(Op::new(&self.threads, "ThreadPoolExecutor", Kind::Write)))?;
        let more = |threads| (threads < self.max_threads).then_some(threads + 1);
        Ok(self.threads.fetch_update(AcqRel, Relaxed, more).ok())
    }

    /// Runs `f` while no other thread submits a task.
    fn submitting<R>(&self, py: Python<'_>, f: impl FnOnce() -> PyResult<R>) -> PyResult<R> {
        let lock = &self.submitting;
        let acquire_until = |deadline| lock.acquire_deadline(deadline);
        let release = || _ = lock.release(); // held by this thread
        let limit = Limit::Until(None);
        limit.acquire(py, || lock.try_acquire(), || lock.acquire(), acquire_until, release)?;
        let result = f();
        seam::quick(py, release)?;
        result
    }

    /// Blocks until there is a task. Returns `None` once the queue is shut down and empty.
    fn next(&self, py: Python<'_>) -> PyResult<Option<Task>> {
        match seam::quick(py, || self.queue.try_get())? {
            Ok(task) => return Ok(Some(task)),
            Err(GetError::ShutDown) => return Ok(None),
            Err(GetError::Empty) => {}
        }
        seam::quick(py, || self.idle.release())?;
        let get = |deadline| match deadline {
            Some(deadline) => self.queue.get_deadline(deadline),
            None => self.queue.get().map_err(|_| GetError::ShutDown),
        };
        Ok(seam::until(py, None, get, drop)?.ok())
    }
}

impl Task {
    /// Runs the call. A failure of the call is stored in the future.
    fn run(self, py: Python<'_>) -> PyResult<()> {
        let Self { future, function, args, kwargs } = self;
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
            idle: raddle::Semaphore::new(0),
            threads: AtomicUsize::new(0),
            max_threads,
            submitting: raddle::RLock::new(),
            future,
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
        let task = Task { future: future.clone_ref(py), function, args, kwargs };
        self.submitting(py, || {
            if let Err(refused) = seam::quick(py, || self.queue.put(task))? {
                drop(refused);
                executor.call_method0(intern!(py, "_refuse"))?;
                return Err(PyRuntimeError::new_err("cannot schedule new futures after shutdown"));
            }
            let Some(number) = self.wants_thread(py)? else { return Ok(()) };
            let started = executor.call_method1(intern!(py, "_start_thread"), (number,));
            if started.is_err() {
                self.threads.fetch_sub(1, AcqRel); // the next submission tries again
            }
            started.map(drop)
        })?;
        Ok(future)
    }

    /// Run tasks until the queue is shut down and empty.
    ///
    /// An exception that is not one of the call, but of a callback or of a future that the program has changed meanwhile, is
    /// logged. The thread continues, because others may wait for its next task.
    fn run(&self, py: Python<'_>) -> PyResult<()> {
        while let Some(task) = self.next(py)? {
            match task.run(py) {
                Err(error) if !rt::is_unwinding() => {
                    let options = PyDict::new(py);
                    options.set_item("exc_info", error)?;
                    logger(py)?.call_method("critical", ("Exception in worker",), Some(&options))?;
                }
                ran => ran?,
            }
        }
        Ok(())
    }

    /// Refuse further tasks. The threads for those that were accepted have been started.
    fn shutdown(&self, py: Python<'_>) -> PyResult<()> {
        self.submitting(py, || seam::quick(py, || self.queue.shutdown()))
    }

    /// Refuse further tasks, remove those that no thread has begun, and return their futures.
    fn shutdown_now(&self, py: Python<'_>) -> PyResult<Vec<Py<Future>>> {
        let tasks: Vec<Task> = self.submitting(py, || seam::quick(py, || self.queue.shutdown_now()))?;
        Ok(tasks.into_iter().map(|task| task.future).collect())
    }

    /// Return the number of tasks that no thread has begun.
    fn qsize(&self, py: Python<'_>) -> PyResult<usize> {
        seam::quick(py, || self.queue.len())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.future)
    }
}
