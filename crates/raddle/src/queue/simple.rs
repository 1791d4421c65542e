//! The queue without limits, tasks and end.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::{Duration, Instant};

use super::hand::Load;
use super::in_order::InOrder;
use super::limit::Limit;
use super::monitor::Monitor;
use super::state::State;
use crate::rt::{self, Kind, Op};

/// First in, first out, for any number of items: putting never waits and never fails.
///
/// It has no `join` and no shutdown. Putting is possible everywhere, also in a destructor that runs while the
/// thread is inside another operation of the same queue: no item is dropped while the queue is locked.
///
/// Fair, panic-safe and ordered as [`Queue`](crate::Queue).
///
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
    monitor: Monitor<T, InOrder<T>>,
}

impl<T> SimpleQueue<T> {
    /// An empty queue.
    pub const fn new() -> Self {
        Self { monitor: Monitor::new(usize::MAX) }
    }

    /// Puts an item.
    #[inline]
    #[track_caller]
    pub fn put(&self, item: T) {
        if let Err(item) = self.monitor.put_quickly(item) {
            self.put_slowly(item);
        }
    }

    #[cold]
    #[track_caller]
    fn put_slowly(&self, item: T) {
        let put = self.monitor.put(self.op(Kind::Put), Load::one(item), Limit::Now);
        debug_assert!(put.is_ok(), "a queue without limit and end refused an item");
    }

    /// Gets the next item, waiting for one.
    #[inline]
    #[track_caller]
    pub fn get(&self) -> T {
        match self.monitor.get_quickly() {
            Some(item) => item,
            None => self.get_slowly(),
        }
    }

    #[cold]
    #[track_caller]
    fn get_slowly(&self) -> T {
        match self.monitor.get(self.op(Kind::Get), Limit::NONE) {
            Ok(item) => item,
            Err(error) => unreachable!("a queue without end ended a wait without limit: {error}"),
        }
    }

    /// Gets the next item if there is one now.
    #[must_use = "the item would be lost"]
    #[track_caller]
    pub fn try_get(&self) -> Option<T> {
        match self.monitor.get_quickly() {
            Some(item) => Some(item),
            None => self.monitor.get(self.op(Kind::Get), Limit::Now).ok(),
        }
    }

    /// Gets the next item, waiting for one at most `timeout`.
    #[must_use = "the item would be lost"]
    #[track_caller]
    pub fn get_timeout(&self, timeout: Duration) -> Option<T> {
        self.monitor.get(self.op(Kind::Get), Limit::timeout(timeout)).ok()
    }

    /// Gets the next item, waiting for one until `deadline` at most.
    #[must_use = "the item would be lost"]
    #[track_caller]
    pub fn get_deadline(&self, deadline: Instant) -> Option<T> {
        self.monitor.get(self.op(Kind::Get), Limit::deadline(deadline)).ok()
    }

    /// How many items there are. Other threads may change that at any time.
    #[track_caller]
    pub fn len(&self) -> usize {
        rt::point(self.op(Kind::Read));
        self.monitor.look(State::len)
    }

    /// Whether there is no item. Other threads may change that at any time.
    #[track_caller]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many threads wait for an item.
    #[track_caller]
    pub fn n_getters(&self) -> usize {
        rt::point(self.op(Kind::Read));
        self.monitor.look(|state| state.getters.len())
    }

    /// Has observers see the items by `text`.
    pub(crate) fn show_items(&self, text: impl Fn(&T) -> String + Send + Sync + 'static) {
        self.monitor.show.set(text);
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
