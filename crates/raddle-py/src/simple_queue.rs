//! `queue.SimpleQueue`.

use pyo3::Borrowed;
use pyo3::prelude::*;
use pyo3::types::PyType;
use raddle::trace::Items;

use crate::ending;
use crate::explore::member::is_explored;
use crate::explore::shown_item;
use crate::fast::{self, Answer};
use crate::limit::{Limit, Truth, number};
use crate::number::Number;
use crate::queue::Empty;
use crate::seam;

/// An unbounded FIFO queue without task tracking. put() never blocks and may be called from a destructor or a signal handler.
#[pyclass(frozen, weakref, subclass, dict, module = "raddle")]
pub(crate) struct SimpleQueue(Box<raddle::SimpleQueue<Py<PyAny>>>, Number); // aligned as Rust needs it

impl SimpleQueue {
    pub(crate) fn put_item(&self, py: Python<'_>, item: Py<PyAny>) -> PyResult<()> {
        seam::quick(py, || self.0.put(item))
    }
}

impl Drop for SimpleQueue {
    fn drop(&mut self) {
        ending::protect_thread(); // for the destructors of items
    }
}

#[pymethods]
impl SimpleQueue {
    #[new]
    fn new() -> Self {
        let queue = Box::new(raddle::SimpleQueue::new());
        if is_explored() {
            queue.show_items(shown_item);
        }
        Self(queue, Number::new())
    }

    /// Put an item. The optional arguments are ignored: the queue is never full.
    #[pyo3(signature = (item, block=Truth(true), timeout=None))]
    fn put(&self, py: Python<'_>, item: Py<PyAny>, block: Truth, timeout: Option<Py<PyAny>>) -> PyResult<()> {
        let _ = (block, timeout);
        self.put_item(py, item)
    }

    /// Put an item. The same as put().
    fn put_nowait(&self, py: Python<'_>, item: Py<PyAny>) -> PyResult<()> {
        self.put_item(py, item)
    }

    /// Remove and return the oldest item, blocking until there is one.
    ///
    /// Raise Empty without blocking if block is false, or after a timeout in seconds.
    #[pyo3(signature = (block=Truth(true), timeout=None))]
    fn get(
        &self,
        py: Python<'_>,
        block: Truth,
        #[pyo3(from_py_with = number)] timeout: Option<f64>,
    ) -> PyResult<Py<PyAny>> {
        Limit::check_queue(block.0, timeout)?;
        if crate::queue::tries_first(block.0, timeout)
            && let Some(item) = seam::quick(py, || self.0.try_get())?
        {
            return Ok(item);
        }
        let limit = Limit::of_queue(block.0, timeout)?;
        let Limit::Until(deadline) = limit else { return Err(Empty::new_err(())) };
        let get = |deadline| match deadline {
            Some(deadline) => self.0.get_deadline(deadline).ok_or(()),
            None => Ok(self.0.get()),
        };
        // An exception at the moment of success is like one right after the call: the item is lost to this caller either way.
        seam::until(py, deadline, get, drop)?.map_err(|()| Empty::new_err(()))
    }

    /// Remove and return the oldest item, or raise Empty.
    fn get_nowait(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.get(py, Truth(false), None)
    }

    /// Return the number of items.
    fn qsize(&self, py: Python<'_>) -> PyResult<usize> {
        seam::quick(py, || self.0.len())
    }

    /// Return whether the queue has no items.
    fn empty(&self, py: Python<'_>) -> PyResult<bool> {
        seam::quick(py, || self.0.is_empty())
    }

    fn __hash__(slf: &Bound<'_, Self>) -> isize {
        slf.get().1.hash(slf)
    }

    #[classmethod]
    fn __class_getitem__(class: &Bound<'_, PyType>, item: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        crate::queue::alias(class, item)
    }
}

impl SimpleQueue {
    fn put_at_once<'py>(&self, py: Python<'py>, item: Option<Borrowed<'_, 'py, PyAny>>) -> Answer<'py> {
        let Some(item) = item else { return Answer::Declined };
        self.0.put(item.to_owned().unbind());
        Answer::none(py)
    }

    fn get_at_once<'py>(&self, py: Python<'py>, block: bool) -> Answer<'py> {
        match self.0.try_get() {
            Some(item) => Answer::Returned(item.into_bound(py)),
            None if block => Answer::Declined,
            None => Answer::Raised(py.get_type::<Empty>().into_any()),
        }
    }
}

fast::method!(Put, SimpleQueue, c"put", "($self, /, item, block=True, timeout=None)", |py, queue, args| {
    if args.flag(1, true).is_none() {
        return Answer::Declined;
    }
    queue.put_at_once(py, args.get(0))
});

fast::method!(PutNowait, SimpleQueue, c"put_nowait", "($self, /, item)", |py, queue, args| {
    if args.get(1).is_some() || args.get(2).is_some() {
        return Answer::Declined;
    }
    queue.put_at_once(py, args.get(0))
});

fast::method!(Get, SimpleQueue, c"get", "($self, /, block=True, timeout=None)", |py, queue, args| {
    match args.flag(0, true) {
        Some(block) if args.get(2).is_none() && args.is_timeout(1) => queue.get_at_once(py, block),
        _ => Answer::Declined,
    }
});

fast::method!(GetNowait, SimpleQueue, c"get_nowait", "($self, /)", |py, queue, args| {
    if args.is_empty() { queue.get_at_once(py, false) } else { Answer::Declined }
});

/// Adds the frequent methods.
pub(crate) fn add_fast(py: Python<'_>) -> PyResult<()> {
    py.get_type::<Empty>(); // imported here, and not when it is first raised
    fast::add::<Put>(py)?;
    fast::add::<PutNowait>(py)?;
    fast::add::<Get>(py)?;
    fast::add::<GetNowait>(py)
}
