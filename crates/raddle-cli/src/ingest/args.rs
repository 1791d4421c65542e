//! The command line of `raddle ingest`.
#![allow(clippy::doc_markdown, reason = "the help shows this text as it is")]

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::settings::FromFlags;
use crate::values;

/// Receives messages from a network, and stores them in a database.
///
/// Runs until SIGINT (Ctrl-C) or SIGTERM. Then it reads what has arrived on its
/// connections, stores everything in the queue, and accounts for every message on
/// the last line: received = stored + rejected + duplicate + shed + unstored. A second
/// signal ends it at once, unless it is the same one within a second. SIGHUP reads the
/// settings again, and loses no message. SIGUSR1 logs the books. SIGQUIT prints the
/// threads and, with RADDLE_WATCH=1, what each waits for.
///
/// A TCP port takes lines, octet-counted frames, RELP and HTTP, and recognises them
/// by their first bytes. Over plain TCP nothing that was read is lost; over RELP and
/// HTTP nothing that was acknowledged is lost, not even by kill -9.
///
/// Table messages has the columns of a syslog message and its whole text; table
/// rejected has what is oversized, not UTF-8, contains NUL, is incomplete or was
/// refused by the database, with the reason.
///
/// While the database is slow or fails, the queue fills and the peers are slowed
/// down; no message is dropped. Messages that cannot be stored by the end are written
/// to FILE.unstored, which is imported at the next start.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    allow_negative_numbers = true,
    args_conflicts_with_subcommands = true,
    subcommand_value_name = "COMMAND",
    after_help = "Example:
  raddle ingest --listen 0.0.0.0:5140 --listen udp://0.0.0.0:5140 --database messages.db
  raddle ingest check --config /etc/raddle/ingest.toml
  raddle ingest query --database messages.db
  sqlite3 messages.db 'SELECT * FROM readable ORDER BY id DESC LIMIT 10'

Exit status: 0 if every received message is stored, or its sender was notified that it
is not; 1 on failure; 2 for an invalid command line or settings; 3 if messages were
rejected, or shed by --when-full shed; 4 if the database failed until the deadline and
what is left is in FILE.unstored, if peers were still sending, or if a second signal
ended the drain."
)]
pub(crate) struct IngestArgs {
    #[command(flatten)]
    pub(crate) flags: Flags,
    /// Stop at the end of standard input: a child does not outlive its parent
    #[arg(long, hide = true)]
    pub(crate) stop_with_input: bool,
    #[command(subcommand)]
    pub(crate) command: Option<IngestCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum IngestCommand {
    Check(CheckArgs),
    Query(QueryArgs),
    Rejected(RejectedArgs),
    Import(ImportArgs),
}

/// Explains every setting: its value, the origin of the value, and its meaning.
///
/// It starts nothing. The exit status is 2 if the settings are invalid.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Example:
  raddle ingest check --config /etc/raddle/ingest.toml

Exit status: 0 for valid settings, 2 for an invalid command line or settings."
)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) flags: Flags,
}

/// Shows stored messages: the newest ones, counts, or a plot of the rate.
///
/// The database may be in use by raddle ingest. Conditions are combined. There is
/// no index on the time, so a query of old messages may take a while.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Example:
  raddle ingest query --database messages.db
  raddle ingest query --count-by source
  raddle ingest query --rate --since 1h
  raddle ingest query --host web1 --severity 3 --newest 100 --json

Exit status: 0 on success, 1 on failure, 2 for an invalid command line or settings."
)]
pub(crate) struct QueryArgs {
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
    /// Shows as many of the newest messages, the latest last
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = values::count)]
    pub(crate) newest: usize,
    /// Counts the messages by a column instead
    #[arg(long, value_name = "COLUMN", conflicts_with = "rate",
        value_parser = ["source", "peer", "host", "app", "severity"])]
    pub(crate) count_by: Option<String>,
    /// Plots the rate over the time instead, of the last hour unless --since is given
    #[arg(long)]
    pub(crate) rate: bool,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// The host that the message names
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<String>,
    /// The application that the message names
    #[arg(long, value_name = "NAME")]
    pub(crate) app: Option<String>,
    /// The least severe: 3 stands for 0 (emergency) to 3 (error)
    #[arg(long, value_name = "0-7", value_parser = clap::value_parser!(u8).range(0..=7))]
    pub(crate) severity: Option<u8>,
}

