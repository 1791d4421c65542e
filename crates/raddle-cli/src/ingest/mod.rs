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

use crate::failure::Failure;
use args::{IngestArgs, IngestCommand};

pub(crate) fn run(args: &IngestArgs) -> Result<(), Failure> {
    match &args.command {
        None => program::run(args.flags.settings(), args.stop_with_input),
        Some(IngestCommand::Check(args)) => check::run(args),
        Some(IngestCommand::Query(args)) => query::query(args),
        Some(IngestCommand::Rejected(args)) => query::rejected(args),
        Some(IngestCommand::Import(args)) => import::run(args),
    }
}
