//! Who can go next, and the step of whoever is chosen.

use raddle::rt::Kind;

use super::ROOT;
use super::actor::{Gate, Passed, Standing};
use super::event::Event;
use super::failure::Failure;
use super::log::Row;
use super::objects::{Access, CLOCK, Mode};
use super::policy::View;
use super::rules::{EARLY, Time};
use super::state::State;

impl State {
    /// The options of the next choice. First the threads that can proceed, from `me` round robin, then those that would
    /// have to time out for that.
    ///
    /// Under [`Time::Explored`] a timeout is possible at any moment, whatever other threads can do and whichever deadline
    /// is earlier: code may take any time from one line to the next. Under [`Time::Quiescent`] code takes no time: the
    /// clock advances to the next deadline when no other step is possible, and whatever is due by then can time out.
    pub(crate) fn options(&mut self, me: usize) -> Vec<usize> {
        let count = self.actors.len();
        let in_turn = || (0..count).map(move |step| (me + step) % count);
        let mut options: Vec<_> = in_turn().filter(|&thread| self.can_go(thread)).collect();
        let timed: Vec<_> = in_turn().filter(|&thread| self.can_time_out(thread)).collect();
        match self.rules.time {
            Time::Explored => {
                let early = |&thread: &usize| self.actors[thread].early < EARLY;
                let (rest, spent): (Vec<_>, Vec<_>) = timed.into_iter().partition(early);
                options.extend(rest);
                if options.is_empty() {
                    options = spent;
                } else {
                    self.bounded |= !spent.is_empty();
                }
            }
            Time::Quiescent => {
                let due = |&thread: &usize| self.actors[thread].deadline() <= Some(self.clock);
                let (due, later): (Vec<_>, Vec<_>) = timed.into_iter().partition(due);
                options.extend(due);
                if options.is_empty() {
                    let next = later.iter().filter_map(|&thread| self.actors[thread].deadline()).min();
                    options
                        .extend(later.into_iter().filter(|&thread| self.actors[thread].deadline() == next));
                }
            }
        }
        if self.rules.spurious > 0 {
            let asleep = |&thread: &usize| {
                let actor = &self.actors[thread];
                matches!(actor.standing, Standing::Parked { .. }) && actor.spurious < self.rules.spurious
            };
            let more: Vec<_> = in_turn().filter(asleep).filter(|thread| !options.contains(thread)).collect();
            options.extend(more);
        }
        if options.is_empty() {
            options.extend(in_turn().filter(|&i| matches!(self.actors[i].standing, Standing::Yielding(_))));
        }
        options
    }

    fn can_go(&self, thread: usize) -> bool {
        match &self.actors[thread].standing {
            Standing::Ready => true,
            Standing::Gated(gate) => gate.open,
            Standing::Parked { wakes, .. } => wakes.iter().any(|&wake| self.wakes[wake] > 0),
            Standing::Yielding(since) => self.events[*since..].iter().any(|event| event.thread != thread),
            Standing::Leaving => self.program.may_end(),
            Standing::Sleeping(_) | Standing::Finished => false,
        }
    }

    /// Whether it waits, and only its deadline can end that now. A thread that has to take a lock back after that needs
    /// the lock free, too.
    fn can_time_out(&self, thread: usize) -> bool {
        let actor = &self.actors[thread];
        let free = actor.loan.is_none_or(|loan| !self.holds.contains_key(&loan.object));
        actor.deadline().is_some() && !self.can_go(thread) && (free || self.rules.fine())
    }

