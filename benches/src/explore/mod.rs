//! The comparison of explorers: executions and time to the first bug, and to cover all schedules.
//!
//! [`compare`] runs rounds of measurements, each by [`measure`] in a child process, since a failing execution affects later ones
//! in the peers: shuttle does not free the stacks of unfinished threads, and some thousand of them exhaust the memory maps of a
//! process.
//!
//! Each program has two forms. If the main thread is one of the competing threads, there are the fewest schedules. If it only
//! spawns and joins them, as most tests do, the peers also cover the orders of its joins, which costs them far more. A
//! comparison should show both.

mod case;
mod child;
mod loom;
mod raddle;
mod report;
mod sample;
mod shuttle;

use std::io::{self, Write};

use clap::ValueEnum;

pub(crate) use case::{Goal, Main, Program, Tool};

use crate::args::{ExploreArgs, MeasureArgs};
use case::Job;
use report::Row;
use sample::Sample;

/// Runs all measurements and writes the table.
pub(crate) fn compare(args: &ExploreArgs) -> io::Result<()> {
    let mut rows: Vec<Row> = jobs(args).map(Row::new).collect();
    for round in 1..=args.rounds {
        for row in rows.iter_mut().filter(|row| !row.is_stopped()) {
            eprintln!("round {round} of {}: {}", args.rounds, row.job);
            row.add(child::measure(row.job, &args.limits)?);
        }
    }
    let mut out = io::stdout().lock();
    if args.json { report::json(&mut out, &rows, args) } else { report::table(&mut out, &rows, args) }
}

/// Runs one measurement in this process and writes it to standard output.
pub(crate) fn measure(args: &MeasureArgs) -> io::Result<()> {
    let sample: Sample = match args.tool {
        Tool::Raddle | Tool::RaddleShrunk | Tool::RaddleDpor => raddle::measure(args),
        Tool::ShuttleRandom | Tool::ShuttlePct | Tool::ShuttleDfs => shuttle::measure(args),
        Tool::Loom => loom::measure(args),
    };
    writeln!(io::stdout(), "{}", serde_json::to_string(&sample)?)
}

/// Returns the lines that `args` select, grouped by case.
fn jobs(args: &ExploreArgs) -> impl Iterator<Item = Job> {
    let tables = chosen(&args.main).flat_map(|main| chosen(&args.goal).map(move |goal| (main, goal)));
    tables.flat_map(move |(main, goal)| {
        chosen(&args.program).flat_map(move |program| {
            let tools = chosen(&args.tool).filter(move |tool| tool.is_for(goal));
            tools.map(move |tool| Job { program, main, goal, tool })
        })
    })
}

fn chosen<T: ValueEnum + PartialEq>(only: &[T]) -> impl Iterator<Item = T> {
    T::value_variants().iter().filter(|it| only.is_empty() || only.contains(it)).cloned()
}
