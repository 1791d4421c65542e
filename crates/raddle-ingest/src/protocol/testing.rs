//! A connection of a test: bytes that arrive in any pieces, a protocol, and its output.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use super::interface::{Ending, Io, Protocol};
use super::lines::LineOptions;
use crate::books::SourceId;
use crate::message::{Content, Parcel};
use crate::settlement::{Acknowledge, Failure, Settlement};

/// The options of most tests.
pub(crate) fn line_options() -> LineOptions {
    LineOptions { max_message: 100, zone: jiff::tz::TimeZone::UTC }
}

struct Ignore;

impl Acknowledge for Ignore {
    fn settle(&self, _connection: u64, _ticket: u64, _settlement: Settlement) {}

    fn flush(&self) {}
}

/// A protocol and its output.
pub(crate) struct Wire<P> {
    pub(crate) protocol: P,
    /// The bytes that the protocol has not consumed.
    pub(crate) rest: Vec<u8>,
    /// Parcels that are not settled.
    pub(crate) parcels: Vec<Parcel>,
    /// The messages of all parcels: a text, or the reason, the length and the bytes of a rejected one.
    pub(crate) messages: Vec<String>,
    pub(crate) out: Vec<u8>,
    pub(crate) close: bool,
    /// The largest amount of memory that was used.
    pub(crate) memory: usize,
}

impl<P: Protocol> Wire<P> {
    pub(crate) fn new(protocol: P) -> Self {
        Self {
            protocol,
            rest: Vec::new(),
            parcels: Vec::new(),
            messages: Vec::new(),
            out: Vec::new(),
            close: false,
            memory: 0,
        }
    }

    fn with<R>(&mut self, act: impl FnOnce(&mut P, &mut Io<'_>) -> R) -> R {
        let peer: Arc<str> = "peer".into();
        let acknowledge: Arc<dyn Acknowledge> = Arc::new(Ignore);
        let mut io = Io {
            source: SourceId::FIRST,
            peer: &peer,
            received: UNIX_EPOCH + Duration::from_secs(1_700_000_000),
            connection: 0,
            acknowledge: &acknowledge,
            parcels: Vec::new(),
            out: Vec::new(),
            close: false,
            doubtful: 0,
        };
        let result = act(&mut self.protocol, &mut io);
        self.out.append(&mut io.out);
        self.close |= io.close;
        let texts = io.parcels.iter().flat_map(Parcel::rows).map(|row| match row.content {
            Content::Text(text, _) => text.to_owned(),
            Content::Rejected { reason, length, bytes } => {
                format!("{reason}, {length}: {}", String::from_utf8_lossy(bytes))
            }
        });
        self.messages.extend(texts);
        self.parcels.append(&mut io.parcels);
        self.memory = self.memory.max(self.protocol.memory() + self.rest.len());
        result
    }

    /// Lets bytes arrive.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        let rest = std::mem::take(&mut self.rest);
        let consumed = self.with(|protocol, io| protocol.receive(&rest, io));
        self.rest = rest[consumed..].to_vec();
        self.memory = self.memory.max(self.protocol.memory() + self.rest.len());
    }

    /// Settles the oldest parcel as committed.
    pub(crate) fn commit(&mut self) {
        let parcel = self.parcels.remove(0);
        let rejected = parcel.rows().enumerate().filter_map(|(index, row)| match row.content {
            Content::Text(..) => None,
            Content::Rejected { reason, .. } => Some((index, reason.to_string())),
        });
        let rejected: Vec<(usize, String)> = rejected.collect();
        let stored = (parcel.len() - rejected.len()) as u64;
        let ticket = parcel.receipt().expect("a receipt").ticket();
        self.settle(ticket, &Settlement { stored, rejected, ..Settlement::default() });
    }

    /// Settles every parcel as committed.
    pub(crate) fn commit_all(&mut self) {
        while !self.parcels.is_empty() {
            self.commit();
        }
    }

    /// Settles the parcel at `index` as failed.
    pub(crate) fn fail(&mut self, index: usize, failure: Failure) {
        let ticket = self.parcels.remove(index).receipt().expect("a receipt").ticket();
        self.settle(ticket, &Settlement { failure: Some(failure), ..Settlement::default() });
    }

    pub(crate) fn settle(&mut self, ticket: u64, settlement: &Settlement) {
        self.with(|protocol, io| protocol.settled(ticket, settlement, io));
    }

    pub(crate) fn drain(&mut self) {
        self.with(Protocol::drain);
    }

    pub(crate) fn end(&mut self, ending: Ending) {
        let rest = std::mem::take(&mut self.rest);
        self.with(|protocol, io| protocol.end(&rest, ending, io));
    }

    /// Returns the bytes that were written since the last call.
    pub(crate) fn written(&mut self) -> String {
        String::from_utf8(std::mem::take(&mut self.out)).expect("replies are text")
    }
}

/// Splits bytes after the positions, each taken modulo the length of the rest.
pub(crate) fn pieces<'a>(bytes: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let (mut rest, mut pieces) = (bytes, Vec::new());
    for length in lengths {
        let (piece, behind) = rest.split_at(length % (rest.len() + 1));
        pieces.push(piece);
        rest = behind;
    }
    pieces.push(rest);
    pieces
}

/// Returns the number of random inputs per property: that of `RADDLE_FUZZ_INPUTS`, or `short`.
pub(crate) fn inputs(short: u32) -> u32 {
    std::env::var("RADDLE_FUZZ_INPUTS").ok().and_then(|text| text.parse().ok()).unwrap_or(short)
}
