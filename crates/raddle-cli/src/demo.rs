//! The command `raddle demo`.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use raddle::{Event, Thread, time};
use raddle_ingest::old::{
    Burst, Pipeline, PipelineOptions, SendError, SqliteSink, TcpOptions, TcpSource, verify,
};

use crate::args::DemoArgs;
use crate::failure::Failure;
use crate::ingest::{report_outcome, spill_path};
use crate::output::print_line;
use crate::progress::Display;
use crate::signals;

/// Prints rows with Python: `python3 -m sqlite3` requires Python 3.12.
const PYTHON_QUERY: &str = concat!(
    "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); ",
    r#"[print(*row) for row in db.execute("SELECT * FROM readable LIMIT 10")]"#
);

/// Pause between bursts, long enough to see the queue drain.
const PAUSE: Duration = Duration::from_millis(300);

/// Short, so that an interrupted demo terminates soon: the messages of its own senders are not precious.
const GRACE: Duration = Duration::from_millis(500);

/// Interval of the progress display.
const FRAME: Duration = Duration::from_millis(50);

pub(crate) fn run(args: &DemoArgs) -> Result<(), Failure> {
    let database = &args.database;
    let burst = Burst {
        messages: args.messages,
        connections: args.connections,
        burst: args.burst,
        pause: PAUSE,
        size: 0,
    };
    let sink = SqliteSink::open_demo(database)?;
    let source = TcpSource::bind("127.0.0.1:0", TcpOptions { grace: GRACE, ..TcpOptions::default() })
        .map_err(|error| Failure::new(format!("cannot listen on 127.0.0.1: {error}")))?;
    let address = source.address();
    let stop = Arc::new(Event::new());
    signals::stop_on_signal(&stop)?;
    let options =
        PipelineOptions { queue: args.queue, spill: spill_path(database), ..PipelineOptions::default() };
    let pipeline = Pipeline::start(source, sink, &options, stop.clone())?;
    print_line(&format!("listening on {address}, storing in {}", database.display()));
    print_line(&format!(
        "sending {} messages over {} connections, in bursts of {}",
        burst.messages, burst.connections, burst.burst
    ));

    let begin = time::now();
    let sent = send_with_progress(&burst, address, &pipeline, args.queue);
    let interrupted = stop.is_set();
    print_line("setting the stop event: reading stops, the queue is drained");
    stop.set();
    let outcome = pipeline.finish();
    let seconds = (time::now() - begin).as_secs_f64();
    let reported = report_outcome(&outcome);
    if interrupted {
        return Err(Failure::new("interrupted before everything was sent"));
    }
    // A send error is the cause of a missing message, and is reported first.
    sent?;
    reported?;
    verify(database, &burst).map_err(|error| Failure::new(format!("{}: {error}", database.display())))?;
    print_line(&format!(
        "verified: each of the {} messages sent is in {} exactly once, after {seconds:.1} s",
        burst.messages,
        database.display()
    ));
    print_queries(database);
    Ok(())
}

fn send_with_progress(
    burst: &Burst,
    address: SocketAddr,
    pipeline: &Pipeline,
    queue: usize,
) -> Result<(), Failure> {
    let mut display = Display::new(burst.messages, queue);
    let sent = Arc::new(AtomicU64::new(0));
    let sender = {
        let (burst, sent) = (burst.clone(), sent.clone());
        Thread::new(move || burst.send(address, &sent)).name("sender").start().map_err(Failure::new)?
    };
    loop {
        let all_sent = sender.wait_timeout(FRAME);
        let progress = pipeline.progress();
        display.show(sent.load(Ordering::Relaxed), progress.queued, progress.account.stored);
        if all_sent {
            break;
        }
    }
    display.end();
    let outcome: Result<(), SendError> = sender.join()?;
    Ok(outcome?)
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
