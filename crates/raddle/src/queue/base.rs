//! The type behind `Queue`, `LifoQueue` and `PriorityQueue`, with all its operations.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::{Duration, Instant};

use super::blocking::{Blocking, Timeout};
use super::error::{GetError, PutError, ShutDownError, TooManyTasksDoneError};
use super::order::Order;
use super::state::{ItemList, QueueState};
use crate::rt::{self, Kind, Op, Place};

/// A queue through which threads pass items to each other.
///
/// [`Queue`](crate::Queue), [`LifoQueue`](crate::LifoQueue) and [`PriorityQueue`](crate::PriorityQueue) are this type with an
/// order. A queue is shared by reference: in a `static`, in an `Arc`, or borrowed by
/// [scoped threads](crate::thread::scope).
///
/// A panic in a thread that uses a queue does not poison it. While the queue's lock is held, no item is dropped and no code
/// of the user runs, except `Ord::cmp` in a [`PriorityQueue`](crate::PriorityQueue).
///
/// # Fairness
/// Waiters are served in FIFO order, those that put and those that get each among themselves. A thread that arrives while
/// others wait for the same does not overtake them. Before it enqueues itself as a waiter, a thread spins for some
/// microseconds.
///
/// # Memory ordering
/// A put *happens before* the get of the item. The last [`task_done`](Self::task_done) happens before the return of
/// [`join`](Self::join), and a shutdown happens before the return of each operation that fails because of it.
///
/// # Examples
/// ```
/// use raddle::{Queue, thread};
///
/// let queue = Queue::bounded(2);
/// thread::scope(|s| {
///     s.spawn(|| {
///         for number in 1..=4 {
///             queue.put(number).unwrap(); // blocks while the queue is full
///         }
///         queue.shutdown();
///     });
///     assert_eq!(queue.iter().sum::<i32>(), 10);
/// });
/// ```
pub struct BaseQueue<T, O: Order<T>> {
    blocking: Blocking<T, O>,
}

/// # Creating a queue
impl<T, O: Order<T>> BaseQueue<T, O> {
    /// Creates a queue that holds at most `maxsize` items.
    ///
    /// # Panics
    /// Panics if `maxsize` is 0. For a queue without a limit, use [`unbounded`](Self::unbounded).
    ///
    /// # Examples
    /// ```
    /// use raddle::Queue;
    ///
    /// static MAIL: Queue<String> = Queue::bounded(10);
    /// MAIL.put("hello".to_string())?;
    /// assert_eq!(MAIL.get()?, "hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// In a constant, a limit of 0 does not compile:
    ///
    /// ```compile_fail
    /// static MAIL: raddle::Queue<String> = raddle::Queue::bounded(0);
    /// ```
    #[track_caller]
    pub const fn bounded(maxsize: usize) -> Self {
        assert!(
            maxsize > 0,
            "cannot create a queue for 0 items: use `unbounded` for a queue without a limit"
        );
        Self { blocking: Blocking::new(maxsize) }
    }

    /// Creates a queue without a limit. A put never blocks.
    ///
    /// # Examples
    /// ```
    /// use raddle::Queue;
    ///
    /// let queue = Queue::unbounded();
    /// queue.put_many(0..1_000)?;
    /// assert_eq!((queue.len(), queue.is_full()), (1_000, false));
    /// # Ok::<(), raddle::queue::ShutDownError<Vec<i32>>>(())
    /// ```
    pub const fn unbounded() -> Self {
        Self { blocking: Blocking::new(usize::MAX) }
    }
}

/// # Putting and getting items
impl<T, O: Order<T>> BaseQueue<T, O> {
    /// Puts an item, blocking until there is room.
    ///
    /// # Errors
    /// Returns [`ShutDownError`] with the item if the queue is shut down, before the call or while the thread waits.
    ///
    /// # Examples
    /// ```
    /// use raddle::Queue;
    ///
    /// let queue = Queue::unbounded();
    /// queue.put(1)?;
    /// queue.shutdown();
    /// assert_eq!(queue.put(2).unwrap_err().into_inner(), 2);
    /// # Ok::<(), raddle::queue::ShutDownError<i32>>(())
    /// ```
    #[inline]
    #[track_caller]
    pub fn put(&self, item: T) -> Result<(), ShutDownError<T>> {
        match self.blocking.put_fast(item) {
            Ok(()) => Ok(()),
            Err(item) => {
                self.put_slow(item, Timeout::NEVER).map_err(|error| ShutDownError(error.into_inner()))
            }
        }
    }

