//! Messages without acknowledgements: lines, octet-counted frames (RFC 6587), and messages that end with NUL, as they come.

use jiff::tz::TimeZone;
use memchr::{memchr, memchr2};

use super::interface::{Ending, Io, Protocol};
use crate::message::{Parcel, Reason};
use crate::syslog::Parser;

/// Digits of a count. More begin a line.
const LONGEST_COUNT: usize = 10;

/// The largest count that is believed after a counted frame although it exceeds the limit of a message: 1 GiB.
const LARGEST_COUNT: u64 = 1 << 30;

/// The settings of messages.
#[derive(Clone, Debug)]
pub(crate) struct LineOptions {
    /// Maximum length of a message in bytes, without its ending.
    pub(crate) max_message: usize,
    /// The time zone of senders that do not name theirs.
    pub(crate) zone: TimeZone,
}

impl LineOptions {
    /// Adds a message to a parcel: as text with its columns, or as rejected.
    pub(crate) fn push(&self, parcel: &mut Parcel, bytes: &[u8], parser: &Parser<'_>) {
        if bytes.len() > self.max_message {
            return self.reject(parcel, Reason::Oversized, bytes);
        }
        if memchr(0, bytes).is_some() {
            return self.reject(parcel, Reason::ContainsNul, bytes);
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => parcel.push(text, |text| parser.header(text)),
            Err(_) => self.reject(parcel, Reason::NotUtf8, bytes),
        }
    }

    /// Adds a message to a parcel as rejected.
    pub(crate) fn reject(&self, parcel: &mut Parcel, reason: Reason, bytes: &[u8]) {
        let kept = &bytes[..bytes.len().min(self.max_message)];
        parcel.push_rejected(reason, bytes.len() as u64, kept.to_vec());
    }

    /// Adds the message of a datagram, without the `\n`, `\r\n` or NUL that some senders append.
    pub(crate) fn push_datagram(&self, parcel: &mut Parcel, datagram: &[u8], parser: &Parser<'_>) {
        self.push(parcel, without_ending(datagram), parser);
    }
}

/// Splits a stream into messages.
///
/// A message is
/// - a counted frame: digits, a space, and as many bytes as the digits say, the first of which is `<`. What follows it is another count, `<`, a
///   line ending, NUL, or the end of the stream; otherwise it is a line, and counted as doubtful;
/// - or a line, which ends with `\n` or `\r\n`, or with NUL if another frame or the end of the stream follows.
///
/// The ending of a line within or behind a counted frame is not a part of the message. An empty line is an empty message. At most one message
/// of the maximum length is buffered: the rest of an oversized one is counted and discarded.
#[derive(Debug)]
pub(crate) struct Lines {
    options: LineOptions,
    message: Message,
    /// The previous message was a counted frame.
    counted: bool,
    /// A line ending that follows belongs to the previous message.
    ending_due: bool,
    /// The bytes that follow show whether the previous message was a counted frame indeed.
    unproven: bool,
}

/// The message at the front of the rest.
#[derive(Debug)]
enum Message {
    /// Nothing is known about it.
    New,
    /// A line that does not end in its first bytes, as many as have been searched.
    Line { searched: usize },
    /// A line that exceeds the limit. `kept` is its beginning, and `length` what has been consumed.
    LongLine { kept: Vec<u8>, length: u64, ends_in_return: bool },
    /// A counted frame that exceeds the limit, of which `left` bytes are missing.
    LongFrame { kept: Vec<u8>, length: u64, left: u64 },
}

/// What is known about the bytes that follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Follow {
    /// More bytes may come.
    More,
    /// No more bytes come for the moment.
    Pause,
    /// The stream has ended.
    End(Ending),
}

/// A question about bytes of which the last are not there yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer<T> {
    Yes(T),
    No,
    Undecided,
}

/// The count at the beginning of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Count {
    /// The number of digits, and the space.
    prefix: usize,
    /// The number of bytes that follow.
    length: u64,
}

