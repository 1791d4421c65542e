//! A part of a batch, in PostgreSQL's binary COPY format.

use std::ops::Range;
use std::sync::Arc;

use crate::message::{Content, Header, Parcel, Row, Sequence};

/// The columns of the two tables, in the order of the encoded fields.
pub(super) const MESSAGE_COLUMNS: &str = "received, source, peer, sent, facility, severity, host, app, process, message_id, body_from, body_length, text";
pub(super) const REJECTED_COLUMNS: &str = "received, source, peer, reason, length, bytes";

/// The beginning and the end of a COPY.
pub(super) const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
pub(super) const TRAILER: &[u8] = &(-1i16).to_be_bytes();

/// Microseconds from 1970, the epoch of this crate, to 2000, the epoch of PostgreSQL.
const EPOCH: i64 = 946_684_800_000_000;

/// Messages that one transaction stores, encoded once and sent as often as necessary.
#[derive(Debug, Default)]
pub(super) struct Part {
    data: Vec<u8>,
    rows: Vec<EncodedRow>,
    numbered: Vec<Numbered>,
}

#[derive(Debug)]
struct EncodedRow {
    /// Its index in the batch.
    index: usize,
    table: Table,
    end: usize,
}

/// The table that a row belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Messages,
    Rejected,
}

/// A parcel whose sender numbers its messages.
#[derive(Debug)]
pub(super) struct Numbered {
    pub(super) sequence: Sequence,
    /// Its rows in the part.
    pub(super) rows: Range<usize>,
}

impl Part {
    /// Adds a parcel, of which the first message has `index` in the batch. `source` is the name of its source.
    pub(super) fn push(&mut self, parcel: &Parcel, index: usize, source: &str) {
        let begin = self.rows.len();
        self.data.reserve(parcel.bytes() + 160 * parcel.len());
        for (row, index) in parcel.rows().zip(index..) {
            let table = encode(&mut self.data, &row, source);
            self.rows.push(EncodedRow { index, table, end: self.data.len() });
        }
        if let Some(sequence) = parcel.sequence() {
            self.numbered.push(Numbered { sequence: sequence.clone(), rows: begin..self.rows.len() });
        }
    }

    /// Returns the number of rows.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns the index in the batch of a row.
    pub(super) fn index(&self, row: usize) -> usize {
        self.rows[row].index
    }

    /// Returns the table that a row belongs to.
    pub(super) fn table(&self, row: usize) -> Table {
        self.rows[row].table
    }

    /// Returns the parcels whose senders number their messages, in order.
    pub(super) fn numbered(&self) -> &[Numbered] {
        &self.numbered
    }

    /// Returns the senders of numbered parcels, each once, in their order by name.
    pub(super) fn senders(&self) -> Vec<Arc<str>> {
        let mut senders: Vec<_> = self.numbered.iter().map(|it| it.sequence.sender.clone()).collect();
        senders.sort();
        senders.dedup();
        senders
    }

    /// Returns the encoded row.
    pub(super) fn bytes(&self, row: usize) -> &[u8] {
        let begin = row.checked_sub(1).map_or(0, |before| self.rows[before].end);
        &self.data[begin..self.rows[row].end]
    }

    /// Returns the bytes of the rows, which are ascending: adjacent rows as one slice.
    pub(super) fn slices<'a>(&'a self, rows: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
        rows.chunk_by(|one, next| one + 1 == *next).map(|run| {
            let begin = run[0].checked_sub(1).map_or(0, |before| self.rows[before].end);
            &self.data[begin..self.rows[run[run.len() - 1]].end]
        })
    }

    /// Encodes a message that the database refused as a row of the rejected messages.
    pub(super) fn encode_refused(&self, row: usize, reason: &str, data: &mut Vec<u8>) {
        let fields: Vec<Option<&[u8]>> = Fields(&self.bytes(row)[2..]).collect();
        let text = fields[fields.len() - 1].unwrap_or_default();
        count(data, 6);
        field(data, fields[0]);
        field(data, fields[1]);
        field(data, fields[2]);
        field(data, Some(reason.as_bytes()));
        field(data, Some(&(text.len() as u64).to_be_bytes()));
        field(data, Some(text));
    }
}

/// Encodes a row, and returns the table that it belongs to.
fn encode(data: &mut Vec<u8>, row: &Row<'_>, source: &str) -> Table {
    let columns = |data: &mut Vec<u8>| {
        field(data, Some(&time(row.received)));
        field(data, Some(source.as_bytes()));
        field(data, Some(row.peer.as_bytes()));
    };
    match row.content {
        Content::Text(text, Header { facility, severity, sent, host, app, process, message_id, body }) => {
            count(data, 13);
            columns(data);
            field(data, sent.map(time).as_ref().map(<[u8; 8]>::as_slice));
            for number in [facility, severity] {
                field(data, number.map(|it| [0, it]).as_ref().map(<[u8; 2]>::as_slice));
            }
            for part in [host, app, process, message_id] {
                field(data, part.map(str::as_bytes));
            }
            let (from, length) = place(body, text);
            for number in [from, length] {
                field(data, number.map(i32::to_be_bytes).as_ref().map(<[u8; 4]>::as_slice));
            }
            field(data, Some(text.as_bytes()));
            Table::Messages
        }
        Content::Rejected { reason, length, bytes } => {
            count(data, 6);
            columns(data);
            field(data, Some(reason.to_string().as_bytes()));
            field(data, Some(&length.min(i64::MAX as u64).to_be_bytes()));
            field(data, Some(bytes));
            Table::Rejected
        }
    }
}

