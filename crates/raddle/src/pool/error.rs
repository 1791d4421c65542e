//! The errors of a pool, apart from those of its tasks.

use std::fmt;
use std::io;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

use crate::future::FutureError;
use crate::thread::SpawnError;

/// A pool did not accept a task.
///
/// Every variant holds the closure of the task; [`into_inner`](SubmitError::into_inner) returns it.
///
/// # Examples
/// ```
/// use raddle::pool::SubmitError;
/// use raddle::{ShutdownMode, ThreadPoolExecutor};
///
/// let pool = ThreadPoolExecutor::new(1);
/// pool.shutdown(ShutdownMode::Drain).unwrap();
/// let error = pool.try_submit(|| 6 * 7).unwrap_err();
/// assert!(matches!(error, SubmitError::ShutDown(_)));
/// assert_eq!(error.into_inner()(), 42); // run it on this thread instead
/// ```
#[non_exhaustive]
pub enum SubmitError<F> {
    /// The task queue is full, and no space became available in time.
    Full(F),
    /// The pool is shut down, or the program is ending and would not wait for the task.
    ShutDown(F),
    /// The pool is broken, for the given reason: its initializer panicked, or the pool belongs to the parent process.
    Broken(F, Arc<str>),
    /// The pool has no worker, and the operating system failed to start one.
    Spawn(SpawnError<F>),
}

impl<F> SubmitError<F> {
    /// Returns the closure, to be submitted again or to be called on the spot.
    ///
    /// # Examples
    /// ```
    /// use raddle::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::new(1);
    /// let sum = match pool.try_submit(|| 1 + 2) {
    ///     Ok(future) => future.result().unwrap(),
    ///     Err(error) => error.into_inner()(),
    /// };
    /// assert_eq!(sum, 3);
    /// ```
    pub fn into_inner(self) -> F {
        match self {
            SubmitError::Full(task) | SubmitError::ShutDown(task) | SubmitError::Broken(task, _) => task,
            SubmitError::Spawn(error) => error.into_inner(),
        }
    }

    /// Returns whether the task queue was full, so that the same call may succeed later.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Event, ThreadPoolExecutor};
    /// use std::sync::Arc;
    ///
    /// let pool = ThreadPoolExecutor::builder().max_workers(1).queue_limit(0).build()?;
    /// let done = Arc::new(Event::new());
    /// let busy = pool.submit({
    ///     let done = done.clone();
    ///     move || done.wait()
    /// });
    /// assert!(pool.try_submit(|| ()).unwrap_err().is_full());
    /// done.set();
    /// # Ok::<(), raddle::pool::BuildError>(())
    /// ```
    pub fn is_full(&self) -> bool {
        matches!(self, SubmitError::Full(_))
    }
}

impl<F> fmt::Display for SubmitError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed to submit a task: ")?;
        match self {
            SubmitError::Full(_) => {
                f.write_str("the task queue is full; retry later, or raise `queue_limit`")
            }
            SubmitError::ShutDown(_) => {
                f.write_str("the pool is shut down, or the program is ending; submit before the shutdown")
            }
            SubmitError::Broken(_, reason) => write!(f, "the pool is broken: {reason}; create another pool"),
            SubmitError::Spawn(error) => error.fmt(f),
        }
    }
}

// An error is never changed once it is created.
impl<F: UnwindSafe> UnwindSafe for SubmitError<F> {}
impl<F: RefUnwindSafe> RefUnwindSafe for SubmitError<F> {}

impl<F> fmt::Debug for SubmitError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SubmitError::Full(_) => f.write_str("Full(..)"),
            SubmitError::ShutDown(_) => f.write_str("ShutDown(..)"),
            SubmitError::Broken(_, reason) => write!(f, "Broken(.., {reason:?})"),
            SubmitError::Spawn(error) => f.debug_tuple("Spawn").field(error).finish(),
        }
    }
}

impl<F> std::error::Error for SubmitError<F> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SubmitError::Spawn(error) => Some(error.io_error()),
            _ => None,
        }
    }
}

/// Keeps the kind of the cause and the message; the closure is dropped.
impl<F> From<SubmitError<F>> for io::Error {
    fn from(error: SubmitError<F>) -> Self {
        let kind = match &error {
            SubmitError::Full(_) => io::ErrorKind::WouldBlock,
            SubmitError::Spawn(error) => error.io_error().kind(),
            SubmitError::ShutDown(_) | SubmitError::Broken(..) => io::ErrorKind::Other,
        };
        io::Error::new(kind, error.to_string())
    }
}

/// The reason of [`Broken`](SubmitError::Broken) in a forked child.
pub(super) const INHERITED: &str = "it belongs to the process that this one was forked from";

/// A [`SubmitError`] without the closure.
pub(super) enum Refusal {
    Full,
    ShutDown,
    Broken(Arc<str>),
    Spawn(SpawnError<()>),
    Deadlock,
}

impl Refusal {
    /// Adds the closure.
    pub(super) fn with<F>(self, task: F) -> SubmitError<F> {
        match self {
            Refusal::Full | Refusal::Deadlock => SubmitError::Full(task),
            Refusal::ShutDown => SubmitError::ShutDown(task),
            Refusal::Broken(reason) => SubmitError::Broken(task, reason),
            Refusal::Spawn(error) => SubmitError::Spawn(error.with_closure(task)),
        }
    }
}

impl From<Refusal> for FutureError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Full | Refusal::Deadlock => FutureError::Deadlock,
            Refusal::ShutDown => FutureError::ShutDown,
            Refusal::Broken(reason) => FutureError::Broken(reason),
            Refusal::Spawn(error) => FutureError::Spawn(Arc::new(error)),
        }
    }
}

/// One of a pool's workers called a method that waits for the workers to terminate, and would wait for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnWorkerError;

impl fmt::Display for OwnWorkerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "failed to wait for the shutdown of a pool: the calling thread is one of its workers; call `try_shutdown`, \
             which does not wait",
        )
    }
}

impl std::error::Error for OwnWorkerError {}

impl From<OwnWorkerError> for io::Error {
    fn from(error: OwnWorkerError) -> Self {
        io::Error::new(io::ErrorKind::Deadlock, error)
    }
}

/// The settings of a [`ThreadPoolBuilder`](super::ThreadPoolBuilder) are invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// The maximum number of workers is zero.
    NoWorkers,
    /// The prefix of the workers' names contains a NUL byte.
    NulInName,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BuildError::NoWorkers => {
                "failed to build a pool: `max_workers` is zero; a pool needs at least one worker"
            }
            BuildError::NulInName => {
                "failed to build a pool: `thread_name_prefix` contains a NUL byte; choose one without"
            }
        })
    }
}

impl std::error::Error for BuildError {}

impl From<BuildError> for io::Error {
    fn from(error: BuildError) -> Self {
        io::Error::new(io::ErrorKind::InvalidInput, error)
    }
}

/// The buffer size of [`map_buffered`](super::ThreadPoolExecutor::map_buffered) is zero, so that no item would be submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZeroBufferError;

impl fmt::Display for ZeroBufferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed to map over items: the buffer size is zero; use at least one")
    }
}

impl std::error::Error for ZeroBufferError {}

impl From<ZeroBufferError> for io::Error {
    fn from(error: ZeroBufferError) -> Self {
        io::Error::new(io::ErrorKind::InvalidInput, error)
    }
}
