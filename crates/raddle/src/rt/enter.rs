//! How a thread comes under a scheduler, and leaves it.

use std::marker::PhantomData;
use std::sync::Arc;

use super::scheduler::Scheduler;
use super::{current, exit, flags, under};

/// Puts the calling thread under `scheduler` until the returned value is dropped.
#[must_use = "the thread leaves the scheduler when this is dropped"]
pub fn enter(scheduler: Arc<dyn Scheduler>) -> Entered {
    let fine = scheduler.fine();
    exit::notice();
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

impl Entered {
    /// Leaves the calling thread under the scheduler until the operating system's thread terminates, which is to be at
    /// once. The thread's locals are dropped under the scheduler, so what their destructors do are steps; then the
    /// thread has terminated for its joiners, too; and then `then` is called.
    ///
    /// The thread has to have come under the scheduler before it did anything else with raddle: what is set up first is
    /// destroyed last.
    pub fn until_terminated(mut self, then: impl FnOnce() + 'static) {
        let (before, fine) = (std::mem::take(&mut self.before), self.fine);
        std::mem::forget(self);
        current::when_terminated(Box::new(move || {
            drop(before);
            under::replace(None);
            flags::lower(fine);
            then();
        }));
    }
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
