//! What a future notifies once it is settled, for `wait` and `as_completed`.

use std::sync::Arc;
use std::sync::atomic::Ordering::AcqRel;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use crate::limit::Limit;
use crate::seam;
use crate::simple_queue::SimpleQueue;

/// What a future notifies once it is settled.
pub(crate) enum Watcher {
    /// A queue that receives the future.
    Queue(Py<SimpleQueue>),
    Countdown(Arc<Countdown>),
}

impl Watcher {
    pub(crate) fn settled(&self, py: Python<'_>, future: &Bound<'_, PyAny>, failed: bool) -> PyResult<()> {
        match self {
            Self::Queue(queue) => queue.get().put_item(py, future.clone().unbind()),
            Self::Countdown(countdown) => countdown.settled(py, failed),
        }
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Queue(queue), Self::Queue(other)) => queue.is(other),
            (Self::Countdown(countdown), Self::Countdown(other)) => Arc::ptr_eq(countdown, other),
            _ => false,
        }
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Queue(queue) => visit.call(queue),
            Self::Countdown(_) => Ok(()),
        }
    }
}

/// Counts the futures that a thread waits for.
pub(crate) struct Countdown {
    left: AtomicUsize,
    /// Whether a future that has failed ends the wait.
    until_failure: bool,
    /// Whether the wait has ended, so that the event is set once.
    over: AtomicBool,
    event: raddle::Event,
}

impl Countdown {
    pub(crate) fn new(count: usize, until_failure: bool) -> Arc<Self> {
        Arc::new(Self {
            left: AtomicUsize::new(count),
            until_failure,
            over: AtomicBool::new(false),
            event: raddle::Event::new(),
        })
    }

    /// Blocks until the countdown is over, within the limit.
    pub(crate) fn wait(&self, py: Python<'_>, limit: Limit) -> PyResult<()> {
        let event = &self.event;
        let wait_until = |deadline| event.wait_deadline(deadline);
        limit.acquire(py, || event.is_set(), || event.wait(), wait_until, || ()).map(drop)
    }

    /// Counts a future that is settled.
    pub(crate) fn settled(&self, py: Python<'_>, failed: bool) -> PyResult<()> {
        let last = self.left.fetch_sub(1, AcqRel) == 1;
        if (last || failed && self.until_failure) && !self.over.swap(true, AcqRel) {
            seam::quick(py, || self.event.set())?;
        }
        Ok(())
    }
}
