//! Mapping a function over many items in a pool.

use std::collections::VecDeque;
use std::fmt;
use std::iter::{Fuse, FusedIterator};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::ZeroBufferError;
use super::executor::{ThreadPoolExecutor, submit};
use super::state::{POOL, PoolInner, SUBMITS};
use super::task_queue::Priority;
use crate::future::{Future, FutureError};
use crate::rt::{self, Kind, Object, Op, Place};
use crate::thread::Careful;

impl ThreadPoolExecutor {
    /// Calls `function` with each item, in a task of its own, and returns an iterator over the results.
    ///
    /// The results are in the order of the items. All tasks are submitted before this returns, so the number of items must
    /// be finite; [`map_buffered`](Self::map_buffered) submits them step by step. Dropping the iterator cancels the tasks
    /// that have not started.
    ///
    /// # Examples
    /// ```
    /// use raddle::ThreadPoolExecutor;
    /// use raddle::future::FutureError;
    /// let pool = ThreadPoolExecutor::new(3);
    /// let lengths: Vec<usize> = pool.map(["a", "bb", "ccc"], str::len).collect::<Result<_, FutureError>>()?;
    /// assert_eq!(lengths, [1, 2, 3]);
    /// # Ok::<(), FutureError>(())
    /// ```
    #[track_caller]
    pub fn map<I, F, R>(&self, items: I, function: F) -> Map<I::IntoIter, F, R>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        F: Fn(I::Item) -> R + Send + Sync + 'static,
        R: Send + 'static,
    {
        Map::new(&self.shared, items, function, usize::MAX, Place::caller().on_behalf())
    }

    /// Like [`map`](Self::map), with at most `buffersize` tasks whose results have not been returned.
    ///
    /// The next item is taken from the input when a result is returned, so the input may be infinite.
    ///
    /// # Errors
    /// Returns a [`ZeroBufferError`] if `buffersize` is zero.
    ///
    /// # Examples
    /// ```
    /// use raddle::ThreadPoolExecutor;
    /// let pool = ThreadPoolExecutor::new(3);
    /// let squares = pool.map_buffered(10, 1_u64.., |n| n * n)?;
    /// assert_eq!(squares.map(Result::unwrap).find(|square| *square > 200), Some(225));
    /// # Ok::<(), raddle::pool::ZeroBufferError>(())
    /// ```
    #[track_caller]
    pub fn map_buffered<I, F, R>(
        &self,
        buffersize: usize,
        items: I,
        function: F,
    ) -> Result<Map<I::IntoIter, F, R>, ZeroBufferError>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        F: Fn(I::Item) -> R + Send + Sync + 'static,
        R: Send + 'static,
    {
        if buffersize == 0 {
            return Err(ZeroBufferError);
        }
        Ok(Map::new(&self.shared, items, function, buffersize, Place::caller().on_behalf()))
    }
}

/// An iterator over the results of [`ThreadPoolExecutor::map`], in the order of the items.
///
/// Each item is what [`Future::result`] returns. A failed task does not end the iteration. Dropping the iterator cancels the
/// tasks that have not started.
///
/// # Examples
/// ```
/// use raddle::ThreadPoolExecutor;
///
/// let pool = ThreadPoolExecutor::new(2);
/// let mut halves = pool.map([4, 0], |n| 8 / n);
/// assert_eq!(halves.next(), Some(Ok(2)));
/// assert!(halves.next().unwrap().unwrap_err().is_panic()); // division by zero
/// assert_eq!(halves.next(), None);
/// ```
#[must_use = "dropping the iterator cancels the tasks that have not started"]
pub struct Map<I: Iterator, F, R> {
    shared: Arc<PoolInner>,
    items: Careful<Fuse<I>>,
    function: Arc<Careful<F>>,
    submitted: VecDeque<Future<R>>,
    /// The maximum length of `submitted`.
    buffersize: usize,
    created_at: Option<Instant>,
    deadline: Option<Instant>,
    finished: bool,
    /// Where `map` was called, for reports.
    made: Place,
}