/// Where a line ends, and where the next message begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LineEnd {
    end: usize,
    next: usize,
}

impl Lines {
    pub(crate) fn new(options: LineOptions) -> Self {
        Self { options, message: Message::New, counted: false, ending_due: false, unproven: false }
    }

    /// Consumes messages from the front of `input`, and returns the number of bytes.
    fn consume(&mut self, input: &[u8], follow: Follow, io: &mut Io<'_>) -> usize {
        let zone = self.options.zone.clone();
        let mut out = Out { parcel: io.parcel(), parser: Parser::new(&zone, io.received), doubtful: 0 };
        let mut front = 0;
        while front < input.len() {
            match self.step(&input[front..], follow, &mut out) {
                0 => break,
                count => front += count,
            }
        }
        if let Follow::End(ending) = follow {
            self.end_long(ending, &mut out);
        }
        io.doubtful += out.doubtful;
        if !out.parcel.is_empty() {
            io.parcels.push(out.parcel);
        }
        front
    }

    /// Consumes a part of `rest`, which is not empty. Returns 0 if more bytes are needed.
    fn step(&mut self, rest: &[u8], follow: Follow, out: &mut Out<'_>) -> usize {
        if self.ending_due {
            match self.ending(rest, follow, out) {
                Answer::Yes(length) => return length,
                Answer::No => {}
                Answer::Undecided => return 0,
            }
        }
        match &mut self.message {
            Message::New => self.begin(rest, follow, out),
            Message::Line { .. } => self.line(rest, follow, out),
            Message::LongLine { .. } => self.long_line(rest, follow, out),
            Message::LongFrame { kept, length, left } => {
                let count = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                kept.extend_from_slice(&rest[..count.min(self.options.max_message - kept.len())]);
                *length += count as u64;
                *left -= count as u64;
                if *left == 0 {
                    out.parcel.push_rejected(Reason::Oversized, *length, std::mem::take(kept));
                    self.message = Message::New;
                    self.end_of_frame(false);
                }
                count
            }
        }
    }

    /// Consumes the line ending behind a counted frame, if there is one.
    fn ending(&mut self, rest: &[u8], follow: Follow, out: &mut Out<'_>) -> Answer<usize> {
        let length = match rest {
            [b'\n' | 0, ..] => 1,
            [b'\r', b'\n', ..] => 2,
            [b'\r'] if matches!(follow, Follow::End(_)) => 1,
            [b'\r'] => return Answer::Undecided,
            _ => {
                if self.unproven {
                    match begins_frame(rest) {
                        Answer::Undecided if !matches!(follow, Follow::End(_)) => return Answer::Undecided,
                        Answer::No => out.doubtful += 1,
                        _ => {}
                    }
                }
                (self.ending_due, self.unproven) = (false, false);
                return Answer::No;
            }
        };
        (self.ending_due, self.unproven) = (false, false);
        Answer::Yes(length)
    }

    fn end_of_frame(&mut self, proven: bool) {
        (self.counted, self.ending_due, self.unproven) = (true, true, !proven);
    }

    /// Decides between a counted frame and a line.
    fn begin(&mut self, rest: &[u8], follow: Follow, out: &mut Out<'_>) -> usize {
        let count = match count(rest) {
            Answer::Yes(count) => count,
            Answer::Undecided if !matches!(follow, Follow::End(_)) => return 0,
            Answer::Undecided | Answer::No => return self.begin_line(rest, follow, out),
        };
        let max = self.options.max_message;
        let Some(length) = usize::try_from(count.length).ok().filter(|length| *length <= max) else {
            if self.counted && count.length <= LARGEST_COUNT {
                let kept = Vec::with_capacity(max);
                self.message = Message::LongFrame { kept, length: 0, left: count.length };
                return count.prefix;
            }
            out.doubtful += 1;
            return self.begin_line(rest, follow, out);
        };
        let end = count.prefix + length;
        if rest.len() < end {
            if !matches!(follow, Follow::End(_)) {
                return 0;
            }
            if self.counted {
                let frame = &rest[count.prefix..];
                out.parcel.push_rejected(Reason::Incomplete, frame.len() as u64, frame.to_vec());
                return rest.len();
            }
            out.doubtful += 1;
            return self.begin_line(rest, follow, out);
        }
        let proven = match follows_frame(&rest[end..]) {
            Answer::No => {
                out.doubtful += 1;
                return self.begin_line(rest, follow, out);
            }
            Answer::Undecided if follow == Follow::More => return 0,
            Answer::Undecided => false,
            Answer::Yes(()) => true,
        };
        self.options.push(&mut out.parcel, without_ending(&rest[count.prefix..end]), &out.parser);
        self.end_of_frame(proven);
        end
    }

