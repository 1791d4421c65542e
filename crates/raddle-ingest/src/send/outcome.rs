//! How far sending is, and how it ended.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::latency::Latency;

/// How far [`send`](crate::send::send) is.
#[derive(Debug, Default)]
pub struct SendProgress {
    sent: AtomicU64,
    acknowledged: AtomicU64,
    resent: AtomicU64,
}

impl SendProgress {
    /// Returns the number of messages that were passed to the operating system, each counted once.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Returns the number of messages that the receiver acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Returns the number of messages that were sent again.
    pub fn resent(&self) -> u64 {
        self.resent.load(Ordering::Relaxed)
    }

    pub(crate) fn add_sent(&self, messages: u64) {
        self.sent.fetch_add(messages, Ordering::Relaxed);
    }

    pub(crate) fn add_acknowledged(&self, messages: u64) {
        self.acknowledged.fetch_add(messages, Ordering::Relaxed);
    }

    pub(crate) fn add_resent(&self, messages: u64) {
        self.resent.fetch_add(messages, Ordering::Relaxed);
    }
}

/// The outcomes of the messages that were sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SendReport {
    /// Messages that were sent, each counted once.
    pub sent: u64,
    /// Messages that the receiver acknowledged.
    pub acknowledged: u64,
    /// Of the acknowledged messages, those that the receiver had stored before, under the same numbers.
    pub duplicates: u64,
    /// Of the acknowledged messages, those that the receiver stored as rejected.
    pub rejected: u64,
    /// Messages that were sent again, as often as they were.
    pub resent: u64,
    /// Connections that were lost and established again.
    pub reconnections: u64,
    /// The time from sending a message, the last time, to its acknowledgement.
    pub latency: Latency,
    /// The time that it took.
    pub time: Duration,
}

impl SendReport {
    pub(crate) fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.acknowledged += other.acknowledged;
        self.duplicates += other.duplicates;
        self.rejected += other.rejected;
        self.resent += other.resent;
        self.reconnections += other.reconnections;
        self.latency.merge(&other.latency);
        self.time = self.time.max(other.time);
    }
}

/// The error of [`send`](crate::send::send): not all messages were sent, or not all were acknowledged.
#[derive(Debug)]
pub struct SendError {
    stage: Stage,
    error: io::Error,
}

/// The stage that failed.
#[derive(Debug)]
pub(crate) enum Stage {
    /// The name of the receiver.
    Address,
    Connecting {
        connection: u64,
    },
    /// Messages that are not acknowledged.
    Sending {
        connection: u64,
        done: u64,
        all: u64,
    },
    /// Messages that are acknowledged.
    Acknowledging {
        connection: u64,
        done: u64,
        all: u64,
    },
    Running,
}

impl SendError {
    pub(crate) fn new(stage: Stage, error: impl Into<io::Error>) -> Self {
        Self { stage, error: error.into() }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = &self.error;
        match self.stage {
            Stage::Address => write!(f, "cannot resolve the address: {error}"),
            Stage::Connecting { connection } => {
                write!(f, "connection {connection} could not be established: {error}")
            }
            Stage::Sending { connection, done, all } => {
                write!(f, "connection {connection} ")?;
                match error.kind() {
                    io::ErrorKind::BrokenPipe
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::NotConnected => f.write_str("was closed early by the peer")?,
                    _ => write!(f, "failed: {error}")?,
                }
                write!(f, " after {done} of {all} messages, of which the peer may have read fewer")
            }
            Stage::Acknowledging { connection, done, all } => {
                write!(
                    f,
                    "connection {connection} failed: {error}; {done} of {all} messages are acknowledged"
                )
            }
            Stage::Running => error.fmt(f),
        }
    }
}

impl std::error::Error for SendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}
