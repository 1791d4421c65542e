//! The commands to an event loop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mio::net::TcpStream;

use crate::server::endpoint::Endpoint;
use crate::server::limits::Class;
use crate::server::listener::Opened;
use crate::server::options::ServerOptions;

/// A command to an event loop.
pub(super) enum Command {
    /// Serves a connection that another loop has accepted.
    Serve(TcpStream, SocketAddr, Class, Arc<Endpoint>),
    /// Changes the options, and the listeners to those of the list.
    Reload(ServerOptions, Vec<Change>),
    /// Reads the bytes that have arrived, within a grace period and a deadline.
    Drain(Duration, Duration),
    /// Terminates once all replies are written, within a time limit.
    Finish(Duration),
    /// Terminates at once.
    Stop,
}

/// A listener after a reload.
pub(super) struct Change {
    pub(super) endpoint: Arc<Endpoint>,
    /// The listener whose socket it continues to use, if there is one; it may have had another name or kind.
    pub(super) former: Option<Arc<Endpoint>>,
    /// A new socket, for the loop that serves it.
    pub(super) socket: Option<Opened>,
}

impl Change {
    /// Returns whether the listener continues to use the socket of this one.
    pub(super) fn continues(&self, endpoint: &Endpoint) -> bool {
        self.former.as_ref().is_some_and(|former| former.is_same(endpoint))
    }
}
