//! Failures after which loom can continue.
//!
//! A deadlock panics out of `loom::model`, and the search is lost. To cover schedules with deadlocks, the program counts its waiting
//! threads in variables that loom does not observe. Where loom would detect that all threads wait, the program counts a failure,
//! calls `skip_branch` so that loom tries no other order of the following steps, and wakes all threads. Up to this point, the
//! execution is that of the unmodified program. The rest belongs to no schedule of the program and is one execution; it may
//! cost loom a few more executions than a deadlock after which it could continue.

use std::sync::Mutex;

use crate::explore::sample::Counter;

/// The effect of a failing execution.
#[derive(Clone)]
pub(super) enum OnFailure {
    /// It panics, as in a test with loom.
    Panic,
    /// It is counted.
    Count(Counter),
}

impl OnFailure {
    /// Checks the invariant at the end of an execution.
    pub(super) fn check(&self, holds: bool) {
        match self {
            Self::Panic => assert!(holds),
            Self::Count(failures) if !holds => failures.add(),
            Self::Count(_) => {}
        }
    }
}

/// Counts the threads that are blocked, or will be after their next step.
///
/// loom only switches threads at its own operations, so the code between two of them is one step.
pub(super) struct Watch {
    on_failure: OnFailure,
    state: Mutex<State>,
}

struct State {
    threads: usize,
    waiting: usize,
    is_over: bool,
}

impl Watch {
    pub(super) fn new(threads: usize, on_failure: &OnFailure) -> Self {
        let state = State { threads, waiting: 0, is_over: false };
        Self { on_failure: on_failure.clone(), state: Mutex::new(state) }
    }

    /// Records that a thread waits. Returns whether all threads do, which counts as a failure.
    pub(super) fn waits(&self) -> bool {
        self.change(|state| state.waiting += 1)
    }

    /// Records that one waiting thread, if any, is woken.
    pub(super) fn goes_on(&self) {
        self.change(|state| state.waiting = state.waiting.saturating_sub(1));
    }

    /// Records that all waiting threads are woken.
    pub(super) fn all_go_on(&self) {
        self.change(|state| state.waiting = 0);
    }

    /// Records that a thread has terminated. Returns whether all others wait, which counts as a failure.
    pub(super) fn ends(&self) -> bool {
        self.change(|state| state.threads -= 1)
    }

    /// Returns whether there was a failure. Then all threads terminate.
    pub(super) fn is_over(&self) -> bool {
        self.state.lock().unwrap().is_over
    }

    fn change(&self, change: impl FnOnce(&mut State)) -> bool {
        let OnFailure::Count(failures) = &self.on_failure else { return false };
        let mut state = self.state.lock().unwrap();
        if state.is_over {
            return true;
        }
        change(&mut state);
        state.is_over = state.threads > 0 && state.waiting == state.threads;
        if state.is_over {
            failures.add();
            loom::skip_branch();
        }
        state.is_over
    }
}
