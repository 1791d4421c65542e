//! Other costs of the toolkit: memory, growth with many threads and items, and the watch.

mod growth;
mod memory;
mod watch;

use std::io::{self, Write};

use crate::args::CostsArgs;
use crate::format::Row;

/// Measures the costs and writes the tables.
pub(crate) fn run(args: &CostsArgs) -> io::Result<()> {
    if args.operations {
        watch::operations();
        return Ok(());
    }
    let mut out = io::stdout().lock();
    table(&mut out, "bytes", &memory::rows(args.short)?)?;
    table(&mut out, "threads: an operation on one mutex; on one queue", &growth::threads(args.short))?;
    table(&mut out, "items in a queue: to put and get one", &growth::items(args.short))?;
    table(&mut out, "pending timers: to schedule and cancel one", &growth::timers(args.short))?;
    table(&mut out, "an operation with the watch off; on", &watch::rows()?)
}

fn table(out: &mut impl Write, title: &str, rows: &[Row]) -> io::Result<()> {
    writeln!(out, "{title}")?;
    for row in rows {
        write!(out, "  {:32}", row.what)?;
        row.values.iter().try_for_each(|value| write!(out, " {value:>12}"))?;
        writeln!(out)?;
    }
    writeln!(out)
}
