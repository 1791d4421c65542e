//! The happens-before relation of an execution, and its reversible races.
//!
//! The definitions are those of Abdulla, Aronis, Jonsson and Sagonas, "Optimal dynamic partial order reduction" (POPL
//! 2014). Event `a` happens before `b` if `b` depends on `a` directly or transitively: both are of one task, conflict,
//! or `a` enabled `b`. A race is a pair of dependent events of different tasks with nothing between them in that
//! order. It is reversible if the second one may have been possible in place of the first.

use raddle::rt::Kind;

use crate::runtime::{Access, FastMap, Mode, Task, TaskSet, Trace, VectorClock};

/// The happens-before relation of an execution.
pub(crate) struct HappensBefore<'a> {
    trace: &'a Trace,
    /// For each event, the events that happen before it, itself included.
    clocks: Vec<VectorClock>,
    /// The events of each task.
    own: Vec<Vec<usize>>,
    /// For each object, the events that accessed it, oldest first.
    touched: FastMap<u32, Vec<(usize, Mode)>>,
}

/// Two dependent steps that could have been taken in the other order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Race {
    pub(crate) first: usize,
    /// `None` for a step that had not been taken when the execution ended.
    pub(crate) second: Option<usize>,
    /// The task of the second step.
    pub(crate) thread: usize,
}

/// The second step of a race: an event, or the next step of a task.
struct CandidateStep<'a> {
    thread: usize,
    event: Option<usize>,
    accesses: &'a [Access],
    before: VectorClock,
    /// The number of events before the clock advanced to the deadline of the step, because no other step was possible.
    due: usize,
    kind: Option<Kind>,
    timed: bool,
    enabled_by: Option<usize>,
}

impl<'a> HappensBefore<'a> {
    pub(crate) fn new(trace: &'a Trace) -> Self {
        let count = trace.events.len();
        let own = vec![Vec::new(); trace.tasks.len()];
        Self { trace, clocks: Vec::with_capacity(count), own, touched: FastMap::default() }
    }

    /// Calls `races` with every race, in the order of the second steps, and the initials of each: the tasks that could
    /// have begun with the second step instead of the first.
    pub(crate) fn races(mut self, mut races: impl FnMut(Race, TaskSet)) -> Self {
        let trace = self.trace;
        for (index, event) in trace.events.iter().enumerate() {
            let accesses: Vec<_> = event.accesses().collect();
            let step = CandidateStep {
                thread: event.thread,
                event: Some(index),
                accesses: &accesses,
                before: self.before(event.thread),
                due: event.due.unwrap_or(0),
                kind: event.op.map(|op| op.kind),
                timed: event.timed,
                enabled_by: event.enabled_by.map(|by| by as usize),
            };
            let clock = self.look_back(&step, &mut races);
            self.add(index, event.thread, clock, &accesses);
        }
        self.pending(&mut races);
        self
    }

    /// The next steps of all tasks race with the events, including those that are disabled.
    fn pending(&mut self, races: &mut impl FnMut(Race, TaskSet)) {
        for pending in &self.trace.pending {
            let step = CandidateStep {
                thread: pending.thread,
                event: None,
                accesses: &pending.accesses,
                before: self.before(pending.thread),
                due: 0,
                kind: pending.op.map(|op| op.kind),
                timed: pending.timed,
                enabled_by: pending.enabled_by.map(|by| by as usize),
            };
            self.look_back(&step, races);
        }
    }

    pub(crate) fn happened_before(&self, first: usize, second: usize) -> bool {
        self.clocks[second].has_seen(self.trace.events[first].thread, first)
    }

    /// The events that happen before the next step of `thread` regardless of its accesses: the task's earlier steps,
    /// and its start.
    fn before(&self, thread: usize) -> VectorClock {
        match (self.last(thread), self.trace.tasks[thread].started_by) {
            (Some(last), _) => self.clocks[last].clone(),
            (None, Some(start)) => self.clocks[start as usize].clone(),
            (None, None) => VectorClock::default(),
        }
    }

    /// The last event of the task so far.
    fn last(&self, thread: usize) -> Option<usize> {
        self.own[thread].last().copied()
    }

    fn add(&mut self, index: usize, thread: usize, mut clock: VectorClock, accesses: &[Access]) {
        clock.sees(thread, index);
        self.clocks.push(clock);
        self.own[thread].push(index);
        for access in accesses {
            self.touched.entry(access.object).or_default().push((index, access.mode));
        }
    }

