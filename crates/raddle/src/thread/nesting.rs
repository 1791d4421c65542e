//! A bound on how deep user code nests that the toolkit runs by itself.
//!
//! Settling a future runs user code: callbacks, wakers, destructors. That code may settle, cancel or drop the next
//! future, and so on. So that a chain of a million futures does not need a million stack frames, such code runs nested only
//! up to a depth of [`MAX_DEPTH`]. Beyond it, code is deferred and runs, in FIFO order, when the code at that depth has
//! returned. The callbacks of one future stay together and in order.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

/// The maximum depth of nested user code on a thread.
const MAX_DEPTH: u32 = 8;

/// The queue of deferred code is shrunk to this capacity when it is empty.
const MAX_IDLE_CAPACITY: usize = 64;

type Code = Box<dyn FnOnce()>;

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// The code that runs when the code at the maximum depth has returned.
    static DEFERRED: RefCell<VecDeque<Code>> = const { RefCell::new(VecDeque::new()) };
}

/// Runs `code` at once, or, at the maximum depth, when the code at that depth has returned. `code` must not panic.
pub(crate) fn run_nested(code: impl FnOnce() + 'static) {
    if DEPTH.get() < MAX_DEPTH {
        let _level = NestingLevel::enter();
        code();
    } else if let Err(code) = defer(code) {
        code();
    }
}

/// Runs the deferred code, and then `code` at depth zero, on a thread that will never return to the code around it.
pub(crate) fn run_unnested(code: impl FnOnce()) {
    let depth = DEPTH.replace(0);
    drain();
    code();
    DEPTH.set(depth);
}

/// Defers `code`. Returns it if the thread-locals have been destroyed.
fn defer<C: FnOnce() + 'static>(code: C) -> Result<(), C> {
    let mut code = Some(code);
    let _ = DEFERRED.try_with(|deferred| {
        if let Some(code) = code.take() {
            deferred.borrow_mut().push_back(Box::new(code));
        }
    });
    code.map_or(Ok(()), Err)
}

/// Runs the deferred code.
fn drain() {
    let next = || DEFERRED.try_with(|deferred| deferred.borrow_mut().pop_front()).ok().flatten();
    while let Some(code) = next() {
        code();
    }
    let _ = DEFERRED.try_with(|deferred| deferred.borrow_mut().shrink_to(MAX_IDLE_CAPACITY));
}

struct NestingLevel;

impl NestingLevel {
    fn enter() -> Self {
        DEPTH.set(DEPTH.get() + 1);
        Self
    }
}

impl Drop for NestingLevel {
    fn drop(&mut self) {
        let depth = DEPTH.get();
        if depth == MAX_DEPTH {
            drain(); // what this code defers is queued as well
        }
        DEPTH.set(depth - 1);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::{DEPTH, MAX_DEPTH, run_nested, run_unnested};

    fn nest(log: &Rc<RefCell<Vec<u32>>>, level: u32, levels: u32) {
        let inner = log.clone();
        run_nested(move || {
            if level < levels {
                nest(&inner, level + 1, levels);
            }
            inner.borrow_mut().push(level);
        });
    }

    #[test]
    fn code_is_nested_up_to_the_maximum_depth_and_deferred_beyond() {
        let log = Rc::new(RefCell::new(Vec::new()));
        nest(&log, 1, MAX_DEPTH + 3);
        let mut expected: Vec<_> = (MAX_DEPTH..=MAX_DEPTH + 3).collect();
        expected.extend((1..MAX_DEPTH).rev());
        assert_eq!(*log.borrow(), expected);
        assert_eq!(DEPTH.get(), 0);
    }

    #[test]
    fn code_of_an_abandoned_thread_runs_at_depth_zero() {
        fn down(log: Rc<RefCell<Vec<&'static str>>>, left: u32) {
            run_nested(move || {
                if left > 1 {
                    return down(log, left - 1);
                }
                let (queued, at_once) = (log.clone(), log.clone());
                run_nested(move || queued.borrow_mut().push("queued"));
                log.borrow_mut().push("deepest");
                run_unnested(move || run_nested(move || at_once.borrow_mut().push("at once")));
                log.borrow_mut().push("after");
            });
        }
        let log = Rc::new(RefCell::new(Vec::new()));
        down(log.clone(), MAX_DEPTH);
        assert_eq!(*log.borrow(), ["deepest", "queued", "at once", "after"]);
    }
}
