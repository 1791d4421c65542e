//! The peers of `Queue`.

use std::collections::VecDeque;
use std::sync::{Arc, mpsc};

use crossbeam_queue::{ArrayQueue, SegQueue};
use crossbeam_utils::Backoff;

use super::naive::Naive;
use super::shape::Shape;
use crate::compare::case::{Case, Sample, Scale};

/// The reason why no channel is closed during the measurement.
const OPEN: &str = "both ends are there";

pub(super) fn add(case: Case, shape: Shape) -> Case {
    let case = if shape.threads == 1 {
        let case = case.peer("std mpsc", move |scale| standard(shape, scale));
        case.extra("crossfire spsc", move |scale| crossfire_spsc(shape, scale))
    } else {
        case // stable channels of the standard library have a single consumer
    };
    case.peer("crossbeam-channel", move |scale| {
        let ends = shape.capacity.map_or_else(crossbeam_channel::unbounded, crossbeam_channel::bounded);
        let (tx, rx) = ends;
        shape.flow(scale, move |item| tx.send(item).expect(OPEN), move || rx.recv().expect(OPEN))
    })
    .peer("crossfire", move |scale| crossfire(shape, scale))
    .peer("flume", move |scale| {
        let (tx, rx) = shape.capacity.map_or_else(flume::unbounded, flume::bounded);
        shape.flow(scale, move |item| tx.send(item).expect(OPEN), move || rx.recv().expect(OPEN))
    })
    .peer("kanal", move |scale| {
        let (tx, rx) = shape.capacity.map_or_else(kanal::unbounded, kanal::bounded);
        shape.flow(scale, move |item| tx.send(item).expect(OPEN), move || rx.recv().expect(OPEN))
    })
    .peer("parking_lot + VecDeque", move |scale| {
        let queue = Arc::new(Naive::new(VecDeque::new(), shape.capacity));
        let end = queue.clone();
        shape.flow(scale, move |item| queue.put(item), move || end.get())
    })
    .spins("crossbeam-queue", move |scale| spins(shape, scale))
}

fn standard(shape: Shape, scale: Scale) -> Sample {
    if let Some(capacity) = shape.capacity {
        let (tx, rx) = mpsc::sync_channel(capacity);
        let put = move |item| tx.send(item).expect(OPEN);
        shape.flow_of(scale, vec![put], vec![move || rx.recv().expect(OPEN)])
    } else {
        let (tx, rx) = mpsc::channel();
        let put = move |item| tx.send(item).expect(OPEN);
        shape.flow_of(scale, vec![put], vec![move || rx.recv().expect(OPEN)])
    }
}

fn crossfire(shape: Shape, scale: Scale) -> Sample {
    use crossfire::mpmc;
    if let Some(capacity) = shape.capacity {
        let (tx, rx) = mpmc::bounded_blocking(capacity);
        shape.flow(scale, move |item| tx.send(item).expect(OPEN), move || rx.recv().expect(OPEN))
    } else {
        let (tx, rx) = mpmc::unbounded_blocking();
        shape.flow(scale, move |item| tx.send(item).expect(OPEN), move || rx.recv().expect(OPEN))
    }
}

/// Limited to one thread at each end, and therefore not compared.
fn crossfire_spsc(shape: Shape, scale: Scale) -> Sample {
    use crossfire::spsc;
    if let Some(capacity) = shape.capacity {
        let (tx, rx) = spsc::bounded_blocking(capacity);
        let put = move |item| tx.send(item).expect(OPEN);
        shape.flow_of(scale, vec![put], vec![move || rx.recv().expect(OPEN)])
    } else {
        let (tx, rx) = spsc::unbounded_blocking();
        let put = move |item| tx.send(item).expect(OPEN);
        shape.flow_of(scale, vec![put], vec![move || rx.recv().expect(OPEN)])
    }
}

/// Retries and yields, but never parks.
fn spins(shape: Shape, scale: Scale) -> Sample {
    if let Some(capacity) = shape.capacity {
        let queue = Arc::new(ArrayQueue::new(capacity));
        let end = queue.clone();
        let put = move |item| until(|| queue.push(item).ok());
        shape.flow(scale, put, move || until(|| end.pop()))
    } else {
        let queue = Arc::new(SegQueue::new());
        let end = queue.clone();
        shape.flow(scale, move |item| queue.push(item), move || until(|| end.pop()))
    }
}

fn until<T>(attempt: impl Fn() -> Option<T>) -> T {
    let backoff = Backoff::new();
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        backoff.snooze();
    }
}
