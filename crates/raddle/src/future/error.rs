//! The errors of a future, and the panic of a task.

use std::any::Any;
use std::fmt;
use std::io;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

use crate::raw::Guarded;
use crate::rt::{self, Kind, Op};
use crate::thread::{self, Payload, SpawnError};

/// A future has no value.
///
/// # Examples
/// ```
/// use raddle::Promise;
/// use raddle::future::FutureError;
///
/// let promise = Promise::<u32>::new();
/// let future = promise.future();
/// assert_eq!(future.try_result(), Err(FutureError::NotDone));
/// drop(promise);
/// assert_eq!(future.try_result(), Err(FutureError::Abandoned));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum FutureError {
    /// The task panicked.
    Panicked(TaskPanic),
    /// The future was cancelled before its task started.
    Cancelled,
    /// The wait timed out. The task is unaffected.
    TimedOut,
    /// The future is not done, and the call does not wait.
    NotDone,
    /// An earlier call returned the value.
    Taken,
    /// The task was submitted after the shutdown of the pool, or while the program was ending.
    ShutDown,
    /// The pool is broken, for the given reason: its initializer panicked, or the pool belongs to the parent process.
    Broken(Arc<str>),
    /// The pool has no worker, and the operating system failed to start one.
    Spawn(Arc<SpawnError<()>>),
    /// The promise was dropped unset, the task called [`std::process::exit`], or the task belongs to the parent process.
    Abandoned,
    /// Every worker of the pool, the calling thread included, waits for a task of the same pool.
    Deadlock,
}

impl FutureError {
    /// Returns whether the task panicked.
    ///
    /// # Examples
    /// ```
    /// use raddle::ThreadPoolExecutor;
    ///
    /// let future = ThreadPoolExecutor::new(1).submit(|| panic!("no paper"));
    /// assert!(future.result().unwrap_err().is_panic());
    /// ```
    pub fn is_panic(&self) -> bool {
        matches!(self, FutureError::Panicked(_))
    }

    /// Returns whether the future was cancelled.
    ///
    /// # Examples
    /// ```
    /// use raddle::Promise;
    ///
    /// let future = Promise::<u32>::new().future();
    /// assert!(!future.result().unwrap_err().is_cancelled()); // abandoned
    /// ```
    pub fn is_cancelled(&self) -> bool {
        matches!(self, FutureError::Cancelled)
    }

    /// Reports an error that no thread has observed to the excepthook. A cancellation is not reported.
    pub(crate) fn report_unseen(&self) {
        match self {
            FutureError::Panicked(panic) => panic.report_unseen(),
            FutureError::ShutDown | FutureError::Broken(_) | FutureError::Spawn(_) => {
                thread::report_refusal(&self.to_string());
            }
            _ => {}
        }
    }
}

/// Compares panics by identity, and failures to start a worker by the kind of their cause.
impl PartialEq for FutureError {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (FutureError::Panicked(a), FutureError::Panicked(b)) => a == b,
            (FutureError::Broken(a), FutureError::Broken(b)) => a == b,
            (FutureError::Spawn(a), FutureError::Spawn(b)) => a.io_error().kind() == b.io_error().kind(),
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

impl Eq for FutureError {}

/// Keeps the error as the source, with the kind that fits best.
impl From<FutureError> for io::Error {
    fn from(error: FutureError) -> Self {
        let kind = match &error {
            FutureError::TimedOut => io::ErrorKind::TimedOut,
            FutureError::NotDone => io::ErrorKind::WouldBlock,
            FutureError::Deadlock => io::ErrorKind::Deadlock,
            FutureError::Spawn(error) => error.io_error().kind(),
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

// An error is never changed once it is created.
impl UnwindSafe for FutureError {}
impl RefUnwindSafe for FutureError {}

impl fmt::Display for FutureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FutureError::Panicked(panic) => panic.fmt(f),
            FutureError::Cancelled => f.write_str("the future was cancelled before its task started"),
            FutureError::TimedOut => {
                f.write_str("the wait for the future timed out; the task is unaffected, wait again")
            }
            FutureError::NotDone => f.write_str("the future is not done; `result` waits for it"),
            FutureError::Taken => f.write_str(
                "the value of the future was taken by an earlier call; `with_result` reads it without taking it",
            ),
            FutureError::ShutDown => {
                f.write_str("the task was not run: the pool is shut down, or the program is ending")
            }
            FutureError::Broken(reason) => write!(f, "the task was not run: the pool is broken: {reason}"),
            FutureError::Spawn(error) => {
                write!(f, "the task was not run: the pool has no worker and failed to start one: {}", error.io_error())
            }
            FutureError::Abandoned => f.write_str(
                "the future was abandoned: its promise was dropped, its task called `exit`, or it belongs to the parent \
                 process",
            ),
            FutureError::Deadlock => f.write_str(
                "deadlock: every worker of the pool waits for a task of the same pool; \
                 give the pool more workers, or do not wait inside its tasks",
            ),
        }
    }
}

impl std::error::Error for FutureError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            FutureError::Spawn(error) => Some(error.io_error()),
            _ => None,
        }
    }
}

