//! The explorers: executions and time, to the first bug and to cover every schedule.
//!
//! [`compare`] takes rounds of measurements, each by [`measure`] in a process of its own. That is because a failing
//! execution leaves traces in the peers: shuttle never frees the stacks of its unfinished threads (some thousand of
//! them exhaust a process's memory maps) and reports it on standard error, whatever the panic hook says.
//!
//! Every program has two forms. Where the main thread is one of the threads that take part, and then joins the others,
//! there is as little to cover as can be. Where it starts them all and joins them, which is how most tests are written,
//! the peers also cover the orders of its joins. That has nothing to do with the program, and is far worse for them:
//! whoever compares should look at both.

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

/// Takes all measurements, and writes the table of them.
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

/// Takes one measurement in this process, and writes it to standard output.
pub(crate) fn measure(args: &MeasureArgs) -> io::Result<()> {
    let sample: Sample = match args.tool {
        Tool::Raddle | Tool::RaddleShrunk | Tool::RaddleDpor => raddle::measure(args),
        Tool::ShuttleRandom | Tool::ShuttlePct | Tool::ShuttleDfs => shuttle::measure(args),
        Tool::Loom => loom::measure(args),
    };
    writeln!(io::stdout(), "{}", serde_json::to_string(&sample)?)
}

/// All lines that `args` ask for, the tools of a case one after the other.
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
