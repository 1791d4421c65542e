//! What a worker's seat is to others: to the task that it runs, to those who wait in it, and at the thread's end.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::state::Blocked;
use super::task::{Floor, Task};
use super::worker::{LEFT, STARTING, Seat};
use crate::future::{Crew, afresh};
use crate::raw::Waiter;
use crate::rt::Duty;
use crate::thread::guarded;

impl Floor for Seat {
    fn nearly_over(&self) {
        if self.shared.begins_to_finish() {
            self.finishing.store(true, Relaxed);
        }
    }

    fn not_over_yet(&self) {
        if self.stop_finishing() {
            // A task may have come that counted on this worker.
            self.change(|state, after| state.summon(self.shared.finishing(), after));
        }
    }
}

impl Crew for Seat {
    fn block(&self, waiter: &Arc<Waiter>, task: usize) {
        self.change(|state, after| {
            state.blocked.push(Blocked { waiter: waiter.clone(), task });
            state.release_stuck(after);
        });
    }

    fn unblock(&self, waiter: &Arc<Waiter>) {
        if self.shared.is_an_ancestors() {
            return;
        }
        self.shared.state.lock().blocked.retain(|blocked| !Arc::ptr_eq(&blocked.waiter, waiter));
    }

    fn runs(&self, address: usize) -> bool {
        let is = |task: *const dyn Task| task.cast::<()>() as usize == address;
        let outer = self.runs.lock().as_ref().is_some_and(|task| is(task.as_ptr()));
        outer || self.within.lock().iter().any(|task| is(Arc::as_ptr(task)))
    }

    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

impl Duty for Seat {
    /// The thread is over, or has called `exit` in the middle of a task and will not come back.
    fn abandon(&self) {
        // In a thread that called `exit`, a frame that is never left holds the task: the weak reference works.
        let runs = self.runs.lock().take();
        let outer = runs.and_then(|task| task.upgrade());
        let within = std::mem::take(&mut *self.within.lock());
        for task in outer.into_iter().chain(within) {
            afresh(|| guarded("a task that called exit", || task.abandon())); // its frames are never left
        }
        self.change(|state, after| {
            state.alive -= 1;
            let stage = self.stage.load(Relaxed);
            self.leave(state);
            if stage == STARTING {
                state.break_down(&"its initializer ended the thread".into(), after);
            }
            if stage != LEFT {
                state.summon(self.shared.finishing(), after);
                state.release_stuck(after);
            }
            state.conclude(after);
        });
    }
}
