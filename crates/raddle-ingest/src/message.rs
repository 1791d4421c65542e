//! Messages on their way from a source to a sink.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::books::SourceId;
use crate::settlement::Receipt;

/// Messages of one peer that arrived together: those of one read, one datagram or one request.
///
/// A parcel is the unit that is enqueued, and that is acknowledged if it has a [`Receipt`].
///
/// # Examples
/// ```
/// use std::time::SystemTime;
///
/// use raddle_ingest::{Books, Content, Parcel, Reason};
///
/// let source = Books::new().open("tcp");
/// let mut parcel = Parcel::new(source, "127.0.0.1:40312".into(), SystemTime::now());
/// parcel.push_text("hello");
/// parcel.push_rejected(Reason::NotUtf8, 2, vec![0xff, 0xfe]);
///
/// assert_eq!((parcel.len(), parcel.bytes()), (2, 7));
/// assert!(matches!(parcel.row(0).content, Content::Text("hello", _)));
/// assert!(matches!(parcel.row(1).content, Content::Rejected { reason: Reason::NotUtf8, .. }));
/// ```
#[derive(Debug)]
pub struct Parcel {
    source: SourceId,
    peer: Arc<str>,
    received: i64,
    /// The texts of all messages, one after the other.
    texts: String,
    records: Vec<Record>,
    sequence: Option<Sequence>,
    receipt: Option<Receipt>,
    /// The number of rejected messages, and their bytes, which are not in `texts`.
    rejected: usize,
    rejected_bytes: usize,
}

/// A message of a parcel.
#[derive(Debug)]
enum Record {
    Text { range: Range<u32>, header: Spans },
    Rejected(Box<Rejected>),
}

#[derive(Debug)]
struct Rejected {
    reason: Reason,
    length: u64,
    bytes: Vec<u8>,
}

/// The numbers that a sender gives to its messages, for exactly-once delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// The name under which the sender numbers its messages.
    pub sender: Arc<str>,
    /// The number of the first message of the parcel. The sender counts from 1, without gaps.
    pub first: u64,
}

/// The reason why a source rejects a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Longer than the limit; only the beginning is stored.
    Oversized,
    /// Not valid UTF-8.
    NotUtf8,
    /// Contains NUL, which SQL functions and tools would treat as the end of the text.
    ContainsNul,
    /// Neither a string nor an object in JSON, where one of them is expected.
    NotJson,
    /// The connection was lost, or the source was stopped, before the end of the message.
    Incomplete,
}

impl Reason {
    const ALL: [Self; 5] =
        [Self::Oversized, Self::NotUtf8, Self::ContainsNul, Self::NotJson, Self::Incomplete];

    /// Returns the reason that is displayed as this text.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.to_string() == text)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Oversized => "oversized",
            Reason::NotUtf8 => "not UTF-8",
            Reason::ContainsNul => "contains NUL",
            Reason::NotJson => "not a JSON string or object",
            Reason::Incomplete => "incomplete",
        })
    }
}

/// The columns that are parsed from a syslog message. Each is absent if the message does not have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header<'a> {
    /// The facility, 0 to 23.
    pub facility: Option<u8>,
    /// The severity, 0 (emergency) to 7 (debug).
    pub severity: Option<u8>,
    /// The sender's time in microseconds since 1970, UTC.
    pub sent: Option<i64>,
    /// The host.
    pub host: Option<&'a str>,
    /// The application.
    pub app: Option<&'a str>,
    /// The process id.
    pub process: Option<&'a str>,
    /// The type of the message.
    pub message_id: Option<&'a str>,
    /// The text without the header; the whole text if there is no header.
    pub body: &'a str,
}

/// A [`Header`] as positions in the text of the message.
#[derive(Debug)]
struct Spans {
    facility: Option<u8>,
    severity: Option<u8>,
    sent: Option<i64>,
    host: Span,
    app: Span,
    process: Span,
    message_id: Span,
    body: Span,
}

/// A part of a text: where it begins, and its length; absent if it begins at `u32::MAX`.
#[derive(Clone, Copy, Debug)]
struct Span(u32, u32);

impl Span {
    const ABSENT: Self = Self(u32::MAX, 0);

    /// Returns where `part`, a slice of `text`, is in it.
    fn of(part: &str, text: &str) -> Self {
        let begin = (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize);
        match begin {
            Some(begin) if begin + part.len() <= text.len() => Self(to_u32(begin), to_u32(part.len())),
            _ if part.is_empty() => Self(0, 0),
            _ => unreachable!("the columns of a message are slices of its text"),
        }
    }

