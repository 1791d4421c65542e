//! One execution, as the search keeps it.

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use raddle::rt::{Kind, Op};

use super::races::first_race;
use crate::crew::{Crew, stay_for_good};
use crate::stage::{
    Actor, Event, Failure, Objects, Pending, Policy, Pulse, Row, Rules, Stage, State, View, Waits,
};

/// What is explored.
pub(crate) type Program = Arc<dyn Fn() + Send + Sync>;

/// Where a program is run again and again.
#[derive(Clone)]
pub(crate) struct Lab {
    pub(crate) program: Program,
    pub(crate) crew: Crew,
    pub(crate) pulse: Arc<Pulse>,
    root: Arc<Root>,
}

/// Where the program's main thread is played.
#[derive(Debug, Default)]
struct Root {
    /// It has left nothing in its thread-locals so far, so the thread that runs the search may play it.
    here: AtomicBool,
    /// It did leave something, in the thread that runs the search.
    spoiled: AtomicBool,
    /// It could not be unwound, and the thread that ran the search is lost.
    resists: AtomicBool,
}

impl Lab {
    pub(crate) fn new(program: Program) -> Self {
        Self { program, crew: Crew::engage(), pulse: Arc::new(Pulse::new()), root: Arc::default() }
    }

    /// The same, with the program's main thread on a thread of its own in every execution: it may be lost.
    pub(crate) fn apart(&self) -> Self {
        let lab = Self::new(self.program.clone());
        lab.root.resists.store(true, Relaxed);
        lab
    }

    /// Runs the program once, as `policy` decides, and gives the policy back.
    pub(crate) fn perform<P: Policy + 'static>(&self, rules: Rules, policy: P) -> (Execution, P) {
        if self.pulse.is_abandoned() {
            stay_for_good();
        }
        let mut policy = Resumable::new(policy);
        if self.root.here.load(Relaxed) {
            let stage = Stage::new(rules, Box::new(policy), &self.crew, &self.pulse);
            let complete = stage.perform_here(&*self.program);
            if stage.root_keeps_locals() {
                self.root.here.store(false, Relaxed);
                self.root.spoiled.store(true, Relaxed);
            }
            if complete {
                return Self::result(&stage);
            }
            // What was chosen holds, but the execution goes on from there.
            policy = Resumable::given_back(&mut stage.lock());
            policy.at = 0;
        }
        let stage = Stage::new(rules, Box::new(policy), &self.crew, &self.pulse);
        stage.perform(self.program.clone());
        let spoiled = self.root.spoiled.load(Relaxed) || self.root.resists.load(Relaxed);
        self.root.here.store(!spoiled && !stage.root_keeps_locals(), Relaxed);
        Self::result(&stage)
    }

    /// The program has left something in the locals of the thread that runs the search.
    pub(crate) fn has_spoiled_its_thread(&self) -> bool {
        self.root.spoiled.load(Relaxed)
    }

    fn result<P: Policy + 'static>(stage: &Stage) -> (Execution, P) {
        let mut end = stage.lock();
        let policy = Resumable::given_back(&mut end).policy;
        let rules = end.rules;
        let mut execution = Execution::of(&mut end);
        if rules.races && execution.failure.is_none() {
            execution.failure = first_race(&execution);
            execution.failed_at = execution.events.len();
        }
        (execution, policy)
    }
}

/// Keeps what a policy chose, so that an execution can be run once more up to the same point.
struct Resumable<P> {
    policy: P,
    chosen: Vec<usize>,
    at: usize,
}

impl<P: Policy + 'static> Resumable<P> {
    fn new(policy: P) -> Self {
        Self { policy, chosen: Vec::new(), at: 0 }
    }

    /// The policy of an execution that is over.
    fn given_back(end: &mut State) -> Self {
        let policy = std::mem::replace(&mut end.policy, Box::new(Nobody)).into_any();
        *policy.downcast().expect("the policy is the one that was given")
    }
}

