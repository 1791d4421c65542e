//! Helpers of all test binaries of this package.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part of this")]

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
