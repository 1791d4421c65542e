//! Which task the calling thread of the operating system runs.

use std::cell::Cell;
use std::ops::Range;

use super::panic_hook::{self, range_of};

/// The actor that runs the program's closure: its main thread.
pub(super) const MAIN: usize = 0;

/// No actor.
pub(super) const NO_TASK: usize = usize::MAX;

thread_local! {
    /// Which actor the calling thread is.
    pub(super) static CURRENT: Cell<usize> = const { Cell::new(0) };
    /// In which execution the calling thread was asked, as which actor, whether it is a daemon.
    pub(super) static ANNOUNCED: Cell<(u64, usize)> = const { Cell::new((0, 0)) };
    /// The calling thread evaluates a predicate, which is not a step.
    pub(super) static EVALUATING: Cell<bool> = const { Cell::new(false) };
    /// The calling thread has run its function, and must not be unwound any more: it drops its locals, or ends.
    pub(super) static BODY_DONE: Cell<bool> = const { Cell::new(false) };
}

/// Where the explorer keeps what it knows of the calling thread.
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
