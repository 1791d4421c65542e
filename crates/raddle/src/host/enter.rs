//! How a thread comes under a scheduler, and leaves it.

use std::marker::PhantomData;
use std::sync::Arc;

use super::scheduler::Scheduler;
use super::{current, flags};

/// Puts the calling thread under `scheduler` until the returned value is dropped.
#[must_use = "the thread leaves the scheduler when this is dropped"]
pub fn enter(scheduler: Arc<dyn Scheduler>) -> Entered {
    let fine = scheduler.fine();
    flags::raise(fine);
    Entered { before: current::become_under(scheduler), fine, not_send: PhantomData }
}

/// Says that the calling thread is under a [`Scheduler`]; dropping it leaves.
///
/// It stays on its thread, whose identity it gives back.
pub struct Entered {
    before: current::Identity,
    fine: bool,
    not_send: PhantomData<*const ()>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        current::become_again(std::mem::take(&mut self.before));
        flags::lower(self.fine);
    }
}

impl std::fmt::Debug for Entered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entered").field("fine", &self.fine).finish_non_exhaustive()
    }
}
