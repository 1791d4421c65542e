//! Iterators over the items of a queue.

use std::fmt;
use std::iter::FusedIterator;
use std::sync::Arc;

use super::base::BaseQueue;
use super::blocking::Timeout;
use super::order::Order;
use crate::rt::Place;

impl<T, O: Order<T>> BaseQueue<T, O> {
    /// Returns an iterator that gets items, blocking for each, until the queue is shut down and empty.
    ///
    /// `for item in &queue` uses this iterator.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Queue, thread};
    ///
    /// let queue = Queue::bounded(2);
    /// thread::scope(|s| {
    ///     s.spawn(|| {
    ///         queue.put_many(1..=4).unwrap();
    ///         queue.shutdown();
    ///     });
    ///     assert_eq!(queue.iter().sum::<i32>(), 10);
    /// });
    /// ```
    #[track_caller]
    pub fn iter(&self) -> Iter<'_, T, O> {
        Iter { queue: self, created: Place::caller().on_behalf() }
    }

    /// Returns an iterator that gets items without blocking, until the queue is empty.
    ///
    /// # Examples
    /// ```
    /// use raddle::Queue;
    ///
    /// let queue = Queue::unbounded();
    /// queue.put_many([1, 2])?;
    /// assert_eq!(queue.try_iter().collect::<Vec<_>>(), [1, 2]);
    /// assert_eq!(queue.try_iter().next(), None);
    /// # Ok::<(), raddle::queue::ShutDownError<Vec<i32>>>(())
    /// ```
    #[track_caller]
    pub fn try_iter(&self) -> TryIter<'_, T, O> {
        TryIter { queue: self, created: Place::caller().on_behalf() }
    }

    /// Returns an iterator like [`iter`](Self::iter) that owns its reference to the queue, so that it can be stored, or
    /// moved to another thread.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Queue, Thread};
    /// use std::sync::Arc;
    ///
    /// let queue = Arc::new(Queue::unbounded());
    /// let numbers = queue.clone().into_iter();
    /// let sum = Thread::spawn(move || numbers.sum::<i32>());
    /// queue.put_many([1, 2, 3]).unwrap();
    /// queue.shutdown();
    /// assert_eq!(sum.join().unwrap(), 6);
    /// ```
    #[track_caller]
    #[expect(
        clippy::should_implement_trait,
        reason = "only the standard library can implement it for an `Arc`"
    )]
    pub fn into_iter(self: Arc<Self>) -> OwnedIter<T, O> {
        OwnedIter { queue: self, created: Place::caller().on_behalf() }
    }
}

/// A blocking iterator over the items of a queue, created by [`BaseQueue::iter`].
///
/// It ends once the queue is shut down and empty.
///
/// # Examples
/// ```
/// use raddle::Queue;
///
/// let queue: Queue<_> = [1, 2].into_iter().collect();
/// queue.shutdown();
/// let mut items = queue.iter();
/// assert_eq!((items.next(), items.next(), items.next()), (Some(1), Some(2), None));
/// ```
#[must_use = "iterators are lazy and get nothing unless consumed"]
pub struct Iter<'a, T, O: Order<T>> {
    queue: &'a BaseQueue<T, O>,
    created: Place,
}

impl<T, O: Order<T>> Iterator for Iter<'_, T, O> {
    type Item = T;

    #[track_caller]
    fn next(&mut self) -> Option<T> {
        self.queue.next_item(Timeout::NEVER, self.created)
    }
}

impl<T, O: Order<T>> FusedIterator for Iter<'_, T, O> {}

/// A non-blocking iterator over the items of a queue, created by [`BaseQueue::try_iter`].
///
/// It ends whenever the queue is empty, and continues if items are put later.
///
/// # Examples
/// ```
/// use raddle::Queue;
///
/// let queue = Queue::unbounded();
/// let mut items = queue.try_iter();
/// assert_eq!(items.next(), None);
/// queue.put(1)?;
/// assert_eq!(items.next(), Some(1));
/// # Ok::<(), raddle::queue::ShutDownError<i32>>(())
/// ```
#[must_use = "iterators are lazy and get nothing unless consumed"]
pub struct TryIter<'a, T, O: Order<T>> {
    queue: &'a BaseQueue<T, O>,
    created: Place,
}

