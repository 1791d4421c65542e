//! `concurrent.futures.wait` and `as_completed`.
//!
//! Both first look at all futures at once, as the standard library does with the conditions of all of them held: this is
//! one step of an exploration. Then they wait for what the futures notify.

use std::sync::atomic::AtomicU32;

use pyo3::prelude::*;
use raddle::rt::{self, Effect, Kind, Object, Op};

use crate::explore::member::is_explored;
use crate::explore::state::Kept;
use crate::future::Future;
use crate::limit::{Limit, number};
use crate::seam;
use crate::watcher::{Countdown, Watcher};

/// Block until one of the futures is settled, if first is true, or all of them are, or one has failed, if until_failure is
/// true; or for a timeout in seconds. Return those that are settled then.
#[pyfunction]
pub(crate) fn wait_for<'py>(
    py: Python<'py>,
    futures: Vec<Bound<'py, Future>>,
    #[pyo3(from_py_with = number)] timeout: Option<f64>,
    first: bool,
    until_failure: bool,
) -> PyResult<Vec<Bound<'py, Future>>> {
    Future::read_outcomes(py, &futures, "begins to wait for")?;
    let countdown = Countdown::new(if first { 1 } else { futures.len() }, until_failure);
    let watcher = Watcher::Countdown(countdown.clone());
    let mut settled = Vec::with_capacity(futures.len());
    let mut pending = Vec::new();
    for future in futures {
        if future.get().watch(Watcher::Countdown(countdown.clone())) {
            pending.push(future);
        } else {
            seam::in_step(|| countdown.settled(py, future.get().has_failed()))?;
            settled.push(future);
        }
    }
    let is_over = pending.is_empty() || countdown.is_over();
    let waited =
        if is_over { Ok(()) } else { Limit::of_wait(timeout).and_then(|limit| countdown.wait(py, limit)) };
    // The standard library looks at one after the other in the end, unless it is known that they are settled.
    let looks = !is_over && waited.is_ok() && (first || countdown.left() > 0);
    for future in pending {
        if looks {
            Future::read_outcomes(py, std::slice::from_ref(&future), "ends to wait for")?;
        }
        if future.get().unwatch(&watcher) && !is_over {
            settled.push(future);
        }
    }
    waited.map(|()| settled)
}

/// The futures that as_completed() has to yield, in the order in which they were settled.
#[pyclass(frozen, module = "raddle._raddle")]
pub(crate) struct Completed {
    queue: Box<raddle::SimpleQueue<Py<Future>>>, // aligned as Rust needs it
    /// What observers see of the queue, and what an exploration waits for.
    word: Kept<AtomicU32>,
}

impl Completed {
    pub(crate) fn put(&self, py: Python<'_>, future: Py<Future>) -> PyResult<()> {
        rt::accesses(&Object::of(&*self.word, "completed futures"), Effect::Write);
        seam::quick(py, || self.queue.put(future))?;
        rt::signal(&self.word);
        Ok(())
    }

    fn next(&self, py: Python<'_>) -> PyResult<Option<Py<Future>>> {
        seam::in_step(|| seam::quick(py, || self.queue.try_get()))
    }
}

#[pymethods]
impl Completed {
    #[new]
    fn new() -> Self {
        Self { queue: Box::new(raddle::SimpleQueue::new()), word: Kept::new(AtomicU32::new(0)) }
    }

    /// Have each of the futures be added once it is settled. Return those that are settled already.
    fn watch<'py>(
        slf: &Bound<'py, Self>,
        futures: Vec<Bound<'py, Future>>,
    ) -> PyResult<Vec<Bound<'py, Future>>> {
        Future::read_outcomes(slf.py(), &futures, "begins to wait for")?;
        let is_settled =
            |future: &Bound<'_, Future>| !future.get().watch(Watcher::Completed(slf.clone().unbind()));
        Ok(futures.into_iter().filter(is_settled).collect())
    }

    /// Undo watch() for futures that are not settled.
    fn unwatch(slf: &Bound<'_, Self>, futures: Vec<Bound<'_, Future>>) {
        let watcher = Watcher::Completed(slf.clone().unbind());
        for future in futures {
            future.get().unwatch(&watcher);
        }
    }

    /// Remove and return all futures that have been added, blocking until there is one, or for a timeout in seconds.
    #[pyo3(signature = (timeout=None))]
    fn take(&self, py: Python<'_>, #[pyo3(from_py_with = number)] timeout: Option<f64>) -> PyResult<Vec<Py<Future>>> {
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
