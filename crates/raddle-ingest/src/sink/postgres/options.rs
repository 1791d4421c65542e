//! The options of the sink.

use std::fmt;

/// The options of a [`PostgresSink`](crate::PostgresSink).
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresOptions {
    /// Where the server is, and how to log in: `postgresql://user:password@host:port/database`, or `host=/run/postgresql
    /// user=raddle dbname=logs`. A socket directory is percent-encoded in a URL. TLS is not supported.
    pub url: String,
    /// The number of connections, 1 to 64. The default is 2.
    pub connections: usize,
    /// The schema of the tables. The default is `raddle`.
    pub schema: String,
    /// The table of messages. The default is `messages`.
    pub messages: String,
    /// The table of rejected messages. The default is `rejected`.
    pub rejected: String,
    /// The table of senders and the last numbers of their messages. The default is `sources`.
    pub sources: String,
    /// The table of the last batch of each connection. The default is `commits`.
    pub commits: String,
    /// Whether to create the schema and the tables that are missing at the start. The default is `true`.
    pub create: bool,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            url: String::new(),
            connections: 2,
            schema: "raddle".into(),
            messages: "messages".into(),
            rejected: "rejected".into(),
            sources: "sources".into(),
            commits: "commits".into(),
            create: true,
        }
    }
}

/// The URL may contain a password, and is not shown.
impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("connections", &self.connections)
            .field("schema", &self.schema)
            .field("create", &self.create)
            .finish_non_exhaustive()
    }
}
