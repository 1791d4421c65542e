//! What is decided under a pool's lock and done when it is let go: waking threads and running the user's code.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::job::Job;
use super::lanes::Priority;
use crate::future::{DEADLOCK, FutureError, SETTLED};
use crate::raw::Waiter;
use crate::rt::Obligation;
use crate::watch::{say_of_pool, stuck_pool};

pub(super) enum Step {
    Tell(Arc<Waiter>, u32),
    Refuse(Job, FutureError),
    Cancel(Job),
}

/// What remains to be done when the lock is let go.
#[derive(Default)]
pub(super) struct After {
    pub(super) steps: Vec<Step>,
    pub(super) over: Option<Obligation>,
    /// How many workers must be started, which are counted already.
    pub(super) hire: usize,
}

impl After {
    /// Has a caller told, who is out of the door now.
    pub(super) fn answer(&mut self, knock: &Arc<Knock>, answer: u32) {
        knock.answer.store(answer, Relaxed);
        self.steps.push(Step::Tell(knock.waiter.clone(), SETTLED));
    }
}

/// Somebody knocks at the door: waits with a task until there is room for it.
pub(super) struct Knock {
    pub(super) waiter: Arc<Waiter>,
    /// Changed under the pool's lock, once, when the caller is let in or turned away.
    pub(super) answer: AtomicU32,
}

/// Answers to a knock.
pub(super) const NONE_YET: u32 = 0;
pub(super) const LET_IN: u32 = 1;
pub(super) const REFUSED: u32 = 2;
pub(super) const NO_WORKER: u32 = 3;

/// Who knocks, and with what.
pub(super) struct Caller {
    pub(super) knock: Arc<Knock>,
    pub(super) task: Job,
    pub(super) priority: Priority,
}

/// Ends a wait of the pool for itself, unless that has ended by itself.
pub(super) fn break_up(pool: u64, waiter: &Waiter) {
    let report = stuck_pool(pool); // while all of them wait
    if waiter.try_notify(DEADLOCK)
        && let Some(report) = report
    {
        say_of_pool(&report);
    }
}
