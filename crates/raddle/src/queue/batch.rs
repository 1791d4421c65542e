//! Putting and getting many items.
//!
//! A batch that is got is got under one lock. A batch that is put comes from an iterator, which is code of the user's: it
//! may be slow, endless, or wait for what becomes of the items before. So each item is put before the next one is asked
//! for. The containers of the standard library have no such reasons, and their items are put under one lock.

use std::time::{Duration, Instant};

use super::base::BaseQueue;
use super::error::{GetError, PutError, ShutDownError};
use super::hand::Load;
use super::limit::Limit;
use super::order::Order;
use crate::rt::{Kind, Op};

impl<T, O: Order<T>> BaseQueue<T, O> {
    /// Puts all items in their order, waiting for room whenever there is none. Nothing to put never fails.
    ///
    /// Each item is put before the iterator is asked for the next one, so it may be slow or endless, and a
    /// panic in it leaves the earlier items in the queue. Items of other threads can come in between. The items of an
    /// array, a `Vec` or a `VecDeque` are put together, under one lock as far as there is room.
    ///
    /// # Errors
    /// [`ShutDownError`] with the items that were not put, in their order, if the queue is shut down before all are in.
    /// An iterator that does not know an upper bound of its length ([`Iterator::size_hint`]) is not asked for the rest:
    /// then only the item that was refused comes back.
    ///
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
        self.put_all(op, items, Limit::NONE).map_err(|error| ShutDownError(error.into_inner()))
    }

    /// Puts as many items as there is room for now.
    ///
    /// # Errors
    /// [`PutError`] with the items that were not put, as for [`put_many`](Self::put_many).
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

    /// Like [`put_many`](Self::put_many), waiting for room until `timeout` after the call at most.
    ///
    /// # Errors
    /// [`PutError`] with the items that were not put, as for [`put_many`](Self::put_many).
    #[track_caller]
    pub fn put_many_timeout(
        &self,
        items: impl IntoIterator<Item = T>,
        timeout: Duration,
    ) -> Result<(), PutError<Vec<T>>> {
        self.put_all(self.op(Kind::Put), items, Limit::timeout(timeout))
    }

    /// Like [`put_many`](Self::put_many), waiting for room until `deadline` at most.
    ///
    /// # Errors
    /// [`PutError`] with the items that were not put, as for [`put_many`](Self::put_many).
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
    /// # Ok::<(), raddle::queue::ShutDownError<Vec<&str>>>(())
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

    fn put_all<I>(&self, op: Op, items: I, limit: Limit) -> Result<(), PutError<Vec<T>>>
    where
        I: IntoIterator<Item = T>,
    {
        let mut items = items.into_iter();
        if is_of_a_container::<I::IntoIter>() {
            let load = Load::many(items.collect());
            return self.monitor.put(op, load, limit).map_err(|error| error.map(Load::into_vec));
        }
        let limit = limit.for_all();
        while let Some(item) = items.next() {
            let Err(item) = self.monitor.put_quickly(item) else { continue };
            if let Err(error) = self.monitor.put(op, Load::one(item), limit) {
                return Err(error.map(|load| {
                    let bounded = items.size_hint().1.is_some();
                    std::iter::once(load.into_one())
                        .chain(items.take(if bounded { usize::MAX } else { 0 }))
                        .collect()
                }));
            }
        }
        Ok(())
    }
}

/// Whether the items lie in memory already and `next` runs no code of the user's, as far as the name of the iterator's
/// type tells. Nothing but speed depends on it.
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
