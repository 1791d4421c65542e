//! The program `raddle`: stores messages from a network in a database, sends test bursts, and demonstrates both.
#![forbid(unsafe_code)]

mod args;
mod demo;
mod failure;
mod ingest;
mod output;
mod send;
mod settings;
mod values;

use std::process::ExitCode;

use args::Command;
use failure::Failure;
use output::report_error;

fn main() -> ExitCode {
    output::log_to_standard_error();
    let command = match args::parse() {
        Ok(command) => command,
        Err(args::Stop::HelpShown) => return ExitCode::SUCCESS,
        Err(args::Stop::Invalid(message)) => {
            report_error(&message);
            return ExitCode::from(failure::USAGE);
        }
    };
    let outcome = match command {
        Command::Demo(args) => demo::run(&args),
        Command::Ingest(args) => ingest::run(&args),
        Command::Send(args) => send::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { message, status }) => {
            if let Some(message) = message {
                report_error(&message);
            }
            ExitCode::from(status)
        }
    }
}
