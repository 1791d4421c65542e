//! The lock order: two locks that are acquired in both orders can deadlock, even if they have not done so yet.
//!
//! The graph has an edge from each lock that a thread holds to the lock that it acquires without a deadline. A cycle in
//! the graph is an inversion, unless two of its edges share a third lock that was held each time: then the threads cannot
//! be on both edges at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::report::{self, Finding, Order, Report};
use super::{holds, settings};
use crate::rt::current;
use crate::rt::fork::{ForkSafe, Rank, locked};
use crate::rt::lock_id::{Held, LockId, NO_LOCK};
use crate::rt::op::{Kind, Op};
use crate::rt::place::Place;
use crate::rt::thread_record::ThreadRecord;

/// Beyond this number of edges the graph is cleared: short-lived locks have filled it.
const MAX_EDGES: usize = 1 << 16;
/// The length of the longest cycle that is looked for.
const MAX_CYCLE: usize = 8;

const CONSEQUENCE: &str = "Reported once for these lines; RADDLE_WATCH=0 turns this check off.";

static GRAPH: ForkSafe<Graph> = ForkSafe::new(Rank::Order, Graph::new());

struct Graph {
    edges: BTreeMap<u32, BTreeMap<u32, Edge>>,
    count: usize,
    /// The lines of the cycles that have been reported.
    reported: BTreeSet<Vec<Place>>,
}

struct Edge {
    /// The locks that were held each time, including the one at which the edge begins.
    held: BTreeSet<u32>,
    order: Order,
}

/// How a lock was acquired.
#[derive(Clone, Copy)]
pub(crate) struct Acquisition {
    /// Whether only the thread that acquired it can release it.
    pub(crate) owned: bool,
    /// Whether the acquire could have timed out.
    pub(crate) has_deadline: bool,
}

/// Records that `thread` has acquired the lock `id`.
pub(crate) fn on_acquire(thread: &Arc<ThreadRecord>, op: &Op, id: &LockId, acquisition: Acquisition) {
    let lock = id.number();
    holds::on_acquire(lock, thread, op, acquisition.owned);
    if settings::lock_order() {
        let blocks = op.kind == Kind::Acquire && !acquisition.has_deadline;
        check_order(thread, lock, op, blocks);
    }
}

/// Records that the calling thread releases the lock `id`.
pub(crate) fn on_release(id: &LockId) {
    let lock = id.known();
    if lock != NO_LOCK {
        holds::on_release(lock, current::ident());
    }
}

/// Adds the edges of an acquisition to the graph, and reports the cycles that they close.
///
/// An acquire that does not block without limit cannot deadlock: its lock counts as held, and not as acquired.
fn check_order(thread: &Arc<ThreadRecord>, lock: u32, op: &Op, blocks: bool) {
    if lock == NO_LOCK || report::in_hook() {
        return;
    }
    let acquired = Held { lock, object: op.object, at: op.at };
    let held = {
        let mut held = locked(&thread.held);
        held.retain(|other| other.lock != lock && holds::is_held_by(other.lock, thread.ident));
        let before = held.clone();
        held.push(acquired);
        before
    };
    if !blocks || held.is_empty() {
        return;
    }
    let cycles = GRAPH.lock().add(thread, &held, &acquired);
    for orders in cycles {
        let headline = "raddle: warning: locks are acquired in inconsistent orders, which can deadlock";
        let mut report = Report::new(Finding::LockOrder, headline, Vec::new());
        report.orders = orders;
        report::emit(&report, CONSEQUENCE);
    }
}

impl Graph {
    const fn new() -> Self {
        Self { edges: BTreeMap::new(), count: 0, reported: BTreeSet::new() }
    }

    /// Adds the edges from `held` to `acquired`. Returns the cycles that they close and that are not reported yet.
    fn add(&mut self, thread: &ThreadRecord, held: &[Held], acquired: &Held) -> Vec<Vec<Order>> {
        if self.count > MAX_EDGES {
            self.edges.clear();
            self.count = 0;
        }
        let all: BTreeSet<u32> = held.iter().map(|held| held.lock).collect();
        let changed: Vec<_> =
            held.iter().filter(|held| self.add_edge(thread, held, acquired, &all)).collect();
        let cycles = changed.into_iter().filter_map(|held| self.cycle(held.lock, acquired.lock));
        let cycles: Vec<_> = cycles.collect();
        cycles.into_iter().filter(|orders| self.reported.insert(lines(orders))).collect()
    }