    /// Puts an item if there is room. Never blocks.
    ///
    /// # Errors
    /// Returns [`PutError`] with the item if the queue is full or shut down.
    ///
    /// # Examples
    /// ```
    /// use raddle::Queue;
    /// use raddle::queue::PutError;
    ///
    /// let queue = Queue::bounded(1);
    /// assert_eq!(queue.try_put("a"), Ok(()));
    /// assert_eq!(queue.try_put("b"), Err(PutError::Full("b")));
    /// ```
    #[track_caller]
    pub fn try_put(&self, item: T) -> Result<(), PutError<T>> {
        self.put_within(item, || Timeout::Now)
    }

    /// Puts an item, blocking for at most `timeout` until there is room.
    ///
    /// # Errors
    /// Returns [`PutError`] with the item if the queue stays full or is shut down.
    ///
    /// # Examples
    /// ```
    /// use raddle::Queue;
    /// use raddle::queue::PutError;
    /// use std::time::Duration;
    ///
    /// let queue = Queue::bounded(1);
    /// queue.put("a")?;
    /// assert_eq!(queue.put_timeout("b", Duration::from_millis(1)), Err(PutError::Full("b")));
    /// # Ok::<(), raddle::queue::ShutDownError<&str>>(())
    /// ```
    #[track_caller]
    pub fn put_timeout(&self, item: T, timeout: Duration) -> Result<(), PutError<T>> {
        self.put_within(item, || Timeout::after(timeout))
    }

    /// Puts an item, blocking until there is room or `deadline` has passed.
    ///
    /// # Errors
    /// Returns [`PutError`] with the item if the queue stays full or is shut down.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Queue, time};
    /// use std::time::Duration;
    ///
    /// let queue = Queue::bounded(1);
    /// let deadline = time::now() + Duration::from_millis(1); // for both
    /// assert!(queue.put_deadline("a", deadline).is_ok());
    /// assert!(queue.put_deadline("b", deadline).unwrap_err().is_full());
    /// ```
    #[track_caller]
    pub fn put_deadline(&self, item: T, deadline: Instant) -> Result<(), PutError<T>> {
        self.put_within(item, || Timeout::at(deadline))
    }

    /// Gets the next item, blocking until there is one.
    ///
    /// # Errors
    /// Returns [`ShutDownError`] if the queue is shut down and empty.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Queue, Thread};
    /// use raddle::queue::ShutDownError;
    /// use std::sync::Arc;
    ///
    /// let queue = Arc::new(Queue::bounded(1));
    /// let producer = queue.clone();
    /// let producer = Thread::spawn(move || {
    ///     producer.put("first").unwrap();
    ///     producer.put("second").unwrap();
    ///     producer.shutdown();
    /// });
    /// assert_eq!(queue.get(), Ok("first"));
    /// assert_eq!(queue.get(), Ok("second"));
    /// assert_eq!(queue.get(), Err(ShutDownError(())));
    /// # producer.join().unwrap();
    /// ```
    #[inline]
    #[track_caller]
    pub fn get(&self) -> Result<T, ShutDownError> {
        match self.blocking.get_fast() {
            Some(item) => Ok(item),
            None => self.get_slow(Timeout::NEVER).map_err(|_| ShutDownError(())),
        }
    }

    /// Gets the next item if there is one. Never blocks.
    ///
    /// # Errors
    /// Returns [`GetError::ShutDown`] if the queue is shut down and empty, or [`GetError::Empty`] if it is empty.
    ///
    /// # Examples
    /// ```
    /// use raddle::Queue;
    /// use raddle::queue::GetError;
    ///
    /// let queue = Queue::unbounded();
    /// queue.put(1)?;
    /// assert_eq!(queue.try_get(), Ok(1));
    /// assert_eq!(queue.try_get(), Err(GetError::Empty));
    /// # Ok::<(), raddle::queue::ShutDownError<i32>>(())
    /// ```
    #[track_caller]
    pub fn try_get(&self) -> Result<T, GetError> {
        self.get_within(|| Timeout::Now)
    }

    /// Gets the next item, blocking for at most `timeout` until there is one.
    ///
    /// # Errors
    /// Returns [`GetError::ShutDown`] if the queue is shut down and empty, or [`GetError::Empty`] if it stays empty.
    ///
    /// # Examples
    /// ```
    /// use raddle::Queue;
    /// use raddle::queue::GetError;
    /// use std::time::Duration;
    ///
    /// let queue: Queue<u8> = Queue::unbounded();
    /// assert_eq!(queue.get_timeout(Duration::from_millis(1)), Err(GetError::Empty));
    /// ```
    #[track_caller]
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, GetError> {
        self.get_within(|| Timeout::after(timeout))
    }