/// Returns where the body is in the text, in characters: its first, if that is not the first of the text, and its length, if text follows.
fn place(body: &str, text: &str) -> (Option<i32>, Option<i32>) {
    let begin = body.as_ptr().addr().wrapping_sub(text.as_ptr().addr());
    let Some(end) = begin.checked_add(body.len()).filter(|end| *end <= text.len()) else {
        return (None, None);
    };
    let count = |text: &str| i32::try_from(text.chars().count()).expect("a message is smaller than 2 GiB");
    let length = (end < text.len()).then(|| count(body));
    let from = (begin > 0 || length.is_some()).then(|| count(&text[..begin]) + 1);
    (from, length)
}

fn count(data: &mut Vec<u8>, fields: i16) {
    data.extend_from_slice(&fields.to_be_bytes());
}

fn field(data: &mut Vec<u8>, bytes: Option<&[u8]>) {
    let Some(bytes) = bytes else { return data.extend_from_slice(&(-1i32).to_be_bytes()) };
    let length = i32::try_from(bytes.len()).expect("a message is smaller than 2 GiB");
    data.extend_from_slice(&length.to_be_bytes());
    data.extend_from_slice(bytes);
}

/// Converts microseconds since 1970 into PostgreSQL's form.
fn time(micros: i64) -> [u8; 8] {
    micros.saturating_sub(EPOCH).to_be_bytes()
}

/// The fields of an encoded row, behind their count.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        let (length, rest) = self.0.split_first_chunk::<4>()?;
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            self.0 = rest;
            return Some(None);
        };
        let (bytes, rest) = rest.split_at(length);
        self.0 = rest;
        Some(Some(bytes))
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::books::SourceId;
    use crate::message::Reason;

    fn part() -> Part {
        let mut parcel = Parcel::new(SourceId::FIRST, "peer".into(), UNIX_EPOCH);
        parcel.push_text("one");
        parcel.push_rejected(Reason::NotUtf8, 2, vec![0xff, 0xfe]);
        parcel.push("<1>two three", |text| Header {
            severity: Some(1),
            sent: Some(EPOCH),
            host: Some(&text[3..6]),
            body: &text[7..],
            ..Header::default()
        });
        let mut part = Part::default();
        part.push(&parcel, 40, "tcp");
        part
    }

    fn fields(row: &[u8]) -> Vec<Option<&[u8]>> {
        let fields: Vec<_> = Fields(&row[2..]).collect();
        assert_eq!(row[..2], i16::try_from(fields.len()).unwrap().to_be_bytes());
        fields
    }

    #[test]
    fn row_has_the_columns_in_order() {
        let part = part();
        assert_eq!(MESSAGE_COLUMNS.split(", ").count(), fields(part.bytes(0)).len());
        assert_eq!(REJECTED_COLUMNS.split(", ").count(), fields(part.bytes(1)).len());
        let two = fields(part.bytes(2));
        assert_eq!(two[0], Some((-EPOCH).to_be_bytes().as_slice()));
        assert_eq!(two[1..3], [Some(b"tcp".as_slice()), Some(b"peer")]);
        assert_eq!(two[3..6], [Some([0; 8].as_slice()), None, Some(&[0, 1])]);
        assert_eq!(two[6..10], [Some(b"two".as_slice()), None, None, None]);
        assert_eq!(two[10..], [Some([0, 0, 0, 8].as_slice()), None, Some(b"<1>two three")]);
        assert_eq!((part.index(2), part.table(2), part.table(1)), (42, Table::Messages, Table::Rejected));
    }

    #[test]
    fn body_is_counted_in_characters() {
        let text = "é: bödy.";
        assert_eq!(place(text, text), (None, None));
        assert_eq!(place(&text[4..], text), (Some(4), None));
        assert_eq!(place(&text[4..9], text), (Some(4), Some(4)));
        assert_eq!(place(&text[..2], text), (Some(1), Some(1)));
        assert_eq!(place("", text), (None, None), "a column that is in no text");
    }

    #[test]
    fn adjacent_rows_are_one_slice() {
        let part = part();
        let whole: Vec<&[u8]> = part.slices(&[0, 1, 2]).collect();
        assert_eq!(whole, [part.data.as_slice()]);
        let apart: Vec<&[u8]> = part.slices(&[0, 2]).collect();
        assert_eq!(apart, [part.bytes(0), part.bytes(2)]);
        assert_eq!(part.slices(&[]).count(), 0);
    }

    #[test]
    fn refused_row_keeps_its_text_and_origin() {
        let (part, mut data) = (part(), Vec::new());
        part.encode_refused(2, "too long", &mut data);
        let (refused, original) = (fields(&data), fields(part.bytes(2)));
        assert_eq!(refused[..3], original[..3]);
        assert_eq!(refused[3], Some(b"too long".as_slice()));
        assert_eq!(refused[4], Some(12u64.to_be_bytes().as_slice()));
        assert_eq!(refused[5], Some(b"<1>two three".as_slice()));
        assert_eq!(refused.len(), REJECTED_COLUMNS.split(", ").count());
    }
}
