//! The command `raddle ingest`.

pub(crate) mod args;
mod books;
mod check;
mod control;
mod import;
mod program;
mod query;
mod service;
mod signals;
mod sink;
mod sockets;

use std::path::{Path, PathBuf};

use raddle_ingest::old::Outcome;

use crate::failure::Failure;
use crate::output::{print_line, report_error};
use crate::settings;
use args::{IngestArgs, IngestCommand};

pub(crate) fn run(args: &IngestArgs) -> Result<(), Failure> {
    match &args.command {
        None => program::run(args.flags.settings()),
        Some(IngestCommand::Check(args)) => check::run(args),
        Some(IngestCommand::Query(args)) => query::query(args),
        Some(IngestCommand::Rejected(args)) => query::rejected(args),
        Some(IngestCommand::Import(args)) => import::run(args),
    }
}

/// Returns the path of the spill file: `messages.db` → `messages.db.unstored`.
pub(crate) fn spill_path(database: &Path) -> PathBuf {
    settings::unstored_path(database)
}

/// Reports the problems and the account. Fails if a message is not in the database.
pub(crate) fn report_outcome(outcome: &Outcome) -> Result<(), Failure> {
    outcome.problems.iter().for_each(|problem| report_error(problem));
    print_line(&outcome.account.to_string());
    if outcome.is_good() { Ok(()) } else { Err(Failure::REPORTED) }
}
