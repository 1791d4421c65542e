//! Who can go next, and the step of whoever is chosen.

use raddle::host::Kind;

use super::actor::{Gate, Passed, Standing};
use super::event::Event;
use super::failure::Failure;
use super::log::Row;
use super::objects::{Access, CLOCK, Mode};
use super::policy::View;
use super::rules::{EARLY, Time};
use super::state::State;

impl State {
    /// The options of the next choice. First those who can go on, from `me` round robin, then those whose time has
    /// to be up for that.
    pub(crate) fn options(&mut self, me: usize) -> Vec<usize> {
        let count = self.actors.len();
        let in_turn = || (0..count).map(move |step| (me + step) % count);
        let mut options: Vec<_> = in_turn().filter(|&thread| self.can_go(thread)).collect();
        let timed: Vec<_> = in_turn().filter(|&thread| self.can_time_out(thread)).collect();
        if options.is_empty() && !timed.is_empty() {
            // Nobody else can go on, so it is the next deadline's turn.
            let next = timed.iter().filter_map(|&thread| self.actors[thread].deadline()).min();
            return timed.into_iter().filter(|&thread| self.actors[thread].deadline() == next).collect();
        }
        if options.is_empty() {
            return in_turn().filter(|&i| matches!(self.actors[i].standing, Standing::Yielding(_))).collect();
        }
        if self.rules.time == Time::Explored {
            for thread in timed {
                if self.actors[thread].early < EARLY {
                    options.push(thread);
                } else {
                    self.bounded = true;
                }
            }
        }
        if self.rules.spurious > 0 {
            let asleep = |&thread: &usize| matches!(self.actors[thread].standing, Standing::Parked { .. });
            options.extend(
                in_turn().filter(asleep).filter(|thread| !options.contains(thread)).collect::<Vec<_>>(),
            );
        }
        options
    }

    fn can_go(&self, thread: usize) -> bool {
        match &self.actors[thread].standing {
            Standing::Ready => true,
            Standing::Gated(gate) => gate.open,
            Standing::Parked { wakes, .. } => wakes.iter().any(|&wake| self.wakes[wake] > 0),
            Standing::Yielding(since) => self.events[*since..].iter().any(|event| event.thread != thread),
            Standing::Sleeping(_) | Standing::Finished => false,
        }
    }

    /// Its time can be up. Who has to take back a lock after that needs that lock free, too.
    fn can_time_out(&self, thread: usize) -> bool {
        let actor = &self.actors[thread];
        let free = actor.loan.is_none_or(|loan| !self.holds.contains_key(&(loan.address, loan.what)));
        actor.deadline().is_some() && !self.can_go(thread) && (free || self.rules.fine())
    }

    /// Chooses who goes next, after `me`; nobody: the execution is over, or nobody can go on.
    pub(crate) fn choose(&mut self, me: usize) -> Option<usize> {
        let options = self.options(me);
        if options.is_empty() {
            return None;
        }
        self.last_resort = false;
        if self.events.len() >= self.rules.max_steps {
            self.fail(Failure::TooLong);
            return None;
        }
        let view = View {
            current: me,
            options: &options,
            actors: &self.actors,
            events: &self.events,
            objects: &self.objects,
        };
        let Some(place) = self.policy.pick(&view) else {
            self.redundant = true;
            self.end();
            return None;
        };
        if options.len() > 1 {
            self.choices.push(place);
        }
        self.begin(me, &options, options[place]);
        Some(options[place])
    }

    /// `next` sets out to take its step.
    fn begin(&mut self, me: usize, options: &[usize], next: usize) {
        let preempted = (next != me && self.can_go(me) && !self.actors[me].is_finished()).then_some(me);
        self.preemptions += usize::from(preempted.is_some());
        let alone = !(0..self.actors.len()).any(|thread| self.can_go(thread));
        let timed_out = !self.can_go(next) && self.actors[next].deadline().is_some();
        self.actors[next].early += usize::from(timed_out && !alone);
        self.log_step(next, preempted, timed_out);
        let gives = self.actors[next].op.filter(|op| op.kind == Kind::Give);
        let gave = gives.is_some_and(|op| self.holds.remove(&(op.object.address, op.object.what)).is_some());
        let comes_from = self.actors[next].comes_from.take();
        let event = Event {
            thread: next,
            op: self.actors[next].op,
            access: self.actors[next].access,
            more: comes_from.iter().map(|(access, _)| *access).collect(),
            opened_by: self.actors[next].opened_by.take(),
            enabled: options.iter().copied().collect(),
            limited: self.actors[next].is_limited() || comes_from.is_some_and(|(_, limited)| limited),
            gave,
            last_resort: timed_out && self.rules.time == Time::Quiescent,
        };
        self.events.push(event);
        self.actors[next].access = None;
        self.let_go(next, timed_out);
    }

    fn log_step(&mut self, thread: usize, preempts: Option<usize>, timed_out: bool) {
        if self.rules.record {
            let mut row = Row::new(thread, self.events.len(), self.clock);
            if let Some(op) = self.actors[thread].op {
                row.does(&op, self.objects.declared(&op.object));
                if op.kind == Kind::Give {
                    row.gives.extend(row.object);
                    let hold = self.holds.get(&(op.object.address, op.object.what));
                    row.taken_at = hold.map(|hold| hold.since);
                }
            }
            (row.preempts, row.timed_out) = (preempts, timed_out);
            self.rows.push(row);
        }
    }

    /// Ends the wait of `next`, if it waited.
    fn let_go(&mut self, next: usize, timed_out: bool) {
        let actor = &mut self.actors[next];
        let deadline = actor.deadline();
        let before = std::mem::replace(&mut actor.standing, Standing::Ready);
        actor.passed = match before {
            _ if timed_out => Passed::TimedOut,
            Standing::Gated(Gate { open: true, .. }) => Passed::Open,
            _ => Passed::Free,
        };
        actor.fresh = true;
        match before {
            _ if timed_out => {
                self.clock = self.clock.max(deadline.unwrap_or_default());
                self.touches(Access { object: CLOCK, mode: Mode::Tick });
            }
            Standing::Parked { wakes, .. } => match wakes.iter().find(|&&wake| self.wakes[wake] > 0) {
                Some(&wake) => self.wakes[wake] -= 1,
                None => self.rules.spurious = self.rules.spurious.saturating_sub(1),
            },
            _ => {}
        }
        if let Some(row) = self.rows.last_mut() {
            row.clock = self.clock;
        }
    }
}
