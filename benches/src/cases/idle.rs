//! Idle costs: processor time of a wait with a timeout, and wake-ups of idle threads.

use std::sync::mpsc;
use std::time::Duration;

use raddle::{Condition, Event, Lock, Mutex, Queue, Semaphore};

use super::pool;
use super::wakes::wakes;
use crate::compare::case::{Case, Goal, Sample, Scale, Unit};
use crate::compare::drive::alone;

const WHAT: &str = "processor time of a wait that times out after 300 ms";
const MOST: Goal = Goal::Most(1e6);
const WAKES: &str = "wake-ups of all threads in 300 ms";

pub(super) fn cases() -> Vec<Case> {
    vec![lock(), event(), condition(), queue(), semaphore(), pool::idle(wakes_case("pool"), wakes)]
}

/// Measures the processor time of `wait`, which blocks for the timeout and returns whether it timed out.
fn wait(scale: Scale, wait: impl FnOnce(Duration) -> bool) -> Sample {
    let limit = Duration::from_millis(scale.millis(300));
    let sample = alone(1, || assert!(wait(limit), "the wait ended early"));
    Sample { value: sample.cpu, ..sample }
}

fn case(name: &str) -> Case {
    Case::new(format!("idle/{name}"), WHAT, MOST)
}

fn wakes_case(name: &str) -> Case {
    Case::new(format!("idle/{name}"), WAKES, Goal::Most(0.0)).unit(Unit::Count)
}

fn lock() -> Case {
    case("lock")
        .raddle("raddle Lock", |scale| {
            let lock = Lock::new();
            lock.acquire();
            wait(scale, |limit| !lock.acquire_timeout(limit))
        })
        .peer("parking_lot Mutex", |scale| {
            let mutex = parking_lot::Mutex::new(());
            let _held = mutex.lock();
            wait(scale, |limit| mutex.try_lock_for(limit).is_none())
        })
}

fn event() -> Case {
    case("event").raddle("raddle Event", |scale| wait(scale, |limit| !Event::new().wait_timeout(limit))).peer(
        "event-listener",
        |scale| {
            let event = event_listener::Event::<()>::new();
            wait(scale, |limit| event_listener::Listener::wait_timeout(event.listen(), limit).is_none())
        },
    )
}

fn condition() -> Case {
    case("condition")
        .raddle("raddle Condition", |scale| {
            let (mutex, condition) = (Mutex::new(()), Condition::new());
            wait(scale, |limit| !condition.wait_timeout(&mut mutex.lock(), limit))
        })
        .peer("std Condvar", |scale| {
            let (mutex, condition) = (std::sync::Mutex::new(()), std::sync::Condvar::new());
            wait(scale, |limit| {
                let held = mutex.lock().expect("nothing panics");
                condition.wait_timeout_while(held, limit, |()| true).is_ok_and(|(_, end)| end.timed_out())
            })
        })
        .peer("parking_lot Condvar", |scale| {
            let (mutex, condition) = (parking_lot::Mutex::new(()), parking_lot::Condvar::new());
            wait(scale, |limit| condition.wait_for(&mut mutex.lock(), limit).timed_out())
        })
}

fn queue() -> Case {
    case("queue-get")
        .raddle("raddle Queue", |scale| {
            let queue = Queue::<u64>::bounded(10);
            wait(scale, |limit| queue.get_timeout(limit).is_err())
        })
        .peer("std mpsc", |scale| {
            let (_tx, rx) = mpsc::sync_channel::<u64>(10);
            wait(scale, |limit| rx.recv_timeout(limit).is_err())
        })
        .peer("crossbeam-channel", |scale| {
            let (_tx, rx) = crossbeam_channel::bounded::<u64>(10);
            wait(scale, |limit| rx.recv_timeout(limit).is_err())
        })
        .peer("crossfire", |scale| {
            let (_tx, rx) = crossfire::mpmc::bounded_blocking::<u64>(10);
            wait(scale, |limit| rx.recv_timeout(limit).is_err())
        })
        .peer("flume", |scale| {
            let (_tx, rx) = flume::bounded::<u64>(10);
            wait(scale, |limit| rx.recv_timeout(limit).is_err())
        })
        .peer("kanal", |scale| {
            let (_tx, rx) = kanal::bounded::<u64>(10);
            wait(scale, |limit| rx.recv_timeout(limit).is_err())
        })
}

fn semaphore() -> Case {
    case("semaphore")
        .raddle("raddle Semaphore", |scale| {
            let semaphore = Semaphore::new(0);
            wait(scale, |limit| semaphore.acquire_timeout(limit).is_none())
        })
        .peer("tokio Semaphore", |scale| {
            let semaphore = tokio::sync::Semaphore::new(0);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            let runtime = runtime.expect("it needs no thread");
            wait(scale, |limit| {
                runtime.block_on(async { tokio::time::timeout(limit, semaphore.acquire()).await }).is_err()
            })
        })
}