/// Shows which messages were refused by a source or by the database, and why.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Example:
  raddle ingest rejected --database messages.db
  raddle ingest rejected --newest 100 --since 1h --json

Exit status: 0 on success, 1 on failure, 2 for an invalid command line or settings."
)]
pub(crate) struct RejectedArgs {
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
    /// Shows as many of the newest, the latest last, after the counts of each reason
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = values::count)]
    pub(crate) newest: usize,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
}

/// Stores messages that could not be stored by an earlier run, and removes their files.
///
/// raddle ingest does the same when it starts. A message is stored once, even if the
/// import is interrupted and repeated. Lines that are damaged are kept in a file.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Example:
  raddle ingest import --database messages.db
  raddle ingest import --database messages.db elsewhere/messages.db.unstored

Exit status: 0 if every message is stored, 1 on failure, 2 for an invalid command
line or settings, 3 if messages were rejected or lines were damaged."
)]
pub(crate) struct ImportArgs {
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
    /// Files of unstored messages [default: those of the database]
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

/// The database of a command.
#[derive(Debug, Args)]
pub(crate) struct DatabaseArgs {
    /// Settings file that names the database
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Database file [default: messages.db]
    #[arg(long, value_name = "FILE")]
    database: Option<String>,
}

impl DatabaseArgs {
    /// Returns the flags, which override the settings.
    pub(crate) fn settings(&self) -> FromFlags {
        let flags =
            Flags { config: self.config.clone(), database: self.database.clone(), ..Flags::default() };
        flags.settings()
    }
}

/// The condition of a query.
#[derive(Debug, Args)]
pub(crate) struct FilterArgs {
    /// The name of the source
    #[arg(long, value_name = "NAME")]
    pub(crate) source: Option<String>,
    /// The beginning of the peer's address
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) peer: Option<String>,
    /// Received within this time
    #[arg(long, value_name = "DURATION", value_parser = values::time)]
    pub(crate) since: Option<Duration>,
    /// A part of the text
    #[arg(long, value_name = "TEXT")]
    pub(crate) text: Option<String>,
    /// Shows whole texts, also in a terminal that is narrower
    #[arg(long)]
    pub(crate) full: bool,
    /// Prints JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// The flags over the settings file.
#[derive(Debug, Default, Args)]
pub(crate) struct Flags {
    /// Settings file in TOML; flags have precedence over it
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Address and port to listen on, repeatable; port 0 selects a free port. KIND is tcp,
    /// udp, relp, http or admin [default: 127.0.0.1:5140]
    #[arg(long, value_name = "[KIND://]HOST:PORT", value_parser = values::listener)]
    listen: Vec<(String, String)>,
    /// Database file; created if missing, otherwise extended [default: messages.db]
    #[arg(long, value_name = "FILE", conflicts_with = "postgres")]
    database: Option<String>,
    /// Address of a PostgreSQL server, instead of a database file
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
    /// Capacity of the queue, in messages [default: 20000]
    #[arg(long, value_name = "N", value_parser = values::checked(values::count))]
    queue: Option<String>,
    /// Capacity of the queue, in bytes [default: 16MiB]
    #[arg(long, value_name = "SIZE", value_parser = values::checked(values::size))]
    queue_bytes: Option<String>,
    /// What happens when the queue is full: block slows the peers down, shed refuses
    /// the newest messages and counts them [default: block]
    #[arg(long, value_name = "POLICY", value_parser = ["block", "shed"])]
    when_full: Option<String>,
    /// Maximum number of messages per transaction [default: 10000]
    #[arg(long, value_name = "N", value_parser = values::checked(values::count))]
    batch: Option<String>,
    /// Maximum time a message waits for others to share its transaction [default: 0]
    #[arg(long, value_name = "DURATION", value_parser = values::checked(values::time))]
    linger: Option<String>,
    /// Maximum length of a message; of a longer one, the beginning is stored as
    /// rejected [default: 64KiB]
    #[arg(long, value_name = "SIZE", value_parser = values::checked(values::message_size))]
    max_message: Option<String>,
    /// Maximum number of open connections; further ones are closed [default: 10000]
    #[arg(long, value_name = "N", value_parser = values::checked(values::count))]
    max_connections: Option<String>,
    /// Maximum number of open connections of one address [default: a quarter of the
    /// connections]
    #[arg(long, value_name = "N", value_parser = values::checked(values::count))]
    max_per_peer: Option<String>,
    /// File for messages that cannot be stored until the end [default: the database
    /// with .unstored appended]
    #[arg(long, value_name = "FILE")]
    unstored: Option<String>,
    /// How long a peer that keeps sending is read after the stop [default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = values::checked(values::time))]
    grace: Option<String>,
    /// How long the database is tried after the stop [default: 1min]
    #[arg(long, value_name = "DURATION", value_parser = values::checked(values::time))]
    deadline: Option<String>,
    /// Form of the log: text or json [default: text]
    #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"])]
    log_format: Option<String>,
    /// Least severe records in the log [default: info]
    #[arg(long, value_name = "LEVEL", value_parser = ["error", "warn", "info", "debug", "trace"])]
    log_level: Option<String>,
    /// How often the books are logged while running; 0 for never [default: 1min]
    #[arg(long, value_name = "DURATION", value_parser = values::checked(values::time))]
    status: Option<String>,
}

impl Flags {
    /// Returns the flags as values of settings.
    pub(crate) fn settings(&self) -> FromFlags {
        let values = [
            ("sqlite", "path", "--database", &self.database),
            ("postgres", "url", "--postgres", &self.postgres),
            ("queue", "messages", "--queue", &self.queue),
            ("queue", "bytes", "--queue-bytes", &self.queue_bytes),
            ("queue", "when_full", "--when-full", &self.when_full),
            ("batch", "messages", "--batch", &self.batch),
            ("batch", "linger", "--linger", &self.linger),
            ("listen", "max_message", "--max-message", &self.max_message),
            ("limits", "connections", "--max-connections", &self.max_connections),
            ("limits", "per_peer", "--max-per-peer", &self.max_per_peer),
            ("unstored", "path", "--unstored", &self.unstored),
            ("stop", "grace", "--grace", &self.grace),
            ("stop", "deadline", "--deadline", &self.deadline),
            ("log", "format", "--log-format", &self.log_format),
            ("log", "level", "--log-level", &self.log_level),
            ("status", "interval", "--status", &self.status),
        ];
        let given = values
            .into_iter()
            .filter_map(|(section, name, flag, text)| text.clone().map(|text| (section, name, flag, text)));
        FromFlags { config: self.config.clone(), listeners: self.listen.clone(), values: given.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::keys;

    #[test]
    fn every_flag_is_a_setting() {
        let given = Some("x".to_owned());
        let all = Flags {
            config: None,
            listen: Vec::new(),
            database: given.clone(),
            postgres: given.clone(),
            queue: given.clone(),
            queue_bytes: given.clone(),
            when_full: given.clone(),
            batch: given.clone(),
            linger: given.clone(),
            max_message: given.clone(),
            max_connections: given.clone(),
            max_per_peer: given.clone(),
            unstored: given.clone(),
            grace: given.clone(),
            deadline: given.clone(),
            log_format: given.clone(),
            log_level: given.clone(),
            status: given,
        };
        for (section, name, flag, _) in all.settings().values {
            assert!(keys::find(section, name).is_some(), "{flag}: {section}.{name}");
        }
    }
}
