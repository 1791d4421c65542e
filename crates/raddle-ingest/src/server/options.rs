//! The options of the server.

use std::time::Duration;

/// The options of a [`Server`](crate::Server). All but the number of threads may change while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerOptions {
    /// The number of threads that serve the connections. The default is 1.
    pub threads: usize,
    /// Maximum number of open connections. The default is 10,000, or as many as the limit of open files permits.
    pub max_connections: usize,
    /// Maximum number of open connections of one peer. The default is a quarter of the maximum.
    ///
    /// The peers of a listener that expects the PROXY protocol are not limited, since they all have the address of the proxy.
    pub max_per_peer: Option<usize>,
    /// Maximum number of bytes kept in memory for one connection. The default is 32 MiB.
    pub max_buffered: usize,
    /// Maximum number of bytes kept in memory for all connections. The default is 256 MiB.
    pub max_buffered_total: usize,
    /// How long a peer may leave its replies unread, and how long replies are sent to a peer that has closed its side. The default
    /// is one minute.
    pub reply_timeout: Duration,
    /// How long an HTTP request waits for room in the queue before it is refused with status 503. The default is one second: a sender
    /// that is to try again should not have to wait much longer than it takes until there is room.
    pub room_timeout: Duration,
    /// The number of file descriptors that are reserved for the database and other files. The default is 24.
    pub reserved_descriptors: usize,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            threads: 1,
            max_connections: 10_000,
            max_per_peer: None,
            max_buffered: 32 << 20,
            max_buffered_total: 256 << 20,
            reply_timeout: Duration::from_mins(1),
            room_timeout: Duration::from_secs(1),
            reserved_descriptors: 24,
        }
    }
}