    fn get(self, text: &str) -> Option<&str> {
        (self.0 != u32::MAX).then(|| &text[self.0 as usize..self.0 as usize + self.1 as usize])
    }
}

fn to_u32(number: usize) -> u32 {
    u32::try_from(number).expect("a parcel is smaller than 4 GiB")
}

/// One message, as a sink stores it.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The time at which the last bytes of the message were read, in microseconds since 1970, UTC.
    pub received: i64,
    /// The source in the books.
    pub source: SourceId,
    /// The sender, as the source names its peers: `127.0.0.1:40312`.
    pub peer: &'a str,
    /// The sender's name and the number of the message, if the sender numbers its messages.
    pub sequence: Option<(&'a str, u64)>,
    /// The text or the rejected bytes.
    pub content: Content<'a>,
}

/// The content of a message.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// A valid text, and the columns parsed from it.
    Text(&'a str, Header<'a>),
    /// Bytes that a source rejected.
    Rejected {
        /// The reason.
        reason: Reason,
        /// The length of the whole message in bytes.
        length: u64,
        /// The bytes of the message, up to the length limit.
        bytes: &'a [u8],
    },
}

impl Parcel {
    /// Creates an empty parcel.
    pub fn new(source: SourceId, peer: Arc<str>, received: SystemTime) -> Self {
        Self {
            source,
            peer,
            received: micros(received),
            texts: String::new(),
            records: Vec::new(),
            sequence: None,
            receipt: None,
            rejected: 0,
            rejected_bytes: 0,
        }
    }

    /// Adds a message that has no header.
    pub fn push_text(&mut self, text: &str) {
        self.push(text, |body| Header { body, ..Header::default() });
    }

    /// Adds a message, with the columns that `parse` finds in it.
    ///
    /// # Panics
    /// Panics if a column is not a part of the text that is passed to `parse`.
    pub fn push(&mut self, text: &str, parse: impl FnOnce(&str) -> Header<'_>) {
        let begin = self.texts.len();
        self.texts.push_str(text);
        let text = &self.texts[begin..];
        let header = parse(text);
        let span = |part: Option<&str>| part.map_or(Span::ABSENT, |part| Span::of(part, text));
        let header = Spans {
            facility: header.facility,
            severity: header.severity,
            sent: header.sent,
            host: span(header.host),
            app: span(header.app),
            process: span(header.process),
            message_id: span(header.message_id),
            body: Span::of(header.body, text),
        };
        let range = to_u32(begin)..to_u32(self.texts.len());
        self.records.push(Record::Text { range, header });
    }

    /// Adds a rejected message of `length` bytes, of which `bytes` are kept.
    pub fn push_rejected(&mut self, reason: Reason, length: u64, bytes: Vec<u8>) {
        self.rejected += 1;
        self.rejected_bytes += bytes.len();
        self.records.push(Record::Rejected(Box::new(Rejected { reason, length, bytes })));
    }

    /// Sets the numbers that the sender gave to the messages.
    pub fn set_sequence(&mut self, sequence: Sequence) {
        self.sequence = Some(sequence);
    }

    /// Sets the receipt that is settled once the messages are stored.
    pub fn set_receipt(&mut self, receipt: Receipt) {
        self.receipt = Some(receipt);
    }

    /// Returns the receipt, if the parcel is acknowledged.
    pub fn receipt(&self) -> Option<&Receipt> {
        self.receipt.as_ref()
    }

    /// Returns the numbers that the sender gave to the messages, if any.
    pub fn sequence(&self) -> Option<&Sequence> {
        self.sequence.as_ref()
    }

    /// Returns the source.
    pub fn source(&self) -> SourceId {
        self.source
    }

    /// Returns the number of messages.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Returns whether there are no messages.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Returns the number of bytes of all messages that are kept.
    pub fn bytes(&self) -> usize {
        self.texts.len() + self.rejected_bytes
    }

