//! The command line.
#![allow(clippy::doc_markdown, reason = "the help shows this text as it is")]

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use crate::demo::DemoArgs;
use crate::ingest::args::IngestArgs;
use crate::output::print_line;
use crate::send::SendArgs;

/// Receives messages from a network, stores them in a database, and accounts for each.
///
/// Syslog over TCP and UDP, RELP and HTTP; SQLite and PostgreSQL. A bounded queue
/// absorbs bursts, and a writer stores the messages in batches. On a stop, everything
/// received is stored before the program terminates.
#[derive(Debug, Parser)]
#[command(
    name = "raddle",
    version,
    verbatim_doc_comment,
    after_help = "Try:
  raddle demo                                       everything in one command
  raddle ingest --database messages.db              in one terminal, and in another
  raddle send --to 127.0.0.1:5140 --messages 1000   or: echo hello | nc -N 127.0.0.1 5140
  raddle ingest query                               shows what has been stored"
)]
struct Raddle {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(DemoArgs),
    Ingest(Box<IngestArgs>),
    Send(Box<SendArgs>),
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
