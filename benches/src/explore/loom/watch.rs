//! Failures that loom can go on after.
//!
//! A deadlock panics out of `loom::model`, and the search is lost. To cover a space with deadlocks in it, the program
//! keeps account of who waits, in variables that loom does not know of. Where loom would find that everybody waits,
//! it counts a failure, tells loom with `skip_branch` to try no other order in what comes, and lets everybody go.
//! Up to there the execution is that of the program without the account. What comes after belongs to no schedule of
//! the program, but is one execution, not several; the orders in which it meets what was before may cost loom a few
//! executions more than it would need if it could go on after a deadlock.

use std::sync::Mutex;

use crate::explore::sample::Counter;

/// What a failing execution does.
#[derive(Clone)]
pub(super) enum OnFailure {
    /// It panics, as it does for loom's users.
    Panic,
    /// It is counted.
    Count(Counter),
}

impl OnFailure {
    /// Checks what must hold at the end of an execution.
    pub(super) fn check(&self, holds: bool) {
        match self {
            Self::Panic => assert!(holds),
            Self::Count(failures) if !holds => failures.add(),
            Self::Count(_) => {}
        }
    }
}

/// Counts those who are stuck, or will be at their next step.
///
/// loom switches threads at its own operations only, so what is done here between two of them is one step with them.
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

    /// One more thread waits. Says whether that is all of them, and so a failure which was counted.
    pub(super) fn waits(&self) -> bool {
        self.change(|state| state.waiting += 1)
    }

    /// One thread, if any, waits no longer.
    pub(super) fn goes_on(&self) {
        self.change(|state| state.waiting = state.waiting.saturating_sub(1));
    }

    /// No thread waits any longer.
    pub(super) fn all_go_on(&self) {
        self.change(|state| state.waiting = 0);
    }

    /// One thread has ended. Says whether all the others wait, and so a failure which was counted.
    pub(super) fn ends(&self) -> bool {
        self.change(|state| state.threads -= 1)
    }

    /// Whether there was a failure, after which all threads are to come to an end.
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
