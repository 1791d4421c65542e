//! `queue.Queue`, `queue.LifoQueue` and `queue.PriorityQueue`: the class that they derive from.
//!
//! A queue is one of the toolkit until a program relies on how the standard library's is made: overrides `_put` or its
//! siblings, or uses `mutex`, `not_empty` or `queue`, or puts items into a priority queue that only Python can compare. Then it is, from its creation or from that moment on, a *general*
//! queue: the same methods over a container and conditions that Python code can see, in `raddle/_general.py`.

use std::sync::OnceLock;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicIsize};
use std::time::Instant;

use pyo3::Borrowed;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};
use raddle::queue::{BaseQueue, GetError, Order, PutError, ShutDownError, TooManyTasksDoneError};
use raddle::rt;
use raddle::trace::Items;

use crate::ending;
use crate::explore::member::is_explored;
use crate::explore::shown_item;
use crate::fast::{self, Answer};
use crate::limit::{Limit, Truth, number};
use crate::number::Number;
use crate::priority::{Ranked, Ranking};
use crate::seam;

pyo3::import_exception!(queue, Empty);
pyo3::import_exception!(queue, Full);

type Item = Py<PyAny>;

/// A queue for many producers and consumers, with task tracking and shutdown.
///
/// The classes of `raddle.queue` derive from it.
#[pyclass(frozen, weakref, subclass, dict, module = "raddle._raddle", name = "Queue")]
pub(crate) struct Queue {
    /// On the heap of Rust: its alignment is greater than that of Python's objects.
    native: OnceLock<Box<Native>>,
    /// What Python code assigned or passed, also if it is negative.
    maxsize: AtomicIsize,
    /// Whether `_general.py` has taken over.
    general: AtomicBool,
    /// Whether `put` and `get` are this class's, and not those of a subclass.
    own_put: AtomicBool,
    own_get: AtomicBool,
    number: Number,
}

enum Native {
    Fifo(raddle::Queue<Item>),
    Lifo(raddle::LifoQueue<Item>),
    Priority(raddle::PriorityQueue<Ranked>, Ranking),
}

/// Calls a method of the native queue, of either kind.
macro_rules! native {
    ($native:expr, $queue:ident => $call:expr) => {
        match $native {
            Native::Fifo($queue) => $call,
            Native::Lifo($queue) => $call,
            Native::Priority($queue, _) => $call,
        }
    };
}

impl Native {
    fn new(kind: &str, bound: Option<usize>) -> Self {
        match (kind, bound) {
            ("lifo", Some(bound)) => Self::Lifo(raddle::LifoQueue::bounded(bound)),
            ("lifo", None) => Self::Lifo(raddle::LifoQueue::unbounded()),
            ("priority", Some(bound)) => {
                Self::Priority(raddle::PriorityQueue::bounded(bound), Ranking::default())
            }
            ("priority", None) => Self::Priority(raddle::PriorityQueue::unbounded(), Ranking::default()),
            (_, Some(bound)) => Self::Fifo(raddle::Queue::bounded(bound)),
            (_, None) => Self::Fifo(raddle::Queue::unbounded()),
        }
    }

    /// Has reports show the items.
    fn show_items(&self) {
        match self {
            Self::Fifo(queue) => queue.show_items(shown_item),
            Self::Lifo(queue) => queue.show_items(shown_item),
            Self::Priority(queue, _) => queue.show_items(|ranked| shown_item(&ranked.item)),
        }
    }

    fn join(&self, deadline: Option<Instant>) -> bool {
        native!(self, queue => {
            let Some(deadline) = deadline else {
                queue.join();
                return true;
            };
            queue.join_deadline(deadline)
        })
    }

    fn task_done(&self) -> Result<(), TooManyTasksDoneError> {
        native!(self, queue => queue.task_done())
    }

    fn len(&self) -> usize {
        native!(self, queue => queue.len())
    }

    fn unfinished(&self) -> usize {
        native!(self, queue => queue.unfinished())
    }

    fn is_shut_down(&self) -> bool {
        native!(self, queue => queue.is_shut_down())
    }

    fn set_bound(&self, bound: Option<usize>) {
        native!(self, queue => match bound {
            Some(bound) => queue.set_maxsize(bound),
            None => queue.set_unbounded(),
        });
    }

    fn shutdown(&self) {
        native!(self, queue => queue.shutdown());
    }

    /// Shuts the queue down and removes all items. Returns them in the order in which they were put.
    fn shutdown_now(&self) -> Vec<Item> {
        match self {
            Self::Fifo(queue) => queue.shutdown_now(),
            Self::Lifo(queue) => {
                let mut items = queue.shutdown_now();
                items.reverse();
                items
            }
            Self::Priority(queue, _) => queue.shutdown_now().into_iter().map(|ranked| ranked.item).collect(),
        }
    }
}

