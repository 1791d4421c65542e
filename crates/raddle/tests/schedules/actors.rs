//! The threads of one execution, and who goes next.

use std::time::Duration;

use raddle::host::Wait;

use super::actor::{Actor, Gate, Leaving, Standing};
use super::course::Course;
use super::report::{Entry, Failure};

/// Which atomics are steps. If any are, predicates of gates are not asked, so that primitives really wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fine {
    Nowhere,
    /// Those of operations on objects other than threads: their start and end are not what is looked at.
    InsideObjects,
    Everywhere,
}

/// Which choices there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) fine: Fine,
    /// How many parked threads in all may wake without a reason.
    pub(crate) spurious: usize,
    /// The clock moves only when nobody can go on: time limits are long, and a sleep is longer than the rest takes.
    pub(crate) patient: bool,
}

/// Whoever was told so often to unwind, and waits again, never will.
const TOLD_OFTEN: usize = 3;

#[derive(Debug)]
pub(crate) struct Actors {
    pub(crate) all: Vec<Actor>,
    pub(crate) clock: Duration,
    pub(crate) course: Course,
    pub(crate) log: Vec<Entry>,
    pub(crate) failure: Option<Failure>,
    /// Something went wrong, or only daemons are left: everybody only has to come to an end.
    pub(crate) ending: bool,
    rules: Rules,
}

#[derive(Clone, Copy)]
enum Choice {
    Go(usize),
    Clock,
    Spurious(usize),
}

impl Actors {
    pub(crate) fn new(course: Course, rules: Rules) -> Self {
        let (clock, log) = (Duration::ZERO, Vec::new());
        Self { all: Vec::new(), clock, course, log, failure: None, ending: false, rules }
    }

    pub(crate) fn join(&mut self) -> usize {
        self.all.push(Actor::new(self.rules.fine == Fine::Everywhere));
        self.all.len() - 1
    }

    pub(crate) fn all_finished(&self) -> bool {
        self.all.iter().all(Actor::is_finished)
    }

    /// Who goes next, after `me`; nobody: all are finished, or will never go on.
    pub(crate) fn next(&mut self, me: usize) -> Option<usize> {
        // To go away from `me` is a preemption if it could go on; but not after the clock's step.
        let mut preempted = true;
        loop {
            let (options, dear) = self.options(me, preempted);
            let chosen = match options.len() {
                0 if self.last_resort() => continue,
                0 => return None,
                1 => 0,
                _ if self.ending => 0,
                many => self.course.choose(many, dear),
            };
            match options[chosen] {
                Choice::Go(next) => {
                    self.set_off(next);
                    return Some(next);
                }
                Choice::Clock => self.advance_clock(),
                Choice::Spurious(sleeper) => {
                    self.rules.spurious -= 1;
                    self.note(Entry::Spurious { who: sleeper });
                    self.all[sleeper].rouse(Wait::Woken);
                }
            }
            preempted = false;
        }
    }

    /// What can be next, and the mask of what is a preemption. What is not comes first.
    fn options(&self, me: usize, preempted: bool) -> (Vec<Choice>, u32) {
        let count = self.all.len();
        let in_turn = (0..count).map(|step| (me + step) % count);
        let mut options: Vec<_> = in_turn.clone().filter(|&i| self.all[i].can_go()).map(Choice::Go).collect();
        if self.ending {
            return (options, 0);
        }
        let mut dear = if preempted && self.all[me].can_go() { !1 } else { 0 };
        let timed = self.next_deadline().is_some();
        if timed && (options.is_empty() || !self.rules.patient) {
            dear |= u32::from(!options.is_empty()) << options.len();
            options.push(Choice::Clock);
        }
        if options.is_empty() {
            let yielding = in_turn.filter(|&i| self.all[i].standing == Standing::Yielding);
            options.extend(yielding.map(Choice::Go));
        }
        if self.rules.spurious > 0 && !options.is_empty() {
            let parked = (0..count).filter(|&i| matches!(self.all[i].standing, Standing::Parked { .. }));
            for sleeper in parked {
                dear |= 1 << options.len();
                options.push(Choice::Spurious(sleeper));
            }
        }
        (options, dear)
    }

