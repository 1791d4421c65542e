//! How the baton goes from thread to thread.

use std::sync::{Arc, MutexGuard};
use std::thread::panicking;

use raddle::host::Op;

use super::actor::{Actor, Passed, Standing};
use super::event::{MANY, each};
use super::objects::Access;
use super::{ASKED, DONE, Failure, ME, ROOT, Stage, State, native_id};

pub(super) type Predicate<'a> = Option<&'a dyn Fn() -> bool>;

/// What a thread says when it comes to its next step.
pub(super) struct Arrival<'a> {
    pub(super) standing: Standing,
    pub(super) op: Option<Op>,
    pub(super) access: Option<Access>,
    /// Says whether its gate is open.
    pub(super) ready: Predicate<'a>,
}

impl Stage {
    /// The calling thread has come to its next step. Returns when it has been chosen to take it, or is to leave.
    pub(super) fn arrive(&self, arrival: Arrival<'_>) -> Passed {
        let me = ME.get();
        self.beat();
        let daemon = self.rules.record && raddle::thread::current().is_daemon();
        let mut state = self.lock();
        state.actors[me].daemon |= daemon;
        if panicking() && !state.ending {
            let events = state.events.len();
            state.actors[me].unwinds.get_or_insert(events);
        }
        if !state.ending {
            state = self.ask_the_touched(state, me);
            state.stands(me, arrival.standing, arrival.op, arrival.access);
            state = self.hand_on(state, me);
            state = self.await_baton(state, me, arrival.ready);
        }
        if state.ending {
            drop(state);
            self.leave(me, arrival.ready);
            return Passed::Free;
        }
        state.actors[me].passed
    }

    /// The calling thread is through.
    pub(super) fn finish(&self, me: usize) {
        let mut state = self.lock();
        if state.ending {
            state.errand = None;
        } else {
            state = self.ask_the_touched(state, me);
        }
        let ends = !state.ending;
        if let Some(row) = state.rows.last_mut().filter(|row| ends && row.thread == me) {
            row.ends = true;
        }
        state.stands(me, Standing::Finished, None, None);
        state.stuck = 0;
        drop(self.hand_on(state, me));
    }

    /// Gives the baton to whoever is next: to who sent this thread on an errand, or to who is chosen.
    fn hand_on<'a>(&'a self, mut state: MutexGuard<'a, State>, me: usize) -> MutexGuard<'a, State> {
        if let Some(sender) = state.errand.take() {
            return self.hand_to(state, sender);
        }
        let mut next = if state.ending { None } else { self.choose(&mut state, me) };
        if next.is_none() && !state.ending {
            state = self.ask_everybody(state, me);
            next = self.choose(&mut state, me);
            if next.is_none() && !state.ending {
                state.fail_or_end();
            }
        }
        match next {
            Some(next) => self.hand_to(state, next),
            None => self.hand_to_who_leaves(state, me),
        }
    }

    fn choose(&self, state: &mut State, me: usize) -> Option<usize> {
        if state.actors[ROOT].is_finished() && self.program.may_end() {
            state.end(); // as in production, where the end of the program abandons its daemons
            return None;
        }
        state.choose(me)
    }