/// Whether a call first tries not to block. To an observer, that would be an operation of its own.
pub(crate) fn tries_first(block: bool, timeout: Option<f64>) -> bool {
    !rt::is_observed() || !block || timeout.is_some_and(|timeout| timeout <= 0.0)
}

/// Puts an item into a queue of the toolkit.
fn put_into<T: Send, O: Order<T>>(
    py: Python<'_>,
    queue: &BaseQueue<T, O>,
    mut item: T,
    block: bool,
    timeout: Option<f64>,
) -> PyResult<Result<(), PutError<T>>>
where
    BaseQueue<T, O>: Sync,
{
    if tries_first(block, timeout) {
        match seam::quick(py, || queue.try_put(item))? {
            Err(PutError::Full(refused)) => item = refused,
            done => return Ok(done),
        }
    }
    let Limit::Until(deadline) = Limit::of_queue(block, timeout)? else {
        return Ok(Err(PutError::Full(item)));
    };
    let put = |deadline| match deadline {
        Some(deadline) => queue.put_deadline(item, deadline),
        None => queue.put(item).map_err(|ShutDownError(item)| PutError::ShutDown(item)),
    };
    seam::until(py, deadline, put, drop)
}

/// Gets an item from a queue of the toolkit.
fn get_from<T: Send, O: Order<T>>(
    py: Python<'_>,
    queue: &BaseQueue<T, O>,
    block: bool,
    timeout: Option<f64>,
) -> PyResult<Result<T, GetError>>
where
    BaseQueue<T, O>: Sync,
{
    if tries_first(block, timeout) {
        match seam::quick(py, || queue.try_get())? {
            Err(GetError::Empty) => {}
            done => return Ok(done),
        }
    }
    let Limit::Until(deadline) = Limit::of_queue(block, timeout)? else { return Ok(Err(GetError::Empty)) };
    let get = |deadline| match deadline {
        Some(deadline) => queue.get_deadline(deadline),
        None => queue.get().map_err(|_| GetError::ShutDown),
    };
    // An exception at the moment of success is like one right after the call: the item is lost to this caller.
    seam::until(py, deadline, get, drop)
}

/// The bound of a queue whose `maxsize` is this.
fn bound_of(maxsize: isize) -> Option<usize> {
    usize::try_from(maxsize).ok().filter(|&bound| bound > 0)
}

/// The functions of `_general.py`.
fn general(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static MODULE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    ending::protect_thread();
    let module =
        MODULE.get_or_try_init(py, || py.import("raddle._general").map(|it| it.into_any().unbind()))?;
    Ok(module.bind(py))
}

fn shut_down(py: Python<'_>) -> PyErr {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    match CLASS.import(py, "raddle.queue", "ShutDown") {
        Ok(class) => PyErr::from_type(class.clone(), ()),
        Err(error) => error,
    }
}

/// `Queue[int]`: what the standard library's queues return for it.
pub(crate) fn alias(class: &Bound<'_, PyType>, item: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    static ALIAS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let alias = ALIAS.import(class.py(), "types", "GenericAlias")?;
    Ok(alias.call1((class, item))?.unbind())
}

impl Queue {
    /// The native queue, or `None` once the queue is general.
    fn native(&self) -> PyResult<Option<&Native>> {
        if self.general.load(Acquire) {
            return Ok(None);
        }
        match self.native.get() {
            Some(native) => Ok(Some(native)),
            None => Err(PyRuntimeError::new_err("Queue.__init__() was not called")),
        }
    }

    /// Whether `_general.py` has taken over.
    fn is_general(&self) -> bool {
        self.general.load(Acquire)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        ending::protect_thread(); // for the destructors of items
    }
}

