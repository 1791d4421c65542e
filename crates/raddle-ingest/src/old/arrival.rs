//! Messages on their way from the source to the sink.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A received message: its time, its peer, and its text or the reason why it is rejected.
///
/// It has no id yet: the sink assigns one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The time at which the last bytes of the message were read.
    pub received: SystemTime,
    /// The sender, as the source names its peers: `127.0.0.1:40312`.
    pub peer: Arc<str>,
    /// The text, or the rejected bytes.
    pub content: Content,
}

/// The text of a message, or its rejected bytes.
pub type Content = Result<String, Rejected>;

/// A message that is not valid text, with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The reason.
    pub reason: Reason,
    /// The length of the whole message in bytes.
    pub length: u64,
    /// The bytes of the message, up to the length limit.
    pub bytes: Vec<u8>,
}

/// The reason why a message is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Longer than the limit; only the beginning is stored.
    Oversized,
    /// Not valid UTF-8.
    NotUtf8,
    /// Contains NUL, which SQL functions and tools would treat as the end of the text.
    ContainsNul,
    /// The connection was lost, or the source was stopped, before the end of the line.
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

/// Returns the microseconds since 1970-01-01 00:00 UTC, negative before.
pub(crate) fn micros(time: SystemTime) -> i64 {
    let number = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => number(after),
        Err(before) => -number(before.duration()),
    }
}
