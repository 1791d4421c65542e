//! Messages as datagrams.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use raddle::{thread, time};

use super::messages::SendOptions;
use super::outcome::{SendError, SendProgress, SendReport, Stage};
use super::pace::{Allowance, Pace};

/// Sends the share of a connection as datagrams. There is no way to know whether one arrives.
pub(crate) fn send(
    options: &SendOptions,
    connection: u64,
    addresses: &[SocketAddr],
    progress: &Arc<SendProgress>,
) -> Result<SendReport, SendError> {
    let begin = time::now();
    let socket =
        connect(addresses).map_err(|error| SendError::new(Stage::Connecting { connection }, error))?;
    let mut pace = Pace::new(options, connection, begin);
    let all = options.share(connection);
    let (mut done, mut text) = (0, String::new());
    while done < all {
        let now = time::now();
        match pace.allowance(now) {
            Allowance::Until(time) => thread::sleep(time - now),
            Allowance::Messages(count) => {
                for _ in 0..count.min(all - done) {
                    text.clear();
                    options.write_text(&mut text, connection, done + 1);
                    datagram(&socket, text.as_bytes())
                        .map_err(|error| SendError::new(Stage::Sending { connection, done, all }, error))?;
                    done += 1;
                    pace.sent(1);
                    progress.add_sent(1);
                }
            }
        }
    }
    Ok(SendReport { sent: done, time: time::now() - begin, ..SendReport::default() })
}

fn connect(addresses: &[SocketAddr]) -> io::Result<UdpSocket> {
    let mut outcome = Err(io::Error::other("the name has no addresses"));
    for address in addresses {
        let any: SocketAddr = match address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        outcome = UdpSocket::bind(any).and_then(|socket| socket.connect(address).map(|()| socket));
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

fn datagram(socket: &UdpSocket, bytes: &[u8]) -> io::Result<()> {
    loop {
        match socket.send(bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // The operating system's answer to an earlier datagram.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                return Err(io::Error::other("no program receives datagrams at this address"));
            }
            outcome => return outcome.map(|_| ()),
        }
    }
}
