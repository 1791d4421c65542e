//! The program `raddle`: messages from a network into a database, bursts of them, and both in one demo.
#![forbid(unsafe_code)]

mod args;
mod demo;
mod failure;
mod ingest;
mod output;
mod progress;
mod send;
mod signals;
mod values;

use std::process::ExitCode;

use args::Command;
use failure::Failure;
use output::complain;

/// Something went wrong, as standard error says.
const FAILURE: u8 = 1;
/// The command line was wrong.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    output::log_to_standard_error();
    let command = match args::parse() {
        Ok(command) => command,
        Err(args::Stop::Told) => return ExitCode::SUCCESS,
        Err(args::Stop::Wrong(what)) => {
            complain(&what);
            return ExitCode::from(USAGE);
        }
    };
    let outcome = match command {
        Command::Demo(args) => demo::run(&args),
        Command::Ingest(args) => ingest::run(&args),
        Command::Send(args) => send::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(unsaid)) => {
            if let Some(what) = unsaid {
                complain(&what);
            }
            ExitCode::from(FAILURE)
        }
    }
}
