//! What an execution did.

use std::collections::{HashMap, HashSet};

use raddle::rt::{Kind, Op};

use super::objects::Objects;
use super::record::{BlockedTask, Event, Failure, Pending, StepRecord};
use super::state::ExecutionState;
use super::task::Task;

/// What an execution did.
pub(crate) struct Trace {
    pub(crate) events: Vec<Event>,
    pub(crate) objects: Objects,
    pub(crate) tasks: Vec<Task>,
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
    pub(crate) records: Vec<StepRecord>,
    pub(crate) waits: Vec<BlockedTask>,
    /// The steps that were still to be taken when it all ended.
    pub(crate) pending: Vec<Pending>,
    labels: Vec<(usize, usize, String)>,
}

impl Trace {
    /// What has become of the execution so far.
    pub(crate) fn of(state: &mut ExecutionState) -> Self {
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
            tasks: take(&mut state.tasks),
            failure: state.failure.take(),
            failed_at: state.failed_at,
            choices: take(&mut state.choices),
            preemptions: state.preemptions,
            redundant: state.redundant,
            bounded: state.bounded,
            sees_arrivals: state.sees_arrivals,
            records: take(&mut state.records),
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
        self.tasks.iter().map(|task| task.parent).collect()
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
