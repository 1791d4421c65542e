//! What travels from the source to the sink.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A message as it came in: when, from whom, and its text or why it is not stored as one.
///
/// It has no number yet: the sink gives it one that the database has never seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When the bytes that completed the message were read.
    pub received: SystemTime,
    /// Who sent it, as the source names its peers: `127.0.0.1:40312`.
    pub peer: Arc<str>,
    /// The text, or what came instead of one.
    pub content: Content,
}

/// The text of a message, or what came instead of one.
pub type Content = Result<String, Rejected>;

/// A message that is kept with the reason why it is no text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Why.
    pub reason: Reason,
    /// How many bytes the message had, those included that were not kept.
    pub length: u64,
    /// What was there, up to the limit for a message.
    pub bytes: Vec<u8>,
}

/// Why a message is kept among the rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// It was longer than the limit; only the beginning is kept.
    Oversized,
    /// It was not valid UTF-8.
    NotUtf8,
    /// It had a NUL in it, at which SQL functions and tools would take the text to end.
    ContainsNul,
    /// It broke off: the connection was lost, or the program stopped in its middle.
    Incomplete,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Oversized => "oversized",
            Reason::NotUtf8 => "not UTF-8",
            Reason::ContainsNul => "contains NUL",
            Reason::Incomplete => "incomplete",
        })
    }
}

/// Microseconds since 1970-01-01 00:00 UTC; before that, less than 0.
pub(crate) fn micros(time: SystemTime) -> i64 {
    let number = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => number(after),
        Err(before) => -number(before.duration()),
    }
}