impl<P: Policy + 'static> Policy for Resumable<P> {
    fn pick(&mut self, view: &View<'_>) -> Option<usize> {
        let place = match self.chosen.get(self.at) {
            Some(&place) => place.min(view.options.len() - 1),
            None => self.policy.pick(view)?,
        };
        if self.at == self.chosen.len() {
            self.chosen.push(place);
        }
        self.at += 1;
        Some(place)
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

/// What an execution did.
pub(crate) struct Execution {
    pub(crate) events: Vec<Event>,
    pub(crate) objects: Objects,
    pub(crate) actors: Vec<Actor>,
    pub(crate) failure: Option<Failure>,
    /// After how many events it failed.
    pub(crate) failed_at: usize,
    pub(crate) choices: Vec<usize>,
    pub(crate) preemptions: usize,
    /// It was given up because others like it have been seen.
    pub(crate) redundant: bool,
    /// A limit of the rules kept a thread from going on, so that not every schedule is possible.
    pub(crate) bounded: bool,
    /// A thread looked at how many wait, so that it matters when each of them began to.
    pub(crate) sees_arrivals: bool,
    pub(crate) rows: Vec<Row>,
    pub(crate) waits: Vec<Waits>,
    /// The steps that were still to be taken when it all ended.
    pub(crate) pending: Vec<Pending>,
    labels: Vec<(usize, usize, String)>,
}

impl Execution {
    /// What has become of the execution so far.
    pub(crate) fn of(state: &mut State) -> Self {
        use std::mem::take;
        let mut events = take(&mut state.events);
        let objects = std::mem::replace(&mut state.objects, Objects::new());
        for access in events.iter_mut().flat_map(|event| event.access.iter_mut().chain(&mut event.more)) {
            access.object = objects.canonical(access.object);
        }
        let mut pending = take(&mut state.pending);
        for access in pending.iter_mut().flat_map(|pending| &mut pending.accesses) {
            access.object = objects.canonical(access.object);
        }
        Self {
            events,
            actors: take(&mut state.actors),
            failure: state.failure.take(),
            failed_at: state.failed_at,
            choices: take(&mut state.choices),
            preemptions: state.preemptions,
            redundant: state.redundant,
            bounded: state.bounded,
            sees_arrivals: state.sees_arrivals,
            rows: take(&mut state.rows),
            waits: take(&mut state.waits),
            pending,
            labels: take(&mut state.labels),
            objects,
        }
    }

    /// How many threads took steps.
    pub(crate) fn has_several_threads(&self) -> bool {
        self.events.iter().any(|event| event.thread != self.events[0].thread)
    }

    /// Whether two threads touched the same object, other than a thread: that one starts and joins another does not
    /// count.
    pub(crate) fn interleaves(&self) -> bool {
        let ops = || self.events.iter().filter_map(|event| Some((event.thread, event.op?)));
        let is_life = |op: &Op| matches!(op.kind, Kind::Start | Kind::End);
        let threads: HashSet<_> = ops().filter(|(_, op)| is_life(op)).map(|(_, op)| op.object).collect();
        let mut touched = HashMap::new();
        ops()
            .filter(|(_, op)| op.kind != Kind::Sleep && !threads.contains(&op.object))
            .any(|(thread, op)| touched.insert(op.object, thread).is_some_and(|other| other != thread))
    }

    /// Who started each thread.
    pub(crate) fn parents(&self) -> Vec<Option<usize>> {
        self.actors.iter().map(|actor| actor.parent).collect()
    }

    /// The name that the program gave to the object.
    pub(crate) fn label(&self, object: u32) -> Option<&str> {
        let address = self.objects.address(object);
        let within = |(start, size, _): &&(usize, usize, String)| {
            address >= *start && address < start + (*size).max(1)
        };
        self.labels.iter().rev().find(within).map(|(_, _, name)| name.as_str())
    }
}

/// Stands in for a policy that was given back.
struct Nobody;

impl Policy for Nobody {
    fn pick(&mut self, _: &View<'_>) -> Option<usize> {
        None
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}
