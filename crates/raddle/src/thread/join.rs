//! The right to a thread's result.

use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use super::handle::ThreadHandle;
use super::hook::{self, Payload};
use super::tally::Tally;
use crate::rt::{self, Record};

/// What a thread leaves behind, shared by the thread and its joiner.
pub(super) struct Packet<T> {
    record: Arc<Record>,
    /// A plain mutex: the thread's end comes between the one that stores the outcome and the one that takes it, so no
    /// explorer need see the accesses.
    outcome: Mutex<Option<std::thread::Result<T>>>,
    /// The scope that must hear of a panic which nobody joined.
    scope: Option<Arc<Tally>>,
}

impl<T> Packet<T> {
    pub(super) fn new(record: Arc<Record>, scope: Option<Arc<Tally>>) -> Arc<Self> {
        Arc::new(Self { record, outcome: Mutex::new(None), scope })
    }

    pub(super) fn put(&self, outcome: std::thread::Result<T>) {
        *locked(&self.outcome) = Some(outcome);
    }

    pub(super) fn take(&self) -> Result<T, JoinError> {
        let outcome = if self.record.is_an_ancestors() {
            // The thread may have been about to store it when this process was forked, and holds the lock forever.
            self.outcome.try_lock().ok().and_then(|mut outcome| outcome.take())
        } else {
            locked(&self.outcome).take()
        };
        match outcome {
            Some(Ok(value)) => Ok(value),
            Some(Err(payload)) => Err(JoinError::Panicked(ThreadPanic::new(self.record.name(), payload))),
            None => Err(JoinError::Exited),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> Drop for Packet<T> {
    fn drop(&mut self) {
        if self.record.is_an_ancestors() && matches!(self.outcome.try_lock(), Err(TryLockError::WouldBlock)) {
            // Half stored.
            return std::mem::forget(self.outcome.get_mut().unwrap_or_else(PoisonError::into_inner).take());
        }
        match self.outcome.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            Some(Ok(value)) => hook::drop_guarded("the destructor of what a thread returned", value),
            Some(Err(payload)) => {
                match &self.scope {
                    Some(scope) => scope.panicked(), // and the scope panics in turn: nobody can miss it
                    None => hook::report(&format!("thread \"{}\"", self.record.name()), &*payload),
                }
                hook::dispose(payload);
            }
            None => {}
        }
    }
}

/// A started thread, and the right to its result.
///
/// Dropping it lets the thread run on; a non-daemon thread still keeps the program alive. If it panics then,
/// the [excepthook](crate::thread::set_excepthook) hears of it.
///
/// It [derefs](Deref) to a [`ThreadHandle`]: name, numbers, `is_finished`, `wait_timeout`.
pub struct JoinHandle<T> {
    pub(super) thread: ThreadHandle,
    pub(super) packet: Arc<Packet<T>>,
}

impl<T> JoinHandle<T> {
    /// Waits until the thread is over and returns what it returned.
    ///
    /// What the thread did happens before the return of `join`, the destructors of its thread-locals included.
    ///
    /// # Errors
    /// [`JoinError::Panicked`] with what it panicked with; [`JoinError::Itself`] if a thread joins itself;
    /// [`JoinError::Exited`] if it called `std::process::exit`, or exists in the parent of this process only.
    ///
    /// ```
    /// use raddle::Thread;
    /// let answer = Thread::spawn(|| 6 * 7);
    /// assert_eq!(answer.join()?, 42);
    ///
    /// let broken = Thread::spawn(|| panic!("no paper"));
    /// assert!(broken.join().unwrap_err().to_string().contains("no paper"));
    /// # Ok::<(), raddle::thread::JoinError>(())
    /// ```
    #[track_caller]
    pub fn join(self) -> Result<T, JoinError> {
        self.thread.wait().map_err(|_| JoinError::Itself)?;
        self.packet.take()
    }

    /// Like [`join`](Self::join), waiting at most `timeout`.
    ///
    /// # Errors
    /// [`JoinTimeoutError::TimedOut`] gives the handle back; otherwise as [`join`](Self::join).
    #[track_caller]
    pub fn join_timeout(self, timeout: Duration) -> Result<T, JoinTimeoutError<T>> {
        self.join_until(rt::deadline(timeout))
    }

    /// Like [`join_timeout`](Self::join_timeout), waiting until `deadline` at most: for several joins that share a limit.
    ///
    /// # Errors
    /// As [`join_timeout`](Self::join_timeout).
    #[track_caller]
    pub fn join_deadline(self, deadline: Instant) -> Result<T, JoinTimeoutError<T>> {
        self.join_until(Some(deadline))
    }

    #[track_caller]
    fn join_until(self, deadline: Option<Instant>) -> Result<T, JoinTimeoutError<T>> {
        if self.thread.is_current() {
            return Err(JoinTimeoutError::Failed(JoinError::Itself));
        }
        if !self.thread.wait_until(deadline) {
            return Err(JoinTimeoutError::TimedOut(self));
        }
        self.packet.take().map_err(JoinTimeoutError::Failed)
    }

    /// The thread, without the right to its result.
    pub fn thread(&self) -> &ThreadHandle {
        &self.thread
    }
}

impl<T> Deref for JoinHandle<T> {
    type Target = ThreadHandle;

    fn deref(&self) -> &ThreadHandle {
        &self.thread
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JoinHandle").field(&self.thread).finish()
    }
}

/// What a thread or a task panicked with.
pub struct ThreadPanic {
    who: Arc<str>,
    // A mutex only to be `Sync`, so that errors holding this work with every error type.
    payload: Mutex<Payload>,
    message: String,
}

impl ThreadPanic {
    pub(crate) fn new(who: Arc<str>, payload: Box<dyn Any + Send>) -> Self {
        let message = hook::message(&*payload).to_owned();
        Self { who, payload: Mutex::new(Payload::new(payload)), message }
    }

    /// Name of the thread that panicked.
    pub fn thread_name(&self) -> &str {
        &self.who
    }

    /// The panic's message, if it carried a text.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The payload, for [`std::panic::resume_unwind`] or a downcast.
    pub fn into_payload(self) -> Box<dyn Any + Send> {
        let mut payload = self.payload.into_inner().unwrap_or_else(PoisonError::into_inner);
        payload.take().expect("only this takes it, once")
    }
}

impl fmt::Display for ThreadPanic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "thread \"{}\" panicked: {}", self.who, self.message)
    }
}

