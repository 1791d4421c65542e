//! What a future notifies once it is settled, for `wait` and `as_completed`.

use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire};
use std::sync::atomic::{AtomicU32, AtomicUsize};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use raddle::rt::{self, Effect, Kind, Object, Op};

use crate::explore::member::is_explored;
use crate::explore::state::Kept;
use crate::limit::{Limit, number};
use crate::seam;

/// What a future notifies once it is settled.
pub(crate) enum Watcher {
    /// The futures of an `as_completed`, to which the future is added.
    Completed(Py<Completed>),
    Countdown(Arc<Countdown>),
}

impl Watcher {
    pub(crate) fn settled(&self, py: Python<'_>, future: &Bound<'_, PyAny>, failed: bool) -> PyResult<()> {
        match self {
            Self::Completed(completed) => completed.get().put(py, future.clone().unbind()),
            Self::Countdown(countdown) => countdown.settled(py, failed),
        }
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Completed(completed), Self::Completed(other)) => completed.is(other),
            (Self::Countdown(countdown), Self::Countdown(other)) => Arc::ptr_eq(countdown, other),
            _ => false,
        }
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Completed(completed) => visit.call(completed),
            Self::Countdown(_) => Ok(()),
        }
    }
}

/// Counts the futures that a thread waits for.
pub(crate) struct Countdown {
    left: AtomicUsize,
    /// Whether a future that has failed ends the wait.
    until_failure: bool,
    /// 1 once the wait has ended, so that the event is set once. An exploration waits for it.
    over: Kept<AtomicU32>,
    event: raddle::Event,
}

impl Countdown {
    pub(crate) fn new(count: usize, until_failure: bool) -> Arc<Self> {
        Arc::new(Self {
            left: AtomicUsize::new(count),
            until_failure,
            over: Kept::new(AtomicU32::new(0)),
            event: raddle::Event::new(),
        })
    }

    /// The number of futures that were not settled.
    pub(crate) fn left(&self) -> usize {
        self.left.load(Acquire)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Acquire) != 0
    }

    /// Blocks until the countdown is over, within the limit.
    pub(crate) fn wait(&self, py: Python<'_>, limit: Limit) -> PyResult<()> {
        if is_explored() {
            let op = Op::new(&*self.over, "Futures", Kind::Await);
            return match limit {
                Limit::Now => seam::step(py, op, &[]),
                Limit::Until(deadline) => seam::step_until(py, op, deadline, &self.over, || self.is_over()),
            };
        }
        let event = &self.event;
        let wait_until = |deadline| event.wait_deadline(deadline);
        limit.acquire(py, || event.is_set(), || event.wait(), wait_until, || ()).map(drop)
    }

    /// Counts a future that is settled.
    pub(crate) fn settled(&self, py: Python<'_>, failed: bool) -> PyResult<()> {
        // Which of the futures ends the wait makes no difference.
        rt::accesses(&Object::of(&*self.over, "Futures"), Effect::Commute);
        let last = self.left.fetch_update(AcqRel, Acquire, |left| left.checked_sub(1)) == Ok(1);
        if (last || failed && self.until_failure) && self.over.swap(1, AcqRel) == 0 {
            rt::signal(&self.over);
            if !is_explored() {
                seam::quick(py, || self.event.set())?;
            }
        }
        Ok(())
    }
}

/// The futures that as_completed() has to yield, in the order in which they were settled.
#[pyclass(frozen, module = "raddle._raddle")]
pub(crate) struct Completed {
    queue: Box<raddle::SimpleQueue<Py<PyAny>>>, // aligned as Rust needs it
    /// What observers see of the queue, and what an exploration waits for.
    word: Kept<AtomicU32>,
}

impl Completed {
    pub(crate) fn put(&self, py: Python<'_>, future: Py<PyAny>) -> PyResult<()> {
        rt::accesses(&Object::of(&*self.word, "completed futures"), Effect::Write);
        seam::quick(py, || self.queue.put(future))?;
        rt::signal(&self.word);
        Ok(())
    }

    fn next(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        seam::in_step(|| seam::quick(py, || self.queue.try_get()))
    }
}

#[pymethods]
impl Completed {
    #[new]
    fn new() -> Self {
        Self { queue: Box::new(raddle::SimpleQueue::new()), word: Kept::new(AtomicU32::new(0)) }
    }

    /// Remove and return all futures that have been added, blocking until there is one, or for a timeout in seconds.
    #[pyo3(signature = (timeout=None))]
    fn take(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = number)] timeout: Option<f64>,
    ) -> PyResult<Vec<Py<PyAny>>> {
        let limit = Limit::of_wait(timeout)?;
        let op = Op::new(&*self.word, "completed futures", Kind::Get).with_verb("waits for");
        match limit {
            Limit::Now => seam::step(py, op, &[])?,
            Limit::Until(deadline) => {
                seam::step_until(py, op, deadline, &self.word, || !self.queue.is_empty())?;
            }
        }
        let mut taken = Vec::new();
        taken.extend(self.next(py)?);
        if let (true, false, Limit::Until(deadline)) = (taken.is_empty(), is_explored(), limit) {
            let get = |deadline| match deadline {
                Some(deadline) => self.queue.get_deadline(deadline).ok_or(()),
                None => Ok(self.queue.get()),
            };
            // An exception at the moment of success ends the iterator, too.
            taken.extend(seam::until(py, deadline, get, drop)?.ok());
        }
        while let Some(future) = if taken.is_empty() { None } else { self.next(py)? } {
            taken.push(future);
        }
        Ok(taken)
    }
}
