//! The command line.
#![allow(clippy::doc_markdown, reason = "the help shows this text as it is")]

use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

use crate::output::print_line;
use crate::values;

const EXIT: &str = "Exit status: 0 on success, 1 on failure, 2 for an invalid command line.
A failure is reported on standard error.";

/// Stores messages from TCP connections in an SQLite database, and accounts for each.
///
/// A bounded queue absorbs bursts, and a writer stores the messages in batches. On
/// a stop, everything received is stored before the program terminates.
#[derive(Debug, Parser)]
#[command(
    name = "raddle",
    version,
    verbatim_doc_comment,
    after_help = "Try:
  raddle demo                                       everything in one command
  raddle ingest --database messages.db              in one terminal, and in another
  raddle send --to 127.0.0.1:5140 --messages 1000   or: echo hello | nc -N 127.0.0.1 5140"
)]
struct Raddle {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(DemoArgs),
    Ingest(IngestArgs),
    Send(SendArgs),
}

/// Sends bursts of messages to itself, stores them, and verifies the result.
///
/// Listens on a free local port, sends over several connections at once, shows how
/// the queue absorbs each burst, stops, accounts for every message, and compares the
/// database with what was sent. Each demo replaces the database of the previous one;
/// any other file is refused and left unchanged.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, allow_negative_numbers = true, after_help = format!("Example:
  raddle demo --messages 50000 --connections 4

{EXIT}
The demo fails if a message is missing, duplicated or different."))]
pub(crate) struct DemoArgs {
    /// Number of messages
    #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = values::number)]
    pub(crate) messages: u64,
    /// Number of connections
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = |text: &str| values::whole(text, 1..=1000))]
    pub(crate) connections: u64,
    /// Messages per burst, over all connections; 0 for a single burst
    #[arg(long, value_name = "N", default_value_t = 50_000, value_parser = values::number)]
    pub(crate) burst: u64,
    /// Database file
    #[arg(long, value_name = "FILE", default_value = "messages.db")]
    pub(crate) database: PathBuf,
    /// Capacity of the queue, in messages; a full queue slows the senders down
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = values::count)]
    pub(crate) queue: usize,
}

/// Receives messages over TCP, one per line, and stores them in an SQLite database.
///
/// Runs until SIGINT (Ctrl-C) or SIGTERM. Then it reads what has arrived on its
/// connections, stores everything in the queue, and accounts for every message on
/// the last line: received = stored + rejected. Further signals have no effect.
///
/// A line ends with \n or \r\n. An unterminated last line is a message if the peer
/// closed the connection. Table messages has id, received (microseconds since 1970,
/// UTC), peer and text. Messages that are oversized, not UTF-8, contain NUL or are
/// incomplete are in table rejected, with the reason and the bytes. An id is unique
/// across both tables and across restarts.
///
/// While the database is slow or fails, the queue fills and the peers are slowed
/// down; no message is dropped. Messages that cannot be stored by the end are written
/// to FILE.unstored as lines of JSON or, if that fails, to the temporary directory.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, allow_negative_numbers = true, after_help = format!("Example:
  raddle ingest --listen 0.0.0.0:5140 --database messages.db
  sqlite3 messages.db 'SELECT * FROM readable ORDER BY id DESC LIMIT 10'

{EXIT}
It is 0 only if every received message is in the database and no peer was
disconnected while it was still sending.

Messages are not acknowledged: a peer cannot know which of them a crash or
kill -9 has lost."))]
pub(crate) struct IngestArgs {
    /// Address and port to listen on; port 0 selects a free port
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:5140", value_parser = values::host_and_port)]
    pub(crate) listen: String,
    /// Database file; created if missing, otherwise extended
    #[arg(long, value_name = "FILE", default_value = "messages.db")]
    pub(crate) database: PathBuf,
    /// Capacity of the queue, in messages; a full queue slows the peers down
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = values::count)]
    pub(crate) queue: usize,
    /// Maximum number of messages per transaction
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = values::count)]
    pub(crate) batch: usize,
    /// Maximum time a message waits for others to share its transaction
    #[arg(long, value_name = "DURATION", default_value = "20ms", value_parser = values::time)]
    pub(crate) linger: Duration,
    /// Maximum length of a message; of a longer one, the beginning is stored as rejected
    #[arg(long, value_name = "SIZE", default_value = "64KiB", value_parser = values::message_size)]
    pub(crate) max_message: usize,
    /// Maximum number of open connections; further ones wait
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = values::count)]
    pub(crate) max_connections: usize,
    /// How long a peer that keeps sending is read after the stop; silent peers are
    /// disconnected at once, and a peer that is still sending then is a failure
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = values::time)]
    pub(crate) grace: Duration,
}

/// Sends numbered messages over TCP, one per line, to test a receiver.
///
/// The texts are "connection 3 message 17", both numbers counted from 1. After the
/// last message, each connection waits until the receiver closes its end, as raddle
/// ingest does once it has read everything.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, allow_negative_numbers = true, after_help = format!("Example:
  raddle send --to 127.0.0.1:5140 --messages 200000 --connections 8

{EXIT}
Sent does not mean stored: only the account of the receiver tells."))]
pub(crate) struct SendArgs {
    /// Address and port of the receiver
    #[arg(long, value_name = "HOST:PORT", value_parser = values::host_and_port)]
    pub(crate) to: String,
    /// Number of messages, over all connections
    #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = values::number)]
    pub(crate) messages: u64,
    /// Number of connections
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = |text: &str| values::whole(text, 1..=10_000))]
    pub(crate) connections: u64,
    /// Messages per burst, over all connections; 0 for a single burst
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = values::number)]
    pub(crate) burst: u64,
    /// Pause between bursts
    #[arg(long, value_name = "DURATION", default_value = "100ms", value_parser = values::time)]
    pub(crate) pause: Duration,
    /// Minimum length of a message; shorter ones are padded with dots
    #[arg(long, value_name = "SIZE", default_value = "0", value_parser = values::size)]
    pub(crate) size: usize,
}

/// The reason why there is no command to run.
pub(crate) enum Stop {
    /// The help or the version was requested, and has been printed.
    HelpShown,
    /// The command line is invalid; a message of one line.
    Invalid(String),
}

pub(crate) fn parse() -> Result<Command, Stop> {
    match Raddle::try_parse() {
        Ok(raddle) => Ok(raddle.command),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                print_line(error.to_string().trim_end());
                Err(Stop::HelpShown)
            }
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                Err(Stop::Invalid("no command given: demo, ingest or send. See 'raddle --help'".to_owned()))
            }
            _ => Err(Stop::Invalid(in_one_line(&error))),
        },
    }
}

/// Reduces a message of clap to its first paragraph, on one line.
fn in_one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines =
        lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"));
    let what = lines.collect::<Vec<_>>().join(" ").replace(" tip: ", "; ");
    let what = what.strip_prefix("error: ").unwrap_or(&what);
    let command = std::env::args().nth(1).filter(|command| ["demo", "ingest", "send"].contains(&&**command));
    format!("{what}. See 'raddle {}--help'", command.map(|command| command + " ").unwrap_or_default())
}
