//! The catalogue: every case, its contenders and its goal.

mod idle;
mod lock;
mod pool;
mod queue;
mod wakes;

use crate::compare::case::Case;

/// The crates that are measured, apart from the standard library.
pub(crate) const PEERS: [&str; 13] = [
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
];

/// All cases, in the order in which they run.
pub(crate) fn all(_python: bool) -> Vec<Case> {
    let groups = [lock::cases(), queue::cases(), pool::cases(), idle::cases()];
    groups.into_iter().flatten().collect()
}