    fn begin_line(&mut self, rest: &[u8], follow: Follow, out: &mut Out<'_>) -> usize {
        self.message = Message::Line { searched: 0 };
        self.line(rest, follow, out)
    }

    fn end_of_line(&mut self) {
        self.message = Message::New;
        self.counted = false;
    }

    /// Consumes a line, or the beginning of an oversized one.
    fn line(&mut self, rest: &[u8], follow: Follow, out: &mut Out<'_>) -> usize {
        let Message::Line { searched } = &mut self.message else { return 0 };
        match line_end(rest, *searched, follow) {
            Ok(LineEnd { end, next }) => {
                let line = &rest[..end];
                let line = if rest[end] == b'\n' { line.strip_suffix(b"\r").unwrap_or(line) } else { line };
                self.options.push(&mut out.parcel, line, &out.parser);
                self.end_of_line();
                return next;
            }
            Err(length) => *searched = length,
        }
        match follow {
            Follow::End(ending) => {
                match ending {
                    Ending::Closed => {
                        let line = rest.strip_suffix(b"\r").unwrap_or(rest);
                        self.options.push(&mut out.parcel, line, &out.parser);
                    }
                    Ending::Cut => {
                        let max = self.options.max_message;
                        let reason = if rest.len() > max { Reason::Oversized } else { Reason::Incomplete };
                        let kept = rest[..rest.len().min(max)].to_vec();
                        out.parcel.push_rejected(reason, rest.len() as u64, kept);
                    }
                }
                self.end_of_line();
                rest.len()
            }
            // With fewer bytes, the last could be a `\r` before the end of a line that does not exceed the limit.
            _ if *searched >= self.options.max_message + 2 => {
                let (searched, kept) = (*searched, rest[..self.options.max_message].to_vec());
                let ends_in_return = rest[searched - 1] == b'\r';
                self.message = Message::LongLine { kept, length: searched as u64, ends_in_return };
                searched
            }
            _ => 0,
        }
    }

    /// Consumes more of an oversized line.
    fn long_line(&mut self, rest: &[u8], follow: Follow, out: &mut Out<'_>) -> usize {
        let Message::LongLine { kept, length, ends_in_return } = &mut self.message else { return 0 };
        let found = line_end(rest, 0, follow);
        let (count, next) = match found {
            Ok(LineEnd { end, next }) => (end, next),
            Err(length) => (length, length),
        };
        *length += count as u64;
        if count > 0 {
            *ends_in_return = rest[count - 1] == b'\r';
        }
        if found.is_ok() {
            *length -= u64::from(*ends_in_return && rest[count] == b'\n');
            out.parcel.push_rejected(Reason::Oversized, *length, std::mem::take(kept));
            self.end_of_line();
        }
        next
    }

    /// Ends an oversized message at the end of the stream.
    fn end_long(&mut self, ending: Ending, out: &mut Out<'_>) {
        match std::mem::replace(&mut self.message, Message::New) {
            Message::LongLine { kept, length, ends_in_return } => {
                let length = length - u64::from(ends_in_return && ending == Ending::Closed);
                out.parcel.push_rejected(Reason::Oversized, length, kept);
            }
            Message::LongFrame { kept, length, .. } => {
                let max = self.options.max_message as u64;
                let reason = if length > max { Reason::Oversized } else { Reason::Incomplete };
                out.parcel.push_rejected(reason, length, kept);
            }
            Message::New | Message::Line { .. } => {}
        }
    }
}

