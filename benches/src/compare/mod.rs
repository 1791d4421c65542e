//! The comparison of the toolkit: raddle and its peers, in rounds.
//!
//! All contenders of a case do the same work with the same guarantees. Each round measures them one directly after the other, in
//! random order, so that disturbances of the machine affect all of them alike.

pub(crate) mod busy;
pub(crate) mod case;
pub(crate) mod drive;
mod json;
mod results;
mod rounds;
mod svg;
mod table;

use std::fs;
use std::io::{self, Write};
use std::thread;

use crate::args::CompareArgs;
use crate::cases::{self, Python};
use busy::Busy;
use case::{Case, Goal};

/// The goal of all ratios on a busy machine or a single processor.
const SCARCE: Goal = Goal::Ratio(1.5);

/// Runs the cases that `args` select and writes the results.
pub(crate) fn run(args: &CompareArgs) -> io::Result<()> {
    let cases = chosen(args)?;
    let mut out = io::stdout().lock();
    if args.list {
        return list(&mut out, &cases);
    }
    if cases.is_empty() {
        return Err(io::Error::other("no case has such a name: --list shows all names"));
    }
    let beside = Busy::start(args.busy)?;
    let results = rounds::measure(cases, args);
    drop(beside);
    if let Some(path) = &args.svg {
        fs::write(path, svg::chart(&results, args))?;
    }
    if args.json { json::write(&mut out, &results, args) } else { table::write(&mut out, &results, args) }
}

fn chosen(args: &CompareArgs) -> io::Result<Vec<Case>> {
    let python = if args.no_python { None } else { Python::find() };
    if args.python && python.is_none() {
        return Err(io::Error::other("cannot compare with Python: there is no python3"));
    }
    let is_chosen =
        |case: &Case| args.case.is_empty() || args.case.iter().any(|part| case.name.contains(part.as_str()));
    let scarce =
        args.busy > 0 || thread::available_parallelism().is_ok_and(|processors| processors.get() == 1);
    let with_goal = |case: Case| match case.goal {
        Goal::Ratio(_) if scarce => Case { goal: SCARCE, ..case },
        _ => case,
    };
    Ok(cases::all(python.as_ref()).into_iter().filter(is_chosen).map(with_goal).collect())
}

fn list(out: &mut impl Write, cases: &[Case]) -> io::Result<()> {
    for case in cases {
        let names: Vec<&str> = case.contenders.iter().map(|contender| contender.name.as_str()).collect();
        writeln!(out, "{:28} {}", case.name, names.join(", "))?;
    }
    Ok(())
}
