//! What the tests share.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part of this")]

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use raddle::thread::{self, JoinError, JoinTimeoutError};
use raddle::{Event, Thread};
use raddle_ingest::old::{
    Account, Arrival, Burst, Content, Outcome, Pipeline, PipelineOptions, Rejected, SendError, Sink,
    SqliteSink, TcpOptions, TcpSource,
};
use rusqlite::Connection;

/// Longer than any scenario takes, even on a busy machine.
pub const LIMIT: Duration = Duration::from_mins(1);

/// Runs `body`, which must be over within [`LIMIT`]; a hang is a failure, not a hung test run.
pub fn within_limit(body: impl FnOnce() + Send + 'static) {
    let handle = Thread::new(body).daemon(true).start().expect("a thread for the test");
    match handle.join_timeout(LIMIT) {
        Ok(()) => {}
        Err(JoinTimeoutError::TimedOut(_)) => panic!("still running after {LIMIT:?}"),
        Err(JoinTimeoutError::Failed(JoinError::Panicked(panic))) => {
            std::panic::resume_unwind(panic.into_payload())
        }
        Err(JoinTimeoutError::Failed(error)) => panic!("{error}"),
    }
}

/// Lets other threads run until `condition` holds, which must be within [`LIMIT`].
#[track_caller]
pub fn until(condition: impl Fn() -> bool) {
    let deadline = raddle::time::now() + LIMIT;
    while !condition() {
        assert!(raddle::time::now() < deadline, "the awaited state did not come about within {LIMIT:?}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// A directory of the test's own, gone when the test is over and went well.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(test: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a directory for the test");
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The names of the files in it.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).expect("the test's directory");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// A pipeline from a free port of this machine.
pub struct Running {
    pub address: SocketAddr,
    pub stop: Arc<Event>,
    pub pipeline: Pipeline,
}

impl Running {
    pub fn new(tcp: TcpOptions, sink: impl Sink, options: &PipelineOptions) -> Self {
        let source = TcpSource::bind("127.0.0.1:0", tcp).expect("a free port");
        let address = source.address();
        let stop = Arc::new(Event::new());
        let pipeline = Pipeline::start(source, sink, options, stop.clone()).expect("threads");
        Self { address, stop, pipeline }
    }

    /// Into a file, with the usual options.
    pub fn into_file(path: &Path) -> Self {
        Self::new(
            TcpOptions::default(),
            SqliteSink::open(path).expect("a database"),
            &PipelineOptions::default(),
        )
    }

    pub fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).expect("a connection")
    }

    /// Sends bytes over a connection of their own, and closes it.
    pub fn send(&self, bytes: &[u8]) {
        self.connect().write_all(bytes).expect("sent");
    }

    pub fn received(&self) -> u64 {
        self.pipeline.progress().account.received
    }

    pub fn stop(self) -> Outcome {
        self.stop.set();
        self.pipeline.finish()
    }

    /// Stops it; all must be well.
    #[track_caller]
    pub fn stop_well(self) -> Account {
        let outcome = self.stop();
        assert!(outcome.is_good(), "{outcome:?}");
        outcome.account
    }
}

pub fn send(burst: &Burst, address: SocketAddr) -> Result<(), SendError> {
    burst.send(address, &Arc::new(AtomicU64::new(0)))
}

/// The texts stored in the file, in the order of their ids.
pub fn texts(path: &Path) -> Vec<String> {
    column(path, "SELECT text FROM messages ORDER BY id")
}

/// The reasons, lengths and bytes of what was rejected, in the order of their ids.
pub fn rejected(path: &Path) -> Vec<(String, u64, Vec<u8>)> {
    let db = open(path);
    let mut statement =
        db.prepare("SELECT reason, length, bytes FROM rejected ORDER BY id").expect("a statement");
    let rows = statement.query_map([], |row| {
        Ok((row.get(0)?, row.get::<_, i64>(1)?.try_into().expect("a length"), row.get(2)?))
    });
    rows.expect("rows").collect::<Result<_, _>>().expect("a row")
}

pub fn number(path: &Path, sql: &str) -> i64 {
    open(path).query_row(sql, [], |row| row.get(0)).expect("a number")
}

fn column(path: &Path, sql: &str) -> Vec<String> {
    let db = open(path);
    let mut statement = db.prepare(sql).expect("a statement");
    let rows = statement.query_map([], |row| row.get(0)).expect("rows");
    rows.collect::<Result<_, _>>().expect("a text")
}

pub fn open(path: &Path) -> Connection {
    Connection::open(path).expect("a database")
}

/// The texts among `contents`; the others must be none.
pub fn all_texts(arrivals: &[Arrival]) -> Vec<&str> {
    arrivals.iter().map(|arrival| text_of(&arrival.content)).collect()
}

fn text_of(content: &Content) -> &str {
    match content {
        Ok(text) => text,
        Err(Rejected { reason, .. }) => panic!("rejected: {reason}"),
    }
}
