//! What happened before what in an execution, and which steps could have changed places.

use std::collections::HashMap;

use raddle::host::Kind;

use super::clock::Clock;
use super::execution::Execution;
use crate::stage::{Access, Event, Mode, Threads};

/// The order of an execution's events.
pub(crate) struct Order<'a> {
    execution: &'a Execution,
    /// For each event what happened before it, itself included.
    clocks: Vec<Clock>,
    /// The last event of each thread.
    last: Vec<Option<usize>>,
    /// For each object who touched it, and how, oldest first.
    touched: HashMap<u32, Vec<(usize, Mode)>>,
}

/// Two steps that could have changed places: event `first` and a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Race {
    pub(crate) first: usize,
    /// `None`: a step that was still to be taken when it all ended.
    pub(crate) second: Option<usize>,
    /// Whose step that is.
    pub(crate) thread: usize,
}

/// What a step needs of an earlier one.
enum Need {
    /// Nothing: it would have been possible without.
    None,
    /// That a lock was let go of. Before it was taken the step would have been possible, too.
    Free,
    /// That it happened.
    This,
}

/// A step that is looked at: an event, or the next step of a thread.
struct Candidate<'a> {
    thread: usize,
    event: Option<usize>,
    accesses: &'a [Access],
    before: Clock,
    kind: Option<Kind>,
    limited: bool,
    opened_by: Option<u32>,
}

impl<'a> Order<'a> {
    pub(crate) fn new(execution: &'a Execution) -> Self {
        let count = execution.events.len();
        let last = vec![None; execution.actors.len()];
        Self { execution, clocks: Vec::with_capacity(count), last, touched: HashMap::new() }
    }

    /// Every race of the execution, in the order of the later steps, each with the threads that could have begun with
    /// the later step instead of the earlier one.
    pub(crate) fn races(mut self, mut races: impl FnMut(Race, Threads)) -> Self {
        let execution = self.execution;
        for (index, event) in execution.events.iter().enumerate() {
            let accesses: Vec<_> = event.accesses().collect();
            let before = self.before(index, event);
            let step = Candidate {
                thread: event.thread,
                event: Some(index),
                accesses: &accesses,
                before,
                kind: event.op.map(|op| op.kind),
                limited: event.limited,
                opened_by: event.opened_by,
            };
            let clock = if event.last_resort { step.before } else { self.look_back(&step, &mut races) };
            self.add(index, event.thread, clock, &accesses);
        }
        self.pending(&mut races);
        self
    }

    /// The last steps have to be raced against those that were still to be taken, the impossible ones too.
    fn pending(&mut self, races: &mut impl FnMut(Race, Threads)) {
        for pending in &self.execution.pending {
            let thread = pending.thread;
            let before = self.last[thread].map(|last| self.clocks[last].clone()).unwrap_or_default();
            let step = Candidate {
                thread,
                event: None,
                accesses: &[pending.access],
                before,
                kind: pending.op.map(|op| op.kind),
                limited: pending.limited,
                opened_by: pending.opened_by,
            };
            self.look_back(&step, races);
        }
    }

    pub(crate) fn happened_before(&self, first: usize, second: usize) -> bool {
        self.clocks[second].has_seen(self.execution.events[first].thread, first)
    }

    /// What happened before the event for other reasons than what it touches.
    fn before(&self, index: usize, event: &Event) -> Clock {
        let mut clock = self.last[event.thread].map(|last| self.clocks[last].clone()).unwrap_or_default();
        // With a limit it might have gone on without that, and a lock was free before it was taken, too.
        let takes = event.op.is_some_and(|op| op.kind == Kind::Take);
        let could_do_without = |by: u32| event.limited || (takes && self.execution.events[by as usize].gave);
        if let Some(by) = event.opened_by.filter(|by| !could_do_without(*by)) {
            clock.join(&self.clocks[by as usize]);
        }
        if event.last_resort {
            self.clocks[..index].iter().for_each(|earlier| clock.join(earlier));
        }
        clock
    }