    /// Gets the next item, blocking until there is one or `deadline` has passed.
    ///
    /// # Errors
    /// Returns [`GetError::ShutDown`] if the queue is shut down and empty, or [`GetError::Empty`] if it stays empty.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Queue, time};
    /// use raddle::queue::GetError;
    /// use std::time::Duration;
    ///
    /// let queue = Queue::unbounded();
    /// queue.put(1)?;
    /// let deadline = time::now() + Duration::from_millis(1); // for both
    /// assert_eq!(queue.get_deadline(deadline), Ok(1));
    /// assert_eq!(queue.get_deadline(deadline), Err(GetError::Empty));
    /// # Ok::<(), raddle::queue::ShutDownError<i32>>(())
    /// ```
    #[track_caller]
    pub fn get_deadline(&self, deadline: Instant) -> Result<T, GetError> {
        self.get_within(|| Timeout::at(deadline))
    }

    #[inline]
    #[track_caller]
    fn put_within(&self, item: T, timeout: impl FnOnce() -> Timeout) -> Result<(), PutError<T>> {
        match self.blocking.put_fast(item) {
            Ok(()) => Ok(()),
            Err(item) => self.put_slow(item, timeout()),
        }
    }

    #[inline]
    #[track_caller]
    fn get_within(&self, timeout: impl FnOnce() -> Timeout) -> Result<T, GetError> {
        match self.blocking.get_fast() {
            Some(item) => Ok(item),
            None => self.get_slow(timeout()),
        }
    }

    #[cold]
    #[track_caller]
    fn put_slow(&self, item: T, timeout: Timeout) -> Result<(), PutError<T>> {
        let op = self.op(Kind::Put);
        self.blocking.put(op, ItemList::one(item), timeout).map_err(|error| error.map(ItemList::into_one))
    }

    #[cold]
    #[track_caller]
    fn get_slow(&self, timeout: Timeout) -> Result<T, GetError> {
        self.blocking.get(self.op(Kind::Get), timeout)
    }

    /// Gets the next item for an iterator that was created at `created`.
    #[inline]
    #[track_caller]
    pub(super) fn next_item(&self, timeout: Timeout, created: Place) -> Option<T> {
        match self.blocking.get_fast() {
            Some(item) => Some(item),
            None => self.next_item_slow(timeout, Place::caller(), created),
        }
    }

    #[cold]
    fn next_item_slow(&self, timeout: Timeout, now: Place, created: Place) -> Option<T> {
        let at = if rt::quiet() { now } else { now.or_creation(created) };
        self.blocking.get(Op { at, ..self.op(Kind::Get) }, timeout).ok()
    }
}

/// # Putting and getting many items
///
/// The items of a batch are got together, under one lock. A batch to put comes from an iterator, whose code may be slow,
/// endless, or depend on the fate of the earlier items. So each item is put before the iterator is advanced. The items of
/// an array, a `Vec` or a `VecDeque` are put together under one lock, up to the available room.
impl<T, O: Order<T>> BaseQueue<T, O> {
    /// Puts all items in their order, blocking whenever the queue is full.
    ///
    /// Each item is put before the iterator is advanced. If the iterator panics, the earlier items stay in the queue. Items
    /// of other threads may come in between. Putting no items always succeeds.
    ///
    /// # Errors
    /// Returns [`ShutDownError`] with the items that were not put, in their order, if the queue is shut down. If the
    /// iterator has no upper bound ([`Iterator::size_hint`]), the rest is not collected: only the refused item is returned.
    ///
    /// # Examples
    /// ```
    /// use raddle::Queue;
    ///
    /// let queue = Queue::unbounded();
    /// queue.put_many([1, 2, 3])?;
    /// assert_eq!(queue.try_get_many(10), [1, 2, 3]);
    /// # Ok::<(), raddle::queue::ShutDownError<Vec<i32>>>(())
    /// ```
    #[track_caller]
    pub fn put_many(&self, items: impl IntoIterator<Item = T>) -> Result<(), ShutDownError<Vec<T>>> {
        let op = self.op(Kind::Put);
        self.put_all(op, items, Timeout::NEVER).map_err(|error| ShutDownError(error.into_inner()))
    }

    /// Puts as many items as there is room for. Never blocks.
    ///
    /// # Errors
    /// Returns [`PutError`] with the items that were not put, as [`put_many`](Self::put_many) does.
    ///
    /// # Examples
    /// ```
    /// use raddle::Queue;
    /// use raddle::queue::PutError;
    ///
    /// let queue = Queue::bounded(2);
    /// assert_eq!(queue.try_put_many([1, 2, 3]), Err(PutError::Full(vec![3])));
    /// ```
    #[track_caller]
    pub fn try_put_many(&self, items: impl IntoIterator<Item = T>) -> Result<(), PutError<Vec<T>>> {
        self.put_all(self.op(Kind::Put), items, Timeout::Now)
    }

