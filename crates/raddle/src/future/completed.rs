//! Iterating over futures in the order of their completion.

use std::borrow::Borrow;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::iter::FusedIterator;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::callback::{DEADLOCK, Listener, SETTLED, Watcher};
use super::error::FutureError;
use super::handle::{FUTURE, Future};
use super::state::{MAY_FAIL, settled};
use super::wait::{block, distinct, own_worker};
use crate::raw::{Guarded, Waiter};
use crate::rt::{self, Kind, Object, Op, Place};

/// Returns an iterator over futures in the order of their completion.
///
/// Futures that are done come first, in the order of the argument. A future that is passed twice is returned once. The
/// iterator keeps no reference to a future that it has returned.
///
/// # Panics
/// `next` panics if the calling thread is a worker, all futures are of its own pool, and every worker of that pool is
/// blocked in such a wait.
///
/// # Examples
/// ```
/// use raddle::{ThreadPoolExecutor, as_completed};
///
/// let pool = ThreadPoolExecutor::new(4);
/// let futures: Vec<_> = (0..10).map(|n| pool.submit(move || n)).collect();
/// let mut sum = 0;
/// for future in as_completed(futures) {
///     sum += future.result()?;
/// }
/// assert_eq!(sum, 45);
/// # Ok::<(), raddle::future::FutureError>(())
/// ```
#[track_caller]
pub fn as_completed<I, T>(futures: I) -> AsCompleted<T>
where
    I: IntoIterator,
    I::Item: Borrow<Future<T>>,
{
    AsCompleted::new(distinct(futures), Place::caller().on_behalf())
}

/// Like [`as_completed`], with a timeout that starts with this call.
///
/// Returns `Ok(future)` for each future that is done in time, and one [`UnfinishedError`] for the others.
///
/// # Examples
/// ```
/// use raddle::{Promise, as_completed_timeout};
/// use std::time::Duration;
///
/// let (early, late) = (Promise::new(), Promise::new());
/// let futures = [early.future(), late.future()];
/// early.set_result("here").unwrap();
/// let mut completed = as_completed_timeout(&futures, Duration::from_millis(1));
/// assert_eq!(completed.next().unwrap().unwrap().result().unwrap(), "here");
/// assert_eq!(completed.next().unwrap().unwrap_err().to_string(), "timed out with 1 of 2 futures unfinished");
/// assert!(completed.next().is_none());
/// ```
#[track_caller]
pub fn as_completed_timeout<I, T>(futures: I, timeout: Duration) -> AsCompletedTimeout<T>
where
    I: IntoIterator,
    I::Item: Borrow<Future<T>>,
{
    let deadline = rt::deadline(timeout);
    let completed = AsCompleted::new(distinct(futures), Place::caller().on_behalf());
    AsCompletedTimeout { of: completed.left, completed, deadline }
}

/// The iterator of [`as_completed`].
///
/// # Examples
/// See [`as_completed`].
#[must_use = "iterators are lazy: nothing waits for the futures until it is iterated"]
pub struct AsCompleted<T> {
    /// Indexed as in the collector; `None` once returned.
    futures: Vec<Option<Future<T>>>,
    left: usize,
    collector: Arc<Collector>,
    made: Place,
}

impl<T> AsCompleted<T> {
    fn new(futures: Vec<Future<T>>, made: Place) -> Self {
        let collector = Arc::new(Collector::default());
        let watcher: Arc<dyn Watcher> = collector.clone();
        for (index, future) in futures.iter().enumerate() {
            // Whether it is done now decides its place among those that are done.
            rt::point(Op::at(Object::of(&*future.core, FUTURE), Kind::Read, made).with_verb("looks at"));
            future.core.abandon_if_inherited();
            if future.core.add_listener(Listener::Watcher(watcher.clone(), index), settled).is_err() {
                watcher.settled(index, false);
            }
        }
        Self { left: futures.len(), futures: futures.into_iter().map(Some).collect(), collector, made }
    }

