//! Where an execution stands: its threads, its clock, and what has happened.

use std::collections::HashMap;
use std::time::Duration;

use std::sync::Arc;

use raddle::rt::{Kind, Op, Program};

use super::actor::{Actor, Standing};
use super::event::{Event, Pending, Threads};
use super::failure::{Failure, Place};
use super::foreign::Foreign;
use super::log::{Hold, Row, Waits};
use super::objects::{Access, CLOCK, Mode, Objects, PROGRAM};
use super::policy::Policy;
use super::rules::Rules;

/// So often a thread may look at one thing that nobody changes; then others have their turn first.
const LOOKS: usize = 8;

/// A wake of some of those who slept on a word: how many it is still good for.
type Wake = usize;

#[expect(clippy::struct_excessive_bools, reason = "each says one thing, and they are independent")]
pub(crate) struct State {
    pub(crate) rules: Rules,
    /// What keeps the program under exploration alive.
    pub(super) program: Arc<Program>,
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
    /// When the clock advanced because no other step was possible: what it shows since then, after how many events.
    pub(crate) ticks: Vec<(Duration, usize)>,
    /// Which thread holds an object, by the object's number.
    pub(crate) holds: HashMap<u32, Hold>,
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
    /// A thread looked at how many wait.
    pub(crate) sees_arrivals: bool,
    /// How many in a row could not go on while everybody comes to an end.
    pub(crate) stuck: usize,
    pub(crate) rows: Vec<Row>,
    pub(crate) waits: Vec<Waits>,
    /// The steps that were still to be taken when it all ended.
    pub(crate) pending: Vec<Pending>,
    /// What threads touched that are not explored.
    pub(super) foreign: Vec<Foreign>,
    /// Names that the program gave: address, size, name.
    pub(crate) labels: Vec<(usize, usize, String)>,
    /// Where the object that is at an address now, with a size, was made.
    pub(crate) origins: HashMap<(usize, usize), Place>,
}

impl State {
    pub(crate) fn new(rules: Rules, policy: Box<dyn Policy>, program: Arc<Program>) -> Self {
        Self {
            rules,
            program,
            actors: Vec::new(),
            baton: 0,
            errand: None,
            events: Vec::new(),
            objects: Objects::new(),
            policy,
            choices: Vec::new(),
            preemptions: 0,
            clock: Duration::ZERO,
            ticks: Vec::new(),
            holds: HashMap::new(),
            touched: Threads::default(),
            last_resort: false,
            wakes: Vec::new(),
            failure: None,
            failed_at: 0,
            ending: false,
            redundant: false,
            bounded: false,
            over: false,
            sees_arrivals: false,
            stuck: 0,
            rows: Vec::new(),
            waits: Vec::new(),
            pending: Vec::new(),
            foreign: Vec::new(),
            labels: Vec::new(),
            origins: HashMap::new(),
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
        let (op, opened_by, timed) = (actor.op, actor.opened_by, actor.is_timed());
        let accesses: Vec<_> = actor.next().collect();
        (!accesses.is_empty()).then_some(Pending { thread, op, accesses, opened_by, timed })
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
                let held = self.holds.get(&object).copied();
                let made_at = self.origins.get(&(op.object.address, op.object.size)).copied();
                self.waits.push(Waits {
                    thread,
                    kind: op.kind,
                    object,
                    verb: op.verb(),
                    at: op.at,
                    made_at,
                    held,
                });
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

    /// The current step touches the word at this address: every thread whose predicate looks there has to evaluate it
    /// again, and its next step depends on this one.
    pub(crate) fn touches_word(&mut self, address: usize) {
        for thread in 0..self.actors.len() {
            if self.actors[thread].looks_at(address) {
                self.touched.insert(thread);
                if let Some(access) = self.actors[thread].access {
                    self.changes(access.object);
                }
            }
        }
    }

    /// The current step changes the object, unless it says so itself.
    fn changes(&mut self, object: u32) {
        let object = self.objects.canonical(object);
        let same = |access: Access| self.objects.canonical(access.object) == object;
        let known = self
            .events
            .last()
            .is_some_and(|event| event.accesses().any(|access| same(access) && access.mode != Mode::Read));
        if !known {
            self.touches(Access { object, mode: Mode::Write });
        }
    }

    /// What `op` is going to touch.
    #[expect(clippy::unnecessary_wraps, reason = "a step that yields touches nothing")]
    pub(crate) fn access(&mut self, op: &Op) -> Option<Access> {
        let mode = match op.kind {
            Kind::Sleep => return Some(Access { object: CLOCK, mode: Mode::Commute }),
            Kind::End => Mode::Commute,
            kind if kind.is_read() => Mode::Read,
            _ => Mode::Write,
        };
        let object = self.objects.declared(&op.object);
        if !self.foreign.is_empty() {
            self.meets_again(object, op.object.address, op.object.size);
        }
        Some(Access { object, mode })
    }

    /// What the next step of `thread` touches besides its operation's own object: a wait on a condition that times out
    /// takes its lock back, and a step of a daemon is possible only before the end of the program.
    pub(super) fn also(&self, thread: usize) -> Vec<Access> {
        let actor = &self.actors[thread];
        let lock = actor.loan.map(|loan| Access { object: loan.object, mode: Mode::Write });
        let end = actor.daemon.then_some(Access { object: PROGRAM, mode: Mode::Read });
        lock.into_iter().chain(end).collect()
    }

    /// Wakes up to `count` of the threads that sleep on `word`, and returns how many. Which ones shows when one of them goes on.
    pub(crate) fn wake(&mut self, word: usize, count: u32) -> u32 {
        let by = self.events.len().checked_sub(1).and_then(|event| u32::try_from(event).ok());
        let wake = self.wakes.len();
        let asleep = self.actors.iter_mut().filter(|actor| actor.sleeps_on(word));
        let mut found: u32 = 0;
        for actor in asleep {
            found += 1;
            actor.opened_by = by;
            if let Standing::Parked { wakes, .. } = &mut actor.standing {
                wakes.push(wake);
            }
        }
        let woken = found.min(count);
        self.wakes.push(woken as usize);
        woken
    }

    /// `thread` looks at something, or yields, on one line of the program, again and again, though no other thread takes
    /// a step: others have to go first. Not every schedule is run then.
    pub(crate) fn is_in_vain(&mut self, thread: usize, op: Option<&Op>) -> bool {
        let looks = op.is_none_or(|op| matches!(op.kind, Kind::Read | Kind::Load | Kind::TryTake));
        let others = self.events.last().is_none_or(|event| event.thread != thread);
        let actor = &mut self.actors[thread];
        if others {
            actor.looks.clear();
        }
        if !looks {
            return false;
        }
        let place = op.map_or((0, 0, 0), |op| (op.object.address, op.at.line(), op.at.column()));
        let count = actor.looks.entry(place).or_default();
        *count += 1;
        let vain = *count > LOOKS;
        self.bounded |= vain;
        vain
    }
}
