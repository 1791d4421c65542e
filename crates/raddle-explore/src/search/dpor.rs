//! Dynamic partial-order reduction: of all schedules that differ only in the order of steps which do not touch the
//! same objects, one is run.
//!
//! Source sets with sleep sets, after Abdulla, Aronis, Jonsson and Sagonas, "Optimal dynamic partial order reduction"
//! (2014).

use std::any::Any;

use super::happens_before::{HappensBefore, Race};
use crate::runtime::{Access, Event, Policy, TaskSet, Trace, View, singleton};

/// One step of the schedule that is being run, and what else is to be tried in its place.
#[derive(Debug)]
struct Node {
    chosen: usize,
    enabled: TaskSet,
    /// Of what could be chosen.
    fingerprint: u64,
    /// Who is to go first from here, or has gone.
    backtrack: TaskSet,
    /// Who need not go first from here: what comes of that has been seen.
    sleep: Vec<SleepEntry>,
    /// How many objects were known.
    objects_known: u32,
}

/// A thread whose next step has been tried, and would lead to what has been seen.
#[derive(Clone, Debug)]
struct SleepEntry {
    thread: usize,
    /// What the step touches beyond what its thread says itself.
    more: Vec<Access>,
    /// Objects with these numbers and above may be others by now.
    objects_known: u32,
}

impl Node {
    fn asleep(&self) -> TaskSet {
        self.sleep.iter().map(|entry| entry.thread).collect()
    }
}

/// Goes through the schedules, one class after the other.
#[derive(Debug, Default)]
pub(crate) struct Dpor {
    nodes: Vec<Node>,
    classes: u64,
    exhausted: bool,
    /// After the same choices the program did something else.
    pub(crate) diverged: bool,
}

/// A thread that can proceed is chosen after so many steps of others, where the choice is free.
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
        // The thread of the last step proceeds, even if it has to time out for that: what happens then is what programs
        // forget most easily. But no thread waits long for its turn, or a program might seem endless that is not.
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

    /// How much there is to do at least, as a power of two, if the rest of the tree is like its current branch: the product of
    /// how many ways there are at each node (Knuth, "Estimating the efficiency of backtrack programs", 1975).
    pub(crate) fn log2_size(&self) -> f64 {
        let ways = |node: &Node| node.backtrack.iter().fold(0.0, |ways, _| ways + 1.0);
        self.nodes.iter().map(|node| f64::log2(ways(node))).sum()
    }

    /// Who slept before the last step and is independent of it.
    fn inherited_sleep_set(&self, view: &View<'_>) -> Vec<SleepEntry> {
        let (Some(parent), Some(event)) = (self.nodes.last(), view.events.last()) else { return Vec::new() };
        let independent = |entry: &&SleepEntry| entry.thread != event.thread && !entry.conflicts(event, view);
        parent.sleep.iter().filter(independent).cloned().collect()
    }

    /// Learns from an execution, and sets out for the next one; there may be none.
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

/// Has one of those who can begin go first, unless that is done already.
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

    /// Whether what the step touched may conflict with `access`. An object that was met only after the step was tried
    /// may have another number now, so any of its kind counts.
    fn may_conflict(&self, more: Access, access: Access, view: &View<'_>) -> bool {
        let renumbered = more.object >= self.objects_known && access.object >= self.objects_known;
        more.conflicts(access) || (renumbered && more.mode.conflicts(access.mode) && view.objects.len() > 0)
    }
}
