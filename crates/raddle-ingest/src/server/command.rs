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
    /// Changes the options, and the listeners to those of the list. One without a socket is there already.
    Reload(ServerOptions, Vec<(Arc<Endpoint>, Option<Opened>)>),
    /// Reads the bytes that have arrived, within a grace period and a deadline.
    Drain(Duration, Duration),
    /// Terminates once all replies are written, within a time limit.
    Finish(Duration),
    /// Terminates at once.
    Stop,
}
