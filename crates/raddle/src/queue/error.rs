//! The errors of puts, gets and `task_done`.

use std::error::Error;
use std::fmt;

/// The error of [`put`](super::BaseQueue::put), [`put_many`](super::BaseQueue::put_many) and
/// [`get`](super::BaseQueue::get): the queue is shut down.
///
/// The error of a put contains the item or items that were not put.
///
/// # Examples
/// ```
/// use raddle::Queue;
/// use raddle::queue::ShutDownError;
///
/// let queue = Queue::unbounded();
/// queue.shutdown();
/// assert_eq!(queue.put("late"), Err(ShutDownError("late")));
/// assert_eq!(queue.get(), Err(ShutDownError(())));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ShutDownError<T = ()>(pub T);

impl<T> ShutDownError<T> {
    /// Returns the item or items that were not put.
    ///
    /// # Examples
    /// ```
    /// use raddle::Queue;
    ///
    /// let queue = Queue::unbounded();
    /// queue.shutdown();
    /// let item = queue.put(String::from("late")).unwrap_err().into_inner();
    /// assert_eq!(item, "late");
    /// ```
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for ShutDownError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShutDownError(..)")
    }
}

impl<T> fmt::Display for ShutDownError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the queue is shut down")
    }
}

impl<T> Error for ShutDownError<T> {}

/// The error of a put that does not block, or blocks for a limited time. It contains the item or items that were not
/// put.
///
/// # Examples
/// ```
/// use raddle::Queue;
/// use raddle::queue::PutError;
///
/// let queue = Queue::bounded(1);
/// queue.put(1)?;
/// assert_eq!(queue.try_put(2), Err(PutError::Full(2)));
/// queue.shutdown();
/// assert_eq!(queue.try_put(2), Err(PutError::ShutDown(2)));
/// # Ok::<(), raddle::queue::ShutDownError<i32>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PutError<T> {
    /// The queue was full, and stayed full until the timeout, if there was one.
    Full(T),
    /// The queue is shut down and accepts no more items.
    ShutDown(T),
}

impl<T> PutError<T> {
    /// Returns the item or items that were not put.
    ///
    /// # Examples
    /// ```
    /// use raddle::Queue;
    ///
    /// let queue = Queue::bounded(2);
    /// let rest = queue.try_put_many([1, 2, 3]).unwrap_err().into_inner();
    /// assert_eq!(rest, [3]);
    /// ```
    pub fn into_inner(self) -> T {
        match self {
            PutError::Full(inner) | PutError::ShutDown(inner) => inner,
        }
    }

    /// Returns `true` if the queue was full.
    ///
    /// # Examples
    /// ```
    /// use raddle::Queue;
    ///
    /// let queue = Queue::bounded(1);
    /// queue.put(1)?;
    /// assert!(queue.try_put(2).unwrap_err().is_full());
    /// # Ok::<(), raddle::queue::ShutDownError<i32>>(())
    /// ```
    pub fn is_full(&self) -> bool {
        matches!(self, PutError::Full(_))
    }

    /// Returns `true` if the queue is shut down.
    ///
    /// # Examples
    /// ```
    /// use raddle::Queue;
    ///
    /// let queue = Queue::bounded(1);
    /// queue.shutdown();
    /// assert!(queue.try_put(1).unwrap_err().is_shut_down());
    /// ```
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

impl<T> From<ShutDownError<T>> for PutError<T> {
    fn from(error: ShutDownError<T>) -> Self {
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

/// The error of a get that does not block, or blocks for a limited time.
///
/// # Examples
/// ```
/// use raddle::Queue;
/// use raddle::queue::GetError;
///
/// let queue: Queue<u8> = Queue::unbounded();
/// assert_eq!(queue.try_get(), Err(GetError::Empty));
/// queue.shutdown();
/// assert_eq!(queue.try_get(), Err(GetError::ShutDown));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GetError {
    /// The queue was empty, and stayed empty until the timeout, if there was one.
    Empty,
    /// The queue is shut down and empty.
    ShutDown,
}

impl GetError {
    /// Returns `true` if the queue was empty, but an item may still be put.
    ///
    /// # Examples
    /// ```
    /// use raddle::Queue;
    ///
    /// let queue: Queue<u8> = Queue::unbounded();
    /// assert!(queue.try_get().unwrap_err().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        *self == GetError::Empty
    }

    /// Returns `true` if the queue is shut down and empty.
    ///
    /// # Examples
    /// ```
    /// use raddle::Queue;
    ///
    /// let queue: Queue<u8> = Queue::unbounded();
    /// queue.shutdown();
    /// assert!(queue.try_get().unwrap_err().is_shut_down());
    /// ```
    pub fn is_shut_down(&self) -> bool {
        *self == GetError::ShutDown
    }
}

impl From<ShutDownError> for GetError {
    fn from(_: ShutDownError) -> Self {
        GetError::ShutDown
    }
}

impl fmt::Display for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GetError::Empty => "the queue is empty",
            GetError::ShutDown => "the queue is empty and shut down",
        })
    }
}

impl Error for GetError {}

/// The error of [`task_done`](super::BaseQueue::task_done) and [`tasks_done`](super::BaseQueue::tasks_done): more tasks
/// were reported done than were unfinished. None of them is counted.
///
/// # Examples
/// ```
/// use raddle::Queue;
///
/// let queue = Queue::unbounded();
/// queue.put("work")?;
/// let error = queue.tasks_done(3).unwrap_err();
/// assert_eq!((error.done, error.unfinished), (3, 1));
/// # Ok::<(), raddle::queue::ShutDownError<&str>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyTasksDoneError {
    /// The number of tasks reported done by the call that failed.
    pub done: usize,
    /// The number of unfinished tasks at that time.
    pub unfinished: usize,
}

impl fmt::Display for TooManyTasksDoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { done, unfinished } = self;
        write!(
            f,
            "cannot mark {done} tasks done: only {unfinished} are unfinished; mark each item once, after it was got"
        )
    }
}

impl Error for TooManyTasksDoneError {}