    /// Reports the races of a step with earlier events, and returns the events that happen before the step.
    ///
    /// An earlier event that enabled the step cannot be reversed, but does not order the step after yet earlier events
    /// either: of two tasks that acquire a lock, the other one can be first, although a release lies between them.
    fn look_back(&self, step: &CandidateStep<'_>, races: &mut impl FnMut(Race, TaskSet)) -> VectorClock {
        let mut all = step.before.clone();
        for own in self.own.iter().filter(|_| step.due > 0) {
            let before = own.partition_point(|&event| event < step.due);
            own[..before].last().iter().for_each(|&&last| all.join(&self.clocks[last]));
        }
        step.enabled_by.iter().for_each(|&by| all.join(&self.clocks[by]));
        // The events that order the step after an earlier event, unless a race between them is reversed first.
        let mut between = step.before.clone();
        for earlier in self.conflicting(step) {
            let thread = self.trace.events[earlier].thread;
            if between.has_seen(thread, earlier) {
                continue;
            }
            all.join(&self.clocks[earlier]);
            if !self.could_come_first(earlier, step) {
                continue;
            }
            let mut possible = self.initials(earlier, step);
            possible.retain_in(&self.trace.events[earlier].enabled);
            if !possible.is_empty() {
                let (first, second, thread) = (earlier, step.event, step.thread);
                races(Race { first, second, thread }, possible);
                between.join(&self.clocks[earlier]);
            }
        }
        all
    }

    /// Whether the step may have been possible in place of the earlier event, or after others that do not depend on
    /// it.
    fn could_come_first(&self, earlier: usize, step: &CandidateStep<'_>) -> bool {
        let event = &self.trace.events[earlier];
        let ends = event.op.is_some_and(|op| op.kind == Kind::Terminate);
        match step.kind {
            _ if step.timed => {}
            Some(Kind::Acquire) if event.released => return false, // disabled while the lock is held
            Some(Kind::Join | Kind::Await) if ends => return false,
            _ => {}
        }
        // If the task reached the step only later, the steps that would have been possible are unknown.
        let waiting = self.last(step.thread).is_none_or(|last| last < earlier);
        let begun = step.thread < self.begun(earlier);
        let enabled_apart = |by: usize| by > earlier && !self.happened_before(earlier, by);
        !(waiting && begun)
            || event.enabled.contains(step.thread)
            || step.enabled_by.is_some_and(enabled_apart)
    }

    /// How many tasks had started before the event.
    fn begun(&self, event: usize) -> usize {
        let started = |task: &&Task| task.started_by.is_none_or(|by| (by as usize) < event);
        self.trace.tasks.iter().take_while(started).count()
    }

    /// The earlier events of other tasks that conflict with the step, latest first.
    fn conflicting(&self, step: &CandidateStep<'_>) -> Vec<usize> {
        let mut found: Vec<usize> = Vec::new();
        for access in step.accesses {
            let touched = self.touched.get(&access.object).map(Vec::as_slice).unwrap_or_default();
            let conflicts = touched.iter().filter(|(_, mode)| mode.conflicts(access.mode));
            found.extend(conflicts.map(|(event, _)| *event));
        }
        found.extend(step.enabled_by);
        found.retain(|&event| self.trace.events[event].thread != step.thread);
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.dedup();
        found
    }

    /// The initials of notdep(first, E).step, in the terms of the paper: the tasks that can begin the sequence of
    /// events after `first` that do not depend on it and lead to the step.
    fn initials(&self, first: usize, step: &CandidateStep<'_>) -> TaskSet {
        let end = step.event.unwrap_or(self.trace.events.len());
        let free: Vec<_> = (first + 1..end).filter(|&event| !self.happened_before(first, event)).collect();
        let (mut seen, mut initials) = (TaskSet::default(), TaskSet::default());
        for &event in &free {
            let thread = self.trace.events[event].thread;
            if !seen.contains(thread) {
                seen.insert(thread);
                let follows = |&&earlier: &&usize| earlier < event && self.happened_before(earlier, event);
                if !free.iter().any(|earlier| follows(&earlier)) {
                    initials.insert(thread);
                }
            }
        }
        if !seen.contains(step.thread) && !self.depends_on_any(step, &free) {
            initials.insert(step.thread);
        }
        initials
    }

    fn depends_on_any(&self, step: &CandidateStep<'_>, events: &[usize]) -> bool {
        events.iter().any(|&event| {
            let earlier = &self.trace.events[event];
            step.before.has_seen(earlier.thread, event)
                || earlier.accesses().any(|a| step.accesses.iter().any(|b| a.conflicts(*b)))
        })
    }
}
