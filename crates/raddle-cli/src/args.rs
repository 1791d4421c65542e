//! The command line.
#![allow(clippy::doc_markdown, reason = "what is written here is shown as it is")]

use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

use crate::output::say;
use crate::values;

const EXIT: &str = "Exit status: 0 if all went well, 1 if something failed, 2 if the command line was wrong.
What failed is said in one line on standard error.";

/// Takes messages from a network into a database, and accounts for every one.
///
/// They come in bursts; a bounded queue takes the burst; a slower writer stores
/// them; an event ends it, and on the way out the queue is drained.
#[derive(Debug, Parser)]
#[command(
    name = "raddle",
    version,
    verbatim_doc_comment,
    after_help = "Try:
  raddle demo                                       all of it in one command
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

/// Shows it all: stores bursts of messages that it sends itself, and checks them.
///
/// Receives on a free port of this machine, sends over several connections at
/// once, shows how the queue takes each burst, sets the event, accounts for every
/// message, and compares the database with what was sent. The database is made
/// anew each time; a file that is not an earlier demo's is never touched.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, allow_negative_numbers = true, after_help = format!("Example:
  raddle demo --messages 50000 --connections 4

{EXIT}
It fails if a single text is missing, doubled or different."))]
pub(crate) struct DemoArgs {
    /// Messages to send
    #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = values::number)]
    pub(crate) messages: u64,
    /// Connections to send them over
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = |text: &str| values::whole(text, 1..=1000))]
    pub(crate) connections: u64,
    /// Messages in a burst, on all connections together; 0: all in one
    #[arg(long, value_name = "N", default_value_t = 50_000, value_parser = values::number)]
    pub(crate) burst: u64,
    /// File to store them in
    #[arg(long, value_name = "FILE", default_value = "messages.db")]
    pub(crate) database: PathBuf,
    /// Messages that the queue holds, in memory, before the senders are held back
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = values::count)]
    pub(crate) queue: usize,
}

/// Receives messages over TCP, one a line, and stores them in an SQLite file.
///
/// Runs until SIGINT (Ctrl-C) or SIGTERM. Then it takes in what has arrived on its
/// connections, stores everything that is in the queue, and its last line accounts
/// for every message: received = stored + rejected. More signals while it does so
/// change nothing.
///
/// A line ends with \n or \r\n; a last line without it counts if the peer closed
/// the connection. Table messages has id, received (microseconds since 1970, UTC),
/// peer and text. Messages that are oversized, not UTF-8, contain NUL or were broken
/// off are in table rejected, with the reason and what was there. An id is unique in
/// both tables together, over restarts too.
///
/// While the database is too slow or fails, the queue fills and the peers are held
/// back; nothing is dropped. What cannot be stored even at the end is written to
/// FILE.unstored, a line of JSON each; if that fails, to the directory for temporary
/// files.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, allow_negative_numbers = true, after_help = format!("Example:
  raddle ingest --listen 0.0.0.0:5140 --database messages.db
  sqlite3 messages.db 'SELECT * FROM readable ORDER BY id DESC LIMIT 10'

{EXIT}
It is 0 only if every message received is in the database and no peer that
still sent was cut off after the stop.

Not promised: lines over TCP are not acknowledged, so a peer cannot know what a
kill -9 or a crash has lost."))]
pub(crate) struct IngestArgs {
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:5140", value_parser = values::host_and_port)]
    pub(crate) listen: String,
    /// File to store messages in; made if there is none, added to if there is
    #[arg(long, value_name = "FILE", default_value = "messages.db")]
    pub(crate) database: PathBuf,
    /// Messages that the queue holds, in memory, before the peers are held back
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = values::count)]
    pub(crate) queue: usize,
    /// Messages stored in one transaction, at most
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = values::count)]
    pub(crate) batch: usize,
    /// How long a first message waits for others to be stored with it
    #[arg(long, value_name = "TIME", default_value = "20ms", value_parser = values::time)]
    pub(crate) linger: Duration,
    /// The longest message; of a longer one the beginning is kept among the rejected
    #[arg(long, value_name = "SIZE", default_value = "64KiB", value_parser = values::message_size)]
    pub(crate) max_message: usize,
    /// Connections at a time; more wait until one ends
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = values::count)]
    pub(crate) max_connections: usize,
    /// How long after the stop a peer that keeps sending is still read; one that is
    /// silent or closes is done at once, and one cut off counts as a failure
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = values::time)]
    pub(crate) grace: Duration,
}

/// Sends a burst of numbered messages over TCP, one a line, to try a receiver out.
///
/// Their texts are "connection 3 message 17", both counted from 1. When all is sent
/// it waits until the receiver closes its end, which raddle ingest does when it has
/// read everything.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, allow_negative_numbers = true, after_help = format!("Example:
  raddle send --to 127.0.0.1:5140 --messages 200000 --connections 8

{EXIT}
Sent is not stored: only the receiver's account says what was."))]
pub(crate) struct SendArgs {
    /// Address and port of the receiver
    #[arg(long, value_name = "HOST:PORT", value_parser = values::host_and_port)]
    pub(crate) to: String,
    /// Messages to send, on all connections together
    #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = values::number)]
    pub(crate) messages: u64,
    /// Connections to send them over
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = |text: &str| values::whole(text, 1..=10_000))]
    pub(crate) connections: u64,
    /// Messages in a burst, on all connections together; 0: all in one
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = values::number)]
    pub(crate) burst: u64,
    /// The time between bursts
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = values::time)]
    pub(crate) pause: Duration,
    /// Bytes of a text, at least; shorter ones are filled up with dots
    #[arg(long, value_name = "SIZE", default_value = "0", value_parser = values::size)]
    pub(crate) size: usize,
}

/// Why there is no command to run.
pub(crate) enum Stop {
    /// Somebody asked for help or the version, and was told.
    Told,
    /// What is wrong with the command line, in one line.
    Wrong(String),
}

pub(crate) fn parse() -> Result<Command, Stop> {
    match Raddle::try_parse() {
        Ok(raddle) => Ok(raddle.command),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                say(error.to_string().trim_end());
                Err(Stop::Told)
            }
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                Err(Stop::Wrong("what is it to do: demo, ingest or send? See 'raddle --help'".to_owned()))
            }
            _ => Err(Stop::Wrong(in_one_line(&error))),
        },
    }
}

/// Clap says what is wrong in a paragraph or two; the first is what matters.
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
