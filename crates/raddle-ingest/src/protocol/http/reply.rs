//! Responses.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use serde::Serialize;

/// A response, without the headers that depend on the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// The type of the body.
    pub(crate) kind: &'static str,
    /// Further headers.
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// The connection ends with this response, since the bytes behind the request cannot be interpreted or are not
    /// accepted.
    pub(crate) close: bool,
}

/// The statuses of this program's responses, and their names.
const STATUSES: [(u16, &str); 14] = [
    (200, "OK"),
    (400, "Bad Request"),
    (401, "Unauthorized"),
    (404, "Not Found"),
    (405, "Method Not Allowed"),
    (409, "Conflict"),
    (411, "Length Required"),
    (413, "Content Too Large"),
    (415, "Unsupported Media Type"),
    (417, "Expectation Failed"),
    (431, "Request Header Fields Too Large"),
    (501, "Not Implemented"),
    (503, "Service Unavailable"),
    (505, "HTTP Version Not Supported"),
];

/// The numbers of responses by status. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Responses(Arc<[AtomicU64; STATUSES.len()]>);

impl Responses {
    /// Returns each status, and the number of responses with it.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (u16, u64)> {
        let counts = self.0.iter().map(|it| it.load(Ordering::Relaxed));
        STATUSES.iter().map(|(status, _)| *status).zip(counts)
    }

    fn count(&self, status: u16) {
        if let Some(index) = STATUSES.iter().position(|(known, _)| *known == status) {
            self.0[index].fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// How a response is written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Style {
    /// The request had the method HEAD: the body is omitted.
    pub(crate) head: bool,
    /// The client uses HTTP/1.0.
    pub(crate) old: bool,
    /// The connection ends with this response.
    pub(crate) close: bool,
}

impl Response {
    pub(crate) fn new(status: u16, kind: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, kind, headers: Vec::new(), body: body.into(), close: false }
    }

    pub(crate) fn text(status: u16, text: impl Into<String>) -> Self {
        let mut text: String = text.into();
        text.push('\n');
        Self::new(status, "text/plain; charset=utf-8", text)
    }

    pub(crate) fn json(status: u16, value: &impl Serialize) -> Self {
        let mut body = serde_json::to_vec(value).unwrap_or_default();
        body.push(b'\n');
        Self::new(status, "application/json", body)
    }

    /// Creates the response to a request that is refused, with the reason.
    pub(crate) fn refusal(status: u16, reason: impl Into<String>) -> Self {
        Self::json(status, &BTreeMap::from([("error", reason.into())]))
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Makes this the last response of the connection.
    pub(crate) fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    /// Appends the response to `out`.
    pub(crate) fn write(&self, style: Style, now: SystemTime, responses: &Responses, out: &mut Vec<u8>) {
        debug_assert!(STATUSES.iter().any(|(known, _)| *known == self.status), "the status is listed");
        responses.count(self.status);
        let version = if style.old { "HTTP/1.0" } else { "HTTP/1.1" };
        let date = date(now);
        let mut head = format!(
            "{version} {} {}\r\nDate: {date}\r\nContent-Type: {}\r\nContent-Length: {}\r\n",
            self.status,
            reason(self.status),
            self.kind,
            self.body.len()
        );
        for (name, value) in &self.headers {
            head.push_str(name);
            head.push_str(": ");
            head.push_str(value);
            head.push_str("\r\n");
        }
        if style.close || self.close {
            head.push_str("Connection: close\r\n");
        } else if style.old {
            head.push_str("Connection: keep-alive\r\n");
        }
        let written = write!(out, "{head}\r\n");
        debug_assert!(written.is_ok(), "memory can be written");
        if !style.head {
            out.extend_from_slice(&self.body);
        }
    }
}

fn date(now: SystemTime) -> String {
    let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
    let timestamp = jiff::Timestamp::try_from(now).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    printer.timestamp_to_rfc9110_string(&timestamp).unwrap_or_default()
}

fn reason(status: u16) -> &'static str {
    STATUSES.iter().find(|(known, _)| *known == status).map_or("Unknown", |(_, name)| name)
}
