//! The result of a measurement.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::args::Limits;
use crate::clock::Clock;

/// One measurement.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Number of explorations: one to cover, one per seed to find.
    pub(crate) tries: u64,
    /// Executions of the program in all explorations.
    pub(crate) executions: u64,
    /// Executions that failed.
    pub(crate) failures: u64,
    /// Classes of equivalent schedules, if the explorer counts them.
    pub(crate) classes: Option<u64>,
    /// The time of all explorations.
    pub(crate) seconds: f64,
    /// Whether each exploration found the bug, or all schedules were covered.
    pub(crate) complete: bool,
}

/// Suppresses the output of panics in failing executions, and its cost.
pub(super) fn silence_panics() {
    std::panic::set_hook(Box::new(|_| {}));
}

/// A counter for use inside an explored program.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counter(Arc<AtomicU64>);

impl Counter {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How long a deterministic search is repeated to improve the mean, in seconds.
const ENOUGH: f64 = 0.2;

/// Repeats the search for the first bug. `search` gets a seed and the remaining time, and returns the number of executions and
/// whether it found the bug.
pub(crate) fn to_the_first_bug(
    limits: &Limits,
    is_seeded: bool,
    mut search: impl FnMut(u64, std::time::Duration) -> (u64, bool),
) -> Sample {
    let mut sample = Sample::default();
    let clock = Clock::start();
    for seed in 0..limits.seeds {
        let left = clock.left(limits.time());
        if left.is_zero() || (!is_seeded && sample.seconds > ENOUGH) {
            break;
        }
        let one = Clock::start();
        let (executions, found) = search(seed, left);
        sample.seconds += one.elapsed().as_secs_f64();
        sample.tries += 1;
        sample.executions += executions;
        sample.failures += u64::from(found);
    }
    let is_through = !is_seeded || sample.tries == limits.seeds;
    sample.complete = is_through && sample.failures == sample.tries;
    sample
}
