//! Listeners: the sockets on which messages arrive, and the errors of opening them.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

/// Connections that the operating system completes before they are accepted.
const BACKLOG: i32 = 4096;

/// After this time of silence the operating system probes whether the peer still exists.
const KEEPALIVE: Duration = Duration::from_mins(1);
const PROBE_INTERVAL: Duration = Duration::from_secs(10);
const PROBES: u32 = 3;

/// How long bytes written to a peer may stay unacknowledged by its operating system.
const USER_TIMEOUT: Duration = Duration::from_mins(1);

/// The protocols that a [`Listener`] accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListenerKind {
    /// Connections with lines, octet-counted frames, RELP or HTTP, recognised by their first bytes.
    Tcp,
    /// Datagrams, each of which is a message.
    Udp,
    /// Connections with RELP.
    Relp,
    /// Connections with HTTP requests that post messages.
    Http,
    /// Connections with HTTP requests about the program itself: health, metrics.
    Admin,
}

impl fmt::Display for ListenerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ListenerKind::Tcp => "tcp",
            ListenerKind::Udp => "udp",
            ListenerKind::Relp => "relp",
            ListenerKind::Http => "http",
            ListenerKind::Admin => "admin",
        })
    }
}

/// The options of a [`Listener`].
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerOptions {
    /// Maximum length of a message in bytes. The default is 64 KiB.
    pub max_message: usize,
    /// Maximum length of the body of a request in bytes, after decompression. The default is 16 MiB.
    pub max_body: usize,
    /// The time zone of times without one. The default is UTC.
    pub zone: TimeZone,
    /// Whether each connection begins with a header of the PROXY protocol, which names the peer.
    pub proxy: bool,
    /// The token that requests must present. If absent, requests need none.
    pub token: Option<String>,
    /// The requested size of the operating system's buffer of a datagram socket, in bytes. The default is 8 MiB.
    pub receive_buffer: usize,
}

impl Default for ListenerOptions {
    fn default() -> Self {
        Self {
            max_message: 64 << 10,
            max_body: 16 << 20,
            zone: TimeZone::UTC,
            proxy: false,
            token: None,
            receive_buffer: 8 << 20,
        }
    }
}

/// An address or a socket on which a [`Server`](crate::Server) receives messages.
#[derive(Debug)]
pub struct Listener {
    pub(crate) name: Arc<str>,
    pub(crate) kind: ListenerKind,
    pub(crate) options: ListenerOptions,
    pub(crate) at: At,
}

/// Where a listener listens.
#[derive(Debug)]
pub(crate) enum At {
    Address(SocketAddr),
    Tcp(std::net::TcpListener),
    Udp(std::net::UdpSocket),
}

impl Listener {
    /// Creates a listener on an address. Messages are counted in the books under `name`.
    ///
    /// Port 0 selects a free port, which [`Server::addresses`](crate::Server::addresses) returns. An IPv6 address accepts no IPv4: a server
    /// that listens on `[::]` listens on `0.0.0.0` only if another listener does.
    pub fn new(name: &str, kind: ListenerKind, address: SocketAddr) -> Self {
        Self { name: name.into(), kind, options: ListenerOptions::default(), at: At::Address(address) }
    }

    /// Creates a listener on a socket that is listening already, as systemd passes them.
    pub fn from_tcp(name: &str, kind: ListenerKind, socket: std::net::TcpListener) -> Self {
        Self { name: name.into(), kind, options: ListenerOptions::default(), at: At::Tcp(socket) }
    }

    /// Creates a listener on a datagram socket that is bound already.
    pub fn from_udp(name: &str, socket: std::net::UdpSocket) -> Self {
        Self {
            name: name.into(),
            kind: ListenerKind::Udp,
            options: ListenerOptions::default(),
            at: At::Udp(socket),
        }
    }

    /// Opens the socket now, rather than when the server starts. Peers wait in its backlog until then.
    ///
    /// # Errors
    /// Returns an error if the socket cannot be opened.
    pub fn open(mut self) -> Result<Self, ServerError> {
        if let At::Address(address) = self.at {
            let datagrams = self.kind == ListenerKind::Udp;
            let fails = |cause| ServerError::listener(&self.name, self.kind, Some(address), cause);
            let socket = open(address, datagrams).map_err(fails)?;
            self.at = if datagrams {
                At::Udp(socket.into())
            } else {
                socket.listen(BACKLOG).map_err(fails)?;
                At::Tcp(socket.into())
            };
        }
        Ok(self)
    }

    /// Sets the options.
    #[must_use]
    pub fn options(mut self, options: ListenerOptions) -> Self {
        self.options = options;
        self
    }

