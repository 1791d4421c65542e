//! The command line.
#![allow(clippy::doc_markdown, reason = "the help shows this text as it is")]

use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

use crate::ingest::args::IngestArgs;
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
    Ingest(Box<IngestArgs>),
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
    let known = ["demo", "ingest", "send", "check", "query", "rejected", "import"];
    let words = std::env::args().skip(1).take(2).take_while(|word| known.contains(&&**word));
    let command: String = words.map(|word| word + " ").collect();
    format!("{what}. See 'raddle {command}--help'")
}