    pub(super) fn hand_to<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        next: usize,
    ) -> MutexGuard<'a, State> {
        if state.baton == next {
            return state;
        }
        state.baton = next;
        let player = state.actors[next].player.clone();
        drop(state); // whoever is woken would only have to wait for it
        if let Some(player) = player {
            player.unpark();
        }
        self.lock()
    }

    /// Returns when the calling thread has the baton, and not only to look at its gate.
    fn await_baton<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        me: usize,
        ready: Predicate<'_>,
    ) -> MutexGuard<'a, State> {
        loop {
            state = self.park_until_mine(state, me);
            let Some(sender) = state.errand else { return state };
            drop(state);
            let open = ready.is_some_and(ask);
            state = self.lock();
            if state.opens(me, open) {
                return state; // and goes on to its next step, on the errand still
            }
            state.errand = None;
            state = self.hand_to(state, sender);
        }
    }

    #[expect(clippy::disallowed_methods, reason = "this is below the seam")]
    pub(super) fn park_until_mine<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        me: usize,
    ) -> MutexGuard<'a, State> {
        while state.baton != me {
            drop(state);
            std::thread::park();
            state = self.lock();
        }
        state
    }

    /// Has everybody whose gate's word was touched look whether it is open now. The predicates borrow from their own
    /// threads, so nobody else can ask them.
    fn ask_the_touched<'a>(&'a self, mut state: MutexGuard<'a, State>, me: usize) -> MutexGuard<'a, State> {
        while state.touched != 0 && state.errand.is_none() {
            let touched = std::mem::take(&mut state.touched);
            for other in each(touched).filter(|other| *other != me) {
                state = self.send(state, me, other);
            }
        }
        state
    }

    /// The last resort: a primitive may have changed a word without a word.
    fn ask_everybody<'a>(&'a self, mut state: MutexGuard<'a, State>, me: usize) -> MutexGuard<'a, State> {
        for other in 0..state.actors.len() {
            let gated = matches!(state.actors[other].standing, Standing::Gated(gate) if !gate.open);
            if gated && other != me {
                state = self.send(state, me, other);
                let now_open = matches!(state.actors[other].standing, Standing::Gated(gate) if gate.open);
                if now_open {
                    state.fail(Failure::SaidNo);
                }
            }
        }
        state
    }

    /// Sends `other` on an errand: to look at its gate or, if it has just been started, to come to its first step.
    pub(super) fn send<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        me: usize,
        other: usize,
    ) -> MutexGuard<'a, State> {
        state.errand = Some(me);
        state = self.hand_to(state, other);
        self.park_until_mine(state, me)
    }

    /// Brings in a new actor, whose part is `body`, and returns when it has come to its first step.
    pub(super) fn bring_in(
        &self,
        name: &str,
        stack_size: Option<usize>,
        body: Box<dyn FnOnce() + Send>,
    ) -> std::io::Result<()> {
        let here = self.itself.upgrade().expect("whoever starts a thread is on this stage");
        let me = ME.get();
        let mut state = self.lock();
        if state.ending {
            return Err(std::io::Error::other("the execution is over"));
        }
        let new = state.actors.len();
        if new == MANY {
            state.fail(Failure::TooMany);
            return Err(std::io::Error::other(format!("an explored program has at most {MANY} threads")));
        }
        state.actors.push(Actor::new(name, Some(me)));
        if let Some(row) = state.rows.last_mut().filter(|row| row.thread == me) {
            row.starts = Some(new);
        }
        state.opened(new);
        drop(state);
        let job = move || here.clone().begin(new, body);
        if let Err(error) = self.crew.run(Box::new(job), stack_size) {
            self.lock().actors.pop();
            return Err(error);
        }
        // The new thread waits for its errand, so that it can be told.
        let mut state = self.lock();
        state.errand = Some(me);
        state.baton = new;
        let player = state.actors[new].player.clone();
        drop(state);
        if let Some(player) = player {
            player.unpark();
        }
        drop(self.park_until_mine(self.lock(), me));
        Ok(())
    }

    fn begin(self: Arc<Self>, me: usize, body: Box<dyn FnOnce() + Send>) {
        let mut state = self.lock();
        state.actors[me].player = Some(std::thread::current());
        state.actors[me].native_id = native_id();
        drop(self.park_until_mine(state, me));
        self.play(me, body);
    }

    /// Waits, as the thread that began the execution, until everybody has come to an end.
    #[expect(clippy::disallowed_methods, reason = "this is below the seam")]
    pub(super) fn await_the_end(&self) {
        while !self.lock().over {
            std::thread::park();
        }
    }

    /// Whether the calling thread cannot be unwound.
    pub(super) fn must_stay() -> bool {
        panicking() || DONE.get()
    }
}

impl State {
    fn stands(&mut self, me: usize, standing: Standing, op: Option<Op>, access: Option<Access>) {
        let actor = &mut self.actors[me];
        (actor.standing, actor.op, actor.access) = (standing, op, access);
        actor.fresh = false;
    }

    /// The gate of `me` was looked at. Says whether it is to go on at once: its wait on a condition is over, and
    /// nobody but itself can see it take the way to the lock.
    fn opens(&mut self, me: usize, now: bool) -> bool {
        let Standing::Gated(gate) = &mut self.actors[me].standing else { return false };
        let opened = now && !gate.open;
        gate.open = now;
        if opened {
            self.opened(me);
        }
        let actor = &mut self.actors[me];
        let back = opened && actor.loan.take().is_some();
        if back {
            let limited = actor.is_limited();
            actor.comes_from = actor.access.map(|access| (access, limited));
        }
        back
    }

    /// The current step lets `thread` go on.
    pub(super) fn opened(&mut self, thread: usize) {
        let by = self.events.len().checked_sub(1).and_then(|event| u32::try_from(event).ok());
        let actor = &mut self.actors[thread];
        actor.opened_by = actor.opened_by.or(by);
    }

    /// Nobody can go on.
    fn fail_or_end(&mut self) {
        match self.actors.iter().all(Actor::is_finished) {
            true => self.end(),
            false if self.actors[ROOT].is_finished() => self.fail(Failure::ThreadsLeft),
            false => self.fail(Failure::Deadlock),
        }
    }
}

/// What the predicate says, without a step.
pub(super) fn ask(ready: &dyn Fn() -> bool) -> bool {
    ASKED.set(true);
    let answer = ready();
    ASKED.set(false);
    answer
}
