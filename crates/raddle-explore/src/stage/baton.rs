//! How the baton goes from thread to thread.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, MutexGuard};
use std::thread::panicking;

use raddle::rt::Op;

use super::actor::{Actor, Passed, Standing};
use super::event::{MOST_ALIVE, Threads};
use super::objects::{Access, Mode, PROGRAM};
use super::{ASKED, DONE, Failure, ME, MET, ROOT, Stage, State};
use crate::crew::has_kept_nothing;
use crate::hook;

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
        self.stay_if_given_up(me);
        self.beat();
        self.meet(me);
        let mut state = self.lock();
        if panicking() && !state.ending {
            let events = state.events.len();
            state.actors[me].unwinds.get_or_insert(events);
        }
        if !state.ending {
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

    /// Asks, before the first step of the calling thread, whether it is a daemon.
    fn meet(&self, me: usize) {
        let here = (self.number, me);
        if me != ROOT && MET.replace(here) != here {
            let daemon = raddle::thread::current().is_daemon();
            self.lock().actors[me].daemon = daemon;
        }
    }

    /// The program's closure has returned. If there are other threads, or were daemons, the end of the program is a step
    /// of its own, which is possible once nothing keeps the program alive: it cuts daemons off wherever they are.
    fn end_program(&self) {
        let matters = |actor: &Actor| actor.daemon || !actor.is_finished();
        let state = self.lock();
        if state.ending || !state.actors[1..].iter().any(matters) {
            return;
        }
        drop(state);
        let access = Some(Access { object: PROGRAM, mode: Mode::Write });
        self.lock().actors[ROOT].may_leave = self.program.may_end();
        self.arrive(Arrival { standing: Standing::Leaving, op: None, access, ready: None });
        let mut state = self.lock();
        if state.ending {
            return;
        }
        if let Some(row) = state.rows.last_mut() {
            row.ends_program = true;
        }
        state.end();
    }

    /// The calling thread is through.
    pub(super) fn finish(&self, me: usize) {
        hook::leave();
        if me == ROOT {
            self.end_program();
        }
        let mut state = self.lock();
        let ends = !state.ending;
        if let Some(row) = state.rows.last_mut().filter(|row| ends && row.thread == me) {
            row.ends = true;
        }
        state.stands(me, Standing::Finished, None, None);
        state.stuck = 0;
        drop(self.hand_on(state, me));
    }

    /// Gives the baton to whoever is next: first, on an errand, to those who have to look at their gates or to come
    /// to their first steps, and then to who is chosen. The last one on an errand chooses.
    fn hand_on<'a>(&'a self, mut state: MutexGuard<'a, State>, me: usize) -> MutexGuard<'a, State> {
        let after = state.errand.take().unwrap_or(me);
        while !state.ending {
            if let Some(other) = state.next_errand() {
                state.errand = Some(after);
                return self.hand_to(state, other);
            }
            if let Some(next) = state.choose(after) {
                return self.hand_to(state, next);
            }
            if !state.ending && !state.has_everybody_asked() {
                state.fail_or_end();
            }
        }
        state.touched = Threads::default();
        self.hand_to_who_leaves(state, me)
    }

    pub(super) fn hand_to<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        next: usize,
    ) -> MutexGuard<'a, State> {
        if state.baton == next && state.actors[next].entrance.is_none() {
            return state;
        }
        state.baton = next;
        let entrance = state.actors[next].entrance.take();
        let player = state.actors[next].player.clone();
        drop(state); // whoever is woken would only have to wait for it
        match (entrance, player) {
            (Some(entrance), _) => entrance.enter(),
            (None, Some(player)) => player.unpark(),
            (None, None) => {}
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
            if state.ending || state.errand.is_none() {
                return state;
            }
            drop(state);
            let open = ready.is_some_and(ask);
            state = self.lock();
            if state.opens(me, open) {
                return state; // and goes on to its next step, on the errand still
            }
            state = self.hand_on(state, me);
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

    /// Brings in a new actor, whose part is `body`. Before anybody is chosen it will have come to its first step.
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
        if state.actors.iter().filter(|actor| !actor.is_finished()).count() >= MOST_ALIVE {
            state.fail(Failure::TooMany);
            let error =
                format!("at most {MOST_ALIVE} threads of an explored program can be alive at the same time");
            return Err(std::io::Error::other(error));
        }
        let job = move || here.begin(new, body);
        let mut actor = Actor::new(name, Some(me));
        actor.entrance = Some(self.crew.ready(Box::new(job), stack_size)?);
        state.actors.push(actor);
        if let Some(row) = state.rows.last_mut().filter(|row| row.thread == me) {
            row.starts.get_or_insert(new);
        }
        let by = state.events.len().checked_sub(1).and_then(|event| u32::try_from(event).ok());
        state.actors[new].started_by = by;
        state.touched.insert(new);
        Ok(())
    }

    /// The calling thread, of the crew, plays `me`. Says whether it may be used for another part; if not, it is to
    /// terminate at once.
    pub(super) fn begin(self: Arc<Self>, me: usize, body: Box<dyn FnOnce() + Send>) -> bool {
        let entered = self.play(me, body);
        let reusable = has_kept_nothing();
        if reusable {
            drop(entered);
            self.finish(me);
        } else {
            // That the locals are dropped belongs to the part: their destructors take steps.
            self.root_keeps_locals.fetch_or(me == ROOT, Relaxed);
            self.meet(me); // while the thread knows who it is
            let here = self.clone();
            hook::ends(move |message, at| here.ends_the_process(Failure::Panic { thread: me, message, at }));
            entered.until_terminated(move || self.finish(me));
        }
        reusable
    }

    /// Waits, as the thread that runs the search, until everybody has come to an end.
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
        (actor.fresh, actor.since) = (false, self.events.len());
        let finished = self.actors[me].is_finished();
        self.actors[me].also = if finished { Vec::new() } else { self.also(me) };
    }

    /// The next thread that has to look whether its gate is open now, because its word was touched, or to come to its
    /// first step. The predicates borrow from their own threads, so nobody else can ask them.
    fn next_errand(&mut self) -> Option<usize> {
        let next = self.touched.first()?;
        self.touched.remove(next);
        Some(next)
    }

    /// The last resort, once in a row: a primitive may have changed a word without a word. Says whether anybody is
    /// left to be asked.
    fn has_everybody_asked(&mut self) -> bool {
        let gated = |actor: &Actor| matches!(actor.standing, Standing::Gated(gate) if !gate.open);
        if !std::mem::replace(&mut self.last_resort, true) {
            self.touched = (0..self.actors.len()).filter(|&thread| gated(&self.actors[thread])).collect();
        }
        !self.touched.is_empty()
    }

    /// The gate of `me` was looked at. Says whether it is to go on at once: its wait on a condition is over, and
    /// nobody but itself can see it take the way to the lock.
    fn opens(&mut self, me: usize, now: bool) -> bool {
        let Standing::Gated(gate) = &mut self.actors[me].standing else { return false };
        let opened = now && !gate.open;
        gate.open = now;
        if !now {
            self.actors[me].opened_by = None;
        }
        if opened {
            self.opened(me);
            if self.last_resort {
                self.fail(Failure::SaidNo);
            }
        }
        let actor = &mut self.actors[me];
        let back = opened && actor.loan.take().is_some();
        if back {
            actor.comes_from = actor.access;
        }
        back
    }

    /// The current step lets `thread` go on.
    pub(super) fn opened(&mut self, thread: usize) {
        let by = self.events.len().checked_sub(1).and_then(|event| u32::try_from(event).ok());
        self.actors[thread].opened_by = by;
        if let Some(row) = self.rows.last_mut().filter(|row| !row.wakes.contains(&thread)) {
            row.wakes.push(thread);
        }
    }

    /// Nobody can go on.
    fn fail_or_end(&mut self) {
        match self.actors.iter().all(Actor::is_finished) {
            true => self.end(),
            false if self.actors[ROOT].standing == Standing::Leaving => self.fail(Failure::ThreadsLeft),
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