    /// Adds an edge. Returns whether it is new, or was used with fewer locks held than before.
    fn add_edge(&mut self, thread: &ThreadRecord, from: &Held, to: &Held, held: &BTreeSet<u32>) -> bool {
        let edges = self.edges.entry(from.lock).or_default();
        if let Some(edge) = edges.get_mut(&to.lock) {
            let before = edge.held.len();
            edge.held.retain(|lock| held.contains(lock));
            return edge.held.len() < before;
        }
        let order = Order {
            thread: thread.name(),
            held: from.object.to_string(),
            held_at: from.at,
            acquired: to.object.to_string(),
            acquired_at: to.at,
        };
        edges.insert(to.lock, Edge { held: held.clone(), order });
        self.count += 1;
        true
    }

    /// Returns the shortest cycle through the edge from `from` to `to`, which comes first.
    fn cycle(&self, from: u32, to: u32) -> Option<Vec<Order>> {
        let first = self.edges.get(&from)?.get(&to)?;
        let mut visited = BTreeSet::from([to]);
        let mut paths = VecDeque::from([(to, vec![first])]);
        while let Some((here, path)) = paths.pop_front() {
            for (there, edge) in self.edges.get(&here).into_iter().flatten() {
                // Two threads that hold the same lock are never on their edges at the same time.
                if path.len() == MAX_CYCLE || !path.iter().all(|other| other.held.is_disjoint(&edge.held)) {
                    continue;
                }
                let path = [path.as_slice(), &[edge]].concat();
                if *there == from {
                    return Some(path.into_iter().map(|edge| edge.order.clone()).collect());
                }
                if visited.insert(*there) {
                    paths.push_back((*there, path));
                }
            }
        }
        None
    }
}

/// Returns the lines of a cycle. Cycles with the same lines are the same to a reader.
fn lines(orders: &[Order]) -> Vec<Place> {
    let mut lines: Vec<_> = orders.iter().flat_map(|order| [order.held_at, order.acquired_at]).collect();
    lines.sort_unstable();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::op::Object;

    /// Acquires the last lock while the others are held. Returns the number of cycles that this closes.
    #[track_caller]
    fn acquire(graph: &mut Graph, locks: &[u32]) -> usize {
        let at = Place::caller();
        let held = |lock| Held { lock, object: Object::new(lock as usize, 1, "Mutex"), at };
        let all: Vec<_> = locks.iter().map(|lock| held(*lock)).collect();
        let (last, before) = all.split_last().expect("a lock");
        graph.add(&ThreadRecord::new("acquires", false, false), before, last).len()
    }

    #[test]
    fn consistent_order_is_no_cycle() {
        let mut graph = Graph::new();
        assert_eq!(
            acquire(&mut graph, &[1, 2]) + acquire(&mut graph, &[1, 2, 3]) + acquire(&mut graph, &[2, 3]),
            0
        );
    }

    #[test]
    fn inconsistent_order_is_reported_once() {
        let mut graph = Graph::new();
        assert_eq!(acquire(&mut graph, &[1, 2]), 0);
        for round in 0..2 {
            assert_eq!(acquire(&mut graph, &[2, 1]), usize::from(round == 0));
        }
    }

    #[test]
    fn longer_cycle_is_found() {
        let mut graph = Graph::new();
        assert_eq!(
            acquire(&mut graph, &[1, 2]) + acquire(&mut graph, &[2, 3]) + acquire(&mut graph, &[3, 4]),
            0
        );
        assert_eq!(acquire(&mut graph, &[4, 1]), 1);
    }

    #[test]
    fn cycles_of_eight_locks_are_found() {
        let cycles = |count: u32| {
            let mut graph = Graph::new();
            (0..count).map(|lock| acquire(&mut graph, &[lock + 1, (lock + 1) % count + 1])).sum::<usize>()
        };
        assert_eq!((cycles(8), cycles(9)), (1, 0));
    }

    #[test]
    fn common_lock_makes_inconsistent_order_harmless() {
        let mut graph = Graph::new();
        assert_eq!(acquire(&mut graph, &[9, 1, 2]) + acquire(&mut graph, &[9, 2, 1]), 0);
        assert_eq!(acquire(&mut graph, &[1, 2]), 1, "without the common lock");
    }
}
