//! Helpers of the tests.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part of this")]

#[cfg(feature = "postgres")]
pub mod postgres;

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

use raddle::thread::{self, JoinError, JoinTimeoutError};
use raddle::{JoinHandle, Thread};
use rusqlite::Connection;

pub const RADDLE: &str = env!("CARGO_BIN_EXE_raddle");

/// Longer than any scenario takes, even on a busy machine.
pub const LIMIT: Duration = Duration::from_mins(4);

/// Runs `body`, which must return within [`LIMIT`]. A hang is a failure instead of a hung test run.
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

/// Waits until `condition` holds, which must happen within [`LIMIT`].
#[track_caller]
pub fn until(condition: impl Fn() -> bool) {
    let deadline = raddle::time::now() + LIMIT;
    while !condition() {
        assert!(raddle::time::now() < deadline, "the awaited state did not come about within {LIMIT:?}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Returns an address with a port on which nothing listens, and which nothing else gets: each call has an address of its own in the loopback
/// network, and outgoing connections have the address 127.0.0.1.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let number = u32::from(NEXT.fetch_add(1, Ordering::Relaxed)) + 1;
    let [_, _, high, low] = number.to_be_bytes();
    let process = u8::try_from(std::process::id() % 250).expect("less than 250");
    let listener = TcpListener::bind(SocketAddr::from(([127, process + 1, high, low], 0)));
    listener.and_then(|it| it.local_addr()).expect("a port")
}

/// A directory of one test, removed when the test has passed.
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

    /// Runs the program until it terminates.
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
    process: Process,
    stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
    /// The address of the first listener.
    pub address: SocketAddr,
    /// The addresses of all listeners, in order.
    pub addresses: Vec<SocketAddr>,
}

impl Ingest {
    /// Starts it, and waits until it receives messages.
    pub fn start(command: Command) -> Self {
        let mut ingest = Self::spawn(command);
        ingest.read_addresses();
        ingest
    }

    /// Starts it.
    pub fn spawn(mut command: Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { process: Process(child), stdout, stderr, address, addresses: Vec::new() }
    }

    /// Waits until it receives messages.
    #[track_caller]
    pub fn read_addresses(&mut self) {
        loop {
            let mut line = String::new();
            self.stdout.read_line(&mut line).expect("a line");
            if line.starts_with("storing in ") {
                break;
            }
            let address = line.strip_prefix("listening on ").and_then(|rest| rest.split(',').next());
            let address = address.and_then(|address| address.parse().ok());
            self.addresses.push(address.unwrap_or_else(|| {
                let mut err = String::new();
                let _ = self.stderr.read_to_string(&mut err);
                panic!("not an address: {line:?}; {err}")
            }));
        }
        self.address = self.addresses[0];
    }

    /// Closes both of its outputs, as a terminal does.
    pub fn abandon_output(self) -> (SocketAddr, Process) {
        (self.address, self.process)
    }

    /// Sends a signal: TERM, INT, KILL.
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.process.0.id()
    }

    /// The next line on standard error.
    pub fn read_error_line(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).expect("a line");
        line
    }

    /// Reads standard error up to a line with these words.
    #[track_caller]
    pub fn read_error_until(&mut self, words: &str) -> String {
        let mut seen = Vec::new();
        loop {
            let line = self.read_error_line();
            assert!(!line.is_empty(), "no {words:?} in {seen:?}");
            if line.contains(words) {
                return line;
            }
            seen.push(line);
        }
    }

    /// A connection to the first listener.
    pub fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).expect("a connection")
    }

    /// Sends bytes over a connection of its own, and waits until the program has read and closed it.
    pub fn send(&self, bytes: &[u8]) {
        let mut peer = self.connect();
        peer.write_all(bytes).expect("it is written");
        peer.shutdown(Shutdown::Write).expect("it is closed");
        io::copy(&mut peer, &mut io::sink()).expect("the program closes it, too");
    }

    /// Stops it, and waits for its end.
    pub fn stop(self) -> Ended {
        self.signal("TERM");
        self.end()
    }

    /// Waits for its end: the exit status, the lines on standard output and on standard error.
    pub fn end(self) -> Ended {
        let Self { process, mut stdout, mut stderr, .. } = self;
        let (mut out, mut err) = (String::new(), String::new());
        stdout.read_to_string(&mut out).expect("text");
        stderr.read_to_string(&mut err).expect("text");
        Ended { status: process.wait(), out, err }
    }
}

/// A running program, killed should the test end before it does.
pub struct Process(Child);

impl Process {
    /// Sends a signal: TERM, INT, KILL.
    pub fn signal(&self, name: &str) {
        let status = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.0.id())]).status();
        assert!(status.expect("a shell").success());
    }

    /// Waits for its end, and returns its exit status.
    pub fn wait(mut self) -> Option<i32> {
        self.0.wait().expect("a status").code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Messages on their way over several connections: "connection 3 message 17 ....".
pub struct Sending {
    sent: Arc<AtomicU64>,
    threads: Vec<JoinHandle<io::Result<()>>>,
}

impl Sending {
    pub fn to(address: SocketAddr, messages: u64, connections: u64) -> Self {
        let sent = Arc::new(AtomicU64::new(0));
        let start = |connection| {
            let sent = sent.clone();
            let messages = messages / connections + u64::from(connection <= messages % connections);
            Thread::spawn(move || send(address, connection, messages, &sent))
        };
        Self { threads: (1..=connections).map(start).collect(), sent }
    }

    /// Waits until as many messages have been passed to the operating system.
    #[track_caller]
    pub fn until_sent(&self, messages: u64) {
        until(|| self.sent.load(Ordering::Relaxed) >= messages);
    }

    /// Waits until everything is sent and read, or every connection is cut off. Returns which.
    pub fn end(self) -> io::Result<()> {
        let ends: Vec<io::Result<()>> =
            self.threads.into_iter().map(|thread| thread.join().expect("no panic")).collect();
        ends.into_iter().collect()
    }
}

/// Long messages, so that the operating system's buffers, which are read in a stop, hold only a moderate number of
/// them.
const SIZE: usize = 200;

fn send(address: SocketAddr, connection: u64, messages: u64, sent: &AtomicU64) -> io::Result<()> {
    let mut peer = TcpStream::connect(address)?;
    let mut lines = Vec::new();
    for message in 1..=messages {
        let text = format!("connection {connection} message {message} ");
        lines.extend_from_slice(format!("{text:.<SIZE$}\n").as_bytes());
        if message % 50 == 0 || message == messages {
            peer.write_all(&lines)?;
            lines.clear();
            sent.fetch_add(if message % 50 == 0 { 50 } else { message % 50 }, Ordering::Relaxed);
        }
    }
    peer.shutdown(Shutdown::Write)?;
    io::copy(&mut peer, &mut io::sink()).map(drop)
}

#[derive(Debug)]
pub struct Ended {
    pub status: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ended {
    /// The last line on standard output: the account of all sources.
    pub fn last_line(&self) -> &str {
        self.out.lines().last().unwrap_or_default()
    }

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

/// Checks that the file is valid, that each connection's messages are there from the first on without a gap, and that
/// what was broken off is the beginning of the next one. Returns the numbers of messages and of rejected messages.
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
