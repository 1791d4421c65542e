//! The queue without a limit, tasks or a shutdown.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::{Duration, Instant};

use super::blocking::{Blocking, Timeout};
use super::order::Fifo;
use super::state::ItemList;
use crate::rt::{Kind, Op};

/// A FIFO queue for any number of items, without [`join`](crate::queue::BaseQueue::join) or
/// [`shutdown`](crate::queue::BaseQueue::shutdown). A put never blocks and never fails.
///
/// [`put`](Self::put) can be called everywhere, also in a destructor that runs while the thread is inside another operation
/// of the same queue: no item is dropped while the queue's lock is held. A panic in a thread that uses the queue does not
/// poison it.
///
/// # Fairness
/// Threads that wait for an item are served in FIFO order, as in [`Queue`](crate::Queue).
///
/// # Memory ordering
/// A put *happens before* the get of the item.
///
/// # Examples
/// ```
/// use raddle::{SimpleQueue, Thread};
///
/// static ANSWERS: SimpleQueue<u32> = SimpleQueue::new();
/// let thread = Thread::spawn(|| ANSWERS.put(6 * 7));
/// assert_eq!(ANSWERS.get(), 42);
/// assert_eq!(ANSWERS.try_get(), None);
/// # thread.join().unwrap();
/// ```
pub struct SimpleQueue<T> {
    blocking: Blocking<T, Fifo>,
}

impl<T> SimpleQueue<T> {
    /// Creates an empty queue.
    ///
    /// # Examples
    /// ```
    /// use raddle::SimpleQueue;
    ///
    /// static QUEUE: SimpleQueue<u8> = SimpleQueue::new();
    /// assert!(QUEUE.is_empty());
    /// ```
    pub const fn new() -> Self {
        Self { blocking: Blocking::new(usize::MAX) }
    }

    /// Puts an item.
    ///
    /// # Examples
    /// ```
    /// use raddle::SimpleQueue;
    ///
    /// let queue = SimpleQueue::new();
    /// queue.put(1);
    /// assert_eq!(queue.len(), 1);
    /// ```
    #[inline]
    #[track_caller]
    pub fn put(&self, item: T) {
        if let Err(item) = self.blocking.put_fast(item) {
            self.put_slow(item);
        }
    }

    #[cold]
    #[track_caller]
    fn put_slow(&self, item: T) {
        let put = self.blocking.put(self.op(Kind::Put), ItemList::one(item), Timeout::Now);
        debug_assert!(put.is_ok(), "a queue without a limit refused an item");
    }

    /// Gets the next item, blocking until there is one.
    ///
    /// # Examples
    /// ```
    /// use raddle::SimpleQueue;
    ///
    /// let queue = SimpleQueue::new();
    /// queue.put("first");
    /// queue.put("second");
    /// assert_eq!(queue.get(), "first");
    /// ```
    #[inline]
    #[track_caller]
    pub fn get(&self) -> T {
        match self.blocking.get_fast() {
            Some(item) => item,
            None => self.get_slow(),
        }
    }

    #[cold]
    #[track_caller]
    fn get_slow(&self) -> T {
        match self.blocking.get(self.op(Kind::Get), Timeout::NEVER) {
            Ok(item) => item,
            Err(error) => unreachable!("a get without a timeout failed: {error}"),
        }
    }

    /// Gets the next item if there is one. Never blocks.
    ///
    /// # Examples
    /// ```
    /// use raddle::SimpleQueue;
    ///
    /// let queue = SimpleQueue::new();
    /// queue.put(1);
    /// assert_eq!(queue.try_get(), Some(1));
    /// assert_eq!(queue.try_get(), None);
    /// ```
    #[must_use = "the item would be lost"]
    #[track_caller]
    pub fn try_get(&self) -> Option<T> {
        self.get_within(|| Timeout::Now)
    }

    /// Gets the next item, blocking for at most `timeout` until there is one.
    ///
    /// # Examples
    /// ```
    /// use raddle::SimpleQueue;
    /// use std::time::Duration;
    ///
    /// let queue: SimpleQueue<u8> = SimpleQueue::new();
    /// assert_eq!(queue.get_timeout(Duration::from_millis(1)), None);
    /// ```
    #[must_use = "the item would be lost"]
    #[track_caller]
    pub fn get_timeout(&self, timeout: Duration) -> Option<T> {
        self.get_within(|| Timeout::after(timeout))
    }

    /// Gets the next item, blocking until there is one or `deadline` has passed.
    ///
    /// # Examples
    /// ```
    /// use raddle::{SimpleQueue, time};
    ///
    /// let queue = SimpleQueue::new();
    /// queue.put(1);
    /// let past = time::now();
    /// assert_eq!(queue.get_deadline(past), Some(1));
    /// assert_eq!(queue.get_deadline(past), None);
    /// ```
    #[must_use = "the item would be lost"]
    #[track_caller]
    pub fn get_deadline(&self, deadline: Instant) -> Option<T> {
        self.get_within(|| Timeout::at(deadline))
    }

    #[track_caller]
    fn get_within(&self, timeout: impl FnOnce() -> Timeout) -> Option<T> {
        match self.blocking.get_fast() {
            Some(item) => Some(item),
            None => self.blocking.get(self.op(Kind::Get), timeout()).ok(),
        }
    }

    /// Returns the number of items in the queue. Other threads may change it at any time.
    ///
    /// # Examples
    /// ```
    /// use raddle::SimpleQueue;
    ///
    /// let queue: SimpleQueue<_> = (0..3).collect();
    /// assert_eq!(queue.len(), 3);
    /// ```
    #[track_caller]
    pub fn len(&self) -> usize {
        self.blocking.look(self.op(Kind::Read), |_, len| len)
    }

    /// Returns `true` if there is no item in the queue. Other threads may change this at any time.
    ///
    /// # Examples
    /// ```
    /// use raddle::SimpleQueue;
    ///
    /// let queue = SimpleQueue::new();
    /// queue.put(1);
    /// assert!(!queue.is_empty());
    /// ```
    #[track_caller]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of threads that wait for an item.
    ///
    /// # Examples
    /// ```
    /// use raddle::{SimpleQueue, thread};
    ///
    /// let queue = SimpleQueue::new();
    /// thread::scope(|s| {
    ///     s.spawn(|| queue.get());
    ///     while queue.n_getters() == 0 {
    ///         thread::yield_now();
    ///     }
    ///     queue.put("served");
    ///     assert_eq!(queue.n_getters(), 0);
    /// });
    /// ```
    #[track_caller]
    pub fn n_getters(&self) -> usize {
        self.blocking.look(self.op(Kind::Read), |state, _| state.getters.len())
    }

    /// Sets the function by which observers show the items.
    pub(crate) fn show_items(&self, text: impl Fn(&T) -> String + Send + Sync + 'static) {
        self.blocking.show.set(text);
    }

    #[track_caller]
    fn op(&self, kind: Kind) -> Op {
        Op::new(self, "SimpleQueue", kind)
    }
}

impl<T> Default for SimpleQueue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> FromIterator<T> for SimpleQueue<T> {
    #[track_caller]
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut queue = Self::new();
        queue.extend(items);
        queue
    }
}

impl<T> Extend<T> for SimpleQueue<T> {
    #[track_caller]
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        for item in items {
            self.put(item);
        }
    }
}

impl<T> fmt::Debug for SimpleQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimpleQueue").field("len", &self.len()).finish_non_exhaustive()
    }
}

// A panic in a thread that uses the queue leaves it as it was.
impl<T> UnwindSafe for SimpleQueue<T> {}
impl<T> RefUnwindSafe for SimpleQueue<T> {}