#[pymethods]
impl Queue {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self {
            native: OnceLock::new(),
            maxsize: AtomicIsize::new(0),
            general: AtomicBool::new(false),
            own_put: AtomicBool::new(false),
            own_get: AtomicBool::new(false),
            number: Number::new(),
        }
    }

    /// Create a queue of at most maxsize items; 0 or less means no limit.
    #[pyo3(signature = (maxsize=0))]
    fn __init__(slf: &Bound<'_, Self>, #[pyo3(from_py_with = number)] maxsize: isize) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        ending::protect_thread();
        let kind = slf.getattr(intern!(py, "_kind"))?;
        let native = Native::new(kind.extract()?, bound_of(maxsize));
        if is_explored() {
            native.show_items();
        }
        this.maxsize.store(maxsize, Relaxed);
        let (class, own) = (slf.get_type(), py.get_type::<Self>());
        // A class that derives from this one may have a method of its own for the same function.
        let is_own = |name| {
            let (method, own) = (class.getattr(name)?, own.getattr(name)?);
            Ok::<_, PyErr>(method.get_type().is(own.get_type()) && method.getattr("__name__")?.eq(name)?)
        };
        this.own_put.store(is_own(intern!(py, "put"))?, Relaxed);
        this.own_get.store(is_own(intern!(py, "get"))?, Relaxed);
        let _ = this.native.set(Box::new(native));
        if kind.eq("general")? { Self::_become_general(slf) } else { Ok(()) }
    }

    /// Make the queue's container, mutex and conditions visible to Python.
    fn _become_general(slf: &Bound<'_, Self>) -> PyResult<()> {
        let this = slf.get();
        let Some(native) = this.native()? else { return Ok(()) };
        let mutex = general(slf.py())?.call_method1("begin", (slf,))?;
        let taken_over = (|| {
            if this.is_general() {
                return Ok(()); // by another thread, meanwhile
            }
            this.general.store(true, Release);
            // A call that was under way finds the native queue shut down, or without unfinished tasks, and is repeated on the
            // general one.
            let (shut_down, items, unfinished) = seam::blocking(slf.py(), || {
                let shut_down = native.is_shut_down();
                // More items than unfinished tasks: the program has called `task_done` for some in advance.
                let in_advance = native.len().saturating_sub(native.unfinished());
                let items = native.shutdown_now();
                let mut unfinished = items.len() - in_advance.min(items.len());
                while native.task_done().is_ok() {
                    unfinished += 1;
                }
                (shut_down, items, unfinished)
            })?;
            general(slf.py())?.call_method1("take_over", (slf, items, unfinished, shut_down)).map(drop)
        })();
        mutex.call_method0("release")?;
        taken_over
    }

    /// The limit that was given to the queue; 0 or less means no limit.
    #[getter]
    fn maxsize(&self) -> isize {
        self.maxsize.load(Relaxed)
    }

    #[setter]
    fn set_maxsize(slf: &Bound<'_, Self>, #[pyo3(from_py_with = number)] maxsize: isize) -> PyResult<()> {
        let this = slf.get();
        if let Some(native) = this.native()? {
            seam::quick(slf.py(), || native.set_bound(bound_of(maxsize)))?;
        }
        this.maxsize.store(maxsize, Relaxed);
        Ok(())
    }

    /// What unfinished_tasks is while the queue is not general.
    fn _unfinished(&self, py: Python<'_>) -> PyResult<usize> {
        match self.native()? {
            Some(native) => seam::quick(py, || native.unfinished()),
            None => Err(PyRuntimeError::new_err("the queue is general")),
        }
    }

    /// What is_shutdown is while the queue is not general.
    fn _is_shut_down(&self, py: Python<'_>) -> PyResult<bool> {
        match self.native()? {
            Some(native) => seam::quick(py, || native.is_shut_down()),
            None => Err(PyRuntimeError::new_err("the queue is general")),
        }
    }

    /// Put an item, blocking while the queue is full.
    ///
    /// Raise Full without blocking if block is false, or after a timeout in seconds. Raise ShutDown if the queue is shut down.
    #[pyo3(signature = (item, block=Truth(true), timeout=None))]
    fn put(
        slf: &Bound<'_, Self>,
        item: Item,
        block: Truth,
        #[pyo3(from_py_with = number)] timeout: Option<f64>,
    ) -> PyResult<()> {
        let (py, block) = (slf.py(), block.0);
        if slf.get().maxsize() > 0
            && let Err(error) = Limit::check_queue(block, timeout)
        {
            return Err(if Self::shuts_down(slf)? { shut_down(py) } else { error });
        }
        let Some(native) = slf.get().native()? else { return Self::put_general(slf, item, block, timeout) };
        let put = match native {
            Native::Fifo(queue) => put_into(py, queue, item, block, timeout)?,
            Native::Lifo(queue) => put_into(py, queue, item, block, timeout)?,
            Native::Priority(queue, ranking) => match ranking.rank(py, item) {
                Ok(ranked) => put_into(py, queue, ranked, block, timeout)?.map_err(|error| match error {
                    PutError::Full(ranked) => PutError::Full(ranked.item),
                    PutError::ShutDown(ranked) => PutError::ShutDown(ranked.item),
                }),
                Err(item) => {
                    Self::_become_general(slf)?;
                    return Self::put_general(slf, item, block, timeout);
                }
            },
        };
        match put {
            Ok(()) => Ok(()),
            Err(PutError::Full(_)) => Err(Full::new_err(())),
            Err(PutError::ShutDown(item)) if slf.get().is_general() => {
                Self::put_general(slf, item, block, timeout)
            }
            Err(PutError::ShutDown(_)) => Err(shut_down(py)),
        }
    }

    /// Put an item, or raise Full.
    fn put_nowait(slf: &Bound<'_, Self>, item: Item) -> PyResult<()> {
        if slf.get().own_put.load(Relaxed) {
            return Self::put(slf, item, Truth(false), None);
        }
        ending::protect_thread();
        slf.call_method1(intern!(slf.py(), "put"), (item, false)).map(drop)
    }

    /// Remove and return the next item, blocking until there is one.
    ///
    /// Raise Empty without blocking if block is false, or after a timeout in seconds. Raise ShutDown if the queue is shut down
    /// and empty.
    #[pyo3(signature = (block=Truth(true), timeout=None))]
    fn get(
        slf: &Bound<'_, Self>,
        block: Truth,
        #[pyo3(from_py_with = number)] timeout: Option<f64>,
    ) -> PyResult<Item> {
        let (py, block) = (slf.py(), block.0);
        if let Err(error) = Limit::check_queue(block, timeout) {
            let over = Self::shuts_down(slf)? && Self::qsize(slf)? == 0;
            return Err(if over { shut_down(py) } else { error });
        }
        let Some(native) = slf.get().native()? else { return Self::get_general(slf, block, timeout) };
        let got = match native {
            Native::Fifo(queue) => get_from(py, queue, block, timeout)?,
            Native::Lifo(queue) => get_from(py, queue, block, timeout)?,
            Native::Priority(queue, _) => get_from(py, queue, block, timeout)?.map(|ranked| ranked.item),
        };
        match got {
            Ok(item) => Ok(item),
            Err(GetError::Empty) => Err(Empty::new_err(())),
            Err(GetError::ShutDown) if slf.get().is_general() => Self::get_general(slf, block, timeout),
            Err(GetError::ShutDown) => Err(shut_down(py)),
        }
    }

    /// Remove and return the next item, or raise Empty.
    fn get_nowait(slf: &Bound<'_, Self>) -> PyResult<Item> {
        if slf.get().own_get.load(Relaxed) {
            return Self::get(slf, Truth(false), None);
        }
        ending::protect_thread();
        Ok(slf.call_method1(intern!(slf.py(), "get"), (false,))?.unbind())
    }

    /// Say that an item that was got has been processed. Raise ValueError if there is no such item.
    fn task_done(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        if let Some(native) = slf.get().native()? {
            let done = seam::quick(py, || native.task_done())?;
            if done.is_ok() {
                return Ok(());
            }
            if !slf.get().is_general() {
                return Err(PyValueError::new_err("task_done() called too many times"));
            }
        }
        general(py)?.call_method1(intern!(py, "task_done"), (slf,)).map(drop)
    }

    /// Block until every item that was put has been got and reported by task_done().
    fn join(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        if let Some(native) = slf.get().native()? {
            let _ = seam::until(py, None, |deadline| native.join(deadline).then_some(()).ok_or(()), drop)?;
            if !slf.get().is_general() {
                return Ok(());
            }
        }
        general(py)?.call_method1(intern!(py, "join"), (slf,)).map(drop)
    }

    /// Return the number of items.
    fn qsize(slf: &Bound<'_, Self>) -> PyResult<usize> {
        let py = slf.py();
        match slf.get().native()? {
            Some(native) => seam::quick(py, || native.len()),
            None => general(py)?.call_method1(intern!(py, "qsize"), (slf,))?.extract(),
        }
    }

    /// Return whether the queue has no items.
    fn empty(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Ok(Self::qsize(slf)? == 0)
    }

    /// Return whether the queue has maxsize items.
    fn full(slf: &Bound<'_, Self>) -> PyResult<bool> {
        match usize::try_from(slf.get().maxsize()) {
            Ok(bound) if bound > 0 => Ok(Self::qsize(slf)? >= bound),
            _ => Ok(false),
        }
    }

    /// Refuse further items: put() raises ShutDown, and so does get() once the queue is empty. With immediate=True, also
    /// remove all items and count them as processed.
    #[pyo3(signature = (immediate=Truth(false)))]
    fn shutdown(slf: &Bound<'_, Self>, immediate: Truth) -> PyResult<()> {
        let (py, immediate) = (slf.py(), immediate.0);
        if let Some(native) = slf.get().native()? {
            let removed = seam::quick(py, || {
                if immediate {
                    return native.shutdown_now();
                }
                native.shutdown();
                Vec::new()
            })?;
            drop(removed); // runs destructors
            if !slf.get().is_general() {
                return Ok(());
            }
        }
        general(py)?.call_method1(intern!(py, "shutdown"), (slf, immediate)).map(drop)
    }

    fn __hash__(slf: &Bound<'_, Self>) -> isize {
        slf.get().number.hash(slf)
    }

    #[classmethod]
    fn __class_getitem__(class: &Bound<'_, PyType>, item: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        alias(class, item)
    }
}

