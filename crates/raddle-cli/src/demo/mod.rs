//! The command `raddle demo`.
#![allow(clippy::doc_markdown, reason = "the help shows this text as it is")]

mod display;
mod interrupt;
mod server;
mod work;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use raddle::{Event, JoinHandle, Thread, time};
use raddle_ingest::{Delivery, SendError, SendOptions, SendProgress, SendProtocol, SendReport, send, verify};

use crate::failure::Failure;
use crate::output::print_line;
use crate::send::latencies;
use crate::values;
use display::Display;
use server::Server;
use work::Work;

/// Prints rows with Python: `python3 -m sqlite3` requires Python 3.12.
const PYTHON_QUERY: &str = concat!(
    "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); ",
    r#"[print(*row) for row in db.execute("SELECT * FROM readable LIMIT 10")]"#
);

/// Pause between bursts, long enough to see that everything is acknowledged.
const PAUSE: Duration = Duration::from_millis(300);

/// Interval of the display, and of the checks whether to kill the server.
const FRAME: Duration = Duration::from_millis(1);

/// Sends numbered messages to a server of its own, kills it, and counts lost messages.
///
/// Starts raddle ingest on a free local port and sends to it over several HTTP
/// connections at once. In the middle of a burst it kills the server with signal 9,
/// compares the database with the acknowledgements, and starts the server again.
/// The senders reconnect, and send unacknowledged messages again. In the end, every
/// message must be in the database exactly once. Each demo replaces the database of
/// the previous one; any other file is refused and left unchanged.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    allow_negative_numbers = true,
    after_help = "Example:
  raddle demo --messages 50000 --connections 4

Exit status: 0 on success, 1 on failure, 2 for an invalid command line.
A failure is reported on standard error.
The demo fails if a message is missing, duplicated or different."
)]
pub(crate) struct DemoArgs {
    /// Number of messages
    #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = values::number)]
    messages: u64,
    /// Number of connections
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = |text: &str| values::whole(text, 1..=1000))]
    connections: u64,
    /// Messages per burst, over all connections; 0 for a single burst
    #[arg(long, value_name = "N", default_value_t = 50_000, value_parser = values::number)]
    burst: u64,
    /// Database file
    #[arg(long, value_name = "FILE", default_value = "messages.db")]
    database: PathBuf,
    /// Capacity of the queue of the server, in messages
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = values::count)]
    queue: usize,
}

pub(crate) fn run(args: &DemoArgs) -> Result<(), Failure> {
    let options = SendOptions {
        protocol: SendProtocol::Http,
        messages: args.messages,
        connections: args.connections,
        burst: args.burst,
        pause: PAUSE,
        sender: "demo".to_owned(),
        ..SendOptions::default()
    };
    let stop = Arc::new(Event::new());
    let work = Work::begin(&args.database)?;
    interrupt::stop_on_signal(&stop)?;
    let mut server = Server::start(&work.database(), "127.0.0.1:0", args.queue)?;
    print_line(&format!("listening on {}, storing in {}", server.address, args.database.display()));
    let bursts = match options.burst {
        0 => "in one burst".to_owned(),
        burst => format!("in bursts of {burst}"),
    };
    print_line(&format!(
        "sending {} messages over {} connections, {bursts}: each is acknowledged once it is on disk",
        options.messages, options.connections
    ));

    let begin = time::now();
    let progress = Arc::new(SendProgress::default());
    let sender = start_sender(&options, &server.address.to_string(), &progress)?;
    let mut display = Display::new(options.messages);
    let mut show = |until: &dyn Fn() -> bool| {
        while !sender.wait_timeout(FRAME) && !until() && !stop.is_set() {
            display.show(progress.sent(), progress.acknowledged());
        }
    };
    // In the middle of a burst: some messages are sent and not acknowledged.
    show(&|| {
        let acknowledged = progress.acknowledged();
        acknowledged >= args.messages / 3 && acknowledged < progress.sent()
    });
    if !stop.is_set() {
        server.kill()?;
        let (stored, acknowledged) = (work.stored()?, progress.acknowledged());
        print_line(&format!(
            "killed the server with signal 9: {acknowledged} messages were acknowledged, {stored} are in the database"
        ));
        if stored < acknowledged {
            return Err(Failure::new(format!("{} acknowledged messages are lost", acknowledged - stored)));
        }
        let address = server.address.to_string();
        server = Server::start(&work.database(), &address, args.queue)?;
        print_line("started the server again: unacknowledged messages are sent again");
    }
    show(&|| server.has_terminated());
    display.end();
    if stop.is_set() {
        return Err(Failure::new("interrupted before everything was sent"));
    }
    let report = joined(sender, &server)?;
    let account = server.stop()?;
    print_line(&format!(
        "acknowledged {}, of which {} were in the database before they were sent again; sent again {}",
        report.acknowledged, report.duplicates, report.resent
    ));
    print_line(&latencies(&report.latency));
    print_line(&format!("the account of the second server: {account}"));
    let seconds = (time::now() - begin).as_secs_f64();
    let verified = verify(work.database(), &options, Delivery::ExactlyOnce);
    verified.map_err(|error| Failure::new(format!("{}: {error}", args.database.display())))?;
    work.finish()?;
    print_line(&format!(
        "verified: each of the {} messages sent is in {} exactly once, after {seconds:.1} s",
        options.messages,
        args.database.display()
    ));
    print_queries(&args.database);
    Ok(())
}

type Sender = JoinHandle<Result<SendReport, SendError>>;

fn start_sender(
    options: &SendOptions,
    address: &str,
    progress: &Arc<SendProgress>,
) -> Result<Sender, Failure> {
    let (options, address, progress) = (options.clone(), address.to_owned(), progress.clone());
    // A daemon: an interrupted demo does not wait for its senders.
    Thread::new(move || send(&options, &address, &progress))
        .name("sender")
        .daemon(true)
        .start()
        .map_err(Failure::new)
}

/// Returns the outcome of the senders, which cannot succeed without a server.
fn joined(sender: Sender, server: &Server) -> Result<SendReport, Failure> {
    if !sender.is_finished() && server.has_terminated() {
        return Err(Failure::new("the server has terminated early"));
    }
    Ok(sender.join()??)
}

fn print_queries(database: &Path) {
    let path = quoted(&database.to_string_lossy());
    print_line("query it with:");
    print_line(&format!("  sqlite3 {path} 'SELECT * FROM readable LIMIT 10'"));
    print_line("or with:");
    print_line(&format!("  python3 -c '{PYTHON_QUERY}' {path}"));
}

/// Quotes a path as one word for a shell.
fn quoted(path: &str) -> String {
    if path.chars().all(|c| c.is_alphanumeric() || "/._-+".contains(c)) {
        return path.to_owned();
    }
    format!("'{}'", path.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn quoted_path_is_one_word_for_a_shell() {
        assert_eq!(quoted("/tmp/messages-1.db"), "/tmp/messages-1.db");
        assert_eq!(quoted("my messages.db"), "'my messages.db'");
        assert_eq!(quoted("a'b"), r"'a'\''b'");
    }
}