/// The panic of a task.
///
/// Clones refer to the same panic and are equal to each other.
///
/// # Examples
/// ```
/// use raddle::ThreadPoolExecutor;
/// use raddle::future::FutureError;
///
/// let pool = ThreadPoolExecutor::builder().thread_name_prefix("db").build()?;
/// let future = pool.submit(|| panic!("no rows"));
/// let Err(FutureError::Panicked(panic)) = future.result() else { unreachable!() };
/// assert_eq!((panic.thread_name(), panic.message()), ("db_0", "no rows"));
/// # Ok::<(), raddle::pool::BuildError>(())
/// ```
#[derive(Clone)]
pub struct TaskPanic(Arc<PanicDetails>);

struct PanicDetails {
    thread_name: Arc<str>,
    message: String,
    payload: Guarded<Payload>,
}

impl TaskPanic {
    /// A panic of the calling thread.
    pub(crate) fn here(payload: Box<dyn Any + Send>) -> Self {
        let message = thread::message(&*payload).to_owned();
        let payload = Guarded::new(Payload::new(payload));
        Self(Arc::new(PanicDetails { thread_name: rt::record().name(), message, payload }))
    }

    /// Returns the name of the thread that panicked.
    ///
    /// # Examples
    /// ```
    /// use raddle::ThreadPoolExecutor;
    /// use raddle::future::FutureError;
    ///
    /// let pool = ThreadPoolExecutor::builder().max_workers(1).thread_name_prefix("db").build().unwrap();
    /// let result = pool.submit(|| panic!("no paper")).result();
    /// let Err(FutureError::Panicked(panic)) = result else { unreachable!() };
    /// assert!(panic.thread_name().starts_with("db"));
    /// ```
    pub fn thread_name(&self) -> &str {
        &self.0.thread_name
    }

    /// Returns the message of the panic, if its payload is a string.
    ///
    /// # Examples
    /// ```
    /// use raddle::ThreadPoolExecutor;
    /// use raddle::future::FutureError;
    ///
    /// let pool = ThreadPoolExecutor::builder().max_workers(1).thread_name_prefix("db").build().unwrap();
    /// let result = pool.submit(|| panic!("no paper")).result();
    /// let Err(FutureError::Panicked(panic)) = result else { unreachable!() };
    /// assert_eq!(panic.message(), "no paper");
    /// ```
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Takes the payload of the panic, for a downcast.
    ///
    /// Returns `None` if a clone has taken it.
    ///
    /// # Examples
    /// ```
    /// use raddle::ThreadPoolExecutor;
    /// use raddle::future::FutureError;
    ///
    /// let future = ThreadPoolExecutor::new(1).submit(|| std::panic::panic_any(404));
    /// let Err(FutureError::Panicked(panic)) = future.result() else { unreachable!() };
    /// assert_eq!(panic.take_payload().unwrap().downcast_ref(), Some(&404));
    /// assert!(panic.take_payload().is_none());
    /// ```
    #[track_caller]
    pub fn take_payload(&self) -> Option<Box<dyn Any + Send>> {
        rt::point(Op::new(&*self.0, "TaskPanic", Kind::Write).with_verb("takes the payload of"));
        self.take_unobserved()
    }

    fn take_unobserved(&self) -> Option<Box<dyn Any + Send>> {
        self.0.payload.lock().take()
    }

    /// Continues the panic on the calling thread.
    ///
    /// The payload is that of the task's panic, or the message if a clone has taken the payload.
    ///
    /// # Panics
    /// Always.
    ///
    /// # Examples
    /// ```should_panic
    /// use raddle::ThreadPoolExecutor;
    /// use raddle::future::FutureError;
    ///
    /// let future = ThreadPoolExecutor::new(1).submit(|| panic!("no paper"));
    /// if let Err(FutureError::Panicked(panic)) = future.result() {
    ///     panic.resume_unwind(); // panics with "no paper"
    /// }
    /// ```
    #[track_caller]
    pub fn resume_unwind(&self) -> ! {
        let payload = self.take_payload().unwrap_or_else(|| Box::new(self.0.message.clone()));
        std::panic::resume_unwind(payload)
    }

    fn report_unseen(&self) {
        if let Some(payload) = self.take_unobserved() {
            thread::report(&format!("a task of thread \"{}\"", self.0.thread_name), &*payload);
            thread::dispose(payload);
        }
    }
}

impl PartialEq for TaskPanic {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for TaskPanic {}

// The payload is moved out in one step, so no panic can leave it half taken.
impl UnwindSafe for TaskPanic {}
impl RefUnwindSafe for TaskPanic {}

impl fmt::Display for TaskPanic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the task panicked in thread \"{}\": {}", self.0.thread_name, self.0.message)
    }
}

impl std::error::Error for TaskPanic {}

impl fmt::Debug for TaskPanic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskPanic")
            .field("thread", &self.0.thread_name)
            .field("message", &self.0.message)
            .finish_non_exhaustive()
    }
}
