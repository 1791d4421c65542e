//! A server in front of a sink in memory.
#![allow(unreachable_pub, reason = "a test, of which other tests use parts")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use raddle_ingest::{
    Account, Books, Listener, ListenerKind, ListenerOptions, MemorySink, Outcome, Pipeline, PipelineOptions,
    Server, ServerOptions,
};

use crate::support::{LIMIT, Nowhere, own_address};

/// A server with a listener of each kind of connections, and a sink in memory.
pub struct Serving {
    pub server: Server,
    pub pipeline: Pipeline,
    pub sink: MemorySink,
}

impl Serving {
    pub fn new(options: &PipelineOptions) -> Self {
        Self::with(options, &ListenerOptions::default())
    }

    /// With the RELP listener at this address, which a server before it had.
    pub fn at(relp: SocketAddr) -> Self {
        Self::start(&PipelineOptions::default(), &ListenerOptions::default(), Some(relp))
    }

    pub fn with(options: &PipelineOptions, listener: &ListenerOptions) -> Self {
        Self::start(options, listener, None)
    }

    fn start(options: &PipelineOptions, listener: &ListenerOptions, relp: Option<SocketAddr>) -> Self {
        let sink = MemorySink::new();
        let boxed = Box::new(sink.clone());
        let pipeline = Pipeline::start(boxed, Box::new(Nowhere), Books::new(), options).expect("a thread");
        let kinds = [ListenerKind::Tcp, ListenerKind::Relp, ListenerKind::Http, ListenerKind::Admin];
        let listeners = kinds.map(|kind| {
            let address = relp.filter(|_| kind == ListenerKind::Relp);
            let address = address.unwrap_or_else(own_address);
            Listener::new(&kind.to_string(), kind, address).options(listener.clone())
        });
        let server = Server::start(listeners.into(), pipeline.intake().clone(), &ServerOptions::default());
        Self { server: server.expect("free ports"), pipeline, sink }
    }

    pub fn address(&self, kind: ListenerKind) -> SocketAddr {
        self.server.addresses().into_iter().find(|it| it.1 == kind).expect("a listener").2
    }

    pub fn url(&self, kind: ListenerKind) -> String {
        format!("http://{}/", self.address(kind))
    }

    pub fn connect(&self, kind: ListenerKind) -> Peer {
        Peer::connect(self.address(kind))
    }

    pub fn texts(&self) -> Vec<String> {
        self.sink.messages().into_iter().map(|it| it.text).collect()
    }

    /// Stops the server. Messages that are not stored within `deadline` are abandoned.
    pub fn stop_within(self, deadline: Duration) -> Outcome {
        let report = self.server.drain(LIMIT);
        assert_eq!((report.cut_off, report.problems), (0, Vec::new()));
        let outcome = self.pipeline.finish(deadline);
        let report = self.server.finish(LIMIT);
        assert_eq!((report.unwritten, report.problems), (0, Vec::new()));
        outcome
    }

    /// Stops the server, without a failure.
    #[track_caller]
    pub fn stop(self) -> Account {
        let outcome = self.stop_within(LIMIT);
        assert!(outcome.is_good(), "{outcome:?}");
        outcome.account
    }
}

/// A connection to the server.
pub struct Peer {
    pub stream: TcpStream,
    received: Vec<u8>,
}

impl Peer {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(LIMIT)).expect("a time limit");
        Self { stream, received: Vec::new() }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("sent");
    }

    /// Reads up to and including `end`.
    pub fn read_until(&mut self, end: &str) -> String {
        self.read_while(|received| {
            received.windows(end.len()).position(|it| it == end.as_bytes()).map(|at| at + end.len())
        })
    }

    pub fn read_exact(&mut self, length: usize) -> String {
        self.read_while(|received| (received.len() >= length).then_some(length))
    }

    /// Reads until `find` returns a length, and returns as many bytes.
    fn read_while(&mut self, find: impl Fn(&[u8]) -> Option<usize>) -> String {
        loop {
            if let Some(length) = find(&self.received) {
                return String::from_utf8(self.received.drain(..length).collect()).expect("text");
            }
            let mut buffer = [0; 4096];
            let count = self.stream.read(&mut buffer).expect("a reply");
            let received = String::from_utf8_lossy(&self.received);
            assert!(count > 0, "the connection ended after {received:?}");
            self.received.extend_from_slice(&buffer[..count]);
        }
    }

    /// Reads up to the end of the connection.
    pub fn read_to_end(mut self) -> String {
        self.stream.read_to_end(&mut self.received).expect("an orderly end");
        String::from_utf8(self.received).expect("text")
    }

    /// Reads a response. Returns its status, its head, and its body.
    pub fn response(&mut self) -> (u16, String, String) {
        let head = self.read_until("\r\n\r\n");
        let status = head.split(' ').nth(1).and_then(|it| it.parse().ok()).expect("a status");
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let length = length.map_or(0, |it| it.parse().expect("a length"));
        let body = self.read_exact(length);
        (status, head, body)
    }
}

/// Returns the path of a program, or `None`, with a message, if it is not installed. In CI it must be.
pub fn program(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&folders).collect();
    folders.extend(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let found = folders.into_iter().map(|folder| folder.join(name)).find(|path| path.exists());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "{name} is not installed: run .ci/peers");
        eprintln!("skipped: {name} is not installed");
    }
    found
}

/// Runs a program with this input, and returns its output.
pub fn run(command: &mut Command, input: &[u8]) -> String {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("a process");
    child.stdin.take().expect("an input").write_all(input).expect("the program reads its input");
    let output = child.wait_with_output().expect("the end of the process");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}: {errors}", output.status);
    String::from_utf8(output.stdout).expect("text")
}
