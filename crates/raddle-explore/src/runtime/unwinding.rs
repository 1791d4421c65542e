//! How the threads of an execution that is over come to an end: one after the other they are unwound.

use std::panic::resume_unwind;
use std::sync::MutexGuard;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use raddle::rt::Abandoned;

use super::current::NO_TASK;
use super::execution::Execution;
use super::os_threads::park_forever;
use super::run_token::{Predicate, evaluate};
use super::state::ExecutionState;

/// Whoever was told so often to unwind and goes on never will, and is let go on as often.
const OFTEN: usize = 100;

impl Execution {
    /// The calling thread is to leave. Returns if it is being unwound already, and its step can succeed.
    pub(super) fn unwind_task(&self, me: usize, ready: Predicate<'_>) {
        loop {
            // Its locals are those of the thread that has the baton, so this is asked without the lock.
            let enabled = ready.is_none_or(evaluate);
            let mut state = self.lock();
            state.poll_round = None;
            let stays = Self::cannot_unwind();
            let unwind_attempts = state.tasks[me].unwind_attempts;
            // Who caught it that often waits for others on its way, whom only its waiting lets go on.
            if enabled && (stays || (OFTEN..2 * OFTEN).contains(&unwind_attempts)) {
                state.tasks[me].unwind_attempts += usize::from(!stays);
                state.stalled = 0;
                return;
            }
            let all_stalled = state.stalled > state.tasks.len();
            // Who caught it and waits again may wait for others that are still to leave.
            if !stays && unwind_attempts < OFTEN && (unwind_attempts == 0 || enabled || all_stalled) {
                state.tasks[me].unwind_attempts += 1;
                state.stalled = 0;
                drop(state);
                resume_unwind(Box::new(Abandoned));
            }
            if all_stalled {
                self.abandon_execution(state);
            }
            state.stalled += 1;
            let state = self.pass_to_unfinished(state, me);
            drop(self.await_token(state, me));
        }
    }

    /// Gives the baton to the next that has not come to an end yet; nobody: the execution is over.
    pub(super) fn pass_to_unfinished<'a>(
        &'a self,
        mut state: MutexGuard<'a, ExecutionState>,
        me: usize,
    ) -> MutexGuard<'a, ExecutionState> {
        if self.blocked_outside.load(Relaxed) != NO_TASK {
            state.token_holder = NO_TASK;
            return state;
        }
        let count = state.tasks.len();
        let next = (1..=count).map(|step| (me + step) % count).find(|&next| !state.tasks[next].is_finished());
        if let Some(next) = next {
            return self.pass_to(state, next);
        }
        self.end_execution(state);
        self.lock()
    }

    /// For whoever watches: unwinds `other` while `blocked_outside`, which has the baton, is blocked outside the toolkit. Returns
    /// when `other` has come to its end or waits for somebody, or after a moment.
    #[expect(clippy::disallowed_methods, reason = "this is below the seam")]
    pub(crate) fn unwind_beside(&self, blocked_outside: usize, other: usize) {
        let state = self.lock();
        let begun = state.tasks[other].os_thread.is_some() && !state.tasks[other].is_finished();
        if !begun || !state.ending {
            return;
        }
        self.blocked_outside.store(blocked_outside, Relaxed);
        drop(self.pass_to(state, other));
        for _ in 0..50 {
            std::thread::sleep(Duration::from_millis(1));
            if self.lock().token_holder == NO_TASK {
                return;
            }
        }
    }

    /// Keeps the calling thread if it was blocked, was given up, and goes on now: it is not its turn.
    pub(super) fn park_if_abandoned(&self, me: usize) {
        if self.blocked_outside.load(Relaxed) == me {
            park_forever();
        }
    }

    fn end_execution(&self, mut state: MutexGuard<'_, ExecutionState>) {
        state.finished = true;
        drop(state); // the searcher would only have to wait for it
        self.search_thread.unpark();
    }

    /// Those who are left wait for each other, or for what is no more. They keep their threads for ever; the others
    /// go on without them.
    fn abandon_execution(&self, state: MutexGuard<'_, ExecutionState>) -> ! {
        if std::thread::current().id() == self.search_thread.id() {
            self.monitor.lose_search_thread();
        }
        self.end_execution(state);
        park_forever()
    }
}