impl<T, O: Order<T>> Iterator for TryIter<'_, T, O> {
    type Item = T;

    #[track_caller]
    fn next(&mut self) -> Option<T> {
        self.queue.next_item(Timeout::Now, self.created)
    }
}

/// A blocking iterator that shares ownership of a queue, created by [`BaseQueue::into_iter`].
///
/// It ends once the queue is shut down and empty.
///
/// # Examples
/// ```
/// use raddle::Queue;
/// use std::sync::Arc;
///
/// fn squares(numbers: Arc<Queue<u32>>) -> impl Iterator<Item = u32> {
///     numbers.into_iter().map(|number| number * number)
/// }
///
/// let numbers: Arc<Queue<_>> = Arc::new((1..=3).collect());
/// numbers.shutdown();
/// assert_eq!(squares(numbers).collect::<Vec<_>>(), [1, 4, 9]);
/// ```
#[must_use = "iterators are lazy and get nothing unless consumed"]
pub struct OwnedIter<T, O: Order<T>> {
    queue: Arc<BaseQueue<T, O>>,
    created: Place,
}

impl<T, O: Order<T>> Iterator for OwnedIter<T, O> {
    type Item = T;

    #[track_caller]
    fn next(&mut self) -> Option<T> {
        self.queue.next_item(Timeout::NEVER, self.created)
    }
}

impl<T, O: Order<T>> FusedIterator for OwnedIter<T, O> {}

/// An iterator over the items that are left in a queue, created by `into_iter` on a queue taken by value.
///
/// No other thread can use the queue any more, so the iterator never blocks.
///
/// # Examples
/// ```
/// use raddle::PriorityQueue;
///
/// let queue: PriorityQueue<_> = [3, 1, 2].into_iter().collect();
/// assert_eq!(queue.into_iter().collect::<Vec<_>>(), [1, 2, 3]);
/// ```
#[must_use = "iterators are lazy and get nothing unless consumed"]
pub struct IntoIter<T, O: Order<T>> {
    queue: BaseQueue<T, O>,
    created: Place,
}

impl<T, O: Order<T>> Iterator for IntoIter<T, O> {
    type Item = T;

    #[track_caller]
    fn next(&mut self) -> Option<T> {
        self.queue.next_item(Timeout::Now, self.created)
    }
}

impl<T, O: Order<T>> FusedIterator for IntoIter<T, O> {}

macro_rules! debug {
    ($($name:ident [$($lifetime:lifetime)?]),*) => {
        $(impl<T, O: Order<T>> fmt::Debug for $name<$($lifetime,)? T, O> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), " { .. }"))
            }
        })*
    };
}

debug!(Iter ['_], TryIter ['_], OwnedIter [], IntoIter []);

/// Gets items, blocking for each, until the queue is shut down and empty.
impl<'a, T, O: Order<T>> IntoIterator for &'a BaseQueue<T, O> {
    type Item = T;
    type IntoIter = Iter<'a, T, O>;

    #[track_caller]
    fn into_iter(self) -> Iter<'a, T, O> {
        self.iter()
    }
}

/// Takes the items that are left. As no other thread can put any more, the iterator never blocks.
impl<T, O: Order<T>> IntoIterator for BaseQueue<T, O> {
    type Item = T;
    type IntoIter = IntoIter<T, O>;

    #[track_caller]
    fn into_iter(self) -> IntoIter<T, O> {
        IntoIter { queue: self, created: Place::caller().on_behalf() }
    }
}

/// Makes an unbounded queue that contains the items.
impl<T, O: Order<T>> FromIterator<T> for BaseQueue<T, O> {
    #[track_caller]
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut queue = Self::unbounded();
        queue.extend(items);
        queue
    }
}

/// Puts the items without blocking.
///
/// # Panics
/// Panics if the queue is full or shut down: no other thread could make room while the queue is borrowed mutably. To
/// block for room, use [`put_many`](BaseQueue::put_many).
impl<T, O: Order<T>> Extend<T> for BaseQueue<T, O> {
    #[track_caller]
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        if let Err(error) = self.try_put_many(items) {
            let rest =
                if error.is_full() { "use `put_many` to block for room" } else { "it accepts no more items" };
            panic!("cannot extend a queue: {error}; {rest}");
        }
    }
}