    /// Puts all items like [`put_many`](Self::put_many), blocking for at most `timeout` in all.
    ///
    /// # Errors
    /// Returns [`PutError`] with the items that were not put, as [`put_many`](Self::put_many) does.
    ///
    /// # Examples
    /// ```
    /// use raddle::Queue;
    /// use raddle::queue::PutError;
    /// use std::time::Duration;
    ///
    /// let queue = Queue::bounded(2);
    /// assert_eq!(queue.put_many_timeout(0..4, Duration::from_millis(1)), Err(PutError::Full(vec![2, 3])));
    /// ```
    #[track_caller]
    pub fn put_many_timeout(
        &self,
        items: impl IntoIterator<Item = T>,
        timeout: Duration,
    ) -> Result<(), PutError<Vec<T>>> {
        self.put_all(self.op(Kind::Put), items, Timeout::after(timeout))
    }

    /// Puts all items like [`put_many`](Self::put_many), blocking until `deadline` has passed.
    ///
    /// # Errors
    /// Returns [`PutError`] with the items that were not put, as [`put_many`](Self::put_many) does.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Queue, time};
    ///
    /// let queue = Queue::bounded(2);
    /// let rest = queue.put_many_deadline([1, 2, 3], time::now()).unwrap_err().into_inner();
    /// assert_eq!(rest, [3]);
    /// ```
    #[track_caller]
    pub fn put_many_deadline(
        &self,
        items: impl IntoIterator<Item = T>,
        deadline: Instant,
    ) -> Result<(), PutError<Vec<T>>> {
        self.put_all(self.op(Kind::Put), items, Timeout::at(deadline))
    }

    /// Gets up to `max` items: blocks until there is one, takes the available ones, and blocks for at most `linger` until
    /// there are `max`.
    ///
    /// Returns an empty batch only if the queue is shut down and empty. The items are in the order in which they were taken.
    /// While the batch fills, it does not count against the queue's limit, so it may be larger than that.
    ///
    /// # Fairness
    /// While the batch fills, new items go first to threads that have none.
    ///
    /// # Panics
    /// Panics if `max` is 0.
    ///
    /// # Examples
    /// ```
    /// use raddle::Queue;
    /// use std::time::Duration;
    ///
    /// let queue = Queue::bounded(10);
    /// queue.put_many(["a", "b", "c"])?;
    /// assert_eq!(queue.get_many(2, Duration::MAX), ["a", "b"]);
    /// assert_eq!(queue.get_many(1_000, Duration::from_millis(1)), ["c"]);
    /// queue.shutdown();
    /// assert!(queue.get_many(1_000, Duration::MAX).is_empty());
    /// # Ok::<(), raddle::queue::ShutDownError<Vec<&str>>>(())
    /// ```
    #[track_caller]
    pub fn get_many(&self, max: usize, linger: Duration) -> Vec<T> {
        let op = self.op(Kind::Get);
        self.blocking.get_many(op, max, linger, Timeout::NEVER).unwrap_or_default()
    }

    /// Gets up to `max` available items, possibly none. Never blocks.
    ///
    /// # Panics
    /// Panics if `max` is 0.
    ///
    /// # Examples
    /// ```
    /// use raddle::Queue;
    ///
    /// let queue = Queue::unbounded();
    /// queue.put_many([1, 2, 3])?;
    /// assert_eq!(queue.try_get_many(2), [1, 2]);
    /// assert_eq!(queue.try_get_many(2), [3]);
    /// assert!(queue.try_get_many(2).is_empty());
    /// # Ok::<(), raddle::queue::ShutDownError<Vec<i32>>>(())
    /// ```
    #[track_caller]
    pub fn try_get_many(&self, max: usize) -> Vec<T> {
        self.blocking.try_get_many(self.op(Kind::Get), max)
    }

