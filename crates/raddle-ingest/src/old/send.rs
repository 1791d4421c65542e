//! Bursts of numbered messages, to test a receiver.

use std::fmt;
use std::fmt::Write as _;
use std::io::{self, Read, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use raddle::{JoinHandle, Thread, thread};

/// Approximate number of bytes per write.
const CHUNK: usize = 32 << 10;

/// Timeout for the peer to accept a connection, and to close its end after the last message.
const PEER_TIMEOUT: Duration = Duration::from_secs(30);

/// Numbered messages, sent over several connections at once.
///
/// The messages are distributed evenly; the first connections send one more if there is a remainder.
#[derive(Clone, Debug)]
pub struct Burst {
    /// Number of messages over all connections.
    pub messages: u64,
    /// Number of connections, each with a thread.
    pub connections: u64,
    /// Messages per burst over all connections, followed by a [`pause`](Self::pause); 0 for a single burst.
    pub burst: u64,
    /// Pause between bursts.
    pub pause: Duration,
    /// Minimum length of a message in bytes; shorter ones are padded with dots.
    pub size: usize,
}

impl Default for Burst {
    fn default() -> Self {
        Self { messages: 200_000, connections: 8, burst: 0, pause: Duration::from_millis(100), size: 0 }
    }
}

impl Burst {
    /// Returns the text of a message, such as `connection 3 message 17`. Both numbers are counted from 1.
    pub fn text(&self, connection: u64, message: u64) -> String {
        let mut text = String::new();
        self.write_text(&mut text, connection, message);
        text
    }

    /// Returns the number of messages that a connection sends. Connections are counted from 1.
    pub fn share(&self, connection: u64) -> u64 {
        share(self.messages, self.connections, connection)
    }

    /// Sends all messages to `address`, and counts in `sent` those that were passed to the operating system.
    ///
    /// Passed to the operating system does not mean received. Each connection therefore waits until the peer closes its end after
    /// the last byte, which shows that it has read everything.
    ///
    /// # Errors
    /// The first [`SendError`] of a connection, once all connections are done.
    pub fn send(&self, address: impl ToSocketAddrs, sent: &Arc<AtomicU64>) -> Result<(), SendError> {
        let addresses: Arc<[SocketAddr]> = match address.to_socket_addrs() {
            Ok(addresses) => addresses.collect(),
            Err(error) => return Err(SendError::new(Stage::Address, error)),
        };
        let start = |connection| {
            let (burst, addresses, sent) = (self.clone(), addresses.clone(), sent.clone());
            let sender = Thread::new(move || Sender { burst, connection, done: 0, sent }.run(&addresses));
            sender
                .name(format!("sender {connection}"))
                .start()
                .map_err(|error| SendError::new(Stage::Connecting { connection }, error.into()))
        };
        let senders: Vec<_> = (1..=self.connections).map(start).collect();
        let outcomes: Vec<_> = senders.into_iter().map(|sender| joined(sender?)).collect();
        outcomes.into_iter().collect()
    }

    fn write_text(&self, out: &mut String, connection: u64, message: u64) {
        let begin = out.len();
        let _ = write!(out, "connection {connection} message {message}");
        if out.len() - begin < self.size {
            out.push(' ');
            let missing = self.size - (out.len() - begin);
            out.extend(std::iter::repeat_n('.', missing));
        }
    }
}

fn share(total: u64, parts: u64, part: u64) -> u64 {
    let parts = parts.max(1);
    total / parts + u64::from(part <= total % parts)
}

fn joined(sender: JoinHandle<Result<(), SendError>>) -> Result<(), SendError> {
    sender.join().unwrap_or_else(|error| Err(SendError::new(Stage::Running, io::Error::other(error))))
}

/// One connection of a burst.
struct Sender {
    burst: Burst,
    connection: u64,
    done: u64,
    sent: Arc<AtomicU64>,
}

impl Sender {
    fn run(mut self, addresses: &[SocketAddr]) -> Result<(), SendError> {
        let connection = self.connection;
        let mut socket =
            connect(addresses).map_err(|error| SendError::new(Stage::Connecting { connection }, error))?;
        let outcome = self.send(&mut socket).and_then(|()| closed_in_order(&mut socket));
        let (done, all) = (self.done, self.burst.share(connection));
        outcome.map_err(|error| SendError::new(Stage::Sending { connection, done, all }, error))
    }

    fn send(&mut self, socket: &mut TcpStream) -> io::Result<()> {
        let all = self.burst.share(self.connection);
        let at_once = match self.burst.burst {
            0 => all,
            burst => share(burst, self.burst.connections, self.connection).max(1),
        };
        while self.done < all {
            let end = all.min(self.done + at_once);
            self.send_until(end, socket)?;
            if end < all {
                thread::sleep(self.burst.pause);
            }
        }
        Ok(())
    }

    fn send_until(&mut self, end: u64, socket: &mut TcpStream) -> io::Result<()> {
        let mut lines = String::with_capacity(CHUNK + CHUNK / 8);
        while self.done < end {
            lines.clear();
            let before = self.done;
            while self.done < end && lines.len() < CHUNK {
                self.done += 1;
                self.burst.write_text(&mut lines, self.connection, self.done);
                lines.push('\n');
            }
            if let Err(error) = socket.write_all(lines.as_bytes()) {
                self.done = before;
                return Err(error);
            }
            self.sent.fetch_add(self.done - before, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn connect(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut outcome = Err(io::Error::other("the name has no addresses"));
    for address in addresses {
        outcome = TcpStream::connect_timeout(address, PEER_TIMEOUT);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

/// Blocks until the peer closes its end, which shows that it has read everything. Bytes from the peer are ignored.
fn closed_in_order(socket: &mut TcpStream) -> io::Result<()> {
    socket.shutdown(Shutdown::Write)?;
    socket.set_read_timeout(Some(PEER_TIMEOUT))?;
    let mut ignored = [0; 1024];
    loop {
        match socket.read(&mut ignored) {
            Ok(0) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::Error::other(format!(
                    "the peer did not read everything within {PEER_TIMEOUT:?}"
                )));
            }
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
    }
}

/// The error of [`Burst::send`]: not all messages were sent.
#[derive(Debug)]
pub struct SendError {
    stage: Stage,
    error: io::Error,
}

/// The stage that failed.
#[derive(Debug)]
enum Stage {
    Address,
    Connecting { connection: u64 },
    Sending { connection: u64, done: u64, all: u64 },
    Running,
}

impl SendError {
    fn new(stage: Stage, error: io::Error) -> Self {
        Self { stage, error }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = &self.error;
        match self.stage {
            Stage::Address => write!(f, "cannot resolve the address: {error}"),
            Stage::Connecting { connection } => {
                write!(f, "connection {connection} could not be established: {error}")
            }
            Stage::Sending { connection, done, all } => {
                write!(f, "connection {connection} ")?;
                match error.kind() {
                    io::ErrorKind::BrokenPipe
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::NotConnected => {
                        f.write_str("was closed early by the peer")?;
                    }
                    _ => write!(f, "failed: {error}")?,
                }
                write!(f, " after {done} of {all} messages, of which the peer may have read fewer")
            }
            Stage::Running => error.fmt(f),
        }
    }
}

impl std::error::Error for SendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_the_connections_add_up() {
        for (messages, connections) in [(0, 1), (7, 3), (200_000, 8), (2, 5)] {
            let burst = Burst { messages, connections, ..Burst::default() };
            let shares: Vec<u64> = (1..=connections).map(|connection| burst.share(connection)).collect();
            assert_eq!(shares.iter().sum::<u64>(), messages, "{shares:?}");
            assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1, "{shares:?}");
        }
    }

    #[test]
    fn text_is_numbered_and_has_the_minimum_length() {
        let text = |size| Burst { size, ..Burst::default() }.text(3, 17);
        assert_eq!(text(0), "connection 3 message 17");
        assert_eq!(text(23), "connection 3 message 17");
        assert_eq!(text(24), "connection 3 message 17 ");
        assert_eq!(text(30), "connection 3 message 17 ......");
    }
}