impl Queue {
    /// Whether the queue is shut down, which the standard library looks at before the arguments of a call.
    fn shuts_down(slf: &Bound<'_, Self>) -> PyResult<bool> {
        match slf.get().native()? {
            Some(native) => seam::quick(slf.py(), || native.is_shut_down()),
            None => slf.getattr(intern!(slf.py(), "is_shutdown"))?.is_truthy(),
        }
    }

    fn put_general(slf: &Bound<'_, Self>, item: Item, block: bool, timeout: Option<f64>) -> PyResult<()> {
        let py = slf.py();
        general(py)?.call_method1(intern!(py, "put"), (slf, item, block, timeout)).map(drop)
    }

    fn get_general(slf: &Bound<'_, Self>, block: bool, timeout: Option<f64>) -> PyResult<Item> {
        let py = slf.py();
        Ok(general(py)?.call_method1(intern!(py, "get"), (slf, block, timeout))?.unbind())
    }
}

impl Queue {
    /// Puts an item if there is room.
    #[inline]
    fn put_at_once<'py>(&self, py: Python<'py>, item: Option<Borrowed<'_, 'py, PyAny>>) -> Answer<'py> {
        let (Some(item), Ok(Some(native))) = (item, self.native()) else { return Answer::Declined };
        let item = item.to_owned().unbind();
        let refused = match native {
            Native::Fifo(queue) => queue.try_put(item).map_err(PutError::into_inner).err(),
            Native::Lifo(queue) => queue.try_put(item).map_err(PutError::into_inner).err(),
            Native::Priority(..) => Some(item),
        };
        let Some(item) = refused else { return Answer::none(py) };
        drop(item.into_bound(py));
        Answer::Declined
    }

    /// Gets an item if there is one.
    #[inline]
    fn get_at_once<'py>(&self, py: Python<'py>) -> Answer<'py> {
        let got = match self.native() {
            Ok(Some(Native::Fifo(queue))) => queue.try_get(),
            Ok(Some(Native::Lifo(queue))) => queue.try_get(),
            _ => return Answer::Declined,
        };
        got.map_or(Answer::Declined, |item| Answer::Returned(item.into_bound(py)))
    }
}