    /// Gets up to `max` items like [`get_many`](Self::get_many), blocking for at most `timeout` until there is one.
    ///
    /// # Errors
    /// Returns [`GetError::ShutDown`] if the queue is shut down and empty, or [`GetError::Empty`] if it stays empty.
    ///
    /// # Panics
    /// Panics if `max` is 0.
    ///
    /// # Examples
    /// ```
    /// use raddle::Queue;
    /// use raddle::queue::GetError;
    /// use std::time::Duration;
    ///
    /// let (linger, timeout) = (Duration::ZERO, Duration::from_millis(1));
    /// let queue = Queue::unbounded();
    /// queue.put("a")?;
    /// assert_eq!(queue.get_many_timeout(10, linger, timeout), Ok(vec!["a"]));
    /// assert_eq!(queue.get_many_timeout(10, linger, timeout), Err(GetError::Empty));
    /// # Ok::<(), raddle::queue::ShutDownError<&str>>(())
    /// ```
    #[track_caller]
    pub fn get_many_timeout(
        &self,
        max: usize,
        linger: Duration,
        timeout: Duration,
    ) -> Result<Vec<T>, GetError> {
        self.blocking.get_many(self.op(Kind::Get), max, linger, Timeout::after(timeout))
    }

    /// Gets up to `max` items like [`get_many`](Self::get_many), blocking until there is one or `deadline` has passed.
    ///
    /// # Errors
    /// Returns [`GetError::ShutDown`] if the queue is shut down and empty, or [`GetError::Empty`] if it stays empty.
    ///
    /// # Panics
    /// Panics if `max` is 0.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Queue, time};
    /// use std::time::Duration;
    ///
    /// let queue = Queue::unbounded();
    /// queue.put("a")?;
    /// assert_eq!(queue.get_many_deadline(10, Duration::ZERO, time::now()), Ok(vec!["a"]));
    /// # Ok::<(), raddle::queue::ShutDownError<&str>>(())
    /// ```
    #[track_caller]
    pub fn get_many_deadline(
        &self,
        max: usize,
        linger: Duration,
        deadline: Instant,
    ) -> Result<Vec<T>, GetError> {
        self.blocking.get_many(self.op(Kind::Get), max, linger, Timeout::at(deadline))
    }

    fn put_all<I>(&self, op: Op, items: I, timeout: Timeout) -> Result<(), PutError<Vec<T>>>
    where
        I: IntoIterator<Item = T>,
    {
        let mut items = items.into_iter();
        if is_of_a_container::<I::IntoIter>() {
            let items = ItemList::many(items.collect());
            return self.blocking.put(op, items, timeout).map_err(|error| error.map(ItemList::into_vec));
        }
        let timeout = timeout.for_all(op.at);
        while let Some(item) = items.next() {
            let Err(item) = self.blocking.put_fast(item) else { continue };
            if let Err(error) = self.blocking.put(op, ItemList::one(item), timeout) {
                return Err(error.map(|refused| {
                    let bounded = items.size_hint().1.is_some();
                    let rest = items.take(if bounded { usize::MAX } else { 0 });
                    std::iter::once(refused.into_one()).chain(rest).collect()
                }));
            }
        }
        Ok(())
    }
}

/// # Tracking unfinished tasks
///
/// As in Python, each item put is a task. It is unfinished until a thread that got the item marks it done.
impl<T, O: Order<T>> BaseQueue<T, O> {
    /// Marks one task done. If it was the last one that was unfinished, wakes the threads in [`join`](Self::join).
    ///
    /// # Errors
    /// Returns [`TooManyTasksDoneError`] if there is no unfinished task.
    ///
    /// # Examples
    /// ```
    /// use raddle::Queue;
    ///
    /// let queue = Queue::unbounded();
    /// queue.put("work")?;
    /// queue.get()?;
    /// assert_eq!(queue.unfinished(), 1);
    /// queue.task_done()?;
    /// queue.join(); // does not block any more
    /// assert!(queue.task_done().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    #[track_caller]
    pub fn task_done(&self) -> Result<(), TooManyTasksDoneError> {
        if self.blocking.task_done_fast() { Ok(()) } else { self.tasks_done(1) }
    }