    /// Chooses who goes next, after `me`; nobody: the execution is over, or nobody can go on.
    pub(crate) fn choose(&mut self, me: usize) -> Option<usize> {
        self.note_whether_it_may_end();
        let options = self.options(me);
        if options.is_empty() {
            return None;
        }
        self.last_resort = false;
        if self.events.len() >= self.rules.max_steps {
            self.stop(&options);
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

    /// The last step may be the one that lets the program end, or that keeps it alive again.
    fn note_whether_it_may_end(&mut self) {
        let may_end = self.program.may_end();
        let root = &mut self.actors[ROOT];
        if root.standing == Standing::Leaving && may_end != root.may_leave {
            root.may_leave = may_end;
            if may_end {
                self.opened(ROOT);
            } else {
                root.opened_by = None;
            }
        }
    }

    /// The execution has as many steps as it may have. It goes on for ever, as far as can be told, unless a thread that
    /// could proceed had no turn for half of it: then it is given up, and not every schedule was run.
    fn stop(&mut self, options: &[usize]) {
        let half = self.events.len() / 2;
        if options.iter().any(|&thread| self.actors[thread].since < half) {
            (self.bounded, self.redundant) = (true, true);
            self.end();
        } else {
            self.fail(Failure::TooLong);
        }
    }

    /// `next` sets out to take its step.
    fn begin(&mut self, me: usize, options: &[usize], next: usize) {
        let preempted = (next != me && self.can_go(me) && !self.actors[me].is_finished()).then_some(me);
        self.preemptions += usize::from(preempted.is_some());
        let timed_out = !self.can_go(next) && self.actors[next].deadline().is_some();
        self.actors[next].early += usize::from(timed_out && options.len() > 1);
        self.log_step(next, preempted, timed_out);
        let gives = self.actors[next].op.filter(|op| op.kind == Kind::Give);
        let gives = gives.map(|op| self.objects.declared(&op.object));
        let gave = gives.is_some_and(|object| self.holds.remove(&object).is_some());
        let due = if timed_out { self.tick(next) } else { None };
        let timed = self.actors[next].is_timed();
        let actor = &mut self.actors[next];
        let mut more = std::mem::take(&mut actor.also);
        more.extend(actor.comes_from.take());
        let event = Event {
            thread: next,
            op: actor.op,
            access: actor.access.take(),
            more,
            opened_by: actor.opened_by.take(),
            enabled: options.iter().copied().collect(),
            timed,
            gave,
            memory: None,
            due,
        };
        self.events.push(event);
        self.let_go(next, timed_out);
    }

    /// The deadline of `thread` has passed. Under [`Time::Quiescent`], after how many events the clock reached it.
    fn tick(&mut self, thread: usize) -> Option<usize> {
        let deadline = self.actors[thread].deadline()?;
        if self.rules.time == Time::Explored {
            return None;
        }
        if self.clock < deadline {
            self.ticks.push((deadline, self.events.len()));
        }
        self.ticks.iter().find(|(clock, _)| *clock >= deadline).map(|(_, events)| *events)
    }

    fn log_step(&mut self, thread: usize, preempts: Option<usize>, timed_out: bool) {
        if self.rules.record {
            let mut row = Row::new(thread, self.events.len(), self.clock);
            if let Some(op) = self.actors[thread].op {
                row.does(&op, self.objects.declared(&op.object));
                row.made_at = self.origins.get(&(op.object.address, op.object.size)).copied();
                if op.kind == Kind::Give {
                    row.gives.extend(row.object);
                    let object = self.objects.declared(&op.object);
                    let hold = self.holds.get(&object);
                    row.taken_at = hold.map(|hold| hold.since);
                }
            }
            let actor = &mut self.actors[thread];
            (row.preempts, row.timed_out) = (preempts, timed_out);
            row.gated = matches!(actor.standing, Standing::Gated(_) | Standing::Parked { .. });
            row.back = actor.comes_from.is_some();
            row.values = std::mem::take(&mut actor.notes);
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
                self.touches(Access { object: CLOCK, mode: Mode::Commute });
            }
            Standing::Parked { wakes, .. } => match wakes.iter().find(|&&wake| self.wakes[wake] > 0) {
                Some(&wake) => self.wakes[wake] -= 1,
                None => self.actors[next].spurious += 1,
            },
            _ => {}
        }
        if let Some(row) = self.rows.last_mut() {
            row.clock = self.clock;
        }
    }
}
