//! Queues with producers and consumers.
//!
//! All threads are started before the clock. Each consumer dequeues a fixed number of items, so that no end marker is needed.

mod naive;
mod peers;
mod shape;

use crate::compare::case::{Case, Goal};
pub(super) use shape::Shape;

pub(super) use naive::{Naive, Store};

const CAPACITIES: [(Option<usize>, &str); 4] =
    [(Some(1), "1"), (Some(10), "10"), (Some(1024), "1024"), (None, "unbounded")];

pub(super) fn cases() -> Vec<Case> {
    let capacities = CAPACITIES.iter();
    capacities.flat_map(|capacity| [1, 2, 4].map(|threads| case(*capacity, threads))).collect()
}

fn case((capacity, name): (Option<usize>, &str), threads: usize) -> Case {
    let shape = Shape { capacity, threads };
    let case = Case::new(format!("queue/{name}/{threads}p{threads}c"), "an item", Goal::Ratio(1.0));
    let case = case
        .raddle("raddle Queue", move |scale| {
            let queue = shape.raddle();
            let end = queue.clone();
            let put = move |item| queue.put(item).expect("it is not shut down");
            shape.flow(scale, put, move || end.get().expect("it is not shut down"))
        })
        .extra("raddle Queue, task_done", move |scale| {
            let queue = shape.raddle();
            let end = queue.clone();
            let put = move |item| queue.put(item).expect("it is not shut down");
            shape.flow(scale, put, move || {
                let item = end.get().expect("it is not shut down");
                end.task_done().expect("the item was put");
                item
            })
        });
    peers::add(case, shape)
}
