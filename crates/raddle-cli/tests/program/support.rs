//! What the tests share.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part of this")]

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

use raddle::Thread;
use raddle::thread::{self, JoinError, JoinTimeoutError};
use rusqlite::Connection;

pub const RADDLE: &str = env!("CARGO_BIN_EXE_raddle");

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

/// Waits until `condition` holds, which must be within [`LIMIT`].
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

    /// The files in it.
    pub fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.0).expect("the test's directory");
        entries.map(|entry| entry.expect("an entry").path()).collect()
    }

    /// The program, to be run in this directory.
    pub fn raddle(&self, args: &str) -> Command {
        let mut command = Command::new(RADDLE);
        command.current_dir(&self.0).args(args.split_whitespace());
        command
    }

    /// The program, to be run in this directory after `before` by a shell.
    pub fn raddle_after(&self, before: &str, args: &str) -> Command {
        let mut command = Command::new("sh");
        command.current_dir(&self.0).args(["-c", &format!("{before}; exec \"{RADDLE}\" {args}")]);
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, args: &str) -> Output {
        self.raddle(args).stdin(Stdio::null()).output().expect("the program runs")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// A running `raddle ingest`, killed should the test end before it does.
pub struct Ingest {
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
    /// The address of the first listener.
    pub address: SocketAddr,
    /// The addresses of all listeners, in order.
    pub addresses: Vec<SocketAddr>,
}

impl Ingest {
    pub fn start(mut command: Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut addresses = Vec::new();
        loop {
            let mut line = String::new();
            stdout.read_line(&mut line).expect("a line");
            if line.starts_with("storing in ") {
                break;
            }
            let address = line.strip_prefix("listening on ").and_then(|rest| rest.split(',').next());
            let address = address.and_then(|address| address.parse().ok());
            addresses.push(address.unwrap_or_else(|| panic!("not an address: {line:?}")));
        }
        Self { child, stdout, stderr, address: addresses[0], addresses }
    }

    /// Sends a signal: TERM, INT, KILL.
    pub fn signal(&self, name: &str) {
        let status = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.child.id())]).status();
        assert!(status.expect("a shell").success());
    }

    /// The next line on standard error.
    pub fn read_error_line(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).expect("a line");
        line
    }

    /// Waits for its end: the exit status, the lines on standard output and on standard error.
    pub fn end(mut self) -> Ended {
        let (mut out, mut err) = (String::new(), String::new());
        self.stdout.read_to_string(&mut out).expect("text");
        self.stderr.read_to_string(&mut err).expect("text");
        Ended { status: self.child.wait().expect("a status").code(), out, err }
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Debug)]
pub struct Ended {
    pub status: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ended {
    /// The numbers of the last line, by their names: `received`, `stored`, `rejected`, `unstored`.
    #[track_caller]
    pub fn account(&self) -> impl Fn(&str) -> u64 + use<> {
        let last = self.out.lines().last().unwrap_or_default().to_owned();
        assert!(last.starts_with("received "), "{self:?}");
        move |name| {
            let mut words = last.split(' ').skip_while(|word| *word != name).skip(1);
            words.next().map_or(0, |number| number.parse().expect("a number"))
        }
    }
}

pub fn number(path: &Path, sql: &str) -> u64 {
    let db = Connection::open(path).expect("a database");
    db.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a number").try_into().expect("not negative")
}

/// Checks that the file is valid, that each connection's messages are there from the first on without a gap, and
/// that what was broken off is the beginning of the next one. Says how many messages and rejected there are.
#[track_caller]
pub fn check_prefixes(path: impl AsRef<OsStr>, connections: u64) -> (u64, u64) {
    let db = Connection::open(Path::new(path.as_ref())).expect("a database");
    let sound: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a verdict");
    assert_eq!(sound, "ok");
    let mut texts = db.prepare("SELECT text FROM messages ORDER BY id").expect("a statement");
    let texts = texts.query_map([], |row| row.get::<_, String>(0)).expect("rows");
    let (mut next, mut messages) = (vec![1; usize::try_from(connections).expect("few")], 0);
    for text in texts.map(|text| text.expect("a text")) {
        let rest = text.strip_prefix("connection ").unwrap_or_else(|| panic!("not sent: {text:?}"));
        let connection: usize = rest.split(' ').next().and_then(|it| it.parse().ok()).expect("a number");
        let sent = text.trim_end_matches('.').trim_end();
        assert_eq!(sent, format!("connection {connection} message {}", next[connection - 1]));
        next[connection - 1] += 1;
        messages += 1;
    }
    let mut rests = db.prepare("SELECT reason, bytes FROM rejected").expect("a statement");
    let rests = rests.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?)));
    let mut rejected = 0;
    for (reason, bytes) in rests.expect("rows").map(|row| row.expect("a row")) {
        assert_eq!(reason, "incomplete");
        let could_be = (1..).zip(&next).any(|(connection, message)| {
            format!("connection {connection} message {message} {:.<200}", "").as_bytes().starts_with(&bytes)
        });
        assert!(could_be, "{:?}", String::from_utf8_lossy(&bytes));
        rejected += 1;
    }
    assert!(rejected <= connections, "{rejected} broken off");
    (messages, rejected)
}
