//! The interface of a pool, and the work that the pools are given.

use std::hint::black_box;
use std::sync::OnceLock;

use crate::clock::Clock;
use crate::compare::case::{Sample, Scale};
use crate::compare::drive::alone;

pub(super) const WORKERS: usize = 2;

/// The interface of a pool.
pub(super) trait Pool: Sized + 'static {
    const NAME: &'static str;
    type Future;

    /// Starts a pool with two workers.
    fn start() -> Self;

    /// Submits `task` and returns its future.
    fn submit(&self, task: impl FnOnce() -> u64 + Send + 'static) -> Self::Future;

    /// Blocks until the result is available.
    fn result(&self, future: Self::Future) -> u64;

    /// Runs `task` as `count` tasks without results, and blocks until all have run.
    fn run_all(self, count: u64, task: impl Fn() + Copy + Send + Sync + 'static);
}

/// Work for any pool.
pub(super) trait Work: Copy + 'static {
    fn with<P: Pool>(self, pool: P, scale: Scale) -> Sample;
}

/// Many tasks, awaited together.
#[derive(Clone, Copy)]
pub(super) struct Tasks {
    pub(super) count: u64,
    /// The duration of each task in microseconds.
    pub(super) micros: u64,
}

impl Work for Tasks {
    fn with<P: Pool>(self, pool: P, scale: Scale) -> Sample {
        let (count, turns) = (scale.ops(self.count), self.micros * turns_of_a_microsecond());
        alone(count, || pool.run_all(count, move || turn(turns)))
    }
}

/// One task at a time: submitted, and its result awaited.
#[derive(Clone, Copy)]
pub(super) struct RoundTrips;

impl Work for RoundTrips {
    fn with<P: Pool>(self, pool: P, scale: Scale) -> Sample {
        let count = scale.ops(4_000);
        alone(count, || {
            for n in 0..count {
                let future = pool.submit(move || n);
                assert_eq!(pool.result(future), n);
            }
        })
    }
}

/// All tasks are submitted first, then all results are awaited.
#[derive(Clone, Copy)]
pub(super) struct Futures;

impl Work for Futures {
    fn with<P: Pool>(self, pool: P, scale: Scale) -> Sample {
        let count = scale.ops(100_000);
        alone(count, || {
            let futures: Vec<_> = (0..count).map(|n| pool.submit(move || n)).collect();
            let total: u64 = futures.into_iter().map(|future| pool.result(future)).sum();
            assert_eq!(total, count * (count - 1) / 2);
        })
    }
}

/// An idle pool.
#[derive(Clone, Copy)]
pub(super) struct Idle(pub(super) fn(Scale) -> Sample);

impl Work for Idle {
    fn with<P: Pool>(self, pool: P, scale: Scale) -> Sample {
        let sample = self.0(scale);
        drop(pool);
        sample
    }
}

/// Keeps a processor busy. Not inlined, so that it has the same speed everywhere.
#[inline(never)]
fn turn(turns: u64) {
    for n in 0..turns {
        black_box(n);
    }
}

/// Returns the number of iterations per microsecond, the best of several attempts.
fn turns_of_a_microsecond() -> u64 {
    static TURNS: OnceLock<u64> = OnceLock::new();
    const ATTEMPT: u64 = 1_000_000;
    *TURNS.get_or_init(|| {
        let attempt = |_| {
            let clock = Clock::start();
            turn(ATTEMPT);
            clock.elapsed().as_micros()
        };
        let best = (0..10).map(attempt).min().unwrap_or(1).max(1);
        ATTEMPT / u64::try_from(best).unwrap_or(ATTEMPT)
    })
}
