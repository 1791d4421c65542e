//! Dynamic partial-order reduction: runs one schedule of each class of equivalent schedules.
//!
//! Source sets with sleep sets: algorithm 1 of Abdulla, Aronis, Jonsson and Sagonas, "Optimal dynamic partial order
//! reduction" (POPL 2014). The races of an execution come from [`HappensBefore`](super::happens_before).
//!
//! Invariants, for each node of the current schedule:
//! - `backtrack` is a source set of the schedules explored so far from there: each class that has been found to exist
//!   begins with one of its tasks, or with a task in the sleep set.
//! - The first step of each task in `sleep` has been explored from there, and nothing since conflicts with it. A
//!   schedule in which all enabled tasks sleep is redundant, and is cut short.
//!
//! Termination: executions are limited in length, and the choices of a node only move from `backtrack` to `sleep`.

use std::any::Any;

use super::happens_before::{HappensBefore, Race};
use crate::runtime::{Access, Event, Policy, TaskSet, Trace, View, singleton};

/// One step of the current schedule, and its alternatives.
#[derive(Debug)]
struct Node {
    chosen: usize,
    enabled: TaskSet,
    /// Of the options.
    fingerprint: u64,
    /// The tasks to run first from here, including those that have been.
    backtrack: TaskSet,
    /// The tasks that need not run first from here.
    sleep: Vec<SleepEntry>,
    /// The number of objects known before this step.
    objects_known: u32,
}

/// A task whose next step has been explored.
#[derive(Clone, Debug)]
struct SleepEntry {
    thread: usize,
    /// The accesses that the step made besides the declared ones.
    more: Vec<Access>,
    /// Objects with this number or a higher one may have other numbers by now.
    objects_known: u32,
}

impl Node {
    fn asleep(&self) -> TaskSet {
        self.sleep.iter().map(|entry| entry.thread).collect()
    }
}

/// Enumerates the classes of schedules.
#[derive(Debug, Default)]
pub(crate) struct Dpor {
    nodes: Vec<Node>,
    classes: u64,
    exhausted: bool,
    /// The program took different steps after the same choices.
    pub(crate) diverged: bool,
}

/// The number of steps of other tasks after which an enabled task is chosen next, if the choice is free.
const STARVED_AFTER: usize = 50;

impl Policy for Dpor {
    fn pick(&mut self, view: &View<'_>) -> Option<usize> {
        let depth = view.events.len();
        let enabled: TaskSet = view.options.iter().copied().collect();
        if let Some(node) = self.nodes.get(depth) {
            self.diverged |= (&node.enabled, node.fingerprint) != (&enabled, view.fingerprint());
            return view.options.iter().position(|&thread| thread == node.chosen).or(Some(0));
        }
        let sleep = self.inherited_sleep_set(view);
        let fingerprint = view.fingerprint();
        let node = Node {
            chosen: 0,
            enabled,
            fingerprint,
            backtrack: TaskSet::default(),
            sleep,
            objects_known: view.objects.len(),
        };
        let asleep = node.asleep();
        // The task of the last step continues, even if that is a timeout: the code after a timeout is the least
        // tested. But no task is starved, or a program that terminates might look like a livelock.
        let awake = |thread: &usize| !asleep.contains(*thread);
        let position = |of: usize| view.options.iter().position(|&thread| thread == of);
        let longest = view.options.iter().copied().filter(awake).max_by_key(|&thread| view.waited(thread));
        let starved = longest.filter(|&thread| view.waited(thread) > STARVED_AFTER).and_then(position);
        let stays = position(view.current).filter(|_| awake(&view.current));
        let place = starved.or(stays).or_else(|| view.options.iter().position(awake))?;
        let chosen = view.options[place];
        self.nodes.push(Node { chosen, backtrack: singleton(chosen), ..node });
        Some(place)
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

impl Dpor {
    pub(crate) fn classes(&self) -> u64 {
        self.classes
    }

    pub(crate) fn is_exhausted(&self) -> bool {
        self.exhausted
    }

    /// A lower bound on the size of the search tree, as a power of two, if the rest of the tree is like its current
    /// branch: the product of the numbers of choices at each node (Knuth, "Estimating the efficiency of backtrack
    /// programs", 1975).
    pub(crate) fn log2_size(&self) -> f64 {
        let ways = |node: &Node| node.backtrack.iter().fold(0.0, |ways, _| ways + 1.0);
        self.nodes.iter().map(|node| f64::log2(ways(node))).sum()
    }

    /// The entries of the last node's sleep set that are independent of the last step.
    fn inherited_sleep_set(&self, view: &View<'_>) -> Vec<SleepEntry> {
        let (Some(parent), Some(event)) = (self.nodes.last(), view.events.last()) else { return Vec::new() };
        let independent = |entry: &&SleepEntry| entry.thread != event.thread && !entry.conflicts(event, view);
        parent.sleep.iter().filter(independent).cloned().collect()
    }

    /// Adds the tasks that the races of an execution require, and advances to the next schedule, if there is one.
    pub(crate) fn learn(&mut self, trace: &Trace) {
        self.classes += u64::from(!trace.redundant);
        let nodes = &mut self.nodes;
        HappensBefore::new(trace).races(|race, initials| add(nodes, race, &initials));
        self.advance(trace);
    }

    fn advance(&mut self, trace: &Trace) {
        while let Some(depth) = self.nodes.len().checked_sub(1) {
            let node = &mut self.nodes[depth];
            if let Some(event) = trace.events.get(depth) {
                let more = event.more.clone();
                node.sleep.push(SleepEntry { thread: node.chosen, more, objects_known: node.objects_known });
            }
            let asleep = node.asleep();
            if let Some(next) = node.backtrack.iter().find(|next| !asleep.contains(*next)) {
                node.chosen = next;
                return;
            }
            self.nodes.pop();
        }
        self.exhausted = true;
    }
}

/// Adds one of the initials to the backtrack set, unless one is in it, or asleep.
fn add(nodes: &mut [Node], race: Race, initials: &TaskSet) {
    let Some(node) = nodes.get_mut(race.first) else { return };
    let asleep = node.asleep();
    let is_done = |initial: usize| node.backtrack.contains(initial) || asleep.contains(initial);
    if !initials.iter().any(is_done)
        && let Some(initial) = initials.first()
    {
        node.backtrack.insert(initial);
    }
}

impl SleepEntry {
    fn conflicts(&self, event: &Event, view: &View<'_>) -> bool {
        event.accesses().any(|access| {
            let access = view.same(access);
            view.all_next(self.thread).any(|next| next.conflicts(access))
                || self.more.iter().any(|more| self.may_conflict(*more, access, view))
        })
    }

    /// Whether the access `more` of the step may conflict with `access`. An object that was first accessed after the
    /// step was explored may have another number now, so any such object counts.
    fn may_conflict(&self, more: Access, access: Access, view: &View<'_>) -> bool {
        let renumbered = more.object >= self.objects_known && access.object >= self.objects_known;
        more.conflicts(access) || (renumbered && more.mode.conflicts(access.mode) && view.objects.len() > 0)
    }
}
