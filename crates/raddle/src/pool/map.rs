//! One function, many items.

use std::collections::VecDeque;
use std::fmt;
use std::iter::{Fuse, FusedIterator};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::ZeroBufferError;
use super::executor::{ThreadPoolExecutor, submit};
use super::state::{POOL, SUBMITS, Shared};
use super::task_queue::Priority;
use crate::future::{Future, FutureError};
use crate::rt::{self, Kind, Object, Op, Place};
use crate::thread::Careful;

impl ThreadPoolExecutor {
    /// Calls `function` with every item, in tasks of their own, and yields the results in the items' order.
    ///
    /// All tasks are submitted before this returns, so the items must come to an end;
    /// [`map_buffered`](Self::map_buffered) looks ahead only so far. Dropping the iterator cancels what has not
    /// started, as does a time limit that passes.
    ///
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
        Map::new(&self.shared, items, function, usize::MAX, Place::caller())
    }

    /// Like [`map`](Self::map), but with at most `buffersize` tasks that are submitted and not yet asked for.
    ///
    /// Items are taken from the input when there is room for their tasks, so the input may be endless.
    ///
    /// # Errors
    /// [`ZeroBufferError`] if `buffersize` is 0.
    ///
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
        Ok(Map::new(&self.shared, items, function, buffersize, Place::caller()))
    }
}

/// The results of [`ThreadPoolExecutor::map`], in the order of the items.
///
/// Each is what [`Future::result`] gives; a failed one does not end the iteration. Dropping it cancels
/// what has not started.
#[must_use = "dropping it cancels the tasks that have not started"]
pub struct Map<I: Iterator, F, R> {
    shared: Arc<Shared>,
    items: Careful<Fuse<I>>,
    function: Arc<Careful<F>>,
    ahead: VecDeque<Future<R>>,
    buffersize: usize,
    called: Option<Instant>,
    deadline: Option<Instant>,
    over: bool,
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
        shared: &Arc<Shared>,
        items: impl IntoIterator<IntoIter = I>,
        function: F,
        buffersize: usize,
        at: Place,
    ) -> Self {
        let mut map = Self {
            shared: shared.clone(),
            items: Careful::new(items.into_iter().fuse()),
            function: Arc::new(Careful::new(function)),
            ahead: VecDeque::new(),
            buffersize,
            // No look at the clock, on which other threads' steps would depend.
            called: rt::deadline(Duration::ZERO),
            deadline: None,
            over: false,
            made: at,
        };
        map.fill(at);
        map
    }

    /// Allows `limit` from the call of `map` for all results together.
    ///
    /// When it passes, the iterator yields one [`FutureError::TimedOut`], cancels what has not started, and ends.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.deadline = self.called.and_then(|called| called.checked_add(limit));
        self
    }

    fn fill(&mut self, at: Place) {
        while self.ahead.len() < self.buffersize
            && let Some(item) = self.items.next()
        {
            let function = self.function.clone();
            let op = Op::at(Object::of(&*self.shared, POOL), Kind::Put, at).with_verb(SUBMITS);
            self.ahead.push_back(submit(&self.shared, Priority(0), move || function(item), op));
        }
    }
}

impl<I: Iterator, F, R> Map<I, F, R> {
    fn cancel_rest(&mut self) {
        // The last first, so that no worker takes one up in between that will be cancelled anyway.
        self.ahead.drain(..).rev().for_each(|future| {
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
        if self.over {
            return None;
        }
        let future = self.ahead.pop_front()?;
        let now = Place::caller();
        let at = if rt::quiet() { now } else { now.or_creation(self.made) };
        self.fill(at);
        let result = future.result_at(self.deadline, at);
        if let Err(FutureError::TimedOut) = result {
            future.cancel();
            self.over = true;
            self.cancel_rest();
        }
        Some(result)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        if self.over {
            return (0, Some(0));
        }
        let (least, most) = self.items.size_hint();
        let ahead = self.ahead.len();
        (least.saturating_add(ahead), most.and_then(|most| most.checked_add(ahead)))
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

// A panic of the iterator or in a task leaves the futures whole.
impl<I: Iterator + UnwindSafe, F: RefUnwindSafe, R> UnwindSafe for Map<I, F, R> {}
impl<I: Iterator + RefUnwindSafe, F: RefUnwindSafe, R> RefUnwindSafe for Map<I, F, R> {}

impl<I: Iterator, F, R> fmt::Debug for Map<I, F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map").field("ahead", &self.ahead.len()).finish_non_exhaustive()
    }
}
