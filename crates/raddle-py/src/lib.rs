//! The extension module `raddle._raddle`: the toolkit's primitives as Python classes.
//!
//! A class is in the module of its name. `seam` is the only module that blocks, and the only one that gives up the
//! interpreter: a thread never waits for another thread while it is attached to the interpreter, and no Python code runs
//! while a primitive is locked internally.

#![allow(clippy::doc_markdown, reason = "the documentation of classes and methods is shown by Python")]
#![allow(clippy::needless_pass_by_value, reason = "arguments come from Python by value")]

mod call;
mod completion;
mod condition;
mod deprecated;
mod ending;
mod event;
mod explore;
mod fast;
mod future;
mod limit;
mod lines;
mod lock;
mod number;
mod pool;
mod priority;
mod queue;
mod repr;
mod rlock;
mod seam;
mod semaphore;
mod simple_queue;
mod text;
mod thread;
mod unwinding;
mod watch;
mod watcher;

use pyo3::prelude::*;

#[pymodule(gil_used = false)]
fn _raddle(module: &Bound<'_, PyModule>) -> PyResult<()> {
    seam::hide_carried_panics();
    ending::watch_interpreter(module)?;
    module.add_class::<lock::Lock>()?;
    module.add_class::<rlock::RLock>()?;
    module.add_class::<condition::Condition>()?;
    module.add_class::<event::Event>()?;
    module.add_class::<semaphore::Semaphore>()?;
    module.add_class::<semaphore::BoundedSemaphore>()?;
    module.add_class::<simple_queue::SimpleQueue>()?;
    module.add_class::<queue::Queue>()?;
    module.add_class::<future::Future>()?;
    module.add_class::<pool::Tasks>()?;
    module.add_class::<watcher::Completed>()?;
    module.add_function(wrap_pyfunction!(completion::wait_for, module)?)?;
    module.add_function(wrap_pyfunction!(completion::watch, module)?)?;
    module.add_function(wrap_pyfunction!(completion::unwatch, module)?)?;
    module.add_function(wrap_pyfunction!(pool::close_pools, module)?)?;
    module.add_function(wrap_pyfunction!(pool::is_unwinding, module)?)?;
    module.add_class::<thread::ThreadRecord>()?;
    module.add_function(wrap_pyfunction!(watch::watch_start, module)?)?;
    module.add_function(wrap_pyfunction!(watch::watch_is_on, module)?)?;
    module.add_function(wrap_pyfunction!(watch::dump, module)?)?;
    module.add_function(wrap_pyfunction!(watch::dump_on_sigquit, module)?)?;
    module.add_function(wrap_pyfunction!(seam::after_fork_in_child, module)?)?;
    explore::add_to(module)?;
    module.add_function(wrap_pyfunction!(lines::toolkit_files, module)?)?;
    module.add_function(wrap_pyfunction!(queue::add_frequent_methods, module)?)?;
    lock::add_fast(module.py())?;
    rlock::add_fast(module.py())?;
    event::add_fast(module.py())?;
    simple_queue::add_fast(module.py())?;
    queue::add_fast(module.py())?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))
}

/// Python aligns its objects to 16 bytes.
const fn fits<T>() {
    assert!(align_of::<T>() <= 16, "keep a part of the class in a box");
}

const _: () = {
    fits::<lock::Lock>();
    fits::<rlock::RLock>();
    fits::<event::Event>();
    fits::<semaphore::Semaphore>();
    fits::<simple_queue::SimpleQueue>();
    fits::<queue::Queue>();
    fits::<condition::Condition>();
    fits::<future::Future>();
    fits::<pool::Tasks>();
    fits::<watcher::Completed>();
    fits::<thread::ThreadRecord>();
};
