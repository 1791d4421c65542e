//! The messages that are sent: their number and their form.

use std::fmt;
use std::fmt::Write as _;
use std::time::Duration;

use crate::verify::Sent;

/// The beginning of messages with a header: facility user, severity information, application raddle.
const HEADER: &str = "<14>1 - - raddle - - - ";

/// The protocol over which messages are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SendProtocol {
    /// One message per line over TCP. Not acknowledged.
    #[default]
    Tcp,
    /// Octet-counted frames over TCP (RFC 6587). Not acknowledged.
    Octet,
    /// One message per datagram. Not acknowledged.
    Udp,
    /// RELP: a message that was not acknowledged is sent again, and may arrive twice.
    Relp,
    /// HTTP requests whose messages are numbered: a message that was not acknowledged is sent again, and is stored once.
    Http,
}

impl SendProtocol {
    /// Returns whether the receiver acknowledges messages.
    pub fn is_acknowledged(self) -> bool {
        matches!(self, Self::Relp | Self::Http)
    }
}

impl fmt::Display for SendProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Octet => "octet",
            Self::Udp => "udp",
            Self::Relp => "relp",
            Self::Http => "http",
        })
    }
}

/// The options of [`send`](crate::send::send).
///
/// The messages are distributed evenly over the connections; the first connections send one more if there is a remainder.
#[derive(Clone, Debug)]
pub struct SendOptions {
    /// The protocol. The default is TCP.
    pub protocol: SendProtocol,
    /// Number of messages over all connections. The default is 200,000.
    pub messages: u64,
    /// Number of connections, each with a thread. The default is 8.
    pub connections: u64,
    /// Messages per second over all connections; 0 for no limit. The default is 0.
    pub rate: u64,
    /// Messages per burst over all connections, followed by a [`pause`](Self::pause); 0 for a single burst. The default is 0.
    pub burst: u64,
    /// Pause between bursts. The default is 100 ms.
    pub pause: Duration,
    /// Minimum length of a message in bytes; shorter ones are padded with dots. The default is 0.
    pub size: usize,
    /// Whether messages begin with a syslog header (RFC 5424). Octet-counted ones always do. The default is false.
    pub header: bool,
    /// Maximum number of messages per connection that are not acknowledged. The default is 1000.
    pub window: usize,
    /// How long the receiver may neither read nor acknowledge anything. The default is 30 s.
    pub timeout: Duration,
    /// How long messages are sent again, without one that is acknowledged, if the connection is lost or the receiver refuses them. The default is 30 s.
    pub retry_for: Duration,
    /// The name under which messages are numbered (HTTP); each connection appends its number. If it is empty, which is the default,
    /// each run has a new name.
    pub sender: String,
    /// The token that requests present (HTTP).
    pub token: Option<String>,
}

impl Default for SendOptions {
    fn default() -> Self {
        Self {
            protocol: SendProtocol::Tcp,
            messages: 200_000,
            connections: 8,
            rate: 0,
            burst: 0,
            pause: Duration::from_millis(100),
            size: 0,
            header: false,
            window: 1000,
            timeout: Duration::from_secs(30),
            retry_for: Duration::from_secs(30),
            sender: String::new(),
            token: None,
        }
    }
}

impl SendOptions {
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

    /// Appends the text of a message.
    pub(crate) fn write_text(&self, out: &mut String, connection: u64, message: u64) {
        let begin = out.len();
        if self.header || self.protocol == SendProtocol::Octet {
            out.push_str(HEADER);
        }
        let _ = write!(out, "connection {connection} message {message}");
        if out.len() - begin < self.size {
            out.push(' ');
            let missing = self.size.saturating_sub(out.len() - begin);
            out.extend(std::iter::repeat_n('.', missing));
        }
    }
}

impl Sent for SendOptions {
    fn connections(&self) -> u64 {
        self.connections
    }

    fn share(&self, connection: u64) -> u64 {
        self.share(connection)
    }

    fn text(&self, connection: u64, message: u64) -> String {
        self.text(connection, message)
    }
}

/// Returns the share of `part`, counted from 1, of a total that is divided into `parts`.
pub(crate) fn share(total: u64, parts: u64, part: u64) -> u64 {
    let parts = parts.max(1);
    total / parts + u64::from(part <= total % parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_the_connections_add_up() {
        for (messages, connections) in [(0, 1), (7, 3), (200_000, 8), (2, 5)] {
            let options = SendOptions { messages, connections, ..SendOptions::default() };
            let shares: Vec<u64> = (1..=connections).map(|connection| options.share(connection)).collect();
            assert_eq!(shares.iter().sum::<u64>(), messages, "{shares:?}");
            assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1, "{shares:?}");
        }
    }

    #[test]
    fn text_is_numbered_and_has_the_minimum_length() {
        let text = |size| SendOptions { size, ..SendOptions::default() }.text(3, 17);
        assert_eq!(text(0), "connection 3 message 17");
        assert_eq!(text(23), "connection 3 message 17");
        assert_eq!(text(24), "connection 3 message 17 ");
        assert_eq!(text(30), "connection 3 message 17 ......");
        let octet = SendOptions { protocol: SendProtocol::Octet, ..SendOptions::default() };
        assert_eq!(octet.text(3, 17), "<14>1 - - raddle - - - connection 3 message 17");
    }
}