impl Protocol for Lines {
    fn receive(&mut self, input: &[u8], io: &mut Io<'_>) -> usize {
        self.consume(input, Follow::More, io)
    }

    fn pause(&mut self, rest: &[u8], io: &mut Io<'_>) -> usize {
        self.consume(rest, Follow::Pause, io)
    }

    fn end(&mut self, rest: &[u8], ending: Ending, io: &mut Io<'_>) {
        let consumed = self.consume(rest, Follow::End(ending), io);
        debug_assert_eq!(consumed, rest.len(), "the end of the stream decides everything");
    }

    fn memory(&self) -> usize {
        match &self.message {
            Message::New | Message::Line { .. } => 0,
            Message::LongLine { kept, .. } | Message::LongFrame { kept, .. } => kept.capacity(),
        }
    }
}

/// The messages of a call.
struct Out<'a> {
    parcel: Parcel,
    parser: Parser<'a>,
    doubtful: u64,
}

/// Returns whether a count of octets begins `bytes`: digits, a space, and `<`.
fn count(bytes: &[u8]) -> Answer<Count> {
    let digits = bytes.iter().take(LONGEST_COUNT + 1).take_while(|byte| byte.is_ascii_digit()).count();
    if digits > LONGEST_COUNT || bytes.first() == Some(&b'0') {
        return Answer::No;
    }
    match &bytes[digits..] {
        [] | [b' '] if digits > 0 => Answer::Undecided,
        [b' ', b'<', ..] if digits > 0 => {
            let length =
                bytes[..digits].iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
            Answer::Yes(Count { prefix: digits + 1, length })
        }
        [] => Answer::Undecided,
        _ => Answer::No,
    }
}

/// Returns whether `bytes` begin with a frame: `<`, or a count.
fn begins_frame(bytes: &[u8]) -> Answer<()> {
    match bytes {
        [b'<', ..] => Answer::Yes(()),
        _ => match count(bytes) {
            Answer::Yes(_) => Answer::Yes(()),
            Answer::No => Answer::No,
            Answer::Undecided => Answer::Undecided,
        },
    }
}

/// Returns whether `bytes` may follow a counted frame.
fn follows_frame(bytes: &[u8]) -> Answer<()> {
    match bytes {
        [b'\n' | 0, ..] | [b'\r', b'\n', ..] => Answer::Yes(()),
        [b'\r'] => Answer::Undecided,
        _ => begins_frame(bytes),
    }
}

/// Finds the end of a line, from `searched` on. Otherwise returns how many bytes do not have to be searched again.
fn line_end(rest: &[u8], searched: usize, follow: Follow) -> Result<LineEnd, usize> {
    let mut from = searched;
    while let Some(end) = memchr2(b'\n', 0, &rest[from..]).map(|index| from + index) {
        let ends = rest[end] == b'\n'
            || match begins_frame(&rest[end + 1..]) {
                Answer::Yes(()) => true,
                Answer::No => false,
                Answer::Undecided => match follow {
                    Follow::More => return Err(end),
                    Follow::Pause if end + 1 < rest.len() => return Err(end),
                    Follow::Pause | Follow::End(_) => true,
                },
            };
        if ends {
            return Ok(LineEnd { end, next: end + 1 });
        }
        from = end + 1;
    }
    Err(rest.len())
}

/// Returns a message without the line ending or NUL at its end.
fn without_ending(bytes: &[u8]) -> &[u8] {
    let without_nul = bytes.strip_suffix(&[0]);
    without_nul.or_else(|| bytes.strip_suffix(b"\r\n")).or_else(|| bytes.strip_suffix(b"\n")).unwrap_or(bytes)
}
