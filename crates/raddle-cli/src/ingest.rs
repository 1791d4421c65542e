//! The command `raddle ingest`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use raddle::Event;
use raddle_ingest::old::{Outcome, Pipeline, PipelineOptions, SqliteSink, TcpOptions, TcpSource};

use crate::args::IngestArgs;
use crate::failure::Failure;
use crate::output::{print_line, report_error};
use crate::signals;

pub(crate) fn run(args: &IngestArgs) -> Result<(), Failure> {
    let IngestArgs { max_message, max_connections, grace, .. } = *args;
    let source = TcpSource::bind(&args.listen, TcpOptions { max_message, max_connections, grace })
        .map_err(|error| Failure::new(format!("cannot listen on {}: {error}", args.listen)))?;
    let address = source.address();
    let sink = SqliteSink::open(&args.database)?;
    let stop = Arc::new(Event::new());
    signals::stop_on_signal(&stop)?;
    let spill = spill_path(&args.database);
    let options = PipelineOptions { queue: args.queue, batch: args.batch, linger: args.linger, spill };
    let pipeline = Pipeline::start(source, sink, &options, stop)?;
    print_line(&format!("listening on {address}, storing in {}", args.database.display()));
    report_outcome(&pipeline.finish())
}

/// Returns the path of the spill file: `messages.db` → `messages.db.unstored`.
pub(crate) fn spill_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".unstored");
    PathBuf::from(name)
}

/// Reports the problems and the account. Fails if a message is not in the database.
pub(crate) fn report_outcome(outcome: &Outcome) -> Result<(), Failure> {
    outcome.problems.iter().for_each(|problem| report_error(problem));
    print_line(&outcome.account.to_string());
    if outcome.is_good() { Ok(()) } else { Err(Failure::REPORTED) }
}
