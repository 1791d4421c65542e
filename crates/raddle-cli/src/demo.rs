//! `raddle demo`

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use raddle::{Event, Thread, time};
use raddle_ingest::{Burst, Pipeline, PipelineOptions, SendError, SqliteSink, TcpOptions, TcpSource, verify};

use crate::args::DemoArgs;
use crate::failure::Failure;
use crate::ingest::{accounted, spill_beside};
use crate::output::say;
use crate::progress::Display;
use crate::signals;

/// `python3 -m sqlite3` is not there before Python 3.12.
const LOOK: &str = concat!(
    "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); ",
    r#"[print(*row) for row in db.execute("SELECT * FROM readable LIMIT 10")]"#
);

/// Between bursts: time for the queue to be seen emptying.
const PAUSE: Duration = Duration::from_millis(300);

/// Whoever interrupts a demo does not want to wait: its own senders have nothing to lose.
const GRACE: Duration = Duration::from_millis(500);

/// Between two looks at where things stand.
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
        .map_err(|error| Failure::because(format!("cannot listen on 127.0.0.1: {error}")))?;
    let address = source.address();
    let stop = Arc::new(Event::new());
    signals::stop_on_signal(&stop)?;
    let options =
        PipelineOptions { queue: args.queue, spill: spill_beside(database), ..PipelineOptions::default() };
    let pipeline = Pipeline::start(source, sink, &options, stop.clone())?;
    say(&format!("listening on {address}, storing in {}", database.display()));
    say(&format!(
        "sending {} messages over {} connections, in bursts of {}",
        burst.messages, burst.connections, burst.burst
    ));

    let begin = time::now();
    let sent = send_and_show(&burst, address, &pipeline, args.queue);
    let interrupted = stop.is_set();
    say("setting the event: intake stops, the queue is drained");
    stop.set();
    let outcome = pipeline.finish();
    let seconds = (time::now() - begin).as_secs_f64();
    let accounted = accounted(&outcome);
    if interrupted {
        return Err(Failure::because("interrupted: not everything was sent"));
    }
    // Both are to be heard of: what was not sent says more than that something was not stored.
    sent?;
    accounted?;
    verify(database, &burst).map_err(|error| Failure::because(format!("{}: {error}", database.display())))?;
    say(&format!(
        "each of the {} texts sent is in {} once, after {seconds:.1} s",
        burst.messages,
        database.display()
    ));
    tell_how_to_look(database);
    Ok(())
}

fn send_and_show(
    burst: &Burst,
    address: SocketAddr,
    pipeline: &Pipeline,
    queue: usize,
) -> Result<(), Failure> {
    let mut display = Display::new(burst.messages, queue);
    let sent = Arc::new(AtomicU64::new(0));
    let sender = {
        let (burst, sent) = (burst.clone(), sent.clone());
        Thread::new(move || burst.send(address, &sent)).name("sender").start().map_err(Failure::because)?
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

fn tell_how_to_look(database: &Path) {
    let path = quoted(&database.to_string_lossy());
    say("look at it with:");
    say(&format!("  sqlite3 {path} 'SELECT * FROM readable LIMIT 10'"));
    say("or with:");
    say(&format!("  python3 -c '{LOOK}' {path}"));
}

/// The path as a shell takes it for one word.
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
    fn a_path_is_one_word_of_a_shell() {
        assert_eq!(quoted("/tmp/messages-1.db"), "/tmp/messages-1.db");
        assert_eq!(quoted("my messages.db"), "'my messages.db'");
        assert_eq!(quoted("a'b"), r"'a'\''b'");
    }
}
