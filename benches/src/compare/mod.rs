//! The toolkit: raddle and its peers, case by case, in rounds.
//!
//! A case is the same work for all its contenders, with the same guarantees. Each round measures all of them one right
//! after the other, in an order of its own, so that whatever disturbs the machine for a while disturbs them alike.

pub(crate) mod case;
pub(crate) mod drive;
mod json;
mod results;
mod rounds;
mod svg;
mod table;

use std::fs;
use std::io::{self, Write};

use crate::args::CompareArgs;
use crate::cases::{self, Python};
use case::Case;

/// Measures what `args` ask for and writes the results.
pub(crate) fn run(args: &CompareArgs) -> io::Result<()> {
    let cases = chosen(args)?;
    let mut out = io::stdout().lock();
    if args.list {
        return list(&mut out, &cases);
    }
    if cases.is_empty() {
        return Err(io::Error::other("no case has such a name; --list shows all"));
    }
    let results = rounds::measure(cases, args);
    if let Some(path) = &args.svg {
        fs::write(path, svg::chart(&results, args))?;
    }
    if args.json { json::write(&mut out, &results, args) } else { table::write(&mut out, &results, args) }
}

fn chosen(args: &CompareArgs) -> io::Result<Vec<Case>> {
    let python = if args.no_python { None } else { Python::find() };
    if args.python && python.is_none() {
        return Err(io::Error::other("there is no python3"));
    }
    let is_chosen =
        |case: &Case| args.case.is_empty() || args.case.iter().any(|part| case.name.contains(part.as_str()));
    Ok(cases::all(python.as_ref()).into_iter().filter(is_chosen).collect())
}

fn list(out: &mut impl Write, cases: &[Case]) -> io::Result<()> {
    for case in cases {
        let names: Vec<&str> = case.contenders.iter().map(|contender| contender.name.as_str()).collect();
        writeln!(out, "{:28} {}", case.name, names.join(", "))?;
    }
    Ok(())
}