    /// Marks `count` tasks done, as [`task_done`](Self::task_done) does for one.
    ///
    /// # Errors
    /// Returns [`TooManyTasksDoneError`] if there are fewer unfinished tasks. Then none is marked done.
    ///
    /// # Examples
    /// ```
    /// use raddle::Queue;
    ///
    /// let queue = Queue::unbounded();
    /// queue.put_many([1, 2, 3])?;
    /// let batch = queue.try_get_many(10);
    /// queue.tasks_done(batch.len())?;
    /// assert_eq!(queue.unfinished(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn tasks_done(&self, count: usize) -> Result<(), TooManyTasksDoneError> {
        self.blocking.tasks_done(self.op(Kind::Write).with_verb("marks items done in"), count)
    }

    /// Blocks until there are no unfinished tasks.
    ///
    /// A waiter returns once this was so for a moment, even if items have been put since.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Queue, thread};
    ///
    /// let queue = Queue::unbounded();
    /// thread::scope(|s| {
    ///     s.spawn(|| {
    ///         for _job in &queue {
    ///             queue.task_done().unwrap();
    ///         }
    ///     });
    ///     queue.put_many(0..10).unwrap();
    ///     queue.join();
    ///     assert_eq!(queue.unfinished(), 0);
    ///     queue.shutdown();
    /// });
    /// ```
    #[track_caller]
    pub fn join(&self) {
        self.blocking.join(self.join_op(), Timeout::NEVER);
    }

    /// Blocks like [`join`](Self::join) for at most `timeout`. Returns whether there were no unfinished tasks.
    ///
    /// # Examples
    /// ```
    /// use raddle::Queue;
    /// use std::time::Duration;
    ///
    /// let queue = Queue::unbounded();
    /// queue.put("work")?;
    /// assert!(!queue.join_timeout(Duration::from_millis(1)));
    /// queue.task_done()?;
    /// assert!(queue.join_timeout(Duration::from_millis(1)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn join_timeout(&self, timeout: Duration) -> bool {
        self.blocking.join(self.join_op(), Timeout::after(timeout))
    }

    /// Blocks like [`join`](Self::join) until `deadline` has passed. Returns whether there were no unfinished tasks.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Queue, time};
    ///
    /// let queue: Queue<u8> = Queue::unbounded();
    /// assert!(queue.join_deadline(time::now()));
    /// ```
    #[track_caller]
    pub fn join_deadline(&self, deadline: Instant) -> bool {
        self.blocking.join(self.join_op(), Timeout::at(deadline))
    }

    /// Returns the number of items put and not yet marked done, whether they are still in the queue or not.
    ///
    /// # Examples
    /// ```
    /// use raddle::Queue;
    ///
    /// let queue = Queue::unbounded();
    /// queue.put_many([1, 2])?;
    /// queue.get().unwrap();
    /// assert_eq!((queue.len(), queue.unfinished()), (1, 2));
    /// # Ok::<(), raddle::queue::ShutDownError<Vec<i32>>>(())
    /// ```
    #[track_caller]
    pub fn unfinished(&self) -> usize {
        self.look(|state, _| state.unfinished)
    }

    #[track_caller]
    fn join_op(&self) -> Op {
        self.op(Kind::Wait).with_verb("waits for all items to be done in")
    }
}

/// # Changing the limit
///
/// A queue of few small items keeps them in a fixed number of slots, as many as its first limit. With another limit, its puts and
/// gets share one lock and take longer.
impl<T, O: Order<T>> BaseQueue<T, O> {
    /// Changes the greatest number of items, while other threads use the queue.
    ///
    /// A higher limit admits blocked puts in FIFO order, as far as there is room. A lower one removes no item: puts block until
    /// fewer items than the limit are left.
    ///
    /// # Panics
    /// Panics if `maxsize` is 0. For a queue without a limit, use [`set_unbounded`](Self::set_unbounded). If `Ord::cmp` panics in
    /// a [`PriorityQueue`](crate::PriorityQueue), the limit is unchanged, and puts that were admitted before stay admitted.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Queue, thread};
    ///
    /// let queue = Queue::bounded(1);
    /// queue.put(1).unwrap();
    /// thread::scope(|s| {
    ///     s.spawn(|| queue.put(2)); // blocks
    ///     queue.set_maxsize(2);
    /// });
    /// queue.set_maxsize(1);
    /// assert_eq!(queue.try_get_many(10), [1, 2], "no item is removed");
    /// ```
    #[track_caller]
    pub fn set_maxsize(&self, maxsize: usize) {
        assert!(
            maxsize > 0,
            "cannot set the limit of a queue to 0 items: use `set_unbounded` for a queue without a limit"
        );
        self.blocking.set_limit(self.limit_op(), maxsize);
    }

    /// Removes the limit, and admits all blocked puts.
    ///
    /// # Panics
    /// Panics as [`set_maxsize`](Self::set_maxsize) does if `Ord::cmp` panics.
    ///
    /// # Examples
    /// ```
    /// use raddle::Queue;
    ///
    /// let queue = Queue::bounded(1);
    /// queue.set_unbounded();
    /// queue.put_many([1, 2, 3])?;
    /// assert_eq!((queue.len(), queue.maxsize()), (3, 0));
    /// # Ok::<(), raddle::queue::ShutDownError<Vec<i32>>>(())
    /// ```
    #[track_caller]
    pub fn set_unbounded(&self) {
        self.blocking.set_limit(self.limit_op(), usize::MAX);
    }

    #[track_caller]
    fn limit_op(&self) -> Op {
        self.op(Kind::Write).with_verb("changes the limit of")
    }
}