    fn add(&mut self, index: usize, thread: usize, mut clock: Clock, accesses: &[Access]) {
        clock.sees(thread, index);
        self.clocks.push(clock);
        self.last[thread] = Some(index);
        for access in accesses {
            self.touched.entry(access.object).or_default().push((index, access.mode));
        }
    }

    /// Goes back from a step through those that it conflicts with, and returns all that happened before it.
    fn look_back(&self, step: &Candidate<'_>, races: &mut impl FnMut(Race, Threads)) -> Clock {
        let mut all = step.before.clone();
        step.opened_by.iter().for_each(|by| all.join(&self.clocks[*by as usize]));
        // What lies between the step and an earlier one, and so keeps the two from changing places. An earlier step
        // without which the later one is impossible does not: a lock's release lies between two who take it.
        let mut between = step.before.clone();
        for earlier in self.conflicting(step) {
            let thread = self.execution.events[earlier].thread;
            if between.has_seen(thread, earlier) {
                continue;
            }
            all.join(&self.clocks[earlier]);
            match self.need(earlier, step) {
                Need::None => {}
                Need::Free => continue,
                Need::This => {
                    between.join(&self.clocks[earlier]);
                    continue;
                }
            }
            let mut possible = self.beginners(earlier, step);
            possible.retain_in(&self.execution.events[earlier].enabled);
            if !possible.is_empty() {
                let (first, second, thread) = (earlier, step.event, step.thread);
                races(Race { first, second, thread }, possible);
                between.join(&self.clocks[earlier]);
            }
        }
        all
    }

    /// Whether the step would have been possible without the earlier event.
    fn need(&self, earlier: usize, step: &Candidate<'_>) -> Need {
        let event = &self.execution.events[earlier];
        let opens = step.opened_by.is_some_and(|by| by as usize == earlier);
        let ends = event.op.is_some_and(|op| op.kind == Kind::End) && step.kind == Some(Kind::Wait);
        match event.gave && step.kind == Some(Kind::Take) {
            _ if step.limited => Need::None,
            true => Need::Free,
            false if opens || ends => Need::This,
            false => Need::None,
        }
    }

    /// Earlier events of other threads that conflict with the step, latest first.
    fn conflicting(&self, step: &Candidate<'_>) -> Vec<usize> {
        let mut found: Vec<usize> = Vec::new();
        for access in step.accesses {
            let touched = self.touched.get(&access.object).map(Vec::as_slice).unwrap_or_default();
            let conflicts = touched.iter().filter(|(_, mode)| mode.conflicts(access.mode));
            found.extend(conflicts.map(|(event, _)| *event));
        }
        found.retain(|&event| self.execution.events[event].thread != step.thread);
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.dedup();
        found
    }

    /// The threads that can begin what came after `first` and did not depend on it, up to the step: the initials of
    /// notdep(first, E).step, in the words of Abdulla, Aronis, Jonsson and Sagonas, "Optimal dynamic partial order
    /// reduction" (2014).
    fn beginners(&self, first: usize, step: &Candidate<'_>) -> Threads {
        let end = step.event.unwrap_or(self.execution.events.len());
        let free: Vec<_> = (first + 1..end).filter(|&event| !self.happened_before(first, event)).collect();
        let (mut seen, mut beginners) = (Threads::default(), Threads::default());
        for &event in &free {
            let thread = self.execution.events[event].thread;
            if !seen.contains(thread) {
                seen.insert(thread);
                let follows = |&&earlier: &&usize| earlier < event && self.happened_before(earlier, event);
                if !free.iter().any(|earlier| follows(&earlier)) {
                    beginners.insert(thread);
                }
            }
        }
        if !seen.contains(step.thread) && !self.depends_on_any(step, &free) {
            beginners.insert(step.thread);
        }
        beginners
    }

    fn depends_on_any(&self, step: &Candidate<'_>, events: &[usize]) -> bool {
        events.iter().any(|&event| {
            let earlier = &self.execution.events[event];
            step.before.has_seen(earlier.thread, event)
                || earlier.accesses().any(|a| step.accesses.iter().any(|b| a.conflicts(*b)))
        })
    }
}
