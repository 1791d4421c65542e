//! One execution, as the search keeps it.

use std::sync::Arc;
use std::sync::mpsc::channel;

use super::races::first_race;
use crate::crew::Crew;
use crate::stage::{Actor, Event, Failure, Objects, Pending, Policy, Pulse, Row, Rules, Stage, State, Waits};

/// What is explored.
pub(crate) type Program = Arc<dyn Fn() + Send + Sync>;

/// Where a program is run again and again.
#[derive(Clone)]
pub(crate) struct Lab {
    pub(crate) program: Program,
    pub(crate) crew: Crew,
    pub(crate) pulse: Arc<Pulse>,
}

impl Lab {
    pub(crate) fn new(program: Program) -> Self {
        Self { program, crew: Crew::engage(), pulse: Arc::default() }
    }

    /// Runs the program once, as `policy` decides, and gives the policy back.
    pub(crate) fn perform<P: Policy + 'static>(&self, rules: Rules, policy: P) -> (Execution, P) {
        let stage = Stage::new(rules, Box::new(policy), &self.crew, &self.pulse);
        if self.crew.is_pooled() {
            stage.perform(&*self.program);
        } else {
            self.perform_elsewhere(&stage);
        }
        let mut end = stage.lock();
        let policy = std::mem::replace(&mut end.policy, Box::new(Nobody)).into_any();
        let policy = policy.downcast().expect("the policy is the one that was given");
        let mut execution = Execution::of(&mut end);
        if rules.races && execution.failure.is_none() {
            execution.failure = first_race(&execution);
            execution.failed_at = execution.events.len();
        }
        (execution, *policy)
    }

    /// On a thread of its own, whose locals nobody has used before.
    fn perform_elsewhere(&self, stage: &Arc<Stage>) {
        let (sender, receiver) = channel();
        let (program, stage) = (self.program.clone(), stage.clone());
        let job = move || {
            stage.perform(&*program);
            let _ = sender.send(());
        };
        self.crew.run(Box::new(job), None).expect("a thread for the explorer");
        let _ = receiver.recv();
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
    fn pick(&mut self, _: &crate::stage::View<'_>) -> Option<usize> {
        None
    }

    fn into_any(self: Box<Self>) -> Box<dyn std::any::Any + Send> {
        self
    }
}
