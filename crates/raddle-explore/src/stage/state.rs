//! Where an execution stands: its threads, its clock, and what has happened.

use std::collections::HashMap;
use std::time::Duration;

use raddle::host::{Kind, Op};

use super::actor::{Actor, Standing};
use super::event::{Event, Pending, Threads};
use super::failure::Failure;
use super::log::{Hold, Row, Waits};
use super::objects::{Access, CLOCK, Mode, Objects};
use super::policy::Policy;
use super::rules::Rules;

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
            touched: Threads::default(),
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
        self.touched.extend((0..self.actors.len()).filter(|&thread| self.actors[thread].looks_at(address)));
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
