//! A task: a closure and the state of its future, in one allocation.
//!
//! A pool sees a task as a [`Task`] with erased types. It is either run or discarded, once: the thread that
//! [starts](FutureCore::start) the future owns the closure. The task queue contains [`QueuedTask`]s, which may also be
//! closures without a future.

use std::mem::needs_drop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};

use super::small_closure::SmallClosure;
use crate::future::{FutureCore, FutureError, Handle, TaskPanic, Work, run_callbacks};
use crate::raw::Guarded;
use crate::rt::{self, Kind, Op};
use crate::sys::prefetch;
use crate::thread::{drop_guarded, guarded, run_nested};

/// The closure of a task, until it is run or dropped.
///
/// If it is `OWNED`, it borrows nothing, and its destructor may run a little later.
pub(super) struct TaskBody<F, const OWNED: bool = true> {
    closure: Guarded<Option<F>>,
    /// The queue that has a limit and in which it takes up space.
    queue: Option<Box<Weak<dyn LimitedQueue>>>,
}

/// A task queue with a limit.
pub(super) trait LimitedQueue: Send + Sync {
    /// A task in the queue was cancelled: a blocked submission may be accepted.
    fn space_available(self: Arc<Self>);
}

impl<F, const OWNED: bool> TaskBody<F, OWNED> {
    pub(super) fn new(closure: F, queue: Option<Weak<dyn LimitedQueue>>) -> Self {
        Self { closure: Guarded::new(Some(closure)), queue: queue.map(Box::new) }
    }

    /// Takes the closure, unless it has been taken.
    pub(super) fn take(&self) -> Option<F> {
        self.closure.lock().take()
    }
}

const UNRUN_DESTRUCTOR: &str = "the destructor of a task that was not run";

impl<F: Send + 'static, const OWNED: bool> Work for TaskBody<F, OWNED> {
    fn discard(&self) {
        let closure = self.take();
        if let Some(queue) = self.queue.as_ref().and_then(|queue| queue.upgrade()) {
            queue.space_available();
        }
        // Last, and after the release of the lock, since it runs user code.
        if OWNED && needs_drop::<F>() {
            run_nested(move || guarded(UNRUN_DESTRUCTOR, || drop(closure)));
        } else {
            drop_guarded(UNRUN_DESTRUCTOR, closure);
        }
    }
}

/// Is notified of the progress of a task that it runs.
pub(super) trait RunObserver {
    /// The closure has returned, and the future is about to be settled, which runs no user code.
    fn about_to_settle(&self);
    /// The future is settled, and more user code of the task follows: callbacks and destructors.
    fn user_code_follows(&self);
}

/// A task, with its types erased.
pub(super) trait Task: Send + Sync {
    /// Whether the task has not started and is not settled. Otherwise a queue need not keep it.
    fn is_pending(&self) -> bool;

    /// Runs the task, unless it has started or is settled.
    fn run(self: Arc<Self>, observer: &dyn RunObserver);

    /// Fails the future with `error`, if the task has not started.
    fn refuse(self: Arc<Self>, error: FutureError);

    /// Abandons the future of a task whose thread will never return to it.
    fn abandon(self: Arc<Self>);

    /// Cancels the future, if the task has not started.
    fn cancel(self: Arc<Self>);
}

impl<T, F, const OWNED: bool> Task for FutureCore<T, TaskBody<F, OWNED>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    fn is_pending(&self) -> bool {
        FutureCore::is_pending(self)
    }

    fn run(self: Arc<Self>, observer: &dyn RunObserver) {
        rt::point(Op::new(&*self, "Future", Kind::Write).with_verb("runs the task of"));
        if !self.start() {
            return;
        }
        let closure = self.work().take().expect("only the thread that starts a task takes its closure");
        let result = catch_unwind(AssertUnwindSafe(closure))
            .map_err(|payload| FutureError::Panicked(TaskPanic::here(payload)));
        let destructors = std::mem::needs_drop::<T>() || result.is_err();
        rt::point(Op::new(&*self, "Future", Kind::Write).with_verb("settles"));
        observer.about_to_settle();
        let Ok(callbacks) = self.settle(result) else { return };
        if !callbacks.is_empty() || destructors {
            observer.user_code_follows();
        }
        let future: Handle<T> = self;
        run_callbacks(&future, callbacks);
        future.announce_drop();
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

fn settle_failed<T, F, const OWNED: bool>(core: Arc<FutureCore<T, TaskBody<F, OWNED>>>, error: FutureError)
where
    F: Send + 'static,
    T: 'static,
{
    match core.settle(Err(error)) {
        Ok(callbacks) => {
            let future: Handle<T> = core;
            run_callbacks(&future, callbacks);
        }
        Err(_) => core.release_value(), // its thread was in a callback, to which it never returns
    }
}

/// An entry of the task queue: a task with a future, or a closure without one.
pub(super) enum QueuedTask {
    Task(Arc<dyn Task>),
    Closure(SmallClosure),
}

impl QueuedTask {
    /// Whether it has not started and is not settled.
    pub(super) fn is_pending(&self) -> bool {
        match self {
            QueuedTask::Task(task) => task.is_pending(),
            QueuedTask::Closure(_) => true,
        }
    }

    /// Whether it is the task at `address`.
    pub(super) fn is_at(&self, address: usize) -> bool {
        matches!(self, QueuedTask::Task(task) if address_of(task) == address)
    }

    /// Runs it, unless it has started or is settled.
    #[inline]
    pub(super) fn run(self, observer: &dyn RunObserver) {
        match self {
            QueuedTask::Task(task) => task.run(observer),
            QueuedTask::Closure(closure) => {
                if let Err(payload) = catch_unwind(AssertUnwindSafe(|| closure.run())) {
                    FutureError::Panicked(TaskPanic::here(payload)).report_unseen();
                }
            }
        }
    }

    /// Fails it with `error`.
    pub(super) fn refuse(self, error: FutureError) {
        match self {
            QueuedTask::Task(task) => task.refuse(error),
            QueuedTask::Closure(closure) => {
                drop_closure(closure);
                error.report_unseen();
            }
        }
    }

    /// Cancels it.
    pub(super) fn cancel(self) {
        match self {
            QueuedTask::Task(task) => task.cancel(),
            QueuedTask::Closure(closure) => drop_closure(closure),
        }
    }

    /// Prefetches it from the cache of the processor that submitted it.
    pub(super) fn prefetch(&self) {
        if let QueuedTask::Task(task) = self {
            prefetch::prefetch(Arc::as_ptr(task).cast());
        }
    }
}

/// Drops a closure that will not be run. Its destructor may drop the next one.
fn drop_closure(closure: SmallClosure) {
    run_nested(move || guarded(UNRUN_DESTRUCTOR, || drop(closure)));
}

/// The address that identifies a task.
pub(super) fn address_of(task: &Arc<dyn Task>) -> usize {
    Arc::as_ptr(task).cast::<()>() as usize
}

#[cfg(test)]
mod tests {
    use super::QueuedTask;

    #[test]
    fn queued_task_takes_half_a_cache_line() {
        assert_eq!(size_of::<QueuedTask>(), 4 * size_of::<usize>());
    }
}
