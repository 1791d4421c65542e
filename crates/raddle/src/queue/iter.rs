//! Getting items with a `for` loop.

use std::iter::FusedIterator;

use super::base::BaseQueue;
use super::order::Order;

impl<T, O: Order<T>> BaseQueue<T, O> {
    /// Gets items, waiting for each, until the queue is shut down and empty.
    ///
    /// ```
    /// use raddle::{Queue, thread};
    ///
    /// let queue = Queue::bounded(2);
    /// thread::scope(|s| {
    ///     s.spawn(|| {
    ///         queue.put_many(1..=4).unwrap();
    ///         queue.shutdown();
    ///     });
    ///     let mut sum = 0;
    ///     for number in &queue {
    ///         sum += number;
    ///     }
    ///     assert_eq!(sum, 10);
    /// });
    /// ```
    pub fn iter(&self) -> Iter<'_, T, O> {
        Iter { queue: self }
    }

    /// Gets items as long as there is one at once.
    pub fn try_iter(&self) -> TryIter<'_, T, O> {
        TryIter { queue: self }
    }
}

/// Gets items until the queue is shut down and empty; see [`BaseQueue::iter`].
#[derive(Debug)]
#[must_use = "an iterator gets nothing until it is asked"]
pub struct Iter<'a, T, O: Order<T>> {
    queue: &'a BaseQueue<T, O>,
}

impl<T, O: Order<T>> Iterator for Iter<'_, T, O> {
    type Item = T;

    #[track_caller]
    fn next(&mut self) -> Option<T> {
        self.queue.get().ok()
    }
}

impl<T, O: Order<T>> FusedIterator for Iter<'_, T, O> {}

/// Gets items as long as there is one at once; see [`BaseQueue::try_iter`].
#[derive(Debug)]
#[must_use = "an iterator gets nothing until it is asked"]
pub struct TryIter<'a, T, O: Order<T>> {
    queue: &'a BaseQueue<T, O>,
}

impl<T, O: Order<T>> Iterator for TryIter<'_, T, O> {
    type Item = T;

    #[track_caller]
    fn next(&mut self) -> Option<T> {
        self.queue.try_get().ok()
    }
}

impl<'a, T, O: Order<T>> IntoIterator for &'a BaseQueue<T, O> {
    type Item = T;
    type IntoIter = Iter<'a, T, O>;

    fn into_iter(self) -> Iter<'a, T, O> {
        self.iter()
    }
}
