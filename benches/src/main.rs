//! The program `raddle-bench`: raddle beside its peers, all of them measured in the same rounds.
#![forbid(unsafe_code)]

mod args;
mod clock;
mod explore;

use std::io;
use std::process::ExitCode;

use clap::Parser;

use args::{Bench, Command};

fn main() -> ExitCode {
    let done = match Bench::parse().command {
        Command::Explore(args) => explore::compare(&args),
        Command::Measure(args) => explore::measure(&args),
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