impl std::error::Error for ThreadPanic {}

impl fmt::Debug for ThreadPanic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPanic")
            .field("thread", &self.who)
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}

/// Why a join gave no result.
#[derive(Debug)]
#[non_exhaustive]
pub enum JoinError {
    /// The thread panicked.
    Panicked(ThreadPanic),
    /// A thread tried to join itself.
    Itself,
    /// The thread called `std::process::exit` and will return nothing; or it is one of the parent's, and this is a forked
    /// child, which does not have it.
    Exited,
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinError::Panicked(panic) => panic.fmt(f),
            JoinError::Itself => super::handle::JoinItself.fmt(f),
            JoinError::Exited => f.write_str(
                "the thread returned nothing: it called exit, or exists in the parent process only",
            ),
        }
    }
}

impl std::error::Error for JoinError {}

/// Why a join with a limit gave no result.
pub enum JoinTimeoutError<T> {
    /// The thread is still running; here is its handle back.
    TimedOut(JoinHandle<T>),
    /// The thread is over, or will never be, without a result.
    Failed(JoinError),
}

impl<T> fmt::Debug for JoinTimeoutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinTimeoutError::TimedOut(handle) => f.debug_tuple("TimedOut").field(handle).finish(),
            JoinTimeoutError::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
        }
    }
}

impl<T> fmt::Display for JoinTimeoutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinTimeoutError::TimedOut(handle) => {
                write!(f, "thread \"{}\" is still running after the time limit", handle.name())
            }
            JoinTimeoutError::Failed(error) => error.fmt(f),
        }
    }
}

impl<T> std::error::Error for JoinTimeoutError<T> {}
