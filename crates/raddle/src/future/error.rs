//! Why a future gives no value, and what a task panicked with.

use std::any::Any;
use std::fmt;
use std::io;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

use crate::raw::Guarded;
use crate::rt::{self, Kind, Op};
use crate::thread::{self, Payload};

/// Why a future gives no value.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum FutureError {
    /// The task panicked.
    Panicked(TaskPanic),
    /// The future was cancelled before its task started.
    Cancelled,
    /// The time limit passed first; the task goes on.
    TimedOut,
    /// The future is not done yet, and the caller did not want to wait.
    NotDone,
    /// The value has been taken by an earlier call.
    Taken,
    /// The task came after the pool's shutdown, or while the program was ending, and was not run.
    ShutDown,
    /// The pool's initializer failed, or the pool belongs to the process that this one was forked from, which is told here;
    /// so the task was not run.
    Broken(Arc<str>),
    /// The pool has no worker, and the operating system could not start one, so the task was not run.
    NoThread(Arc<io::Error>),
    /// The promise was dropped before it was set, or the worker called `std::process::exit` in the task; or the task is one
    /// of the process that this one was forked from.
    Abandoned,
    /// Every worker of the pool waits for a task of the same pool, the calling one included.
    Deadlock,
}

impl FutureError {
    /// Whether the task panicked, rather than having no chance to run.
    pub fn is_panic(&self) -> bool {
        matches!(self, FutureError::Panicked(_))
    }

    /// Whether the future was cancelled.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, FutureError::Cancelled)
    }

    /// Tells the excepthook of a failure that nobody looked at; a cancellation is nobody's loss.
    pub(crate) fn report_unseen(&self) {
        match self {
            FutureError::Panicked(panic) => panic.report_unseen(),
            FutureError::ShutDown | FutureError::Broken(_) | FutureError::NoThread(_) => {
                thread::report_refusal(&self.to_string());
            }
            _ => {}
        }
    }
}

/// Two panics are equal if they are the same one; two failures to start a thread, if the operating system gave the same
/// reason.
impl PartialEq for FutureError {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (FutureError::Panicked(a), FutureError::Panicked(b)) => a == b,
            (FutureError::Broken(a), FutureError::Broken(b)) => a == b,
            (FutureError::NoThread(a), FutureError::NoThread(b)) => {
                (a.kind(), a.raw_os_error()) == (b.kind(), b.raw_os_error())
            }
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

impl Eq for FutureError {}

impl From<FutureError> for io::Error {
    fn from(error: FutureError) -> Self {
        let kind = match &error {
            FutureError::TimedOut => io::ErrorKind::TimedOut,
            FutureError::NotDone => io::ErrorKind::WouldBlock,
            FutureError::Deadlock => io::ErrorKind::Deadlock,
            FutureError::NoThread(error) => error.kind(),
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

// It is not changed once it is there.
impl UnwindSafe for FutureError {}
impl RefUnwindSafe for FutureError {}

impl fmt::Display for FutureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FutureError::Panicked(panic) => panic.fmt(f),
            FutureError::Cancelled => f.write_str("the future was cancelled before its task started"),
            FutureError::TimedOut => f.write_str("the future was not done within the time limit; ask again"),
            FutureError::NotDone => f.write_str("the future is not done yet; `result` waits for it"),
            FutureError::Taken => f.write_str(
                "the value was taken already: the first `result` gets it; `with_result` looks without taking",
            ),
            FutureError::ShutDown => {
                f.write_str("the task was not run: the pool was shut down, or the program is ending")
            }
            FutureError::Broken(reason) => write!(f, "the task was not run: the pool is broken: {reason}"),
            FutureError::NoThread(error) => {
                write!(f, "the task was not run: no worker could be started: {error}")
            }
            FutureError::Abandoned => {
                f.write_str("whoever was to settle the future is gone without doing so: it called exit, dropped its promise, or exists in the parent process only")
            }
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
            FutureError::NoThread(error) => Some(&**error),
            _ => None,
        }
    }
}

/// What a task panicked with; every clone tells of the same panic.
#[derive(Clone)]
pub struct TaskPanic(Arc<Fallen>);

struct Fallen {
    who: Arc<str>,
    message: String,
    payload: Guarded<Payload>,
}

impl TaskPanic {
    /// A panic of the calling thread.
    pub(crate) fn here(payload: Box<dyn Any + Send>) -> Self {
        let message = thread::message(&*payload).to_owned();
        let payload = Guarded::new(Payload::new(payload));
        Self(Arc::new(Fallen { who: rt::record().name(), message, payload }))
    }

    /// Name of the thread that panicked.
    pub fn thread_name(&self) -> &str {
        &self.0.who
    }

    /// The panic's message, if it carried a text.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Takes the payload, for a downcast; of all clones, the first call gets it.
    #[track_caller]
    pub fn take_payload(&self) -> Option<Box<dyn Any + Send>> {
        rt::point(Op::new(&*self.0, "TaskPanic", Kind::Write).with_verb("takes the payload of"));
        self.take_unseen()
    }

    fn take_unseen(&self) -> Option<Box<dyn Any + Send>> {
        self.0.payload.lock().take()
    }

    /// Goes on panicking in the calling thread, with the payload or, if that was taken, the message.
    #[track_caller]
    pub fn resume_unwind(&self) -> ! {
        let payload = self.take_payload().unwrap_or_else(|| Box::new(self.0.message.clone()));
        std::panic::resume_unwind(payload)
    }

    fn report_unseen(&self) {
        if let Some(payload) = self.take_unseen() {
            thread::report(&format!("a task of thread \"{}\"", self.0.who), &*payload);
            thread::dispose(payload);
        }
    }
}

/// Two are equal if they are clones of each other.
impl PartialEq for TaskPanic {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for TaskPanic {}

// The payload is moved in one step: no panic can leave it half taken.
impl UnwindSafe for TaskPanic {}
impl RefUnwindSafe for TaskPanic {}

impl fmt::Display for TaskPanic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the task panicked in thread \"{}\": {}", self.0.who, self.0.message)
    }
}

impl std::error::Error for TaskPanic {}

impl fmt::Debug for TaskPanic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskPanic")
            .field("thread", &self.0.who)
            .field("message", &self.0.message)
            .finish_non_exhaustive()
    }
}