    /// Returns the next future that is done, or `None` at the deadline or when all have been returned.
    fn next_until(&mut self, deadline: Option<Instant>, at: Place) -> Option<Future<T>> {
        if self.left == 0 {
            return None;
        }
        let at = if rt::quiet() { at } else { at.or_creation(self.made) };
        let op = Op::at(Object::of(&*self.collector, "Futures"), Kind::Wait, at);
        rt::point(op);
        loop {
            let waiter = match self.collector.next() {
                Ok(index) => {
                    self.left -= 1;
                    return self.futures[index].take();
                }
                Err(waiter) => waiter,
            };
            let worker = deadline.is_none().then(|| own_worker(self.futures.iter().flatten())).flatten();
            let outcome = block(&waiter, worker.as_ref(), op, deadline);
            // A future may have been settled since the end of the wait.
            let late = self.collector.state.lock().done.is_empty();
            match outcome {
                Some(DEADLOCK) => assert!(!late, "{}", FutureError::Deadlock),
                None if late => return None,
                _ => {}
            }
        }
    }
}

impl<T> Iterator for AsCompleted<T> {
    type Item = Future<T>;

    #[track_caller]
    fn next(&mut self) -> Option<Future<T>> {
        self.next_until(None, Place::caller())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T> ExactSizeIterator for AsCompleted<T> {}

impl<T> FusedIterator for AsCompleted<T> {}

impl<T> Drop for AsCompleted<T> {
    fn drop(&mut self) {
        let watcher: Arc<dyn Watcher> = self.collector.clone();
        self.futures.iter().flatten().for_each(|future| future.core.remove_watcher(&watcher));
    }
}

// It only refers to futures, which a panic leaves consistent.
impl<T> UnwindSafe for AsCompleted<T> {}
impl<T> RefUnwindSafe for AsCompleted<T> {}

impl<T> fmt::Debug for AsCompleted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted").field("left", &self.left).finish_non_exhaustive()
    }
}

/// The iterator of [`as_completed_timeout`].
///
/// # Examples
/// See [`as_completed_timeout`].
#[must_use = "iterators are lazy: nothing waits for the futures until it is iterated"]
pub struct AsCompletedTimeout<T> {
    completed: AsCompleted<T>,
    of: usize,
    deadline: Option<Instant>,
}

impl<T> Iterator for AsCompletedTimeout<T> {
    type Item = Result<Future<T>, UnfinishedError>;

    #[track_caller]
    fn next(&mut self) -> Option<Self::Item> {
        let unfinished = self.completed.left;
        if unfinished == 0 {
            return None;
        }
        if let Some(future) = self.completed.next_until(self.deadline, Place::caller()) {
            return Some(Ok(future));
        }
        self.completed.left = 0;
        Some(Err(UnfinishedError { unfinished, of: self.of }))
    }
}

impl<T> FusedIterator for AsCompletedTimeout<T> {}

impl<T> UnwindSafe for AsCompletedTimeout<T> {}
impl<T> RefUnwindSafe for AsCompletedTimeout<T> {}

impl<T> fmt::Debug for AsCompletedTimeout<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompletedTimeout").field("left", &self.completed.left).finish_non_exhaustive()
    }
}

/// The timeout of [`as_completed_timeout`] expired before all futures were done.
///
/// # Examples
/// See [`as_completed_timeout`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnfinishedError {
    /// The number of futures that were not done.
    pub unfinished: usize,
    /// The number of all futures.
    pub of: usize,
}

impl fmt::Display for UnfinishedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "timed out with {} of {} futures unfinished", self.unfinished, self.of)
    }
}

impl std::error::Error for UnfinishedError {}

impl From<UnfinishedError> for io::Error {
    fn from(error: UnfinishedError) -> Self {
        io::Error::new(io::ErrorKind::TimedOut, error)
    }
}

/// Collects the indices of the futures that are done.
struct Collector {
    state: Guarded<Collected>,
}

#[derive(Default)]
struct Collected {
    done: VecDeque<usize>,
    waiter: Option<Arc<Waiter>>,
}

impl Default for Collector {
    fn default() -> Self {
        Self { state: Guarded::new(Collected::default()) }
    }
}

impl Collector {
    /// Returns the index of a future that is done, or a waiter that will be notified of one.
    fn next(&self) -> Result<usize, Arc<Waiter>> {
        let mut state = self.state.lock();
        match state.done.pop_front() {
            Some(index) => Ok(index),
            None => Err(state.waiter.insert(Waiter::new(MAY_FAIL)).clone()),
        }
    }
}

impl Watcher for Collector {
    fn settled(&self, index: usize, _: bool) {
        let mut state = self.state.lock();
        state.done.push_back(index);
        let waiter = state.waiter.take();
        drop(state);
        if let Some(waiter) = waiter {
            waiter.notify(SETTLED);
        }
    }
}
