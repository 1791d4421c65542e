//! Helpers of these tests.
#![allow(dead_code, unreachable_pub, reason = "a test crate")]

use std::io::Write;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use raddle::{Event, Mutex, thread};
use raddle_ingest::{
    Account, Batch, Books, Content, DrainReport, Listener, ListenerKind, ListenerOptions, Outcome, Parcel,
    Pipeline, PipelineOptions, Server, ServerOptions, Sink, SourceCounts, StoreError, Stored, Unstored,
    raise_descriptor_limit,
};

pub use crate::common::{own_address, until, within_limit};

/// A message that a sink in memory has stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub peer: String,
    /// The text, or the reason why it was rejected, its length, and its bytes.
    pub content: Result<String, (String, u64, Vec<u8>)>,
}

/// A sink in memory. Clones share it.
#[derive(Clone, Default)]
pub struct Memory {
    pub lines: Arc<Mutex<Vec<Line>>>,
    /// While it is set, batches are stored.
    pub open: Arc<Event>,
    /// The number of batches that have been begun.
    pub begun: Arc<AtomicUsize>,
    /// While it is set, the sink fails.
    pub fails: Arc<AtomicBool>,
    /// Pause after each batch.
    pub pause: Duration,
    /// Forget everything but the number.
    pub counts_only: bool,
}

impl Memory {
    pub fn new() -> Self {
        let memory = Self::default();
        memory.open.set();
        memory
    }

    /// Blocks the sink at its next batch.
    pub fn block(&self) {
        self.open.clear();
    }

    /// Lets the sink continue.
    pub fn unblock(&self) {
        self.open.set();
    }

    /// Lets the sink fail, or work again.
    pub fn fail(&self, fails: bool) {
        self.fails.store(fails, Ordering::SeqCst);
    }

    pub fn lines(&self) -> Vec<Line> {
        self.lines.lock().clone()
    }

    /// Returns the texts, in order. No message may have been rejected.
    #[track_caller]
    pub fn texts(&self) -> Vec<String> {
        self.lines().into_iter().map(|line| line.content.expect("a text")).collect()
    }

    /// The rejected messages in order: the reason, the length, the bytes.
    pub fn rejected(&self) -> Vec<(String, u64, Vec<u8>)> {
        self.lines().into_iter().filter_map(|line| line.content.err()).collect()
    }
}

impl Sink for Memory {
    fn store(&mut self, batch: &Batch) -> Result<Stored, StoreError> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.open.wait();
        if self.fails.load(Ordering::SeqCst) {
            return Err(StoreError::new("the test wants it so"));
        }
        if !self.counts_only {
            let mut lines = self.lines.lock();
            lines.extend(batch.rows().map(|row| Line {
                peer: row.peer.to_owned(),
                content: match row.content {
                    Content::Text(text, _) => Ok(text.to_owned()),
                    Content::Rejected { reason, length, bytes } => {
                        Err((reason.to_string(), length, bytes.to_vec()))
                    }
                },
            }));
        }
        if !self.pause.is_zero() {
            thread::sleep(self.pause);
        }
        Ok(Stored::default())
    }

    fn close(self: Box<Self>) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Keeps unstored messages in memory.
#[derive(Clone, Default)]
pub struct Kept(pub Arc<Mutex<u64>>);

impl Unstored for Kept {
    fn add(&mut self, parcels: &[&Parcel]) -> std::io::Result<()> {
        *self.0.lock() += parcels.iter().map(|parcel| parcel.len() as u64).sum::<u64>();
        Ok(())
    }

    fn place(&self) -> String {
        "memory".to_owned()
    }
}

/// A server with a pipeline into memory.
pub struct Running {
    pub server: Server,
    pub pipeline: Pipeline,
    pub sink: Memory,
}

/// An address of its own, with any port.
pub fn any_port() -> SocketAddr {
    own_address()
}

/// Raises the limit of open files as far as permitted, unless the process was started with a limit for its test: the tests of this process share it.
fn raise_limit() {
    static RAISED: Once = Once::new();
    if std::env::var_os(ALONE).is_none() {
        RAISED.call_once(|| {
            raise_descriptor_limit(u64::MAX).expect("a limit");
        });
    }
}

/// The variable that is set in a process that runs a single test.
pub const ALONE: &str = "RADDLE_ALONE";

impl Running {
    pub fn new(
        listeners: Vec<Listener>,
        server: &ServerOptions,
        pipeline: &PipelineOptions,
        sink: Memory,
    ) -> Self {
        raise_limit();
        let pipeline =
            Pipeline::start(Box::new(sink.clone()), Box::<Kept>::default(), Books::new(), pipeline)
                .expect("a thread");
        let server = Server::start(listeners, pipeline.intake().clone(), server).expect("a server");
        Self { server, pipeline, sink }
    }

    /// With one TCP listener.
    pub fn tcp(options: ListenerOptions, sink: Memory) -> Self {
        let listener = Listener::new("tcp", ListenerKind::Tcp, any_port()).options(options);
        Self::new(vec![listener], &ServerOptions::default(), &PipelineOptions::default(), sink)
    }

    /// With the usual options.
    pub fn usual() -> Self {
        Self::tcp(ListenerOptions::default(), Memory::new())
    }

    /// The address of the first listener.
    pub fn address(&self) -> SocketAddr {
        self.server.addresses()[0].2
    }

    pub fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address()).expect("a connection")
    }

    /// Sends bytes over a connection of their own, and closes it.
    pub fn send(&self, bytes: &[u8]) {
        self.connect().write_all(bytes).expect("sent");
    }

    pub fn account(&self) -> Account {
        self.pipeline.account()
    }

    pub fn received(&self) -> u64 {
        self.account().received
    }

    pub fn counts(&self) -> SourceCounts {
        self.server.counters().counts().sources[0].1
    }

    /// Stops it in the order in which a program does.
    pub fn stop_within(self, grace: Duration, deadline: Duration) -> (DrainReport, Outcome) {
        let drained = self.server.drain(grace);
        let outcome = self.pipeline.finish(deadline);
        assert_eq!(outcome.account.lost(), 0, "{}", outcome.account);
        let finished = self.server.finish(Duration::from_secs(10));
        assert_eq!(finished.problems, Vec::<String>::new());
        (drained, outcome)
    }

    /// Stops the server, without a failure.
    #[track_caller]
    pub fn stop_well(self) -> Account {
        let (drained, outcome) = self.stop_within(Duration::from_mins(1), Duration::from_mins(1));
        assert_eq!(drained, DrainReport::default());
        assert!(outcome.is_good(), "{outcome:?}");
        outcome.account
    }
}

/// Connects from an address of this machine's own network, 127.0.0.0/8.
pub fn connect_from(address: [u8; 4], to: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::new(IpAddr::V4(address.into()), 0).into()).expect("an address of loopback");
    socket.connect(&to.into()).expect("a connection");
    socket.into()
}

/// The last part of a stream, and its end.
pub fn finish(socket: &TcpStream) {
    socket.shutdown(Shutdown::Write).expect("open until now");
}

/// A number of /proc/self/status.
pub fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a Linux system");
    let line = status.lines().find(|line| line.starts_with(name)).expect("the number");
    line.split_ascii_whitespace().nth(1).expect("a value").parse().expect("a number")
}
