//! Limits of connections, in total and per peer, so that no peer locks out the others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use raddle::Mutex;

/// Connections about the program itself do not count towards the limits of peers; they have a limit of their own.
const ADMIN_CONNECTIONS: usize = 64;

/// Pause between two lines in the log about the same thing.
const QUIET: Duration = Duration::from_secs(10);

/// The part of an address by which connections are counted: a whole IPv4 address, or the /64 network of an IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct PeerKey(u64);

impl PeerKey {
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(u64::from(u32::from(address))),
            IpAddr::V6(address) => {
                let network = u128::from(address) >> 64;
                Self(u64::try_from(network).expect("64 bits") | 1 << 63)
            }
        }
    }
}

/// Which limit a connection counts towards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Both limits.
    Peer(PeerKey),
    /// The total only: the address is that of a proxy.
    Proxy,
    /// Neither.
    Admin,
}

/// The reason why a connection is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Total(usize),
    Peer(usize),
    Admin(usize),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refusal::Total(limit) => write!(f, "{limit} connections are open, which is the limit"),
            Refusal::Peer(limit) => {
                write!(f, "{limit} connections of this peer are open, which is the limit for one peer")
            }
            Refusal::Admin(limit) => {
                write!(f, "{limit} connections of admin listeners are open, which is their limit")
            }
        }
    }
}

/// Counts the open connections.
#[derive(Debug, Default)]
pub(super) struct Places(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    total: usize,
    per_peer: usize,
    open: usize,
    admin: usize,
    peers: HashMap<PeerKey, usize>,
}

impl Places {
    /// Sets the limits.
    pub(super) fn set(&self, total: usize, per_peer: usize) {
        let mut counted = self.0.lock();
        (counted.total, counted.per_peer) = (total, per_peer);
    }

    /// Returns the number of open connections that count towards the limit.
    pub(super) fn open(&self) -> usize {
        self.0.lock().open
    }

    /// Counts a connection in, or refuses it.
    pub(super) fn enter(&self, class: Class) -> Result<(), Refusal> {
        let counted = &mut *self.0.lock();
        if class == Class::Admin {
            if counted.admin >= ADMIN_CONNECTIONS {
                return Err(Refusal::Admin(ADMIN_CONNECTIONS));
            }
            counted.admin += 1;
            return Ok(());
        }
        // The limit of the peer is checked first, since the peer can act on that reason.
        if let Class::Peer(peer) = class {
            let count = counted.peers.get(&peer).copied().unwrap_or(0);
            if count >= counted.per_peer {
                return Err(Refusal::Peer(counted.per_peer));
            }
        }
        if counted.open >= counted.total {
            return Err(Refusal::Total(counted.total));
        }
        if let Class::Peer(peer) = class {
            *counted.peers.entry(peer).or_default() += 1;
        }
        counted.open += 1;
        Ok(())
    }

    /// Counts a connection out.
    pub(super) fn leave(&self, class: Class) {
        let counted = &mut *self.0.lock();
        if class == Class::Admin {
            counted.admin -= 1;
            return;
        }
        counted.open -= 1;
        if let Class::Peer(peer) = class
            && let Some(count) = counted.peers.get_mut(&peer)
        {
            *count -= 1;
            if *count == 0 {
                counted.peers.remove(&peer);
            }
        }
    }
}

/// Limits lines of the log to one every ten seconds, with the number of those left out.
#[derive(Debug, Default)]
pub(super) struct Seldom {
    last: Option<Instant>,
    left_out: u64,
}

impl Seldom {
    /// Returns a text about the lines that were left out since the last one, if another line is due.
    pub(super) fn due(&mut self, now: Instant) -> Option<String> {
        if self.last.is_some_and(|last| now - last < QUIET) {
            self.left_out += 1;
            return None;
        }
        self.last = Some(now);
        Some(match std::mem::take(&mut self.left_out) {
            0 => String::new(),
            count => format!("; {count} more since the last such line"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str) -> Class {
        Class::Peer(PeerKey::of(address.parse().unwrap()))
    }

    #[test]
    fn peer_at_its_limit_leaves_room_for_others() {
        let places = Places::default();
        places.set(5, 2);
        let (one, other) = (peer("10.0.0.1"), peer("10.0.0.2"));
        assert_eq!([places.enter(one), places.enter(one)], [Ok(()), Ok(())]);
        assert_eq!(places.enter(one), Err(Refusal::Peer(2)));
        assert_eq!(places.enter(other), Ok(()));
        places.leave(one);
        assert_eq!(places.enter(one), Ok(()));
        assert_eq!([places.enter(peer("10.0.0.3")), places.enter(Class::Proxy)], [Ok(()), Ok(())]);
        assert_eq!(places.enter(peer("10.0.0.4")), Err(Refusal::Total(5)));
        assert_eq!(places.enter(Class::Admin), Ok(()), "health can be asked for when all is full");
        assert_eq!(places.open(), 5);
    }

    #[test]
    fn forgotten_peers_use_no_memory() {
        let places = Places::default();
        places.set(10, 10);
        for number in 0..100 {
            let class = peer(&format!("10.0.1.{number}"));
            places.enter(class).unwrap();
            places.leave(class);
        }
        assert!(places.0.lock().peers.is_empty());
    }

    #[test]
    fn network_of_an_ipv6_peer_counts_as_one_peer() {
        assert_eq!(peer("2001:db8::1"), peer("2001:db8::ffff"));
        assert_ne!(peer("2001:db8::1"), peer("2001:db8:0:1::1"));
        assert_eq!(peer("::ffff:10.0.0.1"), peer("10.0.0.1"));
    }

    #[test]
    fn repeated_line_is_logged_seldom_with_a_count() {
        let (mut seldom, begin) = (Seldom::default(), raddle::time::now());
        assert_eq!(seldom.due(begin).as_deref(), Some(""));
        for second in 1..10 {
            assert_eq!(seldom.due(begin + Duration::from_secs(second)), None);
        }
        let line = seldom.due(begin + Duration::from_secs(10));
        assert_eq!(line.as_deref(), Some("; 9 more since the last such line"));
    }
}
