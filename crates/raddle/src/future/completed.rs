//! Futures one by one, as they complete.

use std::borrow::Borrow;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::iter::FusedIterator;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::callback::{DEADLOCK, Listener, SETTLED, Watch};
use super::error::FutureError;
use super::handle::Future;
use super::state::{CAN_FAIL, settled};
use super::wait::{distinct, own_crew, sleep};
use crate::raw::{Guarded, Waiter};
use crate::rt::{self, Kind, Object, Op, Place};

/// Yields each future once it is done: those that are already first, in the order given.
///
/// The same future given twice is yielded once. A future yielded is let go of at once, so that its result can be
/// freed while the iteration goes on.
///
/// # Panics
/// `next` panics in a worker that waits for its own pool only, if the wait could never end.
///
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
    AsCompleted::new(distinct(futures), Place::caller())
}

/// Like [`as_completed`], within `timeout`, counted from this call.
///
/// Yields `Ok(future)`, and at the end of the time one [`UnfinishedError`] error instead of the rest.
///
/// ```
/// use raddle::{Promise, as_completed_timeout};
/// use std::time::Duration;
///
/// let (early, late) = (Promise::new(), Promise::new());
/// let futures = [early.future(), late.future()];
/// early.set_result("here").unwrap();
/// let mut completed = as_completed_timeout(&futures, Duration::from_millis(1));
/// assert_eq!(completed.next().unwrap().unwrap().result().unwrap(), "here");
/// assert_eq!(completed.next().unwrap().unwrap_err().to_string(), "1 of 2 futures unfinished");
/// assert!(completed.next().is_none());
/// ```
#[track_caller]
pub fn as_completed_timeout<I, T>(futures: I, timeout: Duration) -> AsCompletedTimeout<T>
where
    I: IntoIterator,
    I::Item: Borrow<Future<T>>,
{
    let deadline = rt::deadline(timeout);
    let completed = AsCompleted::new(distinct(futures), Place::caller());
    AsCompletedTimeout { of: completed.left, completed, deadline }
}

/// The iterator of [`as_completed`].
#[must_use = "futures are waited for when it is iterated"]
pub struct AsCompleted<T> {
    /// By the place that the collector knows; empty once yielded.
    futures: Vec<Option<Future<T>>>,
    left: usize,
    collector: Arc<Collector>,
    made: Place,
}

impl<T> AsCompleted<T> {
    fn new(futures: Vec<Future<T>>, made: Place) -> Self {
        let collector = Arc::new(Collector::default());
        let watch: Arc<dyn Watch> = collector.clone();
        for (place, future) in futures.iter().enumerate() {
            future.core.give_up_if_an_ancestors();
            if future.core.listen(Listener::Watch(watch.clone(), place), settled).is_err() {
                watch.settled(place, false);
            }
        }
        Self { left: futures.len(), futures: futures.into_iter().map(Some).collect(), collector, made }
    }

    /// The next one done; `None`: the deadline passed, or all have been yielded.
    fn next_until(&mut self, deadline: Option<Instant>, at: Place) -> Option<Future<T>> {
        if self.left == 0 {
            return None;
        }
        let at = if rt::quiet() { at } else { at.or_creation(self.made) };
        let op = Op::at(Object::of(&*self.collector, "Futures"), Kind::Wait, at);
        rt::point(op);
        loop {
            let waiter = match self.collector.next() {
                Ok(place) => {
                    self.left -= 1;
                    return self.futures[place].take();
                }
                Err(waiter) => waiter,
            };
            let crew = deadline.is_none().then(|| own_crew(self.futures.iter().flatten())).flatten();
            let verdict = sleep(&waiter, crew.as_ref(), op, deadline);
            // Somebody may have come between the end of the sleep and this.
            let late = self.collector.state.lock().done.is_empty();
            match verdict {
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
        let watch: Arc<dyn Watch> = self.collector.clone();
        self.futures.iter().flatten().for_each(|future| future.core.deafen(&watch));
    }
}

// It only refers to futures, which a panic leaves whole.
impl<T> UnwindSafe for AsCompleted<T> {}
impl<T> RefUnwindSafe for AsCompleted<T> {}

impl<T> fmt::Debug for AsCompleted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted").field("left", &self.left).finish_non_exhaustive()
    }
}

/// The iterator of [`as_completed_timeout`].
#[must_use = "futures are waited for when it is iterated"]
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

/// The time limit passed while some futures were not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnfinishedError {
    /// How many were not done.
    pub unfinished: usize,
    /// Of how many.
    pub of: usize,
}

impl fmt::Display for UnfinishedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} futures unfinished", self.unfinished, self.of)
    }
}

impl std::error::Error for UnfinishedError {}

impl From<UnfinishedError> for io::Error {
    fn from(error: UnfinishedError) -> Self {
        io::Error::new(io::ErrorKind::TimedOut, error)
    }
}

/// Collects the places of those that are done.
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
    /// The place of one that is done, or a waiter that will be told of one.
    fn next(&self) -> Result<usize, Arc<Waiter>> {
        let mut state = self.state.lock();
        match state.done.pop_front() {
            Some(place) => Ok(place),
            None => Err(state.waiter.insert(Waiter::new(CAN_FAIL)).clone()),
        }
    }
}

impl Watch for Collector {
    fn settled(&self, place: usize, _: bool) {
        let mut state = self.state.lock();
        state.done.push_back(place);
        let waiter = state.waiter.take();
        drop(state);
        if let Some(waiter) = waiter {
            waiter.notify(SETTLED);
        }
    }
}
