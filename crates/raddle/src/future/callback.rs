//! Who wants to hear that a future is settled.
//!
//! A bound on the stack that settling needs, however long a chain of futures is.
//!
//! Settling a future runs code of the user's: callbacks, wakers, destructors. That code may settle, cancel or drop the
//! next future, and so on. So that a million of them do not need a million frames, code that is due because of other
//! such code of the same thread runs at once only up to a depth of [`DEEPEST`]. What is due deeper down is queued and run, first
//! in, first out, when the code at that depth has returned. What one future owes stays together and in order.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use crate::raw::Waiter;
use crate::thread::guarded;

/// Verdicts of a [`Waiter`] that waits for futures.
pub(crate) const SETTLED: u32 = 0;
/// The wait would never end.
pub(crate) const DEADLOCK: u32 = 1;

/// Somebody who waits for several futures at once, or must not sleep on the future's own word.
pub(crate) trait Watch: Send + Sync {
    /// The future that was registered with `place` is settled; `failed`: by anything but a value or `cancel`.
    fn settled(&self, place: usize, failed: bool);
}

impl Watch for Waiter {
    fn settled(&self, _: usize, _: bool) {
        self.notify(SETTLED);
    }
}

/// One listener; `C` is a done-callback.
pub(super) enum Listener<C> {
    Watch(Arc<dyn Watch>, usize),
    Waker(u64, Waker),
    Callback(C),
}

/// Those who listen to one future: mostly nobody, so that it takes no more than a pointer.
pub(super) struct Listeners<C>(Option<Box<List<C>>>);

struct List<C> {
    all: Vec<Listener<C>>,
}

impl<C> Listeners<C> {
    pub(super) const NONE: Self = Self(None);

    pub(super) fn push(&mut self, listener: Listener<C>) {
        self.0.get_or_insert_with(|| Box::new(List { all: Vec::new() })).all.push(listener);
    }

    pub(super) fn all(&self) -> &[Listener<C>] {
        self.0.as_ref().map_or(&[], |list| &list.all)
    }

    pub(super) fn all_mut(&mut self) -> &mut [Listener<C>] {
        self.0.as_mut().map_or(&mut [], |list| &mut list.all)
    }

    /// Takes out the first one that `is` says yes to.
    pub(super) fn remove(&mut self, is: impl FnMut(&Listener<C>) -> bool) -> Option<Listener<C>> {
        let list = self.0.as_mut()?;
        let place = list.all.iter().position(is)?;
        Some(list.all.remove(place))
    }

    /// Takes out all, if there are any.
    pub(super) fn take(&mut self) -> Option<Vec<Listener<C>>> {
        self.0.take().map(|list| list.all)
    }
}

/// Tells everyone who sleeps, and returns the callbacks in their order.
pub(super) fn tell<C>(listeners: Vec<Listener<C>>, failed: bool) -> Vec<C> {
    let mut callbacks = Vec::new();
    for listener in listeners {
        match listener {
            Listener::Watch(watch, place) => watch.settled(place, failed),
            Listener::Waker(_, waker) => shallow(move || guarded("a waker", || waker.wake())),
            Listener::Callback(callback) => callbacks.push(callback),
        }
    }
    callbacks
}

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
