//! Which items are done with, waiting for that, and the end of a queue.

use std::time::{Duration, Instant};

use super::base::BaseQueue;
use super::error::TooManyTasksDoneError;
use super::limit::Limit;
use super::order::Order;
use super::state::State;
use crate::rt::Kind;

impl<T, O: Order<T>> BaseQueue<T, O> {
    /// Says that an item which was got is done with. When this was said of every item that was put, those who
    /// [`join`](BaseQueue::join) go on.
    ///
    /// # Errors
    /// [`TooManyTasksDoneError`] if it was said more often than items were put; the count stays as it was.
    ///
    /// ```
    /// use raddle::Queue;
    ///
    /// let queue = Queue::unbounded();
    /// queue.put("work")?;
    /// queue.get()?;
    /// assert_eq!(queue.unfinished(), 1);
    /// queue.task_done()?;
    /// queue.join(); // does not wait any more
    /// assert!(queue.task_done().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    #[track_caller]
    pub fn task_done(&self) -> Result<(), TooManyTasksDoneError> {
        if self.monitor.task_done_quickly() { Ok(()) } else { self.tasks_done(1) }
    }

    /// Says that `count` items are done with, as [`task_done`](BaseQueue::task_done) does of one.
    ///
    /// # Errors
    /// [`TooManyTasksDoneError`] if there are fewer unfinished ones; then none is counted as done.
    #[track_caller]
    pub fn tasks_done(&self, count: usize) -> Result<(), TooManyTasksDoneError> {
        self.monitor.tasks_done(self.op(Kind::Write).with_verb("marks items done in"), count)
    }

    /// Waits until every item that was put is done with.
    ///
    /// Whoever waits goes on when this was so for a moment, even if items were put since.
    #[track_caller]
    pub fn join(&self) {
        self.monitor.join(self.op(Kind::Wait).with_verb("waits for all items to be done in"), Limit::NONE);
    }

    /// Like [`join`](BaseQueue::join), waiting at most `timeout`; says whether every item was done with.
    #[track_caller]
    pub fn join_timeout(&self, timeout: Duration) -> bool {
        self.monitor
            .join(self.op(Kind::Wait).with_verb("waits for all items to be done in"), Limit::timeout(timeout))
    }

    /// Like [`join`](BaseQueue::join), waiting until `deadline` at most; says whether every item was done with.
    #[track_caller]
    pub fn join_deadline(&self, deadline: Instant) -> bool {
        self.monitor.join(
            self.op(Kind::Wait).with_verb("waits for all items to be done in"),
            Limit::deadline(deadline),
        )
    }

    /// How many items were put and are not done with: those in the queue, and those that were got since.
    #[track_caller]
    pub fn unfinished(&self) -> usize {
        self.look(State::unfinished)
    }

    /// How many threads wait in [`join`](BaseQueue::join).
    #[track_caller]
    pub fn n_joiners(&self) -> usize {
        self.look(|state| state.joiners.len())
    }

    /// Shuts the queue down, for good: nothing more can be put, what is there can still be got.
    ///
    /// Threads that wait to put are refused at once; threads that wait to get learn that nothing will come.
    /// Those who [`join`](BaseQueue::join) go on waiting for the items put before.
    ///
    /// ```
    /// use raddle::Queue;
    ///
    /// let queue = Queue::unbounded();
    /// queue.put_many([1, 2])?;
    /// queue.shutdown();
    /// assert!(queue.put(3).is_err());
    /// assert_eq!(queue.iter().collect::<Vec<_>>(), [1, 2]);
    /// # Ok::<(), raddle::queue::ShutDownError<Vec<i32>>>(())
    /// ```
    #[track_caller]
    pub fn shutdown(&self) {
        self.monitor.shut_down(self.op(Kind::Write).with_verb("shuts down"));
    }

    /// Shuts the queue down and empties it: Python's `shutdown(immediate=True)`. Returns what was in it, the next
    /// item first.
    ///
    /// The items returned count as done with, so those who [`join`](BaseQueue::join) wait only for items
    /// that were got before.
    ///
    /// ```
    /// use raddle::Queue;
    ///
    /// let queue = Queue::unbounded();
    /// queue.put_many([1, 2])?;
    /// assert_eq!(queue.shutdown_now(), [1, 2]);
    /// assert!(queue.get().is_err());
    /// queue.join(); // nothing is unfinished
    /// # Ok::<(), raddle::queue::ShutDownError<Vec<i32>>>(())
    /// ```
    ///
    /// What comes back cannot be ignored by mistake:
    ///
    /// ```compile_fail
    /// #![deny(unused_must_use)]
    /// raddle::Queue::<u8>::unbounded().shutdown_now();
    /// ```
    #[track_caller]
    #[must_use = "these items were not processed; `drop` says that this is intended"]
    pub fn shutdown_now(&self) -> Vec<T> {
        self.monitor.shut_down_now(self.op(Kind::Write).with_verb("shuts down and empties"))
    }

    /// Whether the queue is shut down.
    #[track_caller]
    pub fn is_shut_down(&self) -> bool {
        self.look(State::is_shut_down)
    }
}
