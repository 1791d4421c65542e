//! Helpers of these tests.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use raddle::{Mutex, Thread};
use raddle_ingest::{
    Account, Books, Listener, ListenerKind, MemorySink, Pipeline, PipelineOptions, SendError, SendOptions,
    SendProgress, SendProtocol, SendReport, Server, ServerOptions, send,
};

pub use crate::common::within_limit;
use crate::common::{LIMIT, Nowhere, own_address};

/// A server with a pipeline into memory.
pub struct Running {
    server: Server,
    pipeline: Pipeline,
    pub sink: MemorySink,
    pub address: SocketAddr,
}

impl Running {
    pub fn start(kind: ListenerKind) -> Self {
        let sink = MemorySink::new();
        let pipeline = PipelineOptions::default();
        let pipeline = Pipeline::start(Box::new(sink.clone()), Box::new(Nowhere), Books::new(), &pipeline);
        let pipeline = pipeline.expect("a thread");
        let listener = Listener::new("source", kind, own_address());
        let options = ServerOptions::default();
        let server = Server::start(vec![listener], pipeline.intake().clone(), &options).expect("a server");
        let address = server.addresses()[0].2;
        Self { server, pipeline, sink, address }
    }

    /// Stops the server. All received messages must be stored.
    pub fn stop(self) -> Account {
        let drained = self.server.drain(LIMIT);
        let outcome = self.pipeline.finish(LIMIT);
        let finished = self.server.finish(LIMIT);
        assert_eq!(drained, raddle_ingest::DrainReport::default());
        assert_eq!(finished.problems, Vec::<String>::new());
        assert!(outcome.is_good(), "{outcome:?}");
        outcome.account
    }
}

/// Returns the texts that are sent, sorted.
pub fn texts_of(options: &SendOptions) -> Vec<String> {
    let connections = 1..=options.connections;
    let texts = connections.flat_map(|connection| {
        (1..=options.share(connection)).map(move |message| options.text(connection, message))
    });
    let mut texts: Vec<String> = texts.collect();
    texts.sort();
    texts
}

pub fn sent(options: &SendOptions, to: SocketAddr) -> Result<SendReport, SendError> {
    send(options, &to.to_string(), &Arc::new(SendProgress::default()))
}

/// Options for a receiver that misbehaves: one connection, and short times.
pub fn impatient(protocol: SendProtocol) -> SendOptions {
    SendOptions {
        protocol,
        messages: 100,
        connections: 1,
        window: 8,
        timeout: Duration::from_millis(300),
        retry_for: Duration::ZERO,
        ..SendOptions::default()
    }
}

/// A receiver whose connections are served by `serve`, which gets the number of the connection, from 0 on.
pub fn receiver(serve: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind(own_address()).expect("a port");
    let address = listener.local_addr().expect("an address");
    let serve = Arc::new(serve);
    let accept = Thread::new(move || {
        for (number, socket) in listener.incoming().enumerate() {
            let (socket, serve) = (socket.expect("a connection"), serve.clone());
            let thread = Thread::new(move || serve(number, socket)).daemon(true).start();
            drop(thread.expect("a thread"));
        }
    });
    drop(accept.daemon(true).start().expect("a thread"));
    address
}

/// A request of a sender: the number of its first message, and its messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub first: u64,
    pub lines: Vec<String>,
}

/// Reads the next request, or `None` at the end of the stream. `rest` are the bytes that were read beyond it.
pub fn request(socket: &mut TcpStream, rest: &mut Vec<u8>) -> Option<Request> {
    loop {
        let text = String::from_utf8_lossy(rest).into_owned();
        if let Some(end) = text.find("\r\n\r\n") {
            let number = |name: &str| -> usize {
                let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("the header");
                line.trim().parse().expect("a number")
            };
            let (first, length) = (number("Raddle-First:"), number("Content-Length:"));
            if rest.len() >= end + 4 + length {
                let body = String::from_utf8_lossy(&rest[end + 4..end + 4 + length]).into_owned();
                rest.drain(..end + 4 + length);
                return Some(Request {
                    first: first as u64,
                    lines: body.lines().map(str::to_owned).collect(),
                });
            }
        }
        let mut buffer = [0; 4096];
        match socket.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(count) => rest.extend_from_slice(&buffer[..count]),
        }
    }
}

pub fn respond(socket: &mut TcpStream, status: u16, body: &str) {
    let head =
        format!("HTTP/1.1 {status} X\r\nRetry-After: 0\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    // The sender may have ended.
    let _ = socket.write_all(head.as_bytes());
}

/// Passes the bytes of a connection on in both directions. The reply is cut, and both connections are reset, after so many bytes.
pub fn pass_on(client: TcpStream, to: SocketAddr, reply_bytes: usize) {
    let server = TcpStream::connect(to).expect("the server");
    let mut ends = [client.try_clone().expect("a handle"), server.try_clone().expect("a handle")];
    let forward = Thread::new(move || {
        let [client, server] = &mut ends;
        let _ = std::io::copy(client, server);
        let _ = server.shutdown(std::net::Shutdown::Write);
    });
    drop(forward.daemon(true).start().expect("a thread"));
    let (mut client, mut server) = (client, server);
    let _ = std::io::copy(&mut (&mut server).take(reply_bytes as u64), &mut client);
    let _ = client.shutdown(std::net::Shutdown::Both);
    let _ = server.shutdown(std::net::Shutdown::Both);
}

/// Collects what connections of a receiver record.
pub type Shared<T> = Arc<Mutex<Vec<T>>>;
