//! Which host the calling thread is under, and so which program it belongs to.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::{Arc, Weak};

use super::flags;
use super::program::Program;
use super::scheduler::Scheduler;

static ORDINARY: Program = Program::new();

thread_local! {
    static SCHEDULER: RefCell<Option<Arc<dyn Scheduler>>> = const { RefCell::new(None) };
}

/// The scheduler that took the calling thread, if one did.
pub(super) fn scheduler() -> Option<Arc<dyn Scheduler>> {
    if !flags::exploring() {
        return None;
    }
    SCHEDULER.try_with(|scheduler| scheduler.borrow().clone()).ok().flatten()
}

pub(super) fn replace(with: Option<Arc<dyn Scheduler>>) -> Option<Arc<dyn Scheduler>> {
    SCHEDULER.try_with(|scheduler| scheduler.replace(with)).ok().flatten()
}

/// Runs `f` with the program that the calling thread belongs to.
pub(crate) fn with_program<R>(f: impl FnOnce(&Program) -> R) -> R {
    match scheduler() {
        Some(scheduler) => f(scheduler.program()),
        None => f(ordinary()),
    }
}

/// The program that the calling thread belongs to; `None`: the ordinary one.
pub(super) fn program() -> Option<Weak<Program>> {
    scheduler().map(|scheduler| Arc::downgrade(scheduler.program()))
}

/// The program of all threads that no scheduler has taken.
pub(super) fn ordinary() -> &'static Program {
    ORDINARY.survives_forks();
    &ORDINARY
}

/// Where the scheduler of the calling thread is kept.
pub(super) fn local() -> Range<usize> {
    SCHEDULER.with(|scheduler| {
        let start = std::ptr::from_ref(scheduler).addr();
        start..start + size_of_val(scheduler)
    })
}
