//! Getting items with a `for` loop.

use std::iter::FusedIterator;

use super::base::BaseQueue;
use super::limit::Limit;

use super::order::Order;
use crate::rt::Place;

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
    #[track_caller]
    pub fn iter(&self) -> Iter<'_, T, O> {
        Iter { queue: self, made: Place::caller() }
    }

    /// Gets items as long as there is one at once.
    #[track_caller]
    pub fn try_iter(&self) -> TryIter<'_, T, O> {
        TryIter { queue: self, made: Place::caller() }
    }
}

/// Gets items until the queue is shut down and empty; see [`BaseQueue::iter`].
#[derive(Debug)]
#[must_use = "an iterator gets nothing until it is asked"]
pub struct Iter<'a, T, O: Order<T>> {
    queue: &'a BaseQueue<T, O>,
    made: Place,
}

impl<T, O: Order<T>> Iterator for Iter<'_, T, O> {
    type Item = T;

    #[track_caller]
    fn next(&mut self) -> Option<T> {
        self.queue.next_item(Limit::NONE, self.made)
    }
}

impl<T, O: Order<T>> FusedIterator for Iter<'_, T, O> {}

/// Gets items as long as there is one at once; see [`BaseQueue::try_iter`].
#[derive(Debug)]
#[must_use = "an iterator gets nothing until it is asked"]
pub struct TryIter<'a, T, O: Order<T>> {
    queue: &'a BaseQueue<T, O>,
    made: Place,
}

impl<T, O: Order<T>> Iterator for TryIter<'_, T, O> {
    type Item = T;

    #[track_caller]
    fn next(&mut self) -> Option<T> {
        self.queue.next_item(Limit::Now, self.made)
    }
}

impl<'a, T, O: Order<T>> IntoIterator for &'a BaseQueue<T, O> {
    type Item = T;
    type IntoIter = Iter<'a, T, O>;

    #[track_caller]
    fn into_iter(self) -> Iter<'a, T, O> {
        self.iter()
    }
}