/// # Shutting a queue down
impl<T, O: Order<T>> BaseQueue<T, O> {
    /// Shuts the queue down permanently. No more items can be put; those in the queue can still be got.
    ///
    /// Blocked puts fail and return their items. Blocked gets fail. Threads in [`join`](Self::join) continue to wait for the
    /// unfinished tasks.
    ///
    /// # Examples
    /// ```
    /// use raddle::Queue;
    ///
    /// let queue = Queue::unbounded();
    /// queue.put_many([1, 2])?;
    /// queue.shutdown();
    /// assert!(queue.put(3).is_err());
    /// assert_eq!(queue.iter().collect::<Vec<_>>(), [1, 2]);
    /// # Ok::<(), raddle::queue::ShutDownError<Vec<i32>>>(())
    /// ```
    #[track_caller]
    pub fn shutdown(&self) {
        self.blocking.shut_down(self.op(Kind::Write).with_verb("shuts down"));
    }

    /// Shuts the queue down and removes all items, as Python's `shutdown(immediate=True)`. Returns them, the next one first.
    ///
    /// The returned items count as done, so [`join`](Self::join) waits only for items that were got before.
    ///
    /// # Examples
    /// ```
    /// use raddle::Queue;
    ///
    /// let queue = Queue::unbounded();
    /// queue.put_many([1, 2])?;
    /// assert_eq!(queue.shutdown_now(), [1, 2]);
    /// assert!(queue.get().is_err());
    /// queue.join(); // nothing is unfinished
    /// # Ok::<(), raddle::queue::ShutDownError<Vec<i32>>>(())
    /// ```
    ///
    /// The items cannot be ignored by mistake:
    ///
    /// ```compile_fail
    /// #![deny(unused_must_use)]
    /// raddle::Queue::<u8>::unbounded().shutdown_now();
    /// ```
    #[track_caller]
    #[must_use = "these items were not processed; use `drop` if this is intended"]
    pub fn shutdown_now(&self) -> Vec<T> {
        self.blocking.shut_down_now(self.op(Kind::Write).with_verb("shuts down and empties"))
    }

    /// Returns `true` if the queue is shut down.
    ///
    /// # Examples
    /// ```
    /// use raddle::Queue;
    ///
    /// let queue: Queue<u8> = Queue::unbounded();
    /// assert!(!queue.is_shut_down());
    /// queue.shutdown();
    /// assert!(queue.is_shut_down());
    /// ```
    #[track_caller]
    pub fn is_shut_down(&self) -> bool {
        self.look(|state, _| state.is_shut_down())
    }
}

/// # Inspecting a queue
///
/// Other threads may change what these methods return at any time.
impl<T, O: Order<T>> BaseQueue<T, O> {
    /// Returns the greatest number of items that the queue holds, or 0 if it is unbounded, as in Python.
    ///
    /// # Examples
    /// ```
    /// use raddle::Queue;
    ///
    /// assert_eq!(Queue::<u8>::bounded(10).maxsize(), 10);
    /// assert_eq!(Queue::<u8>::unbounded().maxsize(), 0);
    /// ```
    #[track_caller]
    pub fn maxsize(&self) -> usize {
        shown(self.look(|state, _| state.limit()))
    }

    /// Returns the number of items in the queue.
    ///
    /// # Examples
    /// ```
    /// use raddle::Queue;
    ///
    /// let queue = Queue::unbounded();
    /// queue.put_many([1, 2])?;
    /// assert_eq!(queue.len(), 2);
    /// # Ok::<(), raddle::queue::ShutDownError<Vec<i32>>>(())
    /// ```
    #[track_caller]
    pub fn len(&self) -> usize {
        self.look(|_, len| len)
    }

    /// Returns `true` if there is no item in the queue.
    ///
    /// # Examples
    /// ```
    /// use raddle::Queue;
    ///
    /// let queue = Queue::unbounded();
    /// assert!(queue.is_empty());
    /// queue.put(1)?;
    /// assert!(!queue.is_empty());
    /// # Ok::<(), raddle::queue::ShutDownError<i32>>(())
    /// ```
    #[track_caller]
    pub fn is_empty(&self) -> bool {
        self.look(|_, len| len == 0)
    }

    /// Returns `true` if a put would block.
    ///
    /// # Examples
    /// ```
    /// use raddle::Queue;
    ///
    /// let queue = Queue::bounded(1);
    /// assert!(!queue.is_full());
    /// queue.put(1)?;
    /// assert!(queue.is_full());
    /// # Ok::<(), raddle::queue::ShutDownError<i32>>(())
    /// ```
    #[track_caller]
    pub fn is_full(&self) -> bool {
        self.look(QueueState::is_full)
    }

