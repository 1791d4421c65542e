//! The program `raddle-bench`: compares raddle with other libraries, measured in the same rounds.
#![deny(unsafe_code)]

mod args;
mod cases;
mod clock;
mod compare;
mod costs;
mod explore;
mod format;
mod version;

use std::io;
use std::process::ExitCode;

use clap::Parser;

use args::{Bench, Command};

fn main() -> ExitCode {
    let bench = Bench::parse();
    let done = match bench.command {
        None => compare::run(&bench.compare),
        Some(Command::Explore(args)) => explore::compare(&args),
        Some(Command::Costs(args)) => costs::run(&args),
        Some(Command::Measure(args)) => explore::measure(&args),
        Some(Command::Burn) => {
            compare::busy::burn();
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("raddle-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