    fn next_deadline(&self) -> Option<Duration> {
        self.all.iter().filter_map(Actor::deadline).min()
    }

    fn advance_clock(&mut self) {
        self.clock = self.next_deadline().map_or(self.clock, |next| next.max(self.clock));
        self.note(Entry::Clock { shows: self.clock });
        for actor in &mut self.all {
            if actor.deadline().is_some_and(|deadline| deadline <= self.clock) {
                actor.rouse(Wait::TimedOut);
            }
        }
    }

    /// `next` has been chosen: those who asked that others go first have had their wish.
    fn set_off(&mut self, next: usize) {
        if self.all[next].is_gated() {
            self.all[next].gate = Gate::SaidYes;
        }
        self.all[next].standing = Standing::Ready;
        for actor in self.all.iter_mut().filter(|actor| actor.standing == Standing::Yielding) {
            actor.standing = Standing::Ready;
        }
    }

    /// Nobody can go on. Closed gates are opened, to see what their predicates are worth; if there are none, it is a
    /// deadlock, or the end, and one thread after the other is unwound.
    fn last_resort(&mut self) -> bool {
        if let Some(actor) = self.all.iter_mut().find(|actor| actor.is_gated()) {
            actor.standing = Standing::Ready;
            actor.gate = Gate::SaidNo;
            return true;
        }
        if self.all_finished() {
            return false;
        }
        self.fail(Failure::Deadlock);
        let timed = self.next_deadline().is_some();
        let stuck = |actor: &&mut Actor| !actor.is_finished() && actor.leaving != Leaving::Unwinding;
        let next = self.all.iter_mut().filter(stuck).min_by_key(|actor| actor.told);
        match next.filter(|actor| actor.told < TOLD_OFTEN) {
            Some(actor) => actor.tell_to_leave(),
            None if timed => self.advance_clock(),
            None => return false,
        }
        true
    }

    /// Writes down what happens, up to what goes wrong.
    pub(crate) fn note(&mut self, entry: Entry) {
        if !self.ending {
            self.log.push(entry);
        }
    }

    /// Notes the first thing that goes wrong.
    pub(crate) fn fail(&mut self, failure: Failure) {
        if !self.ending {
            self.failure = Some(failure);
            self.ending = true;
        }
    }

    /// Wakes up to `count` of those parked on `word`; who is a choice.
    pub(crate) fn wake(&mut self, word: usize, count: u32) {
        let mut parked: Vec<_> = (0..self.all.len()).filter(|&i| self.all[i].is_parked_on(word)).collect();
        for _ in 0..count {
            let chosen = match parked.len() {
                0 => return,
                1 => 0,
                many if count as usize >= many || self.ending => 0,
                many => self.course.choose(many, 0),
            };
            self.all[parked.remove(chosen)].rouse(Wait::Woken);
        }
    }

    /// The actor has come to its next step, or parks within the one that it takes.
    pub(crate) fn arrive(&mut self, me: usize, standing: Standing, entry: Entry) {
        self.note(entry);
        let parks = matches!(entry, Entry::Parks { .. });
        if parks && self.all[me].gate == Gate::SaidYes {
            self.fail(Failure::SaidYes);
        }
        if !matches!(entry, Entry::Waits { .. }) {
            self.went_on(me, parks);
        }
        let actor = &mut self.all[me];
        actor.standing = standing;
        actor.outcome = Wait::Woken;
        actor.leaving = if std::thread::panicking() { Leaving::Unwinding } else { Leaving::Not };
    }

    /// The step after the actor's last gate has succeeded, unless it parks.
    pub(crate) fn went_on(&mut self, me: usize, parks: bool) {
        let gate = std::mem::replace(&mut self.all[me].gate, Gate::Unknown);
        if gate == Gate::SaidNo && !parks {
            self.fail(Failure::SaidNo);
        }
    }
}