    /// Returns the number of threads that wait for an item, or for more items to fill their batch.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Queue, thread};
    ///
    /// let queue = Queue::unbounded();
    /// thread::scope(|s| {
    ///     s.spawn(|| queue.get());
    ///     while queue.n_getters() == 0 {
    ///         thread::yield_now();
    ///     }
    ///     queue.put("served").unwrap();
    ///     assert_eq!(queue.n_getters(), 0);
    /// });
    /// ```
    #[track_caller]
    pub fn n_getters(&self) -> usize {
        self.look(|state, _| state.getters.len() + state.fillers.len())
    }

    /// Returns the number of threads that wait for room.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Queue, thread};
    ///
    /// let queue = Queue::bounded(1);
    /// queue.put(1).unwrap();
    /// thread::scope(|s| {
    ///     s.spawn(|| queue.put(2));
    ///     while queue.n_putters() == 0 {
    ///         thread::yield_now();
    ///     }
    ///     assert_eq!(queue.get(), Ok(1));
    ///     assert_eq!((queue.n_putters(), queue.len()), (0, 1));
    /// });
    /// ```
    #[track_caller]
    pub fn n_putters(&self) -> usize {
        self.look(|state, _| state.putters.len())
    }

    /// Returns the number of threads in [`join`](Self::join).
    ///
    /// # Examples
    /// ```
    /// use raddle::{Queue, thread};
    ///
    /// let queue = Queue::unbounded();
    /// queue.put("work").unwrap();
    /// thread::scope(|s| {
    ///     s.spawn(|| queue.join());
    ///     while queue.n_joiners() == 0 {
    ///         thread::yield_now();
    ///     }
    ///     queue.task_done().unwrap();
    ///     assert_eq!(queue.n_joiners(), 0);
    /// });
    /// ```
    #[track_caller]
    pub fn n_joiners(&self) -> usize {
        self.look(|state, _| state.joiners.len())
    }

    /// Sets the function by which observers show the items.
    pub(crate) fn show_items(&self, text: impl Fn(&T) -> String + Send + Sync + 'static) {
        self.blocking.show.set(text);
    }

    #[inline]
    #[track_caller]
    fn look<R>(&self, look: impl FnOnce(&QueueState<T>, usize) -> R) -> R {
        self.blocking.look(self.op(Kind::Read), look)
    }

    #[inline]
    #[track_caller]
    fn op(&self, kind: Kind) -> Op {
        Op::new(self, O::NAME, kind)
    }
}

/// Returns a limit as [`BaseQueue::maxsize`] does.
fn shown(limit: usize) -> usize {
    if limit == usize::MAX { 0 } else { limit }
}

/// Creates an unbounded queue.
impl<T, O: Order<T>> Default for BaseQueue<T, O> {
    fn default() -> Self {
        Self::unbounded()
    }
}

impl<T, O: Order<T>> fmt::Debug for BaseQueue<T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (len, limit, unfinished, shut_down) =
            self.look(|state, len| (len, state.limit(), state.unfinished, state.is_shut_down()));
        f.debug_struct(O::NAME)
            .field("len", &len)
            .field("maxsize", &shown(limit))
            .field("unfinished", &unfinished)
            .field("shut_down", &shut_down)
            .finish_non_exhaustive()
    }
}

// A panic, even in a comparison, leaves the queue as it was.
impl<T, O: Order<T>> UnwindSafe for BaseQueue<T, O> {}
impl<T, O: Order<T>> RefUnwindSafe for BaseQueue<T, O> {}

/// Returns whether the items are in memory already and `next` runs no code of the user, judged by the name of the
/// iterator's type. Only speed depends on the result.
fn is_of_a_container<I>() -> bool {
    let name = std::any::type_name::<I>();
    name.starts_with("core::array::iter::IntoIter<")
        || name.starts_with("alloc::vec::into_iter::IntoIter<")
        || name.starts_with("alloc::collections::vec_deque::into_iter::IntoIter<")
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::is_of_a_container;

    fn of<I: IntoIterator>(_: I) -> bool {
        is_of_a_container::<I::IntoIter>()
    }

    #[test]
    fn only_the_iterators_of_containers_are_collected() {
        assert!(of([1]) && of(vec![1]) && of(VecDeque::<u8>::new()));
        assert!(!of(0..3) && !of([1].iter().copied()) && !of((0..3).rev()) && !of(std::iter::repeat(1)));
        assert!(!of(Box::new(vec![1].into_iter()) as Box<dyn Iterator<Item = i32>>));
    }
}
