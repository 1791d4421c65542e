//! Dynamic partial-order reduction: of all schedules that differ only in the order of steps which do not touch the
//! same objects, one is run.
//!
//! Source sets with sleep sets, after Abdulla, Aronis, Jonsson and Sagonas, "Optimal dynamic partial order reduction"
//! (2014).

use std::any::Any;

use super::execution::Execution;
use super::order::{Order, Race};
use crate::stage::{Access, Event, Policy, Threads, View, one};

/// One step of the schedule that is being run, and what else is to be tried in its place.
#[derive(Debug)]
struct Node {
    chosen: usize,
    enabled: Threads,
    /// Of what could be chosen.
    mark: u64,
    /// Who is to go first from here, or has gone.
    backtrack: Threads,
    /// Who need not go first from here: what comes of that has been seen.
    sleep: Vec<Sleeper>,
    /// How many objects were known.
    born: u32,
}

/// A thread whose next step has been tried, and would lead to what has been seen.
#[derive(Clone, Debug)]
struct Sleeper {
    thread: usize,
    /// What the step touches beyond what its thread says itself.
    more: Vec<Access>,
    /// Objects with these numbers and above may be others by now.
    born: u32,
}

impl Node {
    fn asleep(&self) -> Threads {
        self.sleep.iter().map(|sleeper| sleeper.thread).collect()
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
const PATIENCE: usize = 50;

impl Policy for Dpor {
    fn pick(&mut self, view: &View<'_>) -> Option<usize> {
        let depth = view.events.len();
        let enabled: Threads = view.options.iter().copied().collect();
        if let Some(node) = self.nodes.get(depth) {
            self.diverged |= (&node.enabled, node.mark) != (&enabled, view.mark());
            return view.options.iter().position(|&thread| thread == node.chosen).or(Some(0));
        }
        let sleep = self.still_asleep(view);
        let mark = view.mark();
        let node =
            Node { chosen: 0, enabled, mark, backtrack: Threads::default(), sleep, born: view.objects.len() };
        let asleep = node.asleep();
        // The thread of the last step proceeds, even if it has to time out for that: what happens then is what programs
        // forget most easily. But no thread waits long for its turn, or a program might seem endless that is not.
        let awake = |thread: &usize| !asleep.contains(*thread);
        let position = |of: usize| view.options.iter().position(|&thread| thread == of);
        let longest = view.options.iter().copied().filter(awake).max_by_key(|&thread| view.waited(thread));
        let starved = longest.filter(|&thread| view.waited(thread) > PATIENCE).and_then(position);
        let stays = position(view.current).filter(|_| awake(&view.current));
        let place = starved.or(stays).or_else(|| view.options.iter().position(awake))?;
        let chosen = view.options[place];
        self.nodes.push(Node { chosen, backtrack: one(chosen), ..node });
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
    pub(crate) fn spread(&self) -> f64 {
        let ways = |node: &Node| node.backtrack.iter().fold(0.0, |ways, _| ways + 1.0);
        self.nodes.iter().map(|node| f64::log2(ways(node))).sum()
    }

    /// Who slept before the last step and is independent of it.
    fn still_asleep(&self, view: &View<'_>) -> Vec<Sleeper> {
        let (Some(parent), Some(event)) = (self.nodes.last(), view.events.last()) else { return Vec::new() };
        let independent =
            |sleeper: &&Sleeper| sleeper.thread != event.thread && !sleeper.conflicts(event, view);
        parent.sleep.iter().filter(independent).cloned().collect()
    }

    /// Learns from an execution, and sets out for the next one; there may be none.
    pub(crate) fn learn(&mut self, execution: &Execution) {
        self.classes += u64::from(!execution.redundant);
        let nodes = &mut self.nodes;
        Order::new(execution).races(|race, beginners| add(nodes, race, &beginners));
        self.advance(execution);
    }

    fn advance(&mut self, execution: &Execution) {
        while let Some(depth) = self.nodes.len().checked_sub(1) {
            let node = &mut self.nodes[depth];
            if let Some(event) = execution.events.get(depth) {
                let more = event.more.clone();
                node.sleep.push(Sleeper { thread: node.chosen, more, born: node.born });
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
fn add(nodes: &mut [Node], race: Race, beginners: &Threads) {
    let Some(node) = nodes.get_mut(race.first) else { return };
    let asleep = node.asleep();
    let is_done = |beginner: usize| node.backtrack.contains(beginner) || asleep.contains(beginner);
    if !beginners.iter().any(is_done)
        && let Some(beginner) = beginners.first()
    {
        node.backtrack.insert(beginner);
    }
}

impl Sleeper {
    fn conflicts(&self, event: &Event, view: &View<'_>) -> bool {
        event.accesses().any(|access| {
            let access = view.same(access);
            view.all_next(self.thread).any(|next| next.conflicts(access))
                || self.more.iter().any(|more| self.may_be(*more, access, view))
        })
    }

    /// Whether what the step touched may conflict with `access`. An object that was met only after the step was tried
    /// may have another number now, so any of its kind counts.
    fn may_be(&self, more: Access, access: Access, view: &View<'_>) -> bool {
        let renumbered = more.object >= self.born && access.object >= self.born;
        more.conflicts(access) || (renumbered && more.mode.conflicts(access.mode) && view.objects.len() > 0)
    }
}
