//! How many executions each strategy needs to find the bugs of known programs: means over 100 seeds.
//!
//! ```text
//! cargo run --release -p raddle-explore --example figures [PROGRAM]
//! ```
//!
//! Each figure is followed by its ratio to the published one for the same strategy; that of the portfolio by its ratio
//! to the best published one. A ratio below 1.33 counts as equal.
#[path = "../tests/support/programs.rs"]
mod programs;

use programs::{LARGE, PROGRAMS, twostage_of};
use raddle_explore::{Explorer, Outcome, Strategy};

const SEEDS: u64 = 100;
/// Executions after which a search gives up.
const CAP: u64 = 20_000;

/// The mean number of executions to the first failure, and how many searches found none.
fn mean(program: impl Fn() + Clone + Send + Sync + 'static, strategy: Strategy) -> (f64, u64) {
    // A deterministic strategy has the same result for every seed.
    let seeds = if strategy == Strategy::Dpor { 1 } else { SEEDS };
    let (mut executions, mut missed) = (0, 0);
    for seed in 0..seeds {
        let outcome = Explorer::new().strategy(strategy).seed(seed).max_executions(CAP).run(program.clone());
        if let Outcome::Failed(report) = outcome {
            executions += report.execution();
        } else {
            (executions, missed) = (executions + CAP, missed + 1);
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "the counts are small")]
    (executions as f64 / seeds as f64, missed)
}

fn cell(mean: f64, missed: u64, reference: f64) -> String {
    let missed = if missed == 0 { String::new() } else { format!(", {missed} missed") };
    format!("{mean:.1} ({:.2}{missed})", mean / reference)
}

fn main() {
    let only = std::env::args().nth(1);
    println!("| program | classes | random walk | PCT | POS | SURW | partial order | portfolio |");
    println!("|---|---|---|---|---|---|---|---|");
    for program in PROGRAMS.iter().filter(|program| only.as_deref().is_none_or(|only| program.name == only)) {
        let classes = Explorer::new().strategy(Strategy::Dpor).survey(program.run).classes;
        let strategies = [Strategy::Random, Strategy::Pct, Strategy::Pos, Strategy::Surw, Strategy::Dpor];
        let columns = strategies.into_iter().zip(program.figures).map(|(strategy, reference)| {
            let (mean, missed) = mean(program.run, strategy);
            cell(mean, missed, reference)
        });
        let columns: Vec<_> = columns.collect();
        let best = program.figures.into_iter().fold(f64::INFINITY, f64::min);
        let (portfolio, missed) = mean(program.run, Strategy::Portfolio);
        let portfolio = cell(portfolio, missed, best);
        println!(
            "| {} | {classes} of {} | {} | {portfolio} |",
            program.name,
            program.classes,
            columns.join(" | ")
        );
    }
    if only.is_some() {
        return;
    }
    println!("\n| too large for reduction | SURW | portfolio |\n|---|---|---|");
    for &(writers, published) in LARGE {
        let by = |strategy| {
            let (mean, missed) = mean(move || twostage_of(writers), strategy);
            cell(mean, missed, published)
        };
        println!("| twostage, {writers} writers | {} | {} |", by(Strategy::Surw), by(Strategy::Portfolio));
    }
}
