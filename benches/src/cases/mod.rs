//! All cases with their contenders and goals.
//!
//! The same work includes the same guarantees, such as capacity and order. Contenders that only spin, or that guarantee less,
//! are shown for reference and not compared.

mod barrier;
mod event;
mod idle;
mod lock;
mod pool;
mod priority;
mod python;
mod queue;
#[expect(unsafe_code, reason = "the C library's semaphores are available in no other way")]
mod sem_t;
mod semaphore;
mod timer;
mod wakes;

use crate::compare::case::Case;
pub(crate) use python::Python;

/// The measured crates other than the standard library.
pub(crate) const PEERS: [&str; 15] = [
    "crossbeam-channel",
    "crossbeam-queue",
    "crossbeam-utils",
    "crossfire",
    "event-listener",
    "executors",
    "flume",
    "hurdles",
    "kanal",
    "parking_lot",
    "rayon",
    "rusty_pool",
    "threadpool",
    "timer",
    "tokio",
];

/// Returns all cases in the order in which they run, those with Python if it is available.
pub(crate) fn all(python: Option<&Python>) -> Vec<Case> {
    let groups = [
        lock::cases(),
        semaphore::cases(),
        event::cases(),
        barrier::cases(),
        queue::cases(),
        priority::cases(),
        pool::cases(),
        timer::cases(),
        idle::cases(),
        python.map_or_else(Vec::new, python::cases),
    ];
    groups.into_iter().flatten().collect()
}