fast::method!(Put, Queue, c"put", "($self, /, item, block=True, timeout=None)", |py, queue, args| {
    match args.flag(1, true) {
        Some(_) if args.is_timeout(2) => queue.put_at_once(py, args.get(0)),
        _ => Answer::Declined,
    }
});

fast::method!(PutNowait, Queue, c"put_nowait", "($self, /, item)", |py, queue, args| {
    if args.get(1).is_some() || args.get(2).is_some() || !queue.own_put.load(Relaxed) {
        return Answer::Declined;
    }
    queue.put_at_once(py, args.get(0))
});

fast::method!(Get, Queue, c"get", "($self, /, block=True, timeout=None)", |py, queue, args| {
    match args.flag(0, true) {
        Some(_) if args.get(2).is_none() && args.is_timeout(1) => queue.get_at_once(py),
        _ => Answer::Declined,
    }
});

fast::method!(GetNowait, Queue, c"get_nowait", "($self, /)", |py, queue, args| {
    if args.is_empty() && queue.own_get.load(Relaxed) { queue.get_at_once(py) } else { Answer::Declined }
});

/// Add the frequent methods to a class that derives from this module's Queue.
#[pyfunction]
pub(crate) fn add_frequent_methods(class: &Bound<'_, PyType>) -> PyResult<()> {
    fast::add_to::<Put>(class)?;
    fast::add_to::<PutNowait>(class)?;
    fast::add_to::<Get>(class)?;
    fast::add_to::<GetNowait>(class)
}

/// Adds the frequent methods.
pub(crate) fn add_fast(py: Python<'_>) -> PyResult<()> {
    fast::add::<Put>(py)?;
    fast::add::<PutNowait>(py)?;
    fast::add::<Get>(py)?;
    fast::add::<GetNowait>(py)
}
