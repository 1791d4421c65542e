//! Threads that the interpreter ends.
//!
//! Before Python 3.14, a daemon thread that needs the interpreter after its end has begun is terminated by `pthread_exit`, in the
//! middle of any Python code. glibc then unwinds the stack of the thread. Frames of Rust cannot be unwound so: the process
//! aborts, or destructors use an interpreter that the thread does not have. Python code runs above frames of this module
//! in callbacks, comparisons, finalizers and many more places, most of them inside PyO3.
//!
//! Such a thread is therefore parked forever before its first frame is unwound. Python 3.14 parks every thread in this way.
//! glibc calls the cleanup handlers of a thread as the unwinding leaves the part of the stack in which they were registered, and
//! compares addresses to find that out. A handler that was registered outside the stack is called at once.
//!
//! Other C libraries do not unwind the stack in `pthread_exit`.

use std::cell::{Cell, RefCell};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use pyo3::intern;
use pyo3::prelude::*;

use handler::Handler;

/// Whether the interpreter is about to end.
static ENDS: AtomicBool = AtomicBool::new(false);

static ENDS_WAITS: AtomicBool = AtomicBool::new(false);

#[pyfunction]
fn interpreter_ends() {
    ENDS.store(true, Relaxed);
}

/// Whether the interpreter, while it ends, ends the waits of its last thread.
pub(crate) fn ends_waits() -> bool {
    ENDS_WAITS.load(Relaxed)
}

/// Returns what a wait raises while the interpreter ends, since 3.15: no other thread can end the wait then. Before 3.15, nothing.
pub(crate) fn error_of_wait(py: Python<'_>) -> PyResult<Option<PyErr>> {
    if py.version_info() < (3, 15) {
        return Ok(None);
    }
    let error = py.import(intern!(py, "builtins"))?.getattr(intern!(py, "PythonFinalizationError"))?;
    Ok(Some(PyErr::from_value(error.call1(("cannot acquire lock at interpreter finalization",))?)))
}

/// Has the interpreter state its end.
pub(crate) fn watch_interpreter(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    ENDS_WAITS.store(py.version_info() >= (3, 15), Relaxed);
    let ends = wrap_pyfunction!(interpreter_ends, py)?;
    py.import(intern!(py, "atexit"))?.call_method1(intern!(py, "register"), (ends,)).map(drop)
}

thread_local! {
    static IS_PROTECTED: Cell<bool> = const { Cell::new(false) };
    static OF_THREAD: RefCell<Option<Protection>> = const { RefCell::new(None) };
}

/// Prepares the calling thread, until it terminates, for its end by the interpreter. Precedes what may run Python code.
#[inline]
pub(crate) fn protect_thread() {
    if !IS_PROTECTED.get() {
        protect_unprotected_thread();
    }
}

#[cold]
fn protect_unprotected_thread() {
    // Without the thread-local, the thread has left Python for good.
    let _ = OF_THREAD.try_with(|of_thread| *of_thread.borrow_mut() = Some(Protection::new()));
}

/// Prepares the calling thread, while it lives, for its end by the interpreter.
pub(crate) struct Protection {
    _handler: Handler,
    outer: bool,
}

impl Protection {
    pub(crate) fn new() -> Self {
        Self { _handler: Handler::register(), outer: IS_PROTECTED.replace(true) }
    }
}

impl Drop for Protection {
    fn drop(&mut self) {
        IS_PROTECTED.set(self.outer);
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod handler {
    use std::cell::UnsafeCell;
    use std::ffi::{c_int, c_void};
    use std::ptr::null_mut;
    use std::sync::atomic::Ordering::Relaxed;

    use super::ENDS;

    /// `struct _pthread_cleanup_buffer` of `pthread.h`.
    #[repr(C)]
    struct Buffer {
        routine: Option<extern "C" fn(*mut c_void)>,
        argument: *mut c_void,
        cancel_type: c_int,
        previous: *mut Self,
    }

    // What the macros of `pthread.h` called before they used `setjmp`.
    unsafe extern "C" {
        fn _pthread_cleanup_push(
            buffer: *mut Buffer,
            routine: extern "C" fn(*mut c_void),
            argument: *mut c_void,
        );
        fn _pthread_cleanup_pop(buffer: *mut Buffer, execute: c_int);
        safe fn pause() -> c_int;
    }

    /// A cleanup handler of the calling thread that parks it, registered while this value lives.
    pub(super) struct Handler(Box<UnsafeCell<Buffer>>);

    impl Handler {
        pub(super) fn register() -> Self {
            let buffer = Buffer { routine: None, argument: null_mut(), cancel_type: 0, previous: null_mut() };
            let handler = Self(Box::new(UnsafeCell::new(buffer)));
            // SAFETY: the buffer stays at its address until it is removed from the list of this thread: the value owns the box,
            // and cannot be sent to another thread, because of the pointers.
            unsafe { _pthread_cleanup_push(handler.0.get(), park, null_mut()) };
            handler
        }
    }

    impl Drop for Handler {
        fn drop(&mut self) {
            // SAFETY: it was registered by this thread, and what was registered later has been removed.
            unsafe { _pthread_cleanup_pop(self.0.get(), 0) };
        }
    }

    /// Parks the thread forever if the interpreter is ending. Otherwise something else terminates the thread.
    extern "C" fn park(_: *mut c_void) {
        while ENDS.load(Relaxed) {
            pause();
        }
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod handler {
    /// Nothing is to be done.
    pub(super) struct Handler;

    impl Handler {
        pub(super) fn register() -> Self {
            Self
        }
    }
}
