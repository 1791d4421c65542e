//! Putting and getting many items at once: the lock is taken, and a waiting thread woken, once for all of them.

use std::time::{Duration, Instant};

use super::base::BaseQueue;
use super::error::{GetError, PutError, ShutDown};
use super::hand::Load;
use super::limit::Limit;
use super::order::Order;
use crate::host::{Kind, Op};

impl<T, O: Order<T>> BaseQueue<T, O> {
    /// Puts all items in their order, waiting for room whenever there is none. Nothing to put never fails.
    ///
    /// # Errors
    /// [`ShutDown`] with the items that were not put, in their order, if the queue is shut down before all are in.
    ///
    /// ```
    /// use raddle::Queue;
    ///
    /// let queue = Queue::unbounded();
    /// queue.put_many([1, 2, 3])?;
    /// assert_eq!(queue.try_get_many(10), [1, 2, 3]);
    /// # Ok::<(), raddle::queue::ShutDown<Vec<i32>>>(())
    /// ```
    #[track_caller]
    pub fn put_many(&self, items: impl IntoIterator<Item = T>) -> Result<(), ShutDown<Vec<T>>> {
        let op = self.op(Kind::Put);
        self.put_all(op, items, Limit::NONE).map_err(|error| ShutDown(error.into_inner()))
    }

    /// Puts as many items as there is room for now.
    ///
    /// # Errors
    /// [`PutError`] with the items that were not put, in their order.
    ///
    /// ```
    /// use raddle::Queue;
    /// use raddle::queue::PutError;
    ///
    /// let queue = Queue::bounded(2);
    /// assert_eq!(queue.try_put_many([1, 2, 3]), Err(PutError::Full(vec![3])));
    /// ```
    #[track_caller]
    pub fn try_put_many(&self, items: impl IntoIterator<Item = T>) -> Result<(), PutError<Vec<T>>> {
        self.put_all(self.op(Kind::Put), items, Limit::Now)
    }

    /// Puts all items in their order, waiting for room at most `timeout` in all.
    ///
    /// # Errors
    /// [`PutError`] with the items that were not put, in their order.
    #[track_caller]
    pub fn put_many_timeout(
        &self,
        items: impl IntoIterator<Item = T>,
        timeout: Duration,
    ) -> Result<(), PutError<Vec<T>>> {
        self.put_all(self.op(Kind::Put), items, Limit::timeout(timeout))
    }

    /// Puts all items in their order, waiting for room until `deadline` at most.
    ///
    /// # Errors
    /// [`PutError`] with the items that were not put, in their order.
    #[track_caller]
    pub fn put_many_deadline(
        &self,
        items: impl IntoIterator<Item = T>,
        deadline: Instant,
    ) -> Result<(), PutError<Vec<T>>> {
        self.put_all(self.op(Kind::Put), items, Limit::deadline(deadline))
    }

    /// Gets up to `max` items: waits for a first one, takes what is there, and waits at most `linger` for more.
    ///
    /// The batch is empty only if the queue is shut down and empty. While it fills, items go to threads that have
    /// none first; those it takes no longer count against the queue's `maxsize`, so a batch may be larger.
    /// They come in the order in which they were taken.
    ///
    /// # Panics
    /// If `max` is 0.
    ///
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
    /// # Ok::<(), raddle::queue::ShutDown<Vec<&str>>>(())
    /// ```
    #[track_caller]
    pub fn get_many(&self, max: usize, linger: Duration) -> Vec<T> {
        let op = self.op(Kind::Get);
        self.monitor.get_many(op, max, linger, Limit::NONE).unwrap_or_default()
    }

    /// Gets up to `max` items that are there now, perhaps none.
    ///
    /// # Panics
    /// If `max` is 0.
    #[track_caller]
    pub fn try_get_many(&self, max: usize) -> Vec<T> {
        self.monitor.get_many_now(self.op(Kind::Get), max)
    }

    /// Like [`get_many`](BaseQueue::get_many), waiting for the first item at most `timeout`.
    ///
    /// # Errors
    /// [`GetError::ShutDown`] if there will never be an item, [`GetError::Empty`] if none came in time.
    ///
    /// # Panics
    /// If `max` is 0.
    #[track_caller]
    pub fn get_many_timeout(
        &self,
        max: usize,
        linger: Duration,
        timeout: Duration,
    ) -> Result<Vec<T>, GetError> {
        self.monitor.get_many(self.op(Kind::Get), max, linger, Limit::timeout(timeout))
    }

    /// Like [`get_many`](BaseQueue::get_many), waiting for the first item until `deadline` at most.
    ///
    /// # Errors
    /// As [`get_many_timeout`](BaseQueue::get_many_timeout).
    ///
    /// # Panics
    /// If `max` is 0.
    #[track_caller]
    pub fn get_many_deadline(
        &self,
        max: usize,
        linger: Duration,
        deadline: Instant,
    ) -> Result<Vec<T>, GetError> {
        self.monitor.get_many(self.op(Kind::Get), max, linger, Limit::deadline(deadline))
    }

    /// The items are collected first: their iterator is the user's code, which the lock must not see.
    fn put_all(
        &self,
        op: Op,
        items: impl IntoIterator<Item = T>,
        limit: Limit,
    ) -> Result<(), PutError<Vec<T>>> {
        let load = Load::many(items.into_iter().collect());
        self.monitor.put(op, load, limit).map_err(|error| error.map(Load::into_vec))
    }
}
