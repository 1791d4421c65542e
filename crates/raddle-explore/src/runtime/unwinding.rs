//! How the tasks of an execution that has ended terminate: they are unwound one after the other.
//!
//! The token goes round robin through the tasks that have not terminated. A task is unwound by a panic with
//! [`Abandoned`] as payload. A destructor may still use the toolkit: its step is taken if it is enabled, and otherwise
//! the token is passed on.
//!
//! A binding for another language carries the panic through frames of that language as an exception
//! ([`rt::Unwinding`](raddle::rt::Unwinding)). Meanwhile the steps of the task are those of destructors, too, but another
//! panic does not abort the process, so that the task is unwound again where it would block forever.
//!
//! Termination: a task that catches the panic is unwound up to [`MAX_ATTEMPTS`] times, and its steps succeed as many
//! times after that. A task whose panic is carried takes at most [`MAX_CARRIED_STEPS`] steps in between. When every
//! remaining task has passed the token on once without progress, they are abandoned.

use std::panic::resume_unwind;
use std::sync::MutexGuard;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use raddle::rt::{self, Abandoned};

use super::execution::Execution;
use super::os_threads::park_forever;
use super::run_token::{Predicate, evaluate};
use super::state::ExecutionState;
use super::task::{MAIN, NO_TASK};

/// The number of attempts to unwind a task that catches them. After that, as many further steps of the task may
/// succeed.
const MAX_ATTEMPTS: usize = 100;

/// A task whose panic a binding carries takes so many steps before it is unwound again: it has caught the exception.
const MAX_CARRIED_STEPS: usize = 10_000;

impl Execution {
    /// Unwinds the calling task. Returns if the task is being unwound already and its step is enabled.
    pub(super) fn unwind_task(&self, me: usize, ready: Predicate<'_>) {
        loop {
            // The thread-locals are those of the task that has the token, so this is evaluated without the lock.
            let enabled = ready.is_none_or(evaluate);
            let mut state = self.lock();
            state.poll_round = None;
            let stays = Self::cannot_unwind();
            let carried = rt::is_unwinding() && !stays && state.tasks[me].carried_steps < MAX_CARRIED_STEPS;
            let unwind_attempts = state.tasks[me].unwind_attempts;
            if enabled && carried {
                state.tasks[me].carried_steps += 1;
                state.stalled = 0;
                return;
            }
            // A task that caught the panic so often may wait for others, which proceed only while it waits.
            if enabled && (stays || (MAX_ATTEMPTS..2 * MAX_ATTEMPTS).contains(&unwind_attempts)) {
                state.tasks[me].unwind_attempts += usize::from(!stays);
                state.stalled = 0;
                return;
            }
            let all_stalled = state.stalled > state.tasks.len();
            // A task that caught the panic and waits again may wait for tasks that are still to be unwound.
            if !stays && unwind_attempts < MAX_ATTEMPTS && (unwind_attempts == 0 || enabled || all_stalled) {
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

    /// Passes the token to the next task that has not terminated; without one, the execution has finished.
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
        let next =
            (1..=count).map(|step| (me + step) % count).find(|&next| !state.tasks[next].has_terminated());
        if let Some(next) = next {
            return self.pass_to(state, next);
        }
        self.end_execution(state);
        self.lock()
    }

    /// For the watchdog: unwinds `other` while `blocked_outside`, which has the token, is blocked outside the toolkit.
    /// Returns when `other` has terminated or blocks, or after `limit`.
    #[expect(clippy::disallowed_methods, reason = "below the seam")]
    pub(crate) fn unwind_beside(&self, blocked_outside: usize, other: usize, limit: Duration) {
        let state = self.lock();
        let begun = state.tasks[other].os_thread.is_some() && !state.tasks[other].has_terminated();
        if !begun || !state.ending {
            return;
        }
        self.blocked_outside.store(blocked_outside, Relaxed);
        drop(self.pass_to(state, other));
        let start = Instant::now();
        while self.lock().token_holder != NO_TASK && start.elapsed() < limit {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Parks the calling thread forever if it was blocked outside the toolkit and reported, but resumes now without
    /// the token.
    pub(super) fn park_if_abandoned(&self, me: usize) {
        if self.blocked_outside.load(Relaxed) == me {
            park_forever();
        }
    }

    /// Locks the state for a task that continues. Parks it forever if the execution has been reported meanwhile: nothing of
    /// the program runs after that.
    pub(super) fn lock_unless_reported(&self) -> MutexGuard<'_, ExecutionState> {
        let state = self.lock();
        if state.reported {
            drop(state);
            park_forever();
        }
        state
    }

    fn end_execution(&self, mut state: MutexGuard<'_, ExecutionState>) {
        state.finished = true;
        drop(state); // the search thread needs the lock
        self.search_thread.unpark();
    }

    /// Abandons tasks that wait for each other, or for something that no longer exists. Their threads stay parked
    /// forever. If the search thread runs the main task and that is one of them, it is lost for the search.
    fn abandon_execution(&self, state: MutexGuard<'_, ExecutionState>) -> ! {
        let main = &state.tasks[MAIN];
        let runs_on = main.os_thread.as_ref().map(std::thread::Thread::id);
        if !main.has_terminated() && runs_on == Some(self.search_thread.id()) {
            self.monitor.lose_search_thread();
        }
        self.end_execution(state);
        park_forever()
    }
}
