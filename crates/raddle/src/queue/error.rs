//! What a queue refuses, and why.

use std::error::Error;
use std::fmt;

/// The queue is shut down: it takes nothing more, or has nothing more to give.
///
/// What could not be put is in it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ShutDown<T = ()>(pub T);

impl<T> ShutDown<T> {
    /// What could not be put.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for ShutDown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShutDown(..)")
    }
}

impl<T> fmt::Display for ShutDown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the queue is shut down")
    }
}

impl<T> Error for ShutDown<T> {}

/// Why something was not put, now or within the time limit; it is given back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PutError<T> {
    /// The queue is full: get something first, or wait longer.
    Full(T),
    /// The queue is shut down: it takes nothing more.
    ShutDown(T),
}

impl<T> PutError<T> {
    /// What could not be put.
    pub fn into_inner(self) -> T {
        match self {
            PutError::Full(inner) | PutError::ShutDown(inner) => inner,
        }
    }

    /// Whether the queue was full.
    pub fn is_full(&self) -> bool {
        matches!(self, PutError::Full(_))
    }

    /// Whether the queue is shut down.
    pub fn is_shut_down(&self) -> bool {
        matches!(self, PutError::ShutDown(_))
    }

    pub(super) fn map<U>(self, f: impl FnOnce(T) -> U) -> PutError<U> {
        match self {
            PutError::Full(inner) => PutError::Full(f(inner)),
            PutError::ShutDown(inner) => PutError::ShutDown(f(inner)),
        }
    }
}

impl<T> From<ShutDown<T>> for PutError<T> {
    fn from(error: ShutDown<T>) -> Self {
        PutError::ShutDown(error.0)
    }
}

impl<T> fmt::Debug for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_full() { "Full(..)" } else { "ShutDown(..)" })
    }
}

impl<T> fmt::Display for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_full() { "the queue is full" } else { "the queue is shut down" })
    }
}

impl<T> Error for PutError<T> {}

/// Why there was nothing to get, now or within the time limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GetError {
    /// The queue is empty: put something first, or wait longer.
    Empty,
    /// The queue is shut down and empty: nothing will ever come.
    ShutDown,
}

impl From<ShutDown> for GetError {
    fn from(_: ShutDown) -> Self {
        GetError::ShutDown
    }
}

impl fmt::Display for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GetError::Empty => "the queue is empty",
            GetError::ShutDown => "the queue is shut down and empty",
        })
    }
}

impl Error for GetError {}

/// More tasks were said to be done than there were unfinished ones; the count stays as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyTasksDone {
    /// How many were said to be done at once.
    pub done: usize,
    /// How many were unfinished.
    pub unfinished: usize,
}

impl fmt::Display for TooManyTasksDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { done, unfinished } = self;
        write!(f, "more tasks done than items put: {done} said to be done, {unfinished} unfinished")
    }
}

impl Error for TooManyTasksDone {}
