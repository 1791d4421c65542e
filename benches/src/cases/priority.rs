//! Priority queues: the smallest number is dequeued first, and the oldest among equal ones.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Condvar, Mutex};

use raddle::PriorityQueue;

use super::queue::{Naive, Shape, Store};
use crate::compare::case::{Case, Goal, Sample, Scale};

/// Multiplication by this number scatters the numbers; multiplication by its inverse restores them.
const SCATTER: u64 = 0x9E37_79B9_7F4A_7C15;
const GATHER: u64 = 0xF1DE_83E1_9937_733D;

const SOUND: &str = "nothing panics under the lock";

pub(super) fn cases() -> Vec<Case> {
    vec![case("priority/1p1c", 1, Goal::Ratio(1.0)), case("priority/4p4c", 4, Goal::Ratio(0.5))]
}

fn case(name: &str, threads: usize, goal: Goal) -> Case {
    let shape = Shape { capacity: Some(1024), threads };
    Case::new(name, "an item, at most 1024 at a time", goal)
        .raddle("raddle PriorityQueue", move |scale| {
            let queue = Arc::new(PriorityQueue::bounded(1024));
            let end = queue.clone();
            let put = move |item| queue.put(item).expect("it is not shut down");
            flow(shape, scale, put, move || end.get().expect("it is not shut down"))
        })
        .peer("parking_lot + BinaryHeap", move |scale| {
            let queue = Arc::new(Naive::new(Heap::default(), shape.capacity));
            let end = queue.clone();
            flow(shape, scale, move |item| queue.put(item), move || end.get())
        })
        .peer("std + BinaryHeap", move |scale| {
            let queue = Arc::new(Standard::default());
            let end = queue.clone();
            flow(shape, scale, move |item| queue.put(item), move || end.get())
        })
}

fn flow<P, G>(shape: Shape, scale: Scale, put: P, get: G) -> Sample
where
    P: Fn(u64) + Clone + Send,
    G: Fn() -> u64 + Clone + Send,
{
    let scattered = move |item: u64| put(item.wrapping_mul(SCATTER));
    shape.flow(scale, scattered, move || get().wrapping_mul(GATHER))
}

/// Items, each with its sequence number.
#[derive(Default)]
struct Heap {
    items: BinaryHeap<Reverse<(u64, u64)>>,
    arrivals: u64,
}

impl Store for Heap {
    fn len(&self) -> usize {
        self.items.len()
    }

    fn push(&mut self, item: u64) {
        self.items.push(Reverse((item, self.arrivals)));
        self.arrivals += 1;
    }

    fn pop(&mut self) -> Option<u64> {
        self.items.pop().map(|Reverse((item, _))| item)
    }
}

/// [`Naive`] with the standard library's locks.
#[derive(Default)]
struct Standard {
    heap: Mutex<Heap>,
    not_empty: Condvar,
    not_full: Condvar,
}

impl Standard {
    fn put(&self, item: u64) {
        let heap = self.heap.lock().expect(SOUND);
        let mut heap = self.not_full.wait_while(heap, |heap| heap.len() >= 1024).expect(SOUND);
        heap.push(item);
        drop(heap);
        self.not_empty.notify_one();
    }

    fn get(&self) -> u64 {
        let mut heap = self.heap.lock().expect(SOUND);
        let item = loop {
            if let Some(item) = heap.pop() {
                break item;
            }
            heap = self.not_empty.wait(heap).expect(SOUND);
        };
        drop(heap);
        self.not_full.notify_one();
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scattering_is_inverted_by_gathering() {
        assert_eq!(SCATTER.wrapping_mul(GATHER), 1);
    }
}
