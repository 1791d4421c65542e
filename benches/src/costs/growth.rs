//! The cost of an operation with increasing numbers of threads, items and timers.

use std::hint::black_box;
use std::time::Duration;

use raddle::{Mutex, Queue, Timer};

use crate::compare::drive::{Part, alone, together};
use crate::format::{Row, time};

const LATER: Duration = Duration::from_hours(1);
/// Number of operations per measurement.
const OPS: u64 = 400_000;

fn ops(short: bool) -> u64 {
    if short { OPS / 100 } else { OPS }
}

pub(super) fn threads(short: bool) -> Vec<Row> {
    let most = if short { 8 } else { 512 };
    let counts =
        std::iter::successors(Some(1_u64), |count| Some(count * 2)).take_while(|count| *count <= most);
    counts
        .map(|threads| {
            let each = (ops(short) / threads).max(1);
            Row::new(threads.to_string(), [time(on_a_mutex(threads, each)), time(on_a_queue(threads, each))])
        })
        .collect()
}

fn on_a_mutex(threads: u64, each: u64) -> f64 {
    let mutex = Mutex::new(0_u64);
    let part = || -> Part<'_> { Box::new(|| (0..each).for_each(|_| *black_box(&mutex).lock() += 1)) };
    together(threads * each, (0..threads).map(|_| part()).collect()).value
}

/// Half of the threads put and the others get; a single thread does both.
fn on_a_queue(threads: u64, each: u64) -> f64 {
    let queue = Queue::bounded(1024);
    let put = || (0..each).for_each(|item| queue.put(item).expect("it is open"));
    let get = || (0..each).for_each(|_| assert!(black_box(queue.get()).is_ok()));
    if threads == 1 {
        let both = |item| {
            queue.put(item).expect("it is open");
            assert!(black_box(queue.get()).is_ok());
        };
        return alone(each, || (0..each).for_each(both)).value;
    }
    let part = |n: u64| -> Part<'_> { if n.is_multiple_of(2) { Box::new(put) } else { Box::new(get) } };
    together(threads / 2 * each, (0..threads).map(part).collect()).value
}

pub(super) fn items(short: bool) -> Vec<Row> {
    let most = if short { 1_000 } else { 10_000_000 };
    let counts =
        std::iter::successors(Some(10_u64), |count| Some(count * 10)).take_while(|count| *count <= most);
    counts
        .map(|count| {
            let queue = Queue::unbounded();
            (0..count).for_each(|item| queue.put(item).expect("it is open"));
            let turn = |item| {
                queue.put(item).expect("it is open");
                assert!(black_box(queue.get()).is_ok());
            };
            Row::new(count.to_string(), [time(alone(ops(short), || (0..ops(short)).for_each(turn)).value)])
        })
        .collect()
}

pub(super) fn timers(short: bool) -> Vec<Row> {
    let most = if short { 100 } else { 10_000_000 };
    let counts =
        std::iter::successors(Some(10_u64), |count| Some(count * 10)).take_while(|count| *count <= most);
    counts
        .map(|count| {
            let pending: Vec<_> = (0..count).map(|_| Timer::after(LATER, || ())).collect();
            let ops = ops(short) / 4;
            let turn = |_| assert!(black_box(Timer::after(LATER, || ()).cancel()));
            let each = alone(ops, || (0..ops).for_each(turn)).value;
            for timer in pending {
                timer.cancel();
            }
            Row::new(count.to_string(), [time(each)])
        })
        .collect()
}
