//! `raddle ingest`

use std::path::{Path, PathBuf};
use std::sync::Arc;

use raddle::Event;
use raddle_ingest::{Outcome, Pipeline, PipelineOptions, SqliteSink, TcpOptions, TcpSource};

use crate::args::IngestArgs;
use crate::failure::Failure;
use crate::output::{complain, say};
use crate::signals;

pub(crate) fn run(args: &IngestArgs) -> Result<(), Failure> {
    let IngestArgs { max_message, max_connections, grace, .. } = *args;
    let source = TcpSource::bind(&args.listen, TcpOptions { max_message, max_connections, grace })
        .map_err(|error| Failure::because(format!("cannot listen on {}: {error}", args.listen)))?;
    let address = source.address();
    let sink = SqliteSink::open(&args.database)?;
    let stop = Arc::new(Event::new());
    signals::stop_on_signal(&stop)?;
    let spill = spill_beside(&args.database);
    let options = PipelineOptions { queue: args.queue, batch: args.batch, linger: args.linger, spill };
    let pipeline = Pipeline::start(source, sink, &options, stop)?;
    say(&format!("listening on {address}, storing in {}", args.database.display()));
    accounted(&pipeline.finish())
}

/// `messages.db` → `messages.db.unstored`
pub(crate) fn spill_beside(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".unstored");
    PathBuf::from(name)
}

/// Says what went wrong and where every message is; an error if one is not in the database.
pub(crate) fn accounted(outcome: &Outcome) -> Result<(), Failure> {
    outcome.problems.iter().for_each(|problem| complain(problem));
    say(&outcome.account.to_string());
    if outcome.is_good() { Ok(()) } else { Err(Failure::SAID) }
}
