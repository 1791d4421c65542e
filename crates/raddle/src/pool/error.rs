//! What can go wrong with a pool, apart from its tasks.

use std::fmt;
use std::io;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

use crate::future::FutureError;

/// The pool did not accept a task; its closure comes back.
pub enum SubmitError<F> {
    /// As many tasks wait as the pool's limit allows, and time, if there was any, did not change that.
    Full(F),
    /// The pool has been shut down, or the program is ending and would not wait for the task.
    ShutDown(F),
    /// The pool's initializer failed, or the pool belongs to the process that this one was forked from, which is told here.
    Broken(F, Arc<str>),
    /// The pool has no worker, and the operating system could not start one.
    NoThread(F, io::Error),
}

impl<F> SubmitError<F> {
    /// Returns the closure, to be submitted again or to be called.
    pub fn into_inner(self) -> F {
        match self {
            SubmitError::Full(task)
            | SubmitError::ShutDown(task)
            | SubmitError::Broken(task, _)
            | SubmitError::NoThread(task, _) => task,
        }
    }

    /// Whether the same submission may succeed later.
    pub fn is_full(&self) -> bool {
        matches!(self, SubmitError::Full(_))
    }
}

impl<F> fmt::Display for SubmitError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SubmitError::Full(_) => f.write_str("as many tasks wait as the pool's queue limit allows"),
            SubmitError::ShutDown(_) => f.write_str("the pool was shut down, or the program is ending"),
            SubmitError::Broken(_, reason) => write!(f, "the pool is broken: {reason}"),
            SubmitError::NoThread(_, error) => write!(f, "no worker could be started: {error}"),
        }
    }
}

// An `io::Error` is not changed once it is there.
impl<F: UnwindSafe> UnwindSafe for SubmitError<F> {}
impl<F: RefUnwindSafe> RefUnwindSafe for SubmitError<F> {}

impl<F> fmt::Debug for SubmitError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SubmitError::Full(_) => f.write_str("Full(..)"),
            SubmitError::ShutDown(_) => f.write_str("ShutDown(..)"),
            SubmitError::Broken(_, reason) => write!(f, "Broken(.., {reason:?})"),
            SubmitError::NoThread(_, error) => write!(f, "NoThread(.., {error:?})"),
        }
    }
}

impl<F> std::error::Error for SubmitError<F> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SubmitError::NoThread(_, error) => Some(error),
            _ => None,
        }
    }
}

/// Keeps the reason and drops the closure.
impl<F> From<SubmitError<F>> for io::Error {
    fn from(error: SubmitError<F>) -> Self {
        match error {
            SubmitError::Full(_) => io::Error::new(io::ErrorKind::WouldBlock, error.to_string()),
            SubmitError::NoThread(_, error) => error,
            SubmitError::ShutDown(_) | SubmitError::Broken(..) => io::Error::other(error.to_string()),
        }
    }
}

/// Why a pool that was inherited by a fork accepts nothing.
pub(super) const AN_ANCESTORS: &str = "it belongs to the process that this one was forked from";

/// Why a pool did not accept a task, before the closure is put with it.
pub(super) enum Refusal {
    Full,
    ShutDown,
    Broken(Arc<str>),
    NoThread(io::Error),
    Deadlock,
}

impl Refusal {
    pub(super) fn with<F>(self, task: F) -> SubmitError<F> {
        match self {
            Refusal::Full | Refusal::Deadlock => SubmitError::Full(task),
            Refusal::ShutDown => SubmitError::ShutDown(task),
            Refusal::Broken(reason) => SubmitError::Broken(task, reason),
            Refusal::NoThread(error) => SubmitError::NoThread(task, error),
        }
    }
}

impl From<Refusal> for FutureError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Full | Refusal::Deadlock => FutureError::Deadlock,
            Refusal::ShutDown => FutureError::ShutDown,
            Refusal::Broken(reason) => FutureError::Broken(reason),
            Refusal::NoThread(error) => FutureError::NoThread(Arc::new(error)),
        }
    }
}

/// A pool's own worker cannot wait for the end of the pool: it would wait for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnWorkerError;

impl fmt::Display for OwnWorkerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a pool's own worker cannot wait for its shutdown; `try_shutdown` begins it without waiting",
        )
    }
}

impl std::error::Error for OwnWorkerError {}

impl From<OwnWorkerError> for io::Error {
    fn from(error: OwnWorkerError) -> Self {
        io::Error::new(io::ErrorKind::Deadlock, error)
    }
}

/// The pool that was asked for cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// A pool without workers would never run a task.
    NoWorkers,
    /// The prefix of the workers' names contains a NUL, which the operating system does not take.
    NulInName,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BuildError::NoWorkers => "a pool needs at least one worker",
            BuildError::NulInName => "the prefix of the workers' names must not contain a NUL",
        })
    }
}

impl std::error::Error for BuildError {}

/// A map that may run nothing ahead would never run anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZeroBufferError;

impl fmt::Display for ZeroBufferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the buffer size of a map must be at least one")
    }
}

impl std::error::Error for ZeroBufferError {}
