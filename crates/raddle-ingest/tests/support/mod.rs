//! Helpers of all test binaries of this package.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part of this")]

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use raddle::Thread;
use raddle::thread::{self, JoinError, JoinTimeoutError};
use raddle_ingest::{Parcel, Unstored};

/// Longer than any scenario takes, even on a busy machine.
pub const LIMIT: Duration = Duration::from_mins(4);

/// Runs `body`, which must return within [`LIMIT`]. A hang is a failure instead of a hung test run.
pub fn within_limit(body: impl FnOnce() + Send + 'static) {
    let handle = Thread::new(body).daemon(true).start().expect("a thread for the test");
    match handle.join_timeout(LIMIT) {
        Ok(()) => {}
        Err(JoinTimeoutError::TimedOut(_)) => panic!("still running after {LIMIT:?}"),
        Err(JoinTimeoutError::Failed(JoinError::Panicked(panic))) => {
            std::panic::resume_unwind(panic.into_payload())
        }
        Err(JoinTimeoutError::Failed(error)) => panic!("{error}"),
    }
}

/// Yields to other threads until `condition` holds, which must happen within [`LIMIT`].
#[track_caller]
pub fn until(condition: impl Fn() -> bool) {
    let deadline = raddle::time::now() + LIMIT;
    while !condition() {
        assert!(raddle::time::now() < deadline, "the awaited state did not come about within {LIMIT:?}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Returns an address that no other test uses, with port 0: each call has an address of its own in the loopback network.
///
/// Outgoing connections have the address 127.0.0.1. So a port that is chosen here stays free once its listener is closed: no connection and no
/// other listener gets it.
pub fn own_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let number = u32::from(NEXT.fetch_add(1, Ordering::Relaxed)) + 1;
    let [_, _, high, low] = number.to_be_bytes();
    let process = u8::try_from(std::process::id() % 250).expect("less than 250");
    SocketAddr::from(([127, process + 1, high, low], 0))
}

/// Returns an address with a port on which nothing listens.
pub fn free_address() -> SocketAddr {
    TcpListener::bind(own_address()).and_then(|it| it.local_addr()).expect("a port")
}

/// Keeps no messages, for tests in which the sink stores all of them. Others count as lost.
pub struct Nowhere;

impl Unstored for Nowhere {
    fn add(&mut self, parcels: &[&Parcel]) -> std::io::Result<()> {
        Err(std::io::Error::other(format!("{} parcels are not stored", parcels.len())))
    }

    fn place(&self) -> String {
        "nowhere".to_owned()
    }
}