    /// Returns the address, if it has one.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match &self.at {
            At::Address(address) => Some(*address),
            At::Tcp(socket) => socket.local_addr().ok(),
            At::Udp(socket) => socket.local_addr().ok(),
        }
    }

    /// Opens the socket.
    pub(crate) fn bind(self) -> Result<Bound, ServerError> {
        let address = self.address();
        let fails = |cause| ServerError::listener(&self.name, self.kind, address, cause);
        let datagrams = self.kind == ListenerKind::Udp;
        let socket = match &self.at {
            At::Address(address) => open(*address, datagrams).map_err(fails)?,
            At::Tcp(socket) if !datagrams => Socket::from(socket.try_clone().map_err(fails)?),
            At::Udp(socket) if datagrams => Socket::from(socket.try_clone().map_err(fails)?),
            At::Tcp(_) | At::Udp(_) => {
                let needed = if datagrams { "a datagram socket" } else { "a stream socket" };
                return Err(fails(io::Error::new(io::ErrorKind::InvalidInput, format!("it needs {needed}"))));
            }
        };
        let actual = configure(&socket, datagrams, &self.options).map_err(fails)?;
        let socket = if datagrams {
            Opened::Datagrams(mio::net::UdpSocket::from_std(socket.into()))
        } else {
            Opened::Connections(mio::net::TcpListener::from_std(socket.into()))
        };
        Ok(Bound {
            name: self.name,
            kind: self.kind,
            options: self.options,
            requested: address,
            actual,
            socket,
        })
    }
}

/// A listener whose socket is open.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) name: Arc<str>,
    pub(crate) kind: ListenerKind,
    pub(crate) options: ListenerOptions,
    pub(crate) requested: Option<SocketAddr>,
    pub(crate) actual: SocketAddr,
    pub(crate) socket: Opened,
}

#[derive(Debug)]
pub(crate) enum Opened {
    Connections(mio::net::TcpListener),
    Datagrams(mio::net::UdpSocket),
}

/// Binds a socket to an address.
fn open(address: SocketAddr, datagrams: bool) -> io::Result<Socket> {
    let (kind, protocol) =
        if datagrams { (Type::DGRAM, Protocol::UDP) } else { (Type::STREAM, Protocol::TCP) };
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if !datagrams {
        // Connections of the previous run that are not quite gone do not prevent a restart.
        socket.set_reuse_address(true)?;
    }
    if address.is_ipv6() {
        // As other servers do it: [::] and 0.0.0.0 are two listeners, and none takes the address of the other.
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Sets the options of a socket, most of which its connections inherit. Returns the address to which it is bound.
fn configure(socket: &Socket, datagrams: bool, options: &ListenerOptions) -> io::Result<SocketAddr> {
    socket.set_nonblocking(true)?;
    if datagrams {
        set_receive_buffer(socket, options.receive_buffer);
        #[cfg(target_os = "linux")]
        nix::sys::socket::setsockopt(socket, nix::sys::socket::sockopt::RxqOvfl, &1)?;
    } else {
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(PROBE_INTERVAL);
        socket.set_tcp_keepalive(&keepalive.with_retries(PROBES))?;
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
        socket.set_tcp_nodelay(true)?;
        // For a socket that is listening already this changes the length of its backlog.
        socket.listen(BACKLOG)?;
    }
    let address = socket.local_addr()?;
    address
        .as_socket()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it has no internet address"))
}

/// Requests a receive buffer. The operating system may grant less, which [`receive_buffer`] shows.
fn set_receive_buffer(socket: &Socket, bytes: usize) {
    #[cfg(target_os = "linux")]
    if nix::sys::socket::setsockopt(socket, nix::sys::socket::sockopt::RcvBufForce, &bytes).is_ok() {
        return;
    }
    let _ = socket.set_recv_buffer_size(bytes);
}

/// Returns how many bytes of a socket the operating system buffers.
pub(crate) fn receive_buffer(socket: &mio::net::UdpSocket) -> usize {
    debug_assert!(socket.as_raw_fd() >= 0);
    let granted = SockRef::from(socket).recv_buffer_size().unwrap_or(0);
    // Linux returns twice the size, as it counts its own needs.
    if cfg!(target_os = "linux") { granted / 2 } else { granted }
}

/// The error of a [`Server`](crate::Server) that cannot start, or cannot change its listeners.
#[derive(Debug)]
pub struct ServerError {
    what: String,
    cause: io::Error,
    remedy: &'static str,
}

impl ServerError {
    pub(crate) fn new(what: impl Into<String>, cause: io::Error) -> Self {
        Self { what: what.into(), cause, remedy: "" }
    }

    fn listener(name: &str, kind: ListenerKind, address: Option<SocketAddr>, cause: io::Error) -> Self {
        let remedy = match cause.kind() {
            io::ErrorKind::AddrInUse => ": another program or another listener uses this address",
            io::ErrorKind::AddrNotAvailable => ": the address is not one of this machine's",
            io::ErrorKind::PermissionDenied => {
                ": use a port above 1023, or grant the program the capability CAP_NET_BIND_SERVICE"
            }
            _ => "",
        };
        let place = address.map_or_else(|| "a socket".to_owned(), |address| address.to_string());
        Self { what: format!("cannot listen on {place} ({kind} listener \"{name}\")"), cause, remedy }
    }

    /// Returns the cause.
    pub fn io_error(&self) -> &io::Error {
        &self.cause
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}{}", self.what, self.cause, self.remedy)
    }
}

impl Error for ServerError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}
