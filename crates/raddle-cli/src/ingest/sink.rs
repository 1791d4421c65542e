//! Opening the database, and importing the messages that an earlier run could not store in it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use raddle::time;
use raddle_ingest::{Books, Retention, Sink, SqliteOptions, SqliteSink, UnstoredFile, import};

use super::service;
use crate::failure::Failure;
use crate::settings::{Settings, SinkSettings, SqliteSettings};

/// How often a wait for the database is logged.
const REMINDER: Duration = Duration::from_secs(10);

/// Opens the database, waiting while another program has locked it. Returns `None` if `is_stopping` before that.
pub(crate) fn open(
    settings: &SinkSettings,
    books: &Books,
    is_stopping: &dyn Fn() -> bool,
) -> Result<Option<Box<dyn Sink>>, Failure> {
    match settings {
        SinkSettings::Sqlite(sqlite) => open_sqlite(sqlite, books, is_stopping),
        SinkSettings::Postgres { url, connections, schema } => {
            open_postgres(url, *connections, schema, books)
        }
    }
}

fn open_sqlite(
    settings: &SqliteSettings,
    books: &Books,
    is_stopping: &dyn Fn() -> bool,
) -> Result<Option<Box<dyn Sink>>, Failure> {
    let options = SqliteOptions {
        mode: settings.mode,
        check: settings.check,
        log_limit: settings.log_limit,
        disk_reserve: settings.disk_reserve,
        retention: Retention { age: settings.keep, bytes: settings.max_size },
        ..SqliteOptions::default()
    };
    let mut reminders = Reminders::default();
    let opened = SqliteSink::open_while(&settings.path, books, &options, |error| {
        if reminders.is_due(time::now()) {
            log::warn!("{error}: waiting");
            service::status(&format!("{error}: waiting"));
        }
        !is_stopping()
    });
    match opened {
        Ok(sink) => Ok(Some(Box::new(sink))),
        Err(error) if error.is_temporary() && is_stopping() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(feature = "postgres")]
fn open_postgres(
    url: &str,
    connections: usize,
    schema: &str,
    books: &Books,
) -> Result<Option<Box<dyn Sink>>, Failure> {
    let mut options = raddle_ingest::PostgresOptions::default();
    url.clone_into(&mut options.url);
    schema.clone_into(&mut options.schema);
    options.connections = connections;
    let sink = raddle_ingest::PostgresSink::connect(&options, books.clone())?;
    Ok(Some(Box::new(sink)))
}

#[cfg(not(feature = "postgres"))]
fn open_postgres(_: &str, _: usize, _: &str, _: &Books) -> Result<Option<Box<dyn Sink>>, Failure> {
    Err(Failure::usage("this program was built without PostgreSQL; build it with --features postgres"))
}

/// Returns the name whose unstored files belong to the database: `messages.db` for `messages.db.unstored`.
pub(crate) fn unstored_base(settings: &Settings) -> PathBuf {
    let path = settings.unstored.as_os_str().to_string_lossy();
    path.strip_suffix(".unstored").map_or_else(|| settings.unstored.clone(), PathBuf::from)
}

/// Imports the files of messages that an earlier run could not store. Returns the number of files that remain.
pub(crate) fn import_unstored(
    base: &Path,
    sink: &mut dyn Sink,
    books: &Books,
    is_stopping: &dyn Fn() -> bool,
) -> usize {
    let files = UnstoredFile::find(base);
    let mut left = files.len();
    for file in &files {
        if is_stopping() {
            break;
        }
        log::info!("{}: importing messages that an earlier run could not store", file.display());
        let mut reminders = Reminders::default();
        let imported = import(file, sink, books, &mut |error| {
            if reminders.is_due(time::now()) {
                log::warn!("{}: {error}; retrying", file.display());
            }
            !is_stopping()
        });
        match imported {
            Ok(imported) => {
                left -= 1;
                log::info!("{}: {imported}", file.display());
            }
            Err(error) => log::error!("{error}; the file remains"),
        }
    }
    left
}

/// Limits how often a repeated line is logged.
#[derive(Debug, Default)]
struct Reminders {
    last: Option<Instant>,
}

impl Reminders {
    fn is_due(&mut self, now: Instant) -> bool {
        let due = self.last.is_none_or(|last| now - last >= REMINDER);
        if due {
            self.last = Some(now);
        }
        due
    }
}