impl<I, F, R> Map<I, F, R>
where
    I: Iterator,
    I::Item: Send + 'static,
    F: Fn(I::Item) -> R + Send + Sync + 'static,
    R: Send + 'static,
{
    fn new(
        shared: &Arc<PoolInner>,
        items: impl IntoIterator<IntoIter = I>,
        function: F,
        buffersize: usize,
        at: Place,
    ) -> Self {
        let mut map = Self {
            shared: shared.clone(),
            items: Careful::new(items.into_iter().fuse()),
            function: Arc::new(Careful::new(function)),
            submitted: VecDeque::new(),
            buffersize,
            // Not a reading of the clock, on which the steps of other threads would depend.
            created_at: rt::deadline(Duration::ZERO),
            deadline: None,
            finished: false,
            made: at,
        };
        map.fill(at);
        map
    }

    /// Sets a timeout for all results together, from the call of `map`.
    ///
    /// When it expires, the iterator returns one [`FutureError::TimedOut`], cancels the tasks that have not started, and ends.
    ///
    /// # Examples
    /// ```
    /// use raddle::future::FutureError;
    /// use raddle::{Event, ThreadPoolExecutor};
    /// use std::sync::Arc;
    /// use std::time::Duration;
    ///
    /// let (pool, never) = (ThreadPoolExecutor::new(1), Arc::new(Event::new()));
    /// let waits = never.clone();
    /// let mut results = pool.map(0..3, move |_| waits.wait()).timeout(Duration::from_millis(1));
    /// assert_eq!(results.next(), Some(Err(FutureError::TimedOut)));
    /// assert_eq!(results.next(), None);
    /// never.set();
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.deadline = self.created_at.and_then(|created_at| created_at.checked_add(timeout));
        self
    }

    fn fill(&mut self, at: Place) {
        while self.submitted.len() < self.buffersize
            && let Some(item) = self.items.next()
        {
            let function = self.function.clone();
            let op = Op::at(Object::of(&*self.shared, POOL), Kind::Put, at).with_verb(SUBMITS);
            self.submitted.push_back(submit(&self.shared, Priority(0), move || function(item), op));
        }
    }
}

impl<I: Iterator, F, R> Map<I, F, R> {
    fn cancel_rest(&mut self) {
        // The last one first, so that no worker starts a task meanwhile that is about to be cancelled.
        self.submitted.drain(..).rev().for_each(|future| {
            future.cancel();
        });
    }
}

impl<I, F, R> Iterator for Map<I, F, R>
where
    I: Iterator,
    I::Item: Send + 'static,
    F: Fn(I::Item) -> R + Send + Sync + 'static,
    R: Send + 'static,
{
    type Item = Result<R, FutureError>;

    #[track_caller]
    fn next(&mut self) -> Option<Self::Item> {
        if self.finished {
            return None;
        }
        let future = self.submitted.pop_front()?;
        let now = Place::caller();
        let at = if rt::quiet() { now } else { now.or_creation(self.made) };
        self.fill(at);
        let result = future.result_at(self.deadline, at);
        if let Err(FutureError::TimedOut) = result {
            future.cancel();
            self.finished = true;
            self.cancel_rest();
        }
        Some(result)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        if self.finished {
            return (0, Some(0));
        }
        let (least, most) = self.items.size_hint();
        let submitted = self.submitted.len();
        (least.saturating_add(submitted), most.and_then(|most| most.checked_add(submitted)))
    }
}

impl<I, F, R> FusedIterator for Map<I, F, R>
where
    I: Iterator,
    I::Item: Send + 'static,
    F: Fn(I::Item) -> R + Send + Sync + 'static,
    R: Send + 'static,
{
}

impl<I: Iterator, F, R> Drop for Map<I, F, R> {
    fn drop(&mut self) {
        self.cancel_rest();
    }
}

// A panic of the iterator or of a task leaves the futures consistent.
impl<I: Iterator + UnwindSafe, F: RefUnwindSafe, R> UnwindSafe for Map<I, F, R> {}
impl<I: Iterator + RefUnwindSafe, F: RefUnwindSafe, R> RefUnwindSafe for Map<I, F, R> {}

impl<I: Iterator, F, R> fmt::Debug for Map<I, F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map").field("submitted", &self.submitted.len()).finish_non_exhaustive()
    }
}
