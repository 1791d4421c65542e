//! Pools of two workers.

mod naive;
mod peers;
mod raddle;
mod work;

use crate::compare::case::{Case, Goal, Sample, Scale};
use work::{Futures, Idle, Pool, RoundTrips, Tasks, Work};

pub(super) fn cases() -> Vec<Case> {
    let case = |name, what, goal| Case::new(format!("pool/{name}"), what, Goal::Ratio(goal));
    let no_ops = Tasks { count: 200_000, micros: 0 };
    let short = Tasks { count: 40_000, micros: 1 };
    let long = Tasks { count: 800, micros: 100 };
    vec![
        all(case("no-op", "a task that does nothing, of many", 0.5), no_ops),
        all(case("round-trip", "to submit a task and get its result", 0.7), RoundTrips),
        all(case("futures", "a task and its result, of many", 0.8), Futures),
        all(case("tasks-of-1us", "a task of 1 µs, of many", 1.0), short),
        all(case("tasks-of-100us", "a task of 100 µs, of many; a tie is good", 1.02), long),
    ]
}

/// Adds all pools to `case`, each measured by `measure` while it is idle.
pub(super) fn idle(case: Case, measure: fn(Scale) -> Sample) -> Case {
    all(case, Idle(measure))
}

fn all(case: Case, work: impl Work) -> Case {
    let case = case.raddle(raddle::Pool::NAME, run::<raddle::Pool>(work));
    let case = peer::<naive::Pool>(case, work);
    let case = peer::<peers::RustyPool>(case, work);
    let case = peer::<peers::Rayon>(case, work);
    let case = peer::<peers::Threadpool>(case, work);
    let case = peer::<peers::Tokio>(case, work);
    peer::<peers::Executors>(case, work)
}

fn peer<P: Pool>(case: Case, work: impl Work) -> Case {
    case.peer(P::NAME, run::<P>(work))
}

fn run<P: Pool>(work: impl Work) -> impl Fn(Scale) -> Sample {
    move |scale| {
        let pool = P::start();
        for _ in 0..64 {
            let futures = [1, 2].map(|n| pool.submit(move || n));
            assert_eq!(futures.map(|future| pool.result(future)), [1, 2]);
        }
        work.with(pool, scale)
    }
}
