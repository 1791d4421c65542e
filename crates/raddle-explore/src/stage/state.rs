//! Where an execution stands: its threads, its clock, and who can go next.

use std::collections::HashMap;
use std::time::Duration;

use raddle::host::{Kind, Op};

use super::actor::{Actor, Gate, Passed, Standing};
use super::event::{Event, Pending, Threads, one};
use super::failure::Failure;
use super::log::{Hold, Row, Waits};
use super::objects::{Access, CLOCK, Mode, Objects};
use super::policy::{Policy, View};
use super::rules::{EARLY, Rules, Time};

/// So often a thread may look at one thing that nobody changes; then others have their turn first.
const LOOKS: usize = 8;

/// A wake of some of those who slept on a word: how many it is still good for.
type Wake = usize;

#[expect(clippy::struct_excessive_bools, reason = "each says one thing, and they are independent")]
pub(crate) struct State {
    pub(crate) rules: Rules,
    pub(crate) actors: Vec<Actor>,
    /// Who runs.
    pub(crate) baton: usize,
    /// Who has the baton has it only to look at its gate or to come to its first step, before it is chosen who goes on
    /// after this one.
    pub(crate) errand: Option<usize>,
    pub(crate) events: Vec<Event>,
    pub(crate) objects: Objects,
    pub(crate) policy: Box<dyn Policy>,
    /// What was chosen wherever there was a choice, as a place among the options.
    pub(crate) choices: Vec<usize>,
    pub(crate) preemptions: usize,
    pub(crate) clock: Duration,
    pub(crate) holds: HashMap<(usize, &'static str), Hold>,
    /// Whose gates' words were touched in this step, and who has just been started.
    pub(crate) touched: Threads,
    /// Nobody can go on, and everybody is asked once more.
    pub(crate) last_resort: bool,
    pub(crate) wakes: Vec<Wake>,
    pub(crate) failure: Option<Failure>,
    /// After how many events.
    pub(crate) failed_at: usize,
    /// Everybody only has to come to an end: something went wrong, or the program is over.
    pub(crate) ending: bool,
    /// The policy did not want to go on.
    pub(crate) redundant: bool,
    /// A limit of the rules kept a thread from going on.
    pub(crate) bounded: bool,
    pub(crate) over: bool,
    /// How many in a row could not go on while everybody comes to an end.
    pub(crate) stuck: usize,
    pub(crate) rows: Vec<Row>,
    pub(crate) waits: Vec<Waits>,
    /// The steps that were still to be taken when it all ended.
    pub(crate) pending: Vec<Pending>,
    /// Names that the program gave: address, size, name.
    pub(crate) labels: Vec<(usize, usize, String)>,
}

impl State {
    pub(crate) fn new(rules: Rules, policy: Box<dyn Policy>) -> Self {
        Self {
            rules,
            actors: Vec::new(),
            baton: 0,
            errand: None,
            events: Vec::new(),
            objects: Objects::new(),
            policy,
            choices: Vec::new(),
            preemptions: 0,
            clock: Duration::ZERO,
            holds: HashMap::new(),
            touched: 0,
            last_resort: false,
            wakes: Vec::new(),
            failure: None,
            failed_at: 0,
            ending: false,
            redundant: false,
            bounded: false,
            over: false,
            stuck: 0,
            rows: Vec::new(),
            waits: Vec::new(),
            pending: Vec::new(),
            labels: Vec::new(),
        }
    }

    /// Notes the first thing that goes wrong, though the others can go on.
    pub(crate) fn note_failure(&mut self, failure: Failure) {
        if !self.ending && self.failure.is_none() {
            self.failure = Some(failure);
            self.failed_at = self.events.len();
        }
    }

    /// Notes the first thing that goes wrong; from then on everybody only has to come to an end.
    pub(crate) fn fail(&mut self, failure: Failure) {
        self.note_failure(failure);
        self.end();
    }

    /// Nobody takes another step.
    pub(crate) fn end(&mut self) {
        if !self.ending {
            self.ending = true;
            self.pending = (0..self.actors.len()).filter_map(|thread| self.next_of(thread)).collect();
            if self.rules.record {
                self.note_who_waits();
            }
        }
    }

    fn next_of(&self, thread: usize) -> Option<Pending> {
        let actor = &self.actors[thread];
        let (op, opened_by, limited) = (actor.op, actor.opened_by, actor.is_limited());
        actor.access.map(|access| Pending { thread, op, access, opened_by, limited })
    }

    fn note_who_waits(&mut self) {
        for thread in 0..self.actors.len() {
            let actor = &self.actors[thread];
            let (false, Some(op)) = (actor.is_finished(), actor.op) else { continue };
            let waits = match &actor.standing {
                Standing::Gated(gate) => !gate.open,
                Standing::Parked { .. } => true,
                _ => false,
            };
            if waits {
                let object = self.objects.declared(&op.object);
                let held = self.holds.get(&(op.object.address, op.object.what)).copied();
                self.waits.push(Waits { thread, kind: op.kind, object, at: op.at, held });
            }
        }
    }

    /// The current step touches this as well.
    pub(crate) fn touches(&mut self, access: Access) {
        if self.errand.is_none()
            && !self.ending
            && let Some(event) = self.events.last_mut()
        {
            event.touches(access);
        }
    }

    /// The current step touches the word at this address: whoever stands at a gate there has to look again.
    pub(crate) fn touches_word(&mut self, address: usize) {
        self.touched |= (0..self.actors.len())
            .filter(|&thread| self.actors[thread].looks_at(address))
            .fold(0, |touched, thread| touched | one(thread));
    }

    /// What `op` is going to touch.
    #[expect(clippy::unnecessary_wraps, reason = "a step that yields touches nothing")]
    pub(crate) fn access(&mut self, op: &Op) -> Option<Access> {
        if op.kind == Kind::Sleep {
            return Some(Access { object: CLOCK, mode: Mode::Tick });
        }
        let mode = match (op.kind, op.object.what) {
            (Kind::Read, _) | (Kind::Wait, "Event" | "Thread" | "thread scope" | "Timer") => Mode::Read,
            _ => Mode::Write,
        };
        Some(Access { object: self.objects.declared(&op.object), mode })
    }

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
            enabled: options.iter().fold(0, |enabled, &thread| enabled | one(thread)),
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

    /// Wakes up to `count` of those who sleep on `word`. Who that is shows when one of them goes on.
    pub(crate) fn wake(&mut self, word: usize, count: u32) {
        let by = self.events.len().checked_sub(1).and_then(|event| u32::try_from(event).ok());
        let wake = self.wakes.len();
        let asleep = self.actors.iter_mut().filter(|actor| actor.sleeps_on(word));
        let mut found = 0;
        for actor in asleep {
            found += 1;
            actor.opened_by = by;
            if let Standing::Parked { wakes, .. } = &mut actor.standing {
                wakes.push(wake);
            }
        }
        self.wakes.push(found.min(count as usize));
    }

    /// `thread` looks at something, on one line of the program, again and again, though nobody else does anything:
    /// others first. Not every schedule is run then.
    pub(crate) fn looks_in_vain(&mut self, thread: usize, op: &Op) -> bool {
        let looks = matches!(op.kind, Kind::Read | Kind::TryTake);
        let others = self.events.last().is_none_or(|event| event.thread != thread);
        let actor = &mut self.actors[thread];
        if others {
            actor.looks.clear();
        }
        if !looks {
            return false;
        }
        let count = actor.looks.entry((op.object.address, op.at.line(), op.at.column())).or_default();
        *count += 1;
        let vain = *count > LOOKS;
        self.bounded |= vain;
        vain
    }
}
