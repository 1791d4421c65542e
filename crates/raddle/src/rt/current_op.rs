//! The current operation: recorded by the thread when it reports the operation, and read by the watch when it waits.
//!
//! These are thread-locals rather than parameters because the seam is the futex's: [`wait`](super::wait) has a word, a value
//! and a deadline. Between an operation and its waits lie a wait queue or a `RawMutex`, which serve locks that are not
//! reported at all, and, for a primitive outside this crate, code that is independent of the watch. They are read only while
//! the watch is on.

use std::cell::Cell;

use super::binding::is_unwinding;
use super::op::Op;

/// The operation that a thread reported last.
#[derive(Clone, Copy)]
pub(crate) struct CurrentOp {
    pub(crate) op: Op,
    /// Whether it does not block, or times out at a deadline.
    pub(crate) has_deadline: bool,
}

// Without destructors, so that they can be read until the thread has terminated.
thread_local! {
    static CURRENT: Cell<Option<CurrentOp>> = const { Cell::new(None) };
    static NO_PANIC: Cell<u32> = const { Cell::new(0) };
    static IN_HOOK: Cell<bool> = const { Cell::new(false) };
}

/// Returns the current operation of the calling thread.
pub(crate) fn get() -> Option<CurrentOp> {
    CURRENT.get()
}

/// Sets the current operation of the calling thread.
pub(crate) fn set(op: Op, has_deadline: bool) {
    CURRENT.set(Some(CurrentOp { op, has_deadline }));
}

/// While this lives, the watch does not end a wait of the calling thread by a panic.
#[must_use = "the scope ends when this is dropped"]
pub(crate) struct NoPanicScope;

/// Begins a scope in which the watch does not end a wait of the calling thread by a panic.
pub(crate) fn no_panic_scope() -> NoPanicScope {
    NO_PANIC.set(NO_PANIC.get() + 1);
    NoPanicScope
}

impl Drop for NoPanicScope {
    fn drop(&mut self) {
        NO_PANIC.set(NO_PANIC.get() - 1);
    }
}

/// Returns whether a panic may end a wait of the calling thread. A second panic would abort the process, or meet an exception
/// that a binding makes of the first.
pub(crate) fn may_panic() -> bool {
    NO_PANIC.get() == 0 && !is_unwinding()
}

/// Returns whether the calling thread runs a hook of the watch, whose waits are not watched.
pub(crate) fn in_hook() -> bool {
    IN_HOOK.get()
}

/// Runs a hook of the watch.
pub(crate) fn run_hook<R>(hook: impl FnOnce() -> R) -> R {
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            IN_HOOK.set(false);
        }
    }
    IN_HOOK.set(true);
    let _reset = Reset;
    hook()
}
