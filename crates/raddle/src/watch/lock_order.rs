//! In which order locks are taken: two orders that contradict each other are a deadlock that has not happened yet.
//!
//! The graph has an edge from each lock that a thread holds to the lock that it takes, if it waits for that without
//! limit. A way through the graph that leads back is an inversion, unless the threads that go it could not
//! be on it at the same time: two edges of it have a lock in common that is always held.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::report::{self, Finding, Order, Report};
use super::{holds, settings};
use crate::rt::fork::{ForkSafe, Rank, locked};
use crate::rt::lock_id::{Held, LockId, NO_LOCK};
use crate::rt::op::{Kind, Op};
use crate::rt::place::Place;
use crate::rt::thread_record::ThreadRecord;
use crate::rt::{current, current_op};

/// A graph with more edges begins anew; it is the locks that come and go which fill it.
const MOST_EDGES: usize = 1 << 16;
/// The longest circle that is looked for, in locks.
const LONGEST: usize = 8;

const ONCE: &str = "This is said once for these lines; RADDLE_WATCH=0 turns this check off.";

static GRAPH: ForkSafe<Graph> = ForkSafe::new(Rank::Order, Graph::new());

struct Graph {
    edges: BTreeMap<u32, BTreeMap<u32, Edge>>,
    count: usize,
    /// The lines of the circles that have been reported.
    said: BTreeSet<Vec<Place>>,
}

struct Edge {
    /// The locks that were held each time, the edge's first one among them.
    held: BTreeSet<u32>,
    order: Order,
}

/// The calling thread has taken a lock.
fn record(thread: &Arc<ThreadRecord>, lock: u32, op: &Op) {
    if lock == NO_LOCK || current_op::in_hook() {
        return;
    }
    let taken = Held { lock, object: op.object, at: op.at };
    let held = {
        let mut held = locked(&thread.held);
        held.retain(|other| other.lock != lock && holds::is_held_by(other.lock, thread.ident));
        let before = held.clone();
        held.push(taken);
        before
    };
    let limited = op.kind != Kind::Acquire || current_op::get().is_none_or(|doing| doing.limited);
    if limited || held.is_empty() {
        return;
    }
    let inversions = GRAPH.lock().add(thread, &held, &taken);
    for orders in inversions {
        let mut report = Report::new(
            Finding::LockOrder,
            "raddle: warning: locks are taken in orders that contradict each other, which can become a deadlock",
            Vec::new(),
        );
        report.orders = orders;
        report::say(&report, ONCE);
    }
}

impl Graph {
    const fn new() -> Self {
        Self { edges: BTreeMap::new(), count: 0, said: BTreeSet::new() }
    }

    /// Adds what is new; returns the circles that it closes.
    fn add(&mut self, thread: &ThreadRecord, held: &[Held], taken: &Held) -> Vec<Vec<Order>> {
        if self.count > MOST_EDGES {
            self.edges.clear();
            self.count = 0;
        }
        let all: BTreeSet<u32> = held.iter().map(|held| held.lock).collect();
        let changed: Vec<_> = held.iter().filter(|held| self.note(thread, held, taken, &all)).collect();
        let circles = changed.into_iter().filter_map(|held| self.circle(held.lock, taken.lock));
        let circles: Vec<_> = circles.collect();
        circles.into_iter().filter(|orders| self.said.insert(lines(orders))).collect()
    }

    /// Notes one edge; says whether it is new, or was taken under fewer locks than before.
    fn note(&mut self, thread: &ThreadRecord, from: &Held, to: &Held, held: &BTreeSet<u32>) -> bool {
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
            taken: to.object.to_string(),
            taken_at: to.at,
        };
        edges.insert(to.lock, Edge { held: held.clone(), order });
        self.count += 1;
        true
    }

    /// The shortest way from `to` back to `from`, with the edge between the two first.
    fn circle(&self, from: u32, to: u32) -> Option<Vec<Order>> {
        let first = self.edges.get(&from)?.get(&to)?;
        let mut known = BTreeSet::from([to]);
        let mut ways = VecDeque::from([(to, vec![first])]);
        while let Some((here, way)) = ways.pop_front() {
            for (there, edge) in self.edges.get(&here).into_iter().flatten() {
                // Two that hold the same lock are never there at the same time.
                if way.len() == LONGEST || !way.iter().all(|other| other.held.is_disjoint(&edge.held)) {
                    continue;
                }
                let way = [way.as_slice(), &[edge]].concat();
                if *there == from {
                    return Some(way.into_iter().map(|edge| edge.order.clone()).collect());
                }
                if known.insert(*there) {
                    ways.push_back((*there, way));
                }
            }
        }
        None
    }
}

/// What makes two circles the same to whoever reads of them.
fn lines(orders: &[Order]) -> Vec<Place> {
    let mut lines: Vec<_> = orders.iter().flat_map(|order| [order.held_at, order.taken_at]).collect();
    lines.sort_unstable();
    lines
}

pub(crate) fn on_acquire(thread: &Arc<ThreadRecord>, op: &Op, id: &LockId, owned: bool) {
    let lock = id.number();
    holds::on_acquire(lock, thread, op, owned);
    if settings::lock_order() {
        record(thread, lock, op);
    }
}

pub(crate) fn on_release(id: &LockId) {
    let lock = id.known();
    if lock != NO_LOCK {
        holds::on_release(lock, current::ident());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::op::Object;

    /// Takes the last lock while the others are held; returns how many circles that closes.
    #[track_caller]
    fn take(graph: &mut Graph, locks: &[u32]) -> usize {
        let at = Place::caller();
        let held = |lock| Held { lock, object: Object::new(lock as usize, 1, "Mutex"), at };
        let all: Vec<_> = locks.iter().map(|lock| held(*lock)).collect();
        let (last, before) = all.split_last().expect("a lock");
        graph.add(&ThreadRecord::new("takes", false, false), before, last).len()
    }

    #[test]
    fn one_order_is_no_circle() {
        let mut graph = Graph::new();
        assert_eq!(take(&mut graph, &[1, 2]) + take(&mut graph, &[1, 2, 3]) + take(&mut graph, &[2, 3]), 0);
    }

    #[test]
    fn two_orders_are_one_and_said_once() {
        let mut graph = Graph::new();
        assert_eq!(take(&mut graph, &[1, 2]), 0);
        for round in 0..2 {
            assert_eq!(take(&mut graph, &[2, 1]), usize::from(round == 0));
        }
    }

    #[test]
    fn a_longer_way_back_is_found() {
        let mut graph = Graph::new();
        assert_eq!(take(&mut graph, &[1, 2]) + take(&mut graph, &[2, 3]) + take(&mut graph, &[3, 4]), 0);
        assert_eq!(take(&mut graph, &[4, 1]), 1);
    }

    #[test]
    fn orders_of_eight_locks_are_followed() {
        let circle = |count: u32| {
            let mut graph = Graph::new();
            (0..count).map(|lock| take(&mut graph, &[lock + 1, (lock + 1) % count + 1])).sum::<usize>()
        };
        assert_eq!((circle(8), circle(9)), (1, 0));
    }

    #[test]
    fn a_lock_around_both_orders_makes_them_harmless() {
        let mut graph = Graph::new();
        assert_eq!(take(&mut graph, &[9, 1, 2]) + take(&mut graph, &[9, 2, 1]), 0);
        assert_eq!(take(&mut graph, &[1, 2]), 1, "once without it, and they are not");
    }
}
