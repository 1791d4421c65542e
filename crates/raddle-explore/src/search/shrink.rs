//! Simplifies a failing schedule: minimizes its preemptions, and finds the pair of steps whose order decides.
//!
//! First, runs of one task are merged while the failure stays the same and preemptions become fewer. Then depth-first
//! search looks for a schedule within each smaller preemption bound, beginning with 0. The deciding pair is the last
//! race whose reversal makes the failure disappear.
//!
//! Termination: at most [`REPLAYS`] executions and [`STEPS`] steps for the preemptions, and half as many executions
//! for the pair.

use std::time::Instant;

use super::depth::Depth;
use super::happens_before::{HappensBefore, Race};
use super::replay::{Run, RunOrder, runs};
use crate::options::Rules;
use crate::runtime::{Policy, Runner, Trace};

/// The number of executions, and of steps in all of them.
const REPLAYS: usize = 50;
const STEPS: usize = 100_000;

/// Runs a program within a budget.
pub(crate) struct Shrinker<'a> {
    runner: &'a Runner,
    rules: Rules,
    left: usize,
    steps_left: usize,
    /// No execution begins after this moment.
    until: Option<Instant>,
}

impl<'a> Shrinker<'a> {
    pub(crate) fn new(runner: &'a Runner, rules: Rules, until: Option<Instant>) -> Self {
        Self { runner, rules, left: REPLAYS, steps_left: STEPS, until }
    }

    #[expect(clippy::disallowed_methods, reason = "the search is limited in real time")]
    fn run<P: Policy + 'static>(&mut self, policy: P) -> Option<(Trace, P)> {
        if self.steps_left == 0 || self.until.is_some_and(|until| Instant::now() >= until) {
            return None;
        }
        self.left = self.left.checked_sub(1)?;
        let (trace, policy) = self.runner.run(self.rules, policy);
        self.steps_left = self.steps_left.saturating_sub(trace.events.len());
        Some((trace, policy))
    }

    /// The same failure with the fewest preemptions that were found.
    pub(crate) fn fewest_preemptions(&mut self, failed: Trace) -> Trace {
        let merged = self.merge_runs(failed);
        self.search_below(merged)
    }

    /// Merges runs of a task while the program fails in the same way with fewer preemptions.
    fn merge_runs(&mut self, mut best: Trace) -> Trace {
        let mut at = 0;
        while self.left > REPLAYS / 2 && best.preemptions > 0 {
            let Some(candidate) = merged(&runs(best.events.iter().map(|event| event.thread)), at) else {
                break;
            };
            let Some((tried, _)) = self.run(RunOrder::new(candidate)) else { break };
            if fails_like(&tried, &best) && tried.preemptions < best.preemptions {
                (best, at) = (tried, 0);
            } else {
                at += 1;
            }
        }
        best
    }

    /// Searches for a schedule with fewer preemptions, beginning with none.
    fn search_below(&mut self, best: Trace) -> Trace {
        for bound in 0..best.preemptions {
            let mut depth = Depth::new(bound);
            while !depth.is_exhausted() {
                let Some((tried, policy)) = self.run(depth) else { return best };
                depth = policy;
                if fails_like(&tried, &best) {
                    return tried;
                }
                depth.advance();
            }
        }
        best
    }

    /// Returns the last race that must keep its order for the program to fail in this way.
    pub(crate) fn deciding_pair(&mut self, failed: &Trace) -> Option<Race> {
        (self.left, self.steps_left) = (REPLAYS / 2, STEPS);
        let mut races = Vec::new();
        let order = HappensBefore::new(failed).races(|race, initials| races.push((race, initials.first())));
        let reversed = |(race, initial)| (race, reversed(failed, &order, race, initial));
        let mut candidates: Vec<_> = races.into_iter().map(reversed).collect();
        candidates.sort_by_key(|(race, _)| std::cmp::Reverse((race.first, race.second)));
        let decides = |(race, runs): (Race, Vec<Run>)| {
            let (tried, _) = self.run(RunOrder::new(runs))?;
            (!fails_like(&tried, failed)).then_some(race)
        };
        candidates.into_iter().find_map(decides)
    }
}

fn fails_like(tried: &Trace, failed: &Trace) -> bool {
    tried.failure.as_ref().zip(failed.failure.as_ref()).is_some_and(|(a, b)| a.is_like(b))
}

/// The runs, with the next run of the same task merged into the `at`-th run that has one.
fn merged(runs: &[Run], at: usize) -> Option<Vec<Run>> {
    let mut pairs = (0..runs.len()).filter_map(|first| {
        let next = (first + 1..runs.len()).find(|&next| runs[next].thread == runs[first].thread)?;
        Some((first, next))
    });
    let (first, next) = pairs.nth(at)?;
    let mut merged = runs.to_vec();
    let moved = merged.remove(next);
    merged[first].steps += moved.steps;
    Some(merged)
}

/// The schedule with the two steps of a race reversed.
fn reversed(trace: &Trace, order: &HappensBefore<'_>, race: Race, initial: Option<usize>) -> Vec<Run> {
    let thread = |event: usize| trace.events[event].thread;
    let end = race.second.unwrap_or(trace.events.len());
    let before = (0..race.first).map(thread);
    let independent =
        (race.first + 1..end).filter(|&event| !order.happened_before(race.first, event)).map(thread);
    let second = race.second.map(thread).or(initial);
    runs(before.chain(independent).chain(second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_one_task_are_merged() {
        let run = |thread, steps| Run { thread, steps };
        let all = [run(0, 2), run(1, 1), run(0, 3), run(1, 4)];
        assert_eq!(merged(&all, 0), Some(vec![run(0, 5), run(1, 1), run(1, 4)]));
        assert_eq!(merged(&all, 1), Some(vec![run(0, 2), run(1, 5), run(0, 3)]));
        assert_eq!(merged(&all, 2), None);
    }
}
