//! Rounds of measurements.

use super::case::{Case, Scale};
use super::results::Results;
use crate::args::CompareArgs;

/// Measures all contenders of all cases once per round, those of a case in random order.
pub(super) fn measure(cases: Vec<Case>, args: &CompareArgs) -> Vec<Results> {
    let mut results: Vec<Results> = cases.into_iter().map(Results::new).collect();
    let scale = Scale { short: args.short };
    let mut shuffle = fastrand::Rng::with_seed(u64::from(args.rounds()));
    if !args.short {
        warm_up(&results);
    }
    for round in 1..=args.rounds() {
        for result in &mut results {
            eprintln!("round {round} of {}: {}", args.rounds(), result.case.name);
            let mut order: Vec<usize> = (0..result.samples.len()).collect();
            shuffle.shuffle(&mut order);
            for place in order {
                result.samples[place].push((result.case.contenders[place].run)(scale));
            }
        }
    }
    results
}

/// Warms every contender up, so that none pays for the first use of shared resources.
fn warm_up(results: &[Results]) {
    eprintln!("warming up");
    for contender in results.iter().flat_map(|result| &result.case.contenders) {
        (contender.run)(Scale { short: true });
    }
}
