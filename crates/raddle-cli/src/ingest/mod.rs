//! The command `raddle ingest`.

pub(crate) mod args;
mod check;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use raddle::Event;
use raddle_ingest::old::{Outcome, Pipeline, PipelineOptions, SqliteSink, TcpOptions, TcpSource};

use crate::failure::Failure;
use crate::output::{print_line, report_error};
use crate::settings::{self, SinkSettings};
use crate::signals;
use args::{IngestArgs, IngestCommand};

pub(crate) fn run(args: &IngestArgs) -> Result<(), Failure> {
    match &args.command {
        None => ingest(args),
        Some(IngestCommand::Check(args)) => check::run(args),
    }
}

fn ingest(args: &IngestArgs) -> Result<(), Failure> {
    let settings = settings::resolve(&args.flags.settings()).map_err(Failure::usage)?.settings;
    let listener = &settings.listeners[0];
    let SinkSettings::Sqlite { path, .. } = &settings.sink else {
        return Err(Failure::new("PostgreSQL is not served yet"));
    };
    let options = TcpOptions {
        max_message: listener.max_message,
        max_connections: settings.connections,
        grace: settings.grace,
    };
    let source = TcpSource::bind(&*listener.address, options)
        .map_err(|error| Failure::new(format!("cannot listen on {}: {error}", listener.address)))?;
    let address = source.address();
    let sink = SqliteSink::open(path)?;
    let stop = Arc::new(Event::new());
    signals::stop_on_signal(&stop)?;
    let options = PipelineOptions {
        queue: settings.queue.messages,
        batch: settings.batch.messages,
        linger: settings.batch.linger,
        spill: settings.unstored.clone(),
    };
    let pipeline = Pipeline::start(source, sink, &options, stop)?;
    print_line(&format!("listening on {address}, {}", listener.kind.name()));
    print_line(&format!("storing in {}", path.display()));
    report_outcome(&pipeline.finish())
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
