//! A bound on the stack that settling needs, however long a chain of futures is.
//!
//! Settling a future runs code of the user's: callbacks, wakers, destructors. That code may settle, cancel or drop the
//! next future, and so on. So that a million of them do not need a million frames, code that is due because of other
//! such code of the same thread runs at once only up to a depth of [`DEEPEST`]. What is due deeper down is queued and run, first
//! in, first out, when the code at that depth has returned. What one future owes stays together and in order.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

/// How many calls of the user's code may be nested in each other in one thread.
const DEEPEST: u32 = 8;

/// A burst's memory is given back when it is over, if it was larger than this.
const KEPT: usize = 64;

type Code = Box<dyn FnOnce()>;

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// What is due when the code at the greatest depth has returned.
    static LATER: RefCell<VecDeque<Code>> = const { RefCell::new(VecDeque::new()) };
}

/// Runs `code`, which does not panic: at once, or, if it is nested too deep, when the code around it has returned.
pub(crate) fn shallow(code: impl FnOnce() + 'static) {
    if DEPTH.get() < DEEPEST {
        let _level = Level::enter();
        code();
    } else if let Err(code) = defer(code) {
        code();
    }
}

/// Runs `code` as if nothing were around it, for a thread that will not come back to what is: what was due there is
/// run first.
pub(crate) fn afresh(code: impl FnOnce()) {
    let depth = DEPTH.replace(0);
    drain();
    code();
    DEPTH.set(depth);
}

/// Fails if the thread's locals are gone.
fn defer<C: FnOnce() + 'static>(code: C) -> Result<(), C> {
    let mut code = Some(code);
    let _ = LATER.try_with(|later| {
        if let Some(code) = code.take() {
            later.borrow_mut().push_back(Box::new(code));
        }
    });
    code.map_or(Ok(()), Err)
}

fn drain() {
    let next = || LATER.try_with(|later| later.borrow_mut().pop_front()).ok().flatten();
    while let Some(code) = next() {
        code();
    }
    let _ = LATER.try_with(|later| later.borrow_mut().shrink_to(KEPT));
}

struct Level;

impl Level {
    fn enter() -> Self {
        DEPTH.set(DEPTH.get() + 1);
        Self
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        let depth = DEPTH.get();
        if depth == DEEPEST {
            drain(); // what becomes due meanwhile is queued as well
        }
        DEPTH.set(depth - 1);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::{DEEPEST, DEPTH, afresh, shallow};

    fn nest(log: &Rc<RefCell<Vec<u32>>>, level: u32, levels: u32) {
        let inner = log.clone();
        shallow(move || {
            if level < levels {
                nest(&inner, level + 1, levels);
            }
            inner.borrow_mut().push(level);
        });
    }

    #[test]
    fn code_is_nested_up_to_the_greatest_depth_and_queued_beyond() {
        let log = Rc::new(RefCell::new(Vec::new()));
        nest(&log, 1, DEEPEST + 3);
        let mut expected: Vec<_> = (DEEPEST..=DEEPEST + 3).collect();
        expected.extend((1..DEEPEST).rev());
        assert_eq!(*log.borrow(), expected);
        assert_eq!(DEPTH.get(), 0);
    }

    #[test]
    fn what_a_thread_will_not_come_back_to_is_run_afresh() {
        fn down(log: Rc<RefCell<Vec<&'static str>>>, left: u32) {
            shallow(move || {
                if left > 1 {
                    return down(log, left - 1);
                }
                let (queued, at_once) = (log.clone(), log.clone());
                shallow(move || queued.borrow_mut().push("queued"));
                log.borrow_mut().push("deepest");
                afresh(move || shallow(move || at_once.borrow_mut().push("at once")));
                log.borrow_mut().push("after");
            });
        }
        let log = Rc::new(RefCell::new(Vec::new()));
        down(log.clone(), DEEPEST);
        assert_eq!(*log.borrow(), ["deepest", "queued", "at once", "after"]);
    }
}
