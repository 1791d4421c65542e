//! The one type behind `Queue`, `LifoQueue` and `PriorityQueue`: making one, putting and getting items.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::{Duration, Instant};

use super::error::{GetError, PutError, ShutDownError};
use super::hand::Load;
use super::limit::Limit;
use super::monitor::Monitor;
use super::order::Order;
use super::state::State;
use crate::rt::{self, Kind, Op, Place};

/// A queue for many threads: [`Queue`](crate::Queue), [`LifoQueue`](crate::LifoQueue) and
/// [`PriorityQueue`](crate::PriorityQueue) are this one with an order.
///
/// It is shared by reference: in a `static`, in an `Arc`, or borrowed by [scoped](crate::thread::scope) threads.
///
/// Fair: threads that wait to put are served in the order in which they came, and so are threads that wait to
/// get. A thread that comes while others wait for the same goes behind them. A thread looks for some microseconds
/// whether it need not wait, before it gets in line.
///
/// A panic in a thread that uses the queue does not harm it. No item is dropped and no code of its user runs
/// while the queue is locked, except `Ord::cmp` in a [`PriorityQueue`](crate::PriorityQueue).
///
/// # Memory ordering
/// What a thread did before it put an item happens before what the thread does that gets it. What was done
/// before the last `task_done` happens before the return of `join`, and what was done before a shutdown happens
/// before what a thread does that is refused because of it.
pub struct BaseQueue<T, O: Order<T>> {
    pub(super) monitor: Monitor<T, O::Store>,
    maxsize: usize,
}

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
    #[track_caller]
    pub const fn bounded(maxsize: usize) -> Self {
        assert!(
            maxsize > 0,
            "a bounded queue holds at least 1 item: use `unbounded` for a queue without a limit"
        );
        Self { monitor: Monitor::new(maxsize), maxsize }
    }

    /// Creates a queue without a limit: a put never blocks.
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
        Self { monitor: Monitor::new(usize::MAX), maxsize: 0 }
    }

    /// Puts an item, waiting for room.
    ///
    /// # Errors
    /// [`ShutDownError`] with the item if the queue is shut down, before or while the thread waits.
    ///
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
        match self.monitor.put_quickly(item) {
            Ok(()) => Ok(()),
            Err(item) => self.put_one(item, Limit::NONE).map_err(|error| ShutDownError(error.into_inner())),
        }
    }

    /// Puts an item if there is room now.
    ///
    /// # Errors
    /// [`PutError`] with the item.
    ///
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
        match self.monitor.put_quickly(item) {
            Ok(()) => Ok(()),
            Err(item) => self.put_one(item, Limit::Now),
        }
    }

    /// Puts an item, waiting for room at most `timeout`.
    ///
    /// # Errors
    /// [`PutError`] with the item.
    #[track_caller]
    pub fn put_timeout(&self, item: T, timeout: Duration) -> Result<(), PutError<T>> {
        match self.monitor.put_quickly(item) {
            Ok(()) => Ok(()),
            Err(item) => self.put_one(item, Limit::timeout(timeout)),
        }
    }

    /// Puts an item, waiting for room until `deadline` at most.
    ///
    /// # Errors
    /// [`PutError`] with the item.
    #[track_caller]
    pub fn put_deadline(&self, item: T, deadline: Instant) -> Result<(), PutError<T>> {
        match self.monitor.put_quickly(item) {
            Ok(()) => Ok(()),
            Err(item) => self.put_one(item, Limit::deadline(deadline)),
        }
    }

    /// Gets the next item, waiting for one.
    ///
    /// # Errors
    /// [`ShutDownError`] if the queue is shut down and empty.
    ///
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
        match self.monitor.get_quickly() {
            Some(item) => Ok(item),
            None => self.get_one(Limit::NONE).map_err(|_| ShutDownError(())),
        }
    }

    /// Gets the next item if there is one now.
    ///
    /// # Errors
    /// [`GetError::ShutDown`] if there will never be one, otherwise [`GetError::Empty`].
    #[track_caller]
    pub fn try_get(&self) -> Result<T, GetError> {
        match self.monitor.get_quickly() {
            Some(item) => Ok(item),
            None => self.get_one(Limit::Now),
        }
    }

    /// Gets the next item, waiting for one at most `timeout`.
    ///
    /// # Errors
    /// As [`try_get`](BaseQueue::try_get).
    ///
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
        match self.monitor.get_quickly() {
            Some(item) => Ok(item),
            None => self.get_one(Limit::timeout(timeout)),
        }
    }

    /// Gets the next item, waiting for one until `deadline` at most.
    ///
    /// # Errors
    /// As [`try_get`](BaseQueue::try_get).
    #[track_caller]
    pub fn get_deadline(&self, deadline: Instant) -> Result<T, GetError> {
        match self.monitor.get_quickly() {
            Some(item) => Ok(item),
            None => self.get_one(Limit::deadline(deadline)),
        }
    }

    /// Returns the greatest number of items that the queue holds, or 0 if it is unbounded, as in Python.
    ///
    /// # Examples
    /// ```
    /// use raddle::Queue;
    ///
    /// assert_eq!(Queue::<u8>::bounded(10).maxsize(), 10);
    /// assert_eq!(Queue::<u8>::unbounded().maxsize(), 0);
    /// ```
    pub fn maxsize(&self) -> usize {
        self.maxsize
    }

    /// How many items there are. Other threads may change that at any time.
    #[track_caller]
    pub fn len(&self) -> usize {
        self.look(State::len)
    }

    /// Whether there is no item. Other threads may change that at any time.
    #[track_caller]
    pub fn is_empty(&self) -> bool {
        self.look(State::len) == 0
    }

    /// Whether a put would wait for room. Other threads may change that at any time.
    #[track_caller]
    pub fn is_full(&self) -> bool {
        self.look(State::is_full)
    }

    /// How many threads wait for an item, or for more to fill their batch.
    #[track_caller]
    pub fn n_getters(&self) -> usize {
        self.look(|state| state.getters.len() + state.fillers.len())
    }

    /// How many threads wait for room.
    #[track_caller]
    pub fn n_putters(&self) -> usize {
        self.look(|state| state.putters.len())
    }

    #[cold]
    #[track_caller]
    fn put_one(&self, item: T, limit: Limit) -> Result<(), PutError<T>> {
        let op = self.op(Kind::Put);
        self.monitor.put(op, Load::one(item), limit).map_err(|error| error.map(Load::into_one))
    }

    #[cold]
    #[track_caller]
    fn get_one(&self, limit: Limit) -> Result<T, GetError> {
        self.monitor.get(self.op(Kind::Get), limit)
    }

    /// The next item of an iterator that was made at `made`.
    #[inline]
    #[track_caller]
    pub(super) fn next_item(&self, limit: Limit, made: Place) -> Option<T> {
        match self.monitor.get_quickly() {
            Some(item) => Some(item),
            None => self.next_item_slowly(limit, Place::caller(), made),
        }
    }

    #[cold]
    fn next_item_slowly(&self, limit: Limit, now: Place, made: Place) -> Option<T> {
        let at = if rt::quiet() { now } else { now.or_creation(made) };
        self.monitor.get(Op { at, ..self.op(Kind::Get) }, limit).ok()
    }

    /// Has observers see the items by `text`.
    pub(crate) fn show_items(&self, text: impl Fn(&T) -> String + Send + Sync + 'static) {
        self.monitor.show.set(text);
    }

    #[inline]
    #[track_caller]
    pub(super) fn look<R>(&self, look: impl FnOnce(&State<T, O::Store>) -> R) -> R {
        rt::point(self.op(Kind::Read));
        self.monitor.look(look)
    }

    #[inline]
    #[track_caller]
    pub(super) fn op(&self, kind: Kind) -> Op {
        Op::new(self, O::NAME, kind)
    }
}

/// Creates an unbounded queue.
impl<T, O: Order<T>> Default for BaseQueue<T, O> {
    fn default() -> Self {
        Self::unbounded()
    }
}

impl<T, O: Order<T>> fmt::Debug for BaseQueue<T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (len, unfinished, shut_down) =
            self.look(|state| (state.len(), state.unfinished(), state.is_shut_down()));
        f.debug_struct(O::NAME)
            .field("len", &len)
            .field("maxsize", &self.maxsize)
            .field("unfinished", &unfinished)
            .field("shut_down", &shut_down)
            .finish_non_exhaustive()
    }
}

// A panic, even in a comparison, leaves the queue as it was.
impl<T, O: Order<T>> UnwindSafe for BaseQueue<T, O> {}
impl<T, O: Order<T>> RefUnwindSafe for BaseQueue<T, O> {}
