//! One task: a closure and its future, in one allocation, as the pool sees it.

use std::mem::needs_drop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};

use super::small_closure::Chore;
use crate::future::{Core, FutureError, Handle, TaskPanic, Work, call_back, shallow};
use crate::raw::Guarded;
use crate::rt::{self, Kind, Op};
use crate::sys::prefetch;
use crate::thread::{drop_guarded, guarded};

/// The closure, until it is run or dropped. `OWNED`: it borrows nothing, and may be dropped a little later.
pub(super) struct Slot<F, const OWNED: bool = true> {
    closure: Guarded<Option<F>>,
    /// Where it takes up room.
    queue: Option<Box<Weak<dyn Queue>>>,
}

/// The queue in which a task waits, with room for so many.
pub(super) trait Queue: Send + Sync {
    /// A task in it will not be run: somebody may be let in who waits for room.
    fn has_room(self: Arc<Self>);
}

impl<F, const OWNED: bool> Slot<F, OWNED> {
    pub(super) fn new(closure: F, queue: Option<Weak<dyn Queue>>) -> Self {
        Self { closure: Guarded::new(Some(closure)), queue: queue.map(Box::new) }
    }

    pub(super) fn take(&self) -> Option<F> {
        self.closure.lock().take()
    }
}

const DISCARDED: &str = "the destructor of a task that was not run";

impl<F: Send + 'static, const OWNED: bool> Work for Slot<F, OWNED> {
    fn discard(&self) {
        let closure = self.take();
        if let Some(queue) = self.queue.as_ref().and_then(|queue| queue.upgrade()) {
            queue.has_room();
        }
        // Last, and after the lock is released: it is the user's code.
        if OWNED && needs_drop::<F>() {
            shallow(move || guarded(DISCARDED, || drop(closure)));
        } else {
            drop_guarded(DISCARDED, closure);
        }
    }
}

/// Whoever runs a task, told how far it is.
pub(super) trait Floor {
    /// Nothing of the task's is left but to settle its future, which takes no time.
    fn nearly_over(&self);
    /// But more of the user's code runs after that.
    fn not_over_yet(&self);
}

/// A task whose types are forgotten.
pub(super) trait Task: Send + Sync {
    /// It waits to be run; otherwise there is nothing more to do with it.
    fn is_pending(&self) -> bool;

    /// Runs it, unless somebody else does or it was cancelled.
    fn run(self: Arc<Self>, floor: &dyn Floor);

    /// Settles the future with `error` instead, if the task has not started.
    fn refuse(self: Arc<Self>, error: FutureError);

    /// Settles the future of a task whose thread will not come back.
    fn abandon(self: Arc<Self>);

    fn cancel(self: Arc<Self>);
}

impl<T, F, const OWNED: bool> Task for Core<T, Slot<F, OWNED>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    fn is_pending(&self) -> bool {
        Core::is_pending(self)
    }

    fn run(self: Arc<Self>, floor: &dyn Floor) {
        rt::point(Op::new(&*self, "Future", Kind::Write).with_verb("runs the task of"));
        if !self.start() {
            return;
        }
        let closure = self.work().take().expect("who starts a task is the only one to take its closure");
        let result = catch_unwind(AssertUnwindSafe(closure))
            .map_err(|payload| FutureError::Panicked(TaskPanic::here(payload)));
        let destructors = std::mem::needs_drop::<T>() || result.is_err();
        rt::point(Op::new(&*self, "Future", Kind::Write).with_verb("settles"));
        floor.nearly_over();
        let Ok(callbacks) = self.settle(result) else { return };
        if !callbacks.is_empty() || destructors {
            floor.not_over_yet();
        }
        if !callbacks.is_empty() {
            let future: Handle<T> = self;
            call_back(&future, callbacks);
        }
    }

    fn refuse(self: Arc<Self>, error: FutureError) {
        if self.start() {
            self.work().discard();
            settle_failed(self, error);
        }
    }

    fn abandon(self: Arc<Self>) {
        settle_failed(self, FutureError::Abandoned);
    }

    fn cancel(self: Arc<Self>) {
        let future: Handle<T> = self;
        future.cancel();
    }
}

fn settle_failed<T, F, const OWNED: bool>(core: Arc<Core<T, Slot<F, OWNED>>>, error: FutureError)
where
    F: Send + 'static,
    T: 'static,
{
    match core.settle(Err(error)) {
        Ok(callbacks) => {
            let future: Handle<T> = core;
            call_back(&future, callbacks);
        }
        Err(_) => core.let_go(), // it was in a callback, which will not come back
    }
}

pub(super) enum Job {
    Task(Arc<dyn Task>),
    Chore(Chore),
}

impl Job {
    /// It waits to be run; otherwise there is nothing more to do with it.
    pub(super) fn is_pending(&self) -> bool {
        match self {
            Job::Task(task) => task.is_pending(),
            Job::Chore(_) => true,
        }
    }

    /// Whether it is the task that lies at `address`.
    pub(super) fn is_at(&self, address: usize) -> bool {
        matches!(self, Job::Task(task) if address_of(task) == address)
    }

    /// Runs it, unless somebody else does or it was cancelled.
    #[inline]
    pub(super) fn run(self, floor: &dyn Floor) {
        match self {
            Job::Task(task) => task.run(floor),
            Job::Chore(chore) => {
                if let Err(payload) = catch_unwind(AssertUnwindSafe(|| chore.run())) {
                    FutureError::Panicked(TaskPanic::here(payload)).report_unseen();
                }
            }
        }
    }

    /// Will not run it, because of `error`.
    pub(super) fn refuse(self, error: FutureError) {
        match self {
            Job::Task(task) => task.refuse(error),
            Job::Chore(chore) => {
                guarded("the destructor of a task that was not run", || drop(chore));
                error.report_unseen();
            }
        }
    }

    /// Will not run it, as somebody wanted.
    pub(super) fn cancel(self) {
        match self {
            Job::Task(task) => task.cancel(),
            Job::Chore(chore) => guarded("the destructor of a task that was not run", || drop(chore)),
        }
    }

    /// It will be wanted soon, and comes from another processor's cache.
    pub(super) fn prefetch(&self) {
        if let Job::Task(task) = self {
            prefetch::prefetch(Arc::as_ptr(task).cast());
        }
    }
}

/// By which a task is known.
pub(super) fn address_of(task: &Arc<dyn Task>) -> usize {
    Arc::as_ptr(task).cast::<()>() as usize
}

#[cfg(test)]
mod tests {
    use super::Job;

    #[test]
    fn it_takes_up_half_a_line_of_cache() {
        assert_eq!(size_of::<Job>(), 4 * size_of::<usize>());
    }
}
