//! All connections of a sender.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use raddle::{JoinHandle, Thread};

use super::connection::Connection;
use super::datagrams;
use super::http::Http;
use super::messages::{SendOptions, SendProtocol};
use super::outcome::{SendError, SendProgress, SendReport, Stage};
use super::relp::Relp;
use super::wire::{Plain, Wire};

/// Sends numbered messages to `receiver`, which is `HOST:PORT`, and blocks until all are sent.
///
/// With a protocol that acknowledges, returns once every message is acknowledged; messages that were refused, or not acknowledged when a
/// connection was lost, are sent again. Without one, a message that was sent may still be lost: each TCP connection waits until the receiver
/// closes its end after the last byte, which shows that it has read everything.
///
/// # Errors
/// Returns the first [`SendError`] of a connection, once all connections are done.
///
/// # Examples
/// ```no_run
/// use raddle_ingest::{SendOptions, SendProgress, SendProtocol, send};
///
/// let options = SendOptions { protocol: SendProtocol::Http, messages: 1000, ..SendOptions::default() };
/// let report = send(&options, "127.0.0.1:5140", &SendProgress::default().into())?;
/// assert_eq!(report.acknowledged, 1000);
/// # Ok::<(), raddle_ingest::SendError>(())
/// ```
pub fn send(
    options: &SendOptions,
    receiver: &str,
    progress: &Arc<SendProgress>,
) -> Result<SendReport, SendError> {
    let addresses: Arc<[SocketAddr]> = match receiver.to_socket_addrs() {
        Ok(addresses) => addresses.collect(),
        Err(error) => return Err(SendError::new(Stage::Address, error)),
    };
    let mut options = options.clone();
    if options.sender.is_empty() {
        options.sender = own_name();
    }
    let options = Arc::new(options);
    let start = |connection| {
        let (options, addresses, progress) = (options.clone(), addresses.clone(), progress.clone());
        let receiver = receiver.to_owned();
        let thread = Thread::new(move || {
            if options.protocol == SendProtocol::Udp {
                return datagrams::send(&options, connection, &addresses, &progress);
            }
            let wire = wire(&options, connection, &receiver);
            Connection::new(options, connection, addresses, progress, wire).run()
        });
        thread
            .name(format!("sender {connection}"))
            .start()
            .map_err(|error| SendError::new(Stage::Connecting { connection }, io::Error::from(error)))
    };
    let senders: Vec<_> = (1..=options.connections).map(start).collect();
    let outcomes: Vec<_> = senders.into_iter().map(|sender| joined(sender?)).collect();
    let mut report = SendReport::default();
    for outcome in outcomes {
        report.add(&outcome?);
    }
    Ok(report)
}

/// Creates the sender's side of a stream.
fn wire(options: &Arc<SendOptions>, connection: u64, receiver: &str) -> Box<dyn Wire> {
    match options.protocol {
        SendProtocol::Tcp | SendProtocol::Octet | SendProtocol::Udp => {
            Box::new(Plain::new(options.clone(), connection))
        }
        SendProtocol::Relp => Box::new(Relp::new(options.clone(), connection)),
        SendProtocol::Http => Box::new(Http::new(options.clone(), connection, receiver, &options.sender)),
    }
}

fn joined(sender: JoinHandle<Result<SendReport, SendError>>) -> Result<SendReport, SendError> {
    sender.join().unwrap_or_else(|error| Err(SendError::new(Stage::Running, io::Error::other(error))))
}

/// Returns a name that no other run has, so that its messages are numbered from 1.
fn own_name() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("send-{}-{}", std::process::id(), now.as_micros())
}
