//! The trace of a finished execution.

use std::collections::{HashMap, HashSet};

use raddle::rt::{Kind, Op};

use super::objects::Objects;
use super::record::{BlockedTask, Event, Failure, Pending, StepRecord};
use super::state::ExecutionState;
use super::task::Task;
use crate::options::Deadlines;

/// The steps and the outcome of an execution.
pub(crate) struct Trace {
    pub(crate) events: Vec<Event>,
    pub(crate) objects: Objects,
    pub(crate) tasks: Vec<Task>,
    pub(crate) failure: Option<Failure>,
    /// The number of events before the failure.
    pub(crate) failed_at: usize,
    pub(crate) choices: Vec<usize>,
    pub(crate) preemptions: usize,
    /// The execution was cut short because equivalent ones have been run.
    pub(crate) redundant: bool,
    /// A limit of the rules disabled a task, so not every schedule is possible.
    pub(crate) bounded: bool,
    /// The program read a number of waiters, so the order in which they enqueued matters.
    pub(crate) reads_waiters: bool,
    /// When a deadline is computed matters as much as this.
    pub(crate) deadlines: Deadlines,
    pub(crate) records: Vec<StepRecord>,
    pub(crate) waits: Vec<BlockedTask>,
    /// The next steps of all tasks when the execution ended.
    pub(crate) pending: Vec<Pending>,
    labels: Vec<(usize, usize, String)>,
}

impl Trace {
    /// Moves the records of the execution out of its state.
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
            reads_waiters: state.reads_waiters,
            deadlines: state.deadlines,
            records: take(&mut state.records),
            waits: take(&mut state.waits),
            pending,
            labels: take(&mut state.labels),
            objects,
        }
    }

    /// Whether more than one task took steps.
    pub(crate) fn has_several_threads(&self) -> bool {
        self.events.iter().any(|event| event.thread != self.events[0].thread)
    }

    /// Whether two threads accessed the same object. Objects that stand for threads do not count, so starting and
    /// joining a thread is no interleaving.
    pub(crate) fn interleaves(&self) -> bool {
        let ops = || self.events.iter().filter_map(|event| Some((event.thread, event.op?)));
        let is_life = |op: &Op| matches!(op.kind, Kind::Start | Kind::Terminate);
        let threads: HashSet<_> = ops().filter(|(_, op)| is_life(op)).map(|(_, op)| op.object).collect();
        let mut touched = HashMap::new();
        let shared = ops()
            .filter(|(_, op)| !matches!(op.kind, Kind::Sleep | Kind::Clock) && !threads.contains(&op.object))
            .any(|(thread, op)| touched.insert(op.object, thread).is_some_and(|other| other != thread));
        // A thread that reads the clock finds out whether another one has slept.
        let of_kind = |kind| ops().filter(move |(_, op)| op.kind == kind).map(|(thread, _)| thread);
        shared || of_kind(Kind::Clock).any(|reader| of_kind(Kind::Sleep).any(|sleeper| sleeper != reader))
    }

    /// For each task, the task that started it.
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