    /// Returns the message at `index`.
    ///
    /// # Panics
    /// Panics if the parcel has no message at `index`.
    pub fn row(&self, index: usize) -> Row<'_> {
        let content = match &self.records[index] {
            Record::Text { range, header } => {
                let text = &self.texts[range.start as usize..range.end as usize];
                Content::Text(text, header.get(text))
            }
            Record::Rejected(it) => {
                Content::Rejected { reason: it.reason, length: it.length, bytes: &it.bytes }
            }
        };
        let sequence = self.sequence.as_ref().map(|it| (&*it.sender, it.first + index as u64));
        Row { received: self.received, source: self.source, peer: &self.peer, sequence, content }
    }

    /// Returns the messages in order.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        (0..self.len()).map(|index| self.row(index))
    }

    /// Returns the messages that the source rejected: their index and the reason.
    pub fn rejected(&self) -> impl Iterator<Item = (usize, Reason)> {
        let records = if self.rejected == 0 { &[][..] } else { &self.records[..] };
        records.iter().enumerate().filter_map(|(index, record)| match record {
            Record::Text { .. } => None,
            Record::Rejected(it) => Some((index, it.reason)),
        })
    }

    /// Returns how many of the first messages have at most so many bytes together, and are no more than `messages`.
    pub(crate) fn fitting(&self, messages: usize, bytes: usize) -> usize {
        let mut left = bytes;
        let fits = |record: &&Record| {
            let bytes = match record {
                Record::Text { range, .. } => (range.end - range.start) as usize,
                Record::Rejected(it) => it.bytes.len(),
            };
            let rest = left.checked_sub(bytes);
            left = rest.unwrap_or(0);
            rest.is_some()
        };
        self.records.iter().take(messages).take_while(fits).count()
    }

    /// Splits off the messages from `index` on, unless the parcel is acknowledged as a whole.
    pub(crate) fn split_off(&mut self, index: usize) -> Option<Self> {
        if self.receipt.is_some() || index == 0 || index >= self.len() {
            return None;
        }
        let mut rest = Self::new(self.source, self.peer.clone(), UNIX_EPOCH);
        rest.received = self.received;
        rest.sequence = self.sequence.clone().map(|it| Sequence { first: it.first + index as u64, ..it });
        rest.records = self.records.split_off(index);
        let cut = rest.records.iter().find_map(|record| match record {
            Record::Text { range, .. } => Some(range.start),
            Record::Rejected(_) => None,
        });
        let cut = cut.unwrap_or_else(|| to_u32(self.texts.len()));
        rest.texts = self.texts.split_off(cut as usize);
        for record in &mut rest.records {
            match record {
                Record::Text { range, .. } => *range = range.start - cut..range.end - cut,
                Record::Rejected(it) => {
                    rest.rejected += 1;
                    rest.rejected_bytes += it.bytes.len();
                }
            }
        }
        self.rejected -= rest.rejected;
        self.rejected_bytes -= rest.rejected_bytes;
        Some(rest)
    }
}

impl Spans {
    fn get<'a>(&self, text: &'a str) -> Header<'a> {
        Header {
            facility: self.facility,
            severity: self.severity,
            sent: self.sent,
            host: self.host.get(text),
            app: self.app.get(text),
            process: self.process.get(text),
            message_id: self.message_id.get(text),
            body: self.body.get(text).unwrap_or(text),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parcel() -> Parcel {
        let mut parcel = Parcel::new(SourceId::FIRST, "peer".into(), UNIX_EPOCH);
        parcel.set_sequence(Sequence { sender: "s".into(), first: 7 });
        parcel.push_text("one");
        parcel.push_rejected(Reason::NotUtf8, 2, vec![0xff, 0xfe]);
        parcel.push("<1>two three", |text| Header {
            severity: Some(1),
            host: Some(&text[3..6]),
            body: &text[7..],
            ..Header::default()
        });
        parcel.push_text("é");
        parcel
    }

    fn shown(parcel: &Parcel) -> Vec<String> {
        parcel.rows().map(|row| format!("{row:?}")).collect()
    }

    #[test]
    fn split_parcel_has_the_same_rows() {
        let whole = shown(&parcel());
        for index in 1..4 {
            let mut front = parcel();
            let back = front.split_off(index).unwrap();
            assert_eq!((front.len(), back.len()), (index, 4 - index));
            assert_eq!(front.bytes() + back.bytes(), parcel().bytes());
            assert_eq!([shown(&front), shown(&back)].concat(), whole, "split at {index}");
            assert_eq!(front.rejected().count() + back.rejected().count(), 1);
        }
        assert!(parcel().split_off(0).is_none());
        assert!(parcel().split_off(4).is_none());
    }

    #[test]
    fn columns_are_parts_of_the_text() {
        let parcel = parcel();
        let Content::Text(text, header) = parcel.row(2).content else { panic!("a text") };
        assert_eq!((text, header.host, header.body), ("<1>two three", Some("two"), "three"));
        assert_eq!(parcel.row(2).sequence, Some(("s", 9)));
    }
}
