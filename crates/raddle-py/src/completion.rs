//! `concurrent.futures.wait` and `as_completed`.

use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::future::Future;
use crate::limit::{Limit, number};
use crate::simple_queue::SimpleQueue;
use crate::watcher::{Countdown, Watcher};

/// Block until one of the futures is settled, if first is true, or all of them are, or one has failed, if until_failure is
/// true; or for a timeout in seconds.
///
/// None of the futures is expected to be settled; those that are by now count.
#[pyfunction]
pub(crate) fn wait_for(
    py: Python<'_>,
    futures: Vec<Bound<'_, Future>>,
    #[pyo3(from_py_with = number)] timeout: Option<f64>,
    first: bool,
    until_failure: bool,
) -> PyResult<()> {
    let limit = Limit::of_wait(timeout)?;
    let left = if first { 1 } else { futures.len() };
    let countdown = Countdown::new(left, until_failure);
    let new_watcher = || Watcher::Countdown(countdown.clone());
    let mut watched = Vec::with_capacity(futures.len());
    let waited = (|| {
        for future in &futures {
            if future.get().watch(py, new_watcher())? {
                watched.push(future);
            } else {
                countdown.settled(py, future.get().has_failed())?;
            }
        }
        countdown.wait(py, limit)
    })();
    for future in watched {
        future.get().unwatch(py, &new_watcher())?;
    }
    waited
}

/// Have each future put itself into a queue once it is settled. Return those that are settled already.
#[pyfunction]
pub(crate) fn watch<'py>(
    futures: Vec<Bound<'py, Future>>,
    queue: &Bound<'py, SimpleQueue>,
) -> PyResult<Bound<'py, PyList>> {
    let py = queue.py();
    let settled = PyList::empty(py);
    for future in futures {
        if !future.get().watch(py, Watcher::Queue(queue.clone().unbind()))? {
            settled.append(future)?;
        }
    }
    Ok(settled)
}

/// Undo watch() for futures that are not settled.
#[pyfunction]
pub(crate) fn unwatch(futures: Vec<Bound<'_, Future>>, queue: &Bound<'_, SimpleQueue>) -> PyResult<()> {
    let watcher = Watcher::Queue(queue.clone().unbind());
    futures.iter().try_for_each(|future| future.get().unwatch(queue.py(), &watcher))
}
