//! Runs a scenario in every way: explored by operations, explored by atoms, and on OS threads.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use raddle_explore::{Explorer, Grain, Outcome, Strategy, Time};

use super::watchdog::Watchdog;

/// More classes than any scenario has.
const CLASSES: u64 = 20_000;
/// The number of executions at the grain of atoms.
const ATOMS: u64 = 200;
/// The number of runs on OS threads.
const RUNS: usize = 50;

/// Runs `scenario` in every way, and returns all its outcomes.
pub(crate) fn every<R: Ord + Debug + Send + 'static>(
    scenario: impl Fn() -> R + Send + Sync + 'static,
) -> BTreeSet<R> {
    Ways::new(scenario).all()
}

/// Like [`every`], with quiescent time, and without OS threads, for which time is never quiescent.
pub(crate) fn every_patiently<R: Ord + Debug + Send + 'static>(
    scenario: impl Fn() -> R + Send + Sync + 'static,
) -> BTreeSet<R> {
    Ways { time: Time::Quiescent, runs: 0, ..Ways::new(scenario) }.all()
}

/// Like [`every`], with panics left to the joiners.
pub(crate) fn every_panic<R: Ord + Debug + Send + 'static>(
    scenario: impl Fn() -> R + Send + Sync + 'static,
) -> BTreeSet<R> {
    Ways { panics: true, ..Ways::new(scenario) }.all()
}

/// The ways in which a scenario is run.
pub(crate) struct Ways<R> {
    pub(crate) scenario: Arc<dyn Fn() -> R + Send + Sync>,
    pub(crate) time: Time,
    /// Threads may panic, and the scenario checks that.
    pub(crate) panics: bool,
    pub(crate) runs: usize,
}

impl<R: Ord + Debug + Send + 'static> Ways<R> {
    pub(crate) fn new(scenario: impl Fn() -> R + Send + Sync + 'static) -> Self {
        Self { scenario: Arc::new(scenario), time: Time::Explored, panics: false, runs: RUNS }
    }

    /// The outcomes at the grain of operations; no other way may have another outcome.
    pub(crate) fn all(self) -> BTreeSet<R> {
        let _watchdog = Watchdog::new();
        let seen = self.by_operations();
        let (outcome, by_atoms) = self.explore(Grain::Atoms);
        println!("by atoms: {outcome:?}");
        if let Outcome::Failed(report) = outcome {
            panic!("by atoms: {report}");
        }
        // If the program could observe the inside of an operation, the operation would not be one step.
        assert!(by_atoms.is_subset(&seen), "by operations {seen:?}, by atoms {by_atoms:?}");
        for _ in 0..self.runs {
            let outcome_of_run = (self.scenario)();
            assert!(seen.contains(&outcome_of_run), "explored {seen:?}, on real threads {outcome_of_run:?}");
        }
        seen
    }

    fn by_operations(&self) -> BTreeSet<R> {
        let (outcome, seen) = self.explore(Grain::Operations);
        println!("by operations: {outcome:?}");
        outcome.assert_exhausted();
        seen
    }

    fn explore(&self, grain: Grain) -> (Outcome, BTreeSet<R>) {
        let seen = Arc::new(Mutex::new(BTreeSet::new()));
        let (strategy, executions) = match grain {
            Grain::Atoms => (Strategy::Portfolio, ATOMS * tenfold()),
            _ => (Strategy::Dpor, CLASSES),
        };
        let explorer = Explorer::new()
            .allow_independent(true)
            .strategy(strategy)
            .grain(grain)
            .time(self.time)
            .allow_panics(self.panics)
            .max_executions(executions)
            .max_time(Duration::from_hours(1));
        let outcome = {
            let (scenario, seen) = (self.scenario.clone(), seen.clone());
            explorer.run(move || {
                let outcome_of_run = scenario();
                seen.lock().expect("no thread panics with this lock held").insert(outcome_of_run);
            })
        };
        let seen = std::mem::take(&mut *seen.lock().expect("no thread panics with this lock held"));
        (outcome, seen)
    }
}

/// Returns a factor for checks that could run for any time: ten to the power of `RADDLE_SCHEDULES`.
fn tenfold() -> u64 {
    let more = std::env::var("RADDLE_SCHEDULES").ok().and_then(|more| more.parse().ok());
    10_u64.saturating_pow(more.unwrap_or(0))
}
