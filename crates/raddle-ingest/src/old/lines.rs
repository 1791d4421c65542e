//! Splits a stream of bytes into messages, one per line.

use memchr::memchr;

use crate::old::arrival::{Content, Reason, Rejected};

/// The end of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Closed by the sender: an unterminated last line is a message.
    Closed,
    /// Cut off: an unterminated last line is incomplete.
    Cut,
}

/// Splits a stream of bytes into messages, one per line, terminated by `\n` or `\r\n`.
///
/// An empty line is an empty message. At most `limit` bytes of a message and its line ending are buffered: the rest of an
/// oversized line is counted and discarded, and the line is one rejected message.
///
/// ```
/// use raddle_ingest::old::{Ending, Lines};
///
/// let (mut lines, mut texts) = (Lines::new(100), Vec::new());
/// lines.feed(b"first\r\nsec", |content| texts.push(content.unwrap()));
/// lines.feed(b"ond\nlast", |content| texts.push(content.unwrap()));
/// texts.extend(lines.end(Ending::Closed).map(Result::unwrap));
/// assert_eq!(texts, ["first", "second", "last"]);
/// ```
#[derive(Debug)]
pub struct Lines {
    limit: usize,
    /// The beginning of the unfinished line, up to one byte more than the limit for a `\r`.
    kept: Vec<u8>,
    /// The length of the unfinished line so far.
    length: u64,
    ends_in_return: bool,
}

impl Lines {
    /// Creates a splitter for messages of at most `limit` bytes without their line ending.
    pub fn new(limit: usize) -> Self {
        Self { limit, kept: Vec::new(), length: 0, ends_in_return: false }
    }

    /// Adds bytes to the stream, and calls `each` for each message that they complete.
    pub fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(Content)) {
        while let Some(newline) = memchr(b'\n', bytes) {
            self.keep(&bytes[..newline]);
            each(self.complete());
            bytes = &bytes[newline + 1..];
        }
        self.keep(bytes);
    }

    /// Ends the stream, and returns its unterminated last line, if any.
    pub fn end(&mut self, how: Ending) -> Option<Content> {
        if self.length == 0 {
            return None;
        }
        Some(match how {
            Ending::Closed => self.complete(),
            Ending::Cut => {
                let reason =
                    if self.length > self.limit as u64 { Reason::Oversized } else { Reason::Incomplete };
                Err(self.reject(reason))
            }
        })
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = (self.limit + 1).saturating_sub(self.kept.len());
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.length += bytes.len() as u64;
        if let Some(last) = bytes.last() {
            self.ends_in_return = *last == b'\r';
        }
    }

    fn complete(&mut self) -> Content {
        if std::mem::take(&mut self.ends_in_return) {
            self.length -= 1;
        }
        if self.length > self.limit as u64 {
            return Err(self.reject(Reason::Oversized));
        }
        // Within the limit all bytes were kept, and `length` says how many are not the line ending.
        self.kept.truncate(usize::try_from(self.length).unwrap_or(self.limit));
        if memchr(0, &self.kept).is_some() {
            return Err(self.reject(Reason::ContainsNul));
        }
        let length = std::mem::take(&mut self.length);
        String::from_utf8(std::mem::take(&mut self.kept)).map_err(|error| Rejected {
            reason: Reason::NotUtf8,
            length,
            bytes: error.into_bytes(),
        })
    }

    fn reject(&mut self, reason: Reason) -> Rejected {
        let mut bytes = std::mem::take(&mut self.kept);
        bytes.truncate(self.limit);
        self.ends_in_return = false;
        Rejected { reason, length: std::mem::take(&mut self.length), bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of `pieces` and the end of the stream.
    fn cut(limit: usize, pieces: &[&[u8]], ending: Ending) -> Vec<Content> {
        let (mut lines, mut contents) = (Lines::new(limit), Vec::new());
        for piece in pieces {
            lines.feed(piece, |content| contents.push(content));
        }
        contents.extend(lines.end(ending));
        assert_eq!(lines.end(ending), None, "an end comes once");
        contents
    }

    #[expect(clippy::unnecessary_wraps, reason = "the other kind of content is a rejected one")]
    fn text(text: &str) -> Content {
        Ok(text.to_owned())
    }

    fn rejected(reason: Reason, length: u64, bytes: &[u8]) -> Content {
        Err(Rejected { reason, length, bytes: bytes.to_vec() })
    }

    #[test]
    fn message_is_a_line_with_either_line_ending() {
        let contents = cut(10, &[b"a\nb\r\n\n\r\nc\rd\n\r\r\n"], Ending::Cut);
        assert_eq!(contents, ["a", "b", "", "", "c\rd", "\r"].map(text));
    }

    #[test]
    fn split_into_reads_does_not_change_the_messages() {
        let stream =
            b"one\r\ntwo\n\nlonger than ten\r\nexactly10!\r\nexactly10+1\nb\xffd\nn\0l\n\xc3\xa9\nlast";
        let whole = cut(10, &[stream], Ending::Closed);
        assert_eq!(
            whole,
            [
                text("one"),
                text("two"),
                text(""),
                rejected(Reason::Oversized, 15, b"longer tha"),
                text("exactly10!"),
                rejected(Reason::Oversized, 11, b"exactly10+"),
                rejected(Reason::NotUtf8, 3, b"b\xffd"),
                rejected(Reason::ContainsNul, 3, b"n\0l"),
                text("é"),
                text("last"),
            ]
        );
        for size in 1..stream.len() {
            let pieces: Vec<&[u8]> = stream.chunks(size).collect();
            assert_eq!(cut(10, &pieces, Ending::Closed), whole, "in reads of {size}");
        }
    }

    #[test]
    fn unterminated_last_line_is_a_message_if_the_sender_closed() {
        assert_eq!(cut(10, &[b"a\nb"], Ending::Closed), ["a", "b"].map(text));
        assert_eq!(cut(10, &[b"a\nb\r"], Ending::Closed), ["a", "b"].map(text));
        assert_eq!(cut(10, &[b"a\n"], Ending::Closed), ["a"].map(text));
        assert_eq!(cut(10, &[], Ending::Closed), []);
    }

    #[test]
    fn unterminated_last_line_is_rejected_if_the_stream_was_cut() {
        assert_eq!(cut(10, &[b"a\nb\r"], Ending::Cut), [text("a"), rejected(Reason::Incomplete, 2, b"b\r")]);
        assert_eq!(cut(3, &[b"abc", b"def"], Ending::Cut), [rejected(Reason::Oversized, 6, b"abc")]);
        assert_eq!(cut(10, &[b"a\n"], Ending::Cut), [text("a")]);
    }

    #[test]
    fn oversized_line_is_counted_and_not_buffered() {
        let mut lines = Lines::new(1000);
        let mut contents = Vec::new();
        for _ in 0..10_000 {
            lines.feed(&[b'x'; 1024], |content| contents.push(content));
            assert!(lines.kept.capacity() <= 2048, "held {}", lines.kept.capacity());
        }
        assert_eq!(contents, []);
        lines.feed(b"\r\nshort\n", |content| contents.push(content));
        assert_eq!(contents, [rejected(Reason::Oversized, 10_240_000, &[b'x'; 1000]), text("short")]);
    }
}
