//! How the threads of an execution that is over come to an end: one after the other they are unwound.

use std::panic::resume_unwind;
use std::sync::MutexGuard;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use raddle::rt::Abandoned;

use super::baton::{Predicate, ask};
use super::{NOBODY, Stage, State};
use crate::crew::stay_for_good;

/// Whoever was told so often to unwind and goes on never will, and is let go on as often.
const OFTEN: usize = 100;

impl Stage {
    /// The calling thread is to leave. Returns if it is being unwound already, and its step can succeed.
    pub(super) fn leave(&self, me: usize, ready: Predicate<'_>) {
        loop {
            // Its locals are those of the thread that has the baton, so this is asked without the lock.
            let open = ready.is_none_or(ask);
            let mut state = self.lock();
            state.errand = None;
            let stays = Self::must_stay();
            let told = state.actors[me].told;
            // Who caught it that often waits for others on its way, whom only its waiting lets go on.
            if open && (stays || (OFTEN..2 * OFTEN).contains(&told)) {
                state.actors[me].told += usize::from(!stays);
                state.stuck = 0;
                return;
            }
            let all_stuck = state.stuck > state.actors.len();
            // Who caught it and waits again may wait for others that are still to leave.
            if !stays && told < OFTEN && (told == 0 || open || all_stuck) {
                state.actors[me].told += 1;
                state.stuck = 0;
                drop(state);
                resume_unwind(Box::new(Abandoned));
            }
            if all_stuck {
                self.give_up(state);
            }
            state.stuck += 1;
            let state = self.hand_to_who_leaves(state, me);
            drop(self.park_until_mine(state, me));
        }
    }

    /// Gives the baton to the next that has not come to an end yet; nobody: the execution is over.
    pub(super) fn hand_to_who_leaves<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        me: usize,
    ) -> MutexGuard<'a, State> {
        if self.blocked.load(Relaxed) != NOBODY {
            state.baton = NOBODY;
            return state;
        }
        let count = state.actors.len();
        let next =
            (1..=count).map(|step| (me + step) % count).find(|&next| !state.actors[next].is_finished());
        if let Some(next) = next {
            return self.hand_to(state, next);
        }
        self.over(state);
        self.lock()
    }

    /// For whoever watches: unwinds `other` while `blocked`, which has the baton, is blocked outside the toolkit. Returns
    /// when `other` has come to its end or waits for somebody, or after a moment.
    #[expect(clippy::disallowed_methods, reason = "this is below the seam")]
    pub(crate) fn unwind_beside(&self, blocked: usize, other: usize) {
        let state = self.lock();
        let begun = state.actors[other].player.is_some() && !state.actors[other].is_finished();
        if !begun || !state.ending {
            return;
        }
        self.blocked.store(blocked, Relaxed);
        drop(self.hand_to(state, other));
        for _ in 0..50 {
            std::thread::sleep(Duration::from_millis(1));
            if self.lock().baton == NOBODY {
                return;
            }
        }
    }

    /// Keeps the calling thread if it was blocked, was given up, and goes on now: it is not its turn.
    pub(super) fn stay_if_given_up(&self, me: usize) {
        if self.blocked.load(Relaxed) == me {
            stay_for_good();
        }
    }

    fn over(&self, mut state: MutexGuard<'_, State>) {
        state.over = true;
        drop(state); // the searcher would only have to wait for it
        self.searcher.unpark();
    }

    /// Those who are left wait for each other, or for what is no more. They keep their threads for ever; the others
    /// go on without them.
    fn give_up(&self, state: MutexGuard<'_, State>) -> ! {
        if std::thread::current().id() == self.searcher.id() {
            self.pulse.lose();
        }
        self.over(state);
        stay_for_good()
    }
}
