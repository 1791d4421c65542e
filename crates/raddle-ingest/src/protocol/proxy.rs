//! The header by which a proxy passes on the address of its client: the PROXY protocol, versions 1 and 2.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use memchr::memmem;

use super::interface::{Ending, Io, Protocol};
use crate::settlement::Settlement;

/// The beginning of version 1, which is a line of text.
const TEXT: &[u8] = b"PROXY ";

/// The longest line of version 1, its ending included.
const LONGEST_LINE: usize = 107;

/// The beginning of version 2.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The length of the fixed part of version 2.
const FIXED: usize = 16;

/// The longest variable part of version 2 that is accepted. Proxies send addresses and a few names.
const LONGEST_VARIABLE: usize = 4 << 10;

/// A protocol behind a header of a proxy. The name of the peer is that which the proxy gives.
///
/// A connection without a header is refused: its messages would have the name of the proxy.
pub(crate) struct Proxied {
    protocol: Box<dyn Protocol>,
    state: State,
}

enum State {
    /// The header has not arrived completely.
    Header,
    /// The header has arrived, with the name of the peer if it had one.
    Open(Option<Arc<str>>),
    /// The connection is refused, and arriving bytes are ignored.
    Refused,
}

/// The first bytes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Header {
    /// The header is incomplete.
    Incomplete,
    /// A header of this length, with the client.
    Complete(usize, Client),
    /// No header, or an invalid one.
    Invalid,
}

/// The client of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    At(SocketAddr),
    /// The proxy itself, or a client without an address of the internet.
    Unknown,
}

impl Proxied {
    pub(crate) fn new(protocol: Box<dyn Protocol>) -> Self {
        Self { protocol, state: State::Header }
    }

    /// Calls the protocol with the name of the peer.
    fn call<R>(&mut self, io: &mut Io<'_>, call: impl FnOnce(&mut dyn Protocol, &mut Io<'_>) -> R) -> R {
        let State::Open(Some(peer)) = &self.state else { return call(&mut *self.protocol, io) };
        let mut named = Io {
            peer,
            source: io.source,
            received: io.received,
            connection: io.connection,
            acknowledge: io.acknowledge,
            parcels: std::mem::take(&mut io.parcels),
            out: std::mem::take(&mut io.out),
            close: io.close,
            doubtful: io.doubtful,
        };
        let result = call(&mut *self.protocol, &mut named);
        let Io { parcels, out, close, doubtful, .. } = named;
        (io.parcels, io.out, io.close, io.doubtful) = (parcels, out, close, doubtful);
        result
    }

    fn refuse(&mut self, io: &mut Io<'_>) {
        log::warn!("{}: closed: it does not begin with a header of the PROXY protocol", io.peer);
        io.close = true;
        self.state = State::Refused;
    }
}

impl Protocol for Proxied {
    fn receive(&mut self, input: &[u8], io: &mut Io<'_>) -> usize {
        let mut front = 0;
        if let State::Header = self.state {
            match header(input) {
                Header::Incomplete => return 0,
                Header::Complete(length, client) => {
                    self.state = State::Open(match client {
                        Client::At(address) => Some(address.to_string().into()),
                        Client::Unknown => None,
                    });
                    front = length;
                }
                Header::Invalid => self.refuse(io),
            }
        }
        if let State::Refused = self.state {
            return input.len();
        }
        let rest = &input[front..];
        if rest.is_empty() {
            return front;
        }
        front + self.call(io, |protocol, io| protocol.receive(rest, io))
    }

    fn pause(&mut self, rest: &[u8], io: &mut Io<'_>) -> usize {
        match self.state {
            State::Open(_) => self.call(io, |protocol, io| protocol.pause(rest, io)),
            State::Header | State::Refused => 0,
        }
    }

    fn end(&mut self, rest: &[u8], ending: Ending, io: &mut Io<'_>) {
        match self.state {
            State::Open(_) => self.call(io, |protocol, io| protocol.end(rest, ending, io)),
            // Proxies connect without a header to see whether there is a server.
            State::Header if rest.is_empty() => {}
            State::Header => self.refuse(io),
            State::Refused => {}
        }
    }

    fn settled(&mut self, ticket: u64, settlement: &Settlement, io: &mut Io<'_>) {
        self.call(io, |protocol, io| protocol.settled(ticket, settlement, io));
    }

    fn drain(&mut self, io: &mut Io<'_>) {
        self.call(io, |protocol, io| protocol.drain(io));
    }

    fn refuses_when_full(&self) -> bool {
        self.protocol.refuses_when_full()
    }

    fn unsettled(&self) -> usize {
        self.protocol.unsettled()
    }

    fn memory(&self) -> usize {
        self.protocol.memory()
    }
}

/// Parses the header at the beginning of a connection.
fn header(bytes: &[u8]) -> Header {
    let begins = |beginning: &[u8]| bytes.iter().zip(beginning).all(|(left, right)| left == right);
    if begins(TEXT) {
        let Some(end) = memmem::find(&bytes[..bytes.len().min(LONGEST_LINE)], b"\r\n") else {
            return if bytes.len() < LONGEST_LINE { Header::Incomplete } else { Header::Invalid };
        };
        let line = std::str::from_utf8(&bytes[..end]).ok();
        line.and_then(text).map_or(Header::Invalid, |client| Header::Complete(end + 2, client))
    } else if begins(SIGNATURE) {
        binary(bytes)
    } else {
        Header::Invalid
    }
}

/// Parses a line of version 1.
fn text(line: &str) -> Option<Client> {
    let mut words = line.split(' ').skip(1);
    let is_4 = match words.next()? {
        "UNKNOWN" => return Some(Client::Unknown),
        "TCP4" => true,
        "TCP6" => false,
        _ => return None,
    };
    let [client, _, port, _] = [words.next()?, words.next()?, words.next()?, words.next()?];
    let client = SocketAddr::new(client.parse().ok()?, port.parse().ok()?);
    (client.is_ipv4() == is_4 && words.next().is_none()).then_some(Client::At(client))
}

/// Parses a header of version 2, which begins with the signature as far as it is there.
fn binary(bytes: &[u8]) -> Header {
    let Some(fixed) = bytes.first_chunk::<FIXED>() else { return Header::Incomplete };
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    // The version, and a command: the proxy's own check, or a client's connection.
    let is_proxied = match fixed[12] {
        0x20 => false,
        0x21 => true,
        _ => return Header::Invalid,
    };
    if length > LONGEST_VARIABLE {
        return Header::Invalid;
    }
    let Some(variable) = bytes.get(FIXED..FIXED + length) else { return Header::Incomplete };
    let client = if is_proxied { client(fixed[13], variable) } else { Some(Client::Unknown) };
    client.map_or(Header::Invalid, |client| Header::Complete(FIXED + length, client))
}

/// Returns the client of version 2.
fn client(family: u8, variable: &[u8]) -> Option<Client> {
    let (address, addresses): (IpAddr, usize) = match family >> 4 {
        1 => (Ipv4Addr::from(*variable.first_chunk::<4>()?).into(), 8),
        2 => (Ipv6Addr::from(*variable.first_chunk::<16>()?).into(), 32),
        _ => return Some(Client::Unknown),
    };
    let [high, low, _, _] = *variable.get(addresses..)?.first_chunk()?;
    Some(Client::At(SocketAddr::new(address, u16::from_be_bytes([high, low]))))
}
