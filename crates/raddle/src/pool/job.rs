//! What waits in a pool: a task with a future, or a closure without one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::chore::Chore;
use super::task::{Floor, Task};
use crate::future::{FutureError, TaskPanic};
use crate::sys::prefetch;
use crate::thread::guarded;

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
