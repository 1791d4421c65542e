//! `concurrent.futures.wait` and `as_completed`.
//!
//! Both first look at all futures at once, as the standard library does with the conditions of all of them held: this is
//! one step of an exploration. Then they wait for what the futures notify.

use pyo3::prelude::*;

use crate::ending;
use crate::future::Future;
use crate::limit::{Limit, number};
use crate::seam;
use crate::watcher::{Completed, Countdown, Watcher};

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

/// Have each future add itself to those that are completed once it is settled. Return those that are settled already.
#[pyfunction]
pub(crate) fn watch<'py>(
    futures: Vec<Bound<'py, Future>>,
    completed: &Bound<'py, Completed>,
) -> PyResult<Vec<Bound<'py, Future>>> {
    Future::read_outcomes(completed.py(), &futures, "begins to wait for")?;
    let watcher = || Watcher::Completed(completed.clone().unbind());
    Ok(futures.into_iter().filter(|future| !future.get().watch(watcher())).collect())
}

/// Undo watch() for futures that are not settled.
#[pyfunction]
pub(crate) fn unwatch(futures: Vec<Bound<'_, Future>>, completed: &Bound<'_, Completed>) {
    ending::protect_thread();
    let watcher = Watcher::Completed(completed.clone().unbind());
    for future in futures {
        future.get().unwatch(&watcher);
    }
}
