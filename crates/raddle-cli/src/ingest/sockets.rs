//! The sockets of the listeners: those that systemd passes, and those that the program opens.
//!
//! A socket that systemd passes outlives the program, and so do the connections in its backlog.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _, UdpSocket};

use listenfd::ListenFd;
use raddle_ingest::{Listener, ListenerKind};

/// A socket of a listener.
#[derive(Debug)]
pub(crate) enum Socket {
    Connections(TcpListener),
    Datagrams(UdpSocket),
}

impl Socket {
    fn address(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Connections(socket) => socket.local_addr(),
            Self::Datagrams(socket) => socket.local_addr(),
        }
    }

    fn is_datagrams(&self) -> bool {
        matches!(self, Self::Datagrams(_))
    }
}

/// The sockets that systemd passed and no listener has taken.
#[derive(Debug, Default)]
pub(crate) struct Passed(Vec<Socket>);

impl Passed {
    /// Takes the sockets that systemd passed to this process, if any. It must be called before threads are started.
    ///
    /// # Errors
    /// Returns the reason why a descriptor cannot be used.
    pub(crate) fn from_environment() -> Result<Self, String> {
        let mut passed = ListenFd::from_env();
        let mut sockets = Vec::new();
        for index in 0..passed.len() {
            if let Ok(Some(socket)) = passed.take_tcp_listener(index) {
                sockets.push(Socket::Connections(socket));
                continue;
            }
            match passed.take_udp_socket(index) {
                Ok(Some(socket)) => sockets.push(Socket::Datagrams(socket)),
                Ok(None) => {}
                Err(error) => {
                    return Err(format!(
                        "cannot use socket {index} that systemd passes: {error}; the socket unit may have ListenStream= and \
                         ListenDatagram= with internet addresses"
                    ));
                }
            }
        }
        Ok(Self(sockets))
    }

    /// Takes the socket that is bound to one of the addresses.
    fn take(&mut self, addresses: &[SocketAddr], datagrams: bool) -> Option<Socket> {
        let matches = |socket: &Socket| {
            socket.is_datagrams() == datagrams && socket.address().is_ok_and(|it| addresses.contains(&it))
        };
        let index = self.0.iter().position(matches)?;
        Some(self.0.remove(index))
    }

    /// Returns an error if a socket is left.
    pub(crate) fn none_left(&self) -> Result<(), String> {
        let Some(socket) = self.0.first() else { return Ok(()) };
        let address = socket.address().map_or_else(|error| error.to_string(), |address| address.to_string());
        let kind = if socket.is_datagrams() { "udp" } else { "tcp" };
        Err(format!(
            "systemd passes a socket at {address} for which there is no listener: add a [[listen]] of kind {kind} with that \
             address, or remove it from the socket unit"
        ))
    }
}

/// Resolves an address.
pub(crate) fn resolve(address: &str) -> Result<Vec<SocketAddr>, String> {
    let resolved = address.to_socket_addrs().map(Vec::from_iter);
    let resolved = resolved
        .and_then(|it| if it.is_empty() { Err(io::Error::other("it has no address")) } else { Ok(it) });
    resolved.map_err(|error| format!("cannot listen on {address}: cannot resolve the address: {error}"))
}

/// Opens a listener at the address: with the socket that systemd passed, or a new one.
pub(crate) fn open(
    passed: &mut Passed,
    name: &str,
    kind: ListenerKind,
    address: &str,
) -> Result<Listener, String> {
    let addresses = resolve(address)?;
    if let Some(socket) = passed.take(&addresses, kind == ListenerKind::Udp) {
        log::info!("{address}: using the socket that systemd passes");
        return Ok(match socket {
            Socket::Connections(socket) => Listener::from_tcp(name, kind, socket),
            Socket::Datagrams(socket) => Listener::from_udp(name, socket),
        });
    }
    let mut first = None;
    for address in addresses {
        match Listener::new(name, kind, address).open() {
            Ok(listener) => return Ok(listener),
            Err(error) => drop(first.get_or_insert(error.to_string())),
        }
    }
    Err(first.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passed_socket_belongs_to_the_listener_of_its_address() {
        let (tcp, udp) = (TcpListener::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let (tcp_address, udp_address) = (tcp.local_addr().unwrap(), udp.local_addr().unwrap());
        let mut passed = Passed(vec![Socket::Connections(tcp), Socket::Datagrams(udp)]);
        assert!(passed.take(&[udp_address], false).is_none(), "the other kind of socket");
        let socket = passed.take(&[udp_address], true).unwrap();
        assert_eq!(socket.address().unwrap(), udp_address);
        let error = passed.none_left().unwrap_err();
        assert!(error.starts_with(&format!("systemd passes a socket at {tcp_address} for which")), "{error}");
        assert!(passed.take(&[tcp_address], false).is_some());
        assert_eq!(passed.none_left(), Ok(()));
    }
}
