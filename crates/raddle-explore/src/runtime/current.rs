//! Which task the calling OS thread runs.

use std::cell::Cell;
use std::ops::Range;

use super::panic_hook::{self, range_of};

/// The main task, which runs the program's closure.
pub(super) const MAIN: usize = 0;

/// No task.
pub(super) const NO_TASK: usize = usize::MAX;

thread_local! {
    /// The task that the calling thread runs.
    pub(super) static CURRENT: Cell<usize> = const { Cell::new(0) };
    /// The execution and the task for which the calling thread has declared whether it is a daemon.
    pub(super) static ANNOUNCED: Cell<(u64, usize)> = const { Cell::new((0, 0)) };
    /// The calling thread evaluates a predicate, which is not a step.
    pub(super) static EVALUATING: Cell<bool> = const { Cell::new(false) };
    /// The calling thread has returned from the task's function and must not be unwound: it drops its thread-locals.
    pub(super) static BODY_DONE: Cell<bool> = const { Cell::new(false) };
}

/// The addresses of the explorer's own thread-locals in the calling thread.
pub(crate) fn own_locals() -> [Range<usize>; 7] {
    let [a, b, c] = panic_hook::locals();
    [
        CURRENT.with(range_of),
        ANNOUNCED.with(range_of),
        EVALUATING.with(range_of),
        BODY_DONE.with(range_of),
        a,
        b,
        c,
    ]
}
