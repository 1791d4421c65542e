//! Messages without acknowledgements: lines, octet-counted frames (RFC 6587), and messages that end with NUL, as they come.

use jiff::tz::TimeZone;
use memchr::{memchr, memchr2};

use super::frames::{
    Answer, Follow, Sought, begins_frame, count, count_at_end, find_frame, follows_counted, frames_end_here,
    resembles_count,
};
use super::interface::{Ending, Io, Protocol};
use crate::message::{Parcel, Reason};
use crate::syslog::Parser;

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
/// - a counted frame: digits, a space, and as many bytes as the digits say, at most the maximum, the first of which is `<`. It is followed by `<`, a
///   line ending, NUL, the end of the stream, or another count, unless a count with more or fewer digits fits better there
///   ([`follows_counted`]). Otherwise it is a line, and counted as doubtful;
/// - or a line, which ends with `\n` or `\r\n`, or with NUL if another frame or the end of the stream follows. Once a counted frame has come, or a
///   line that begins like one, a line also ends where a counted frame certainly begins, and is counted as doubtful: a frame that is not
///   recognised does not take the frames behind it with it.
///
/// The ending of a line within or behind a counted frame is not a part of the message. An empty line is an empty message. At most a line
/// and a frame of the maximum length are buffered: the rest of an oversized message is counted and discarded.
#[derive(Debug)]
pub(crate) struct Lines {
    options: LineOptions,
    message: Message,
    /// The previous message was a counted frame.
    counted: bool,
    /// A line ending that follows belongs to the previous message.
    ending_due: bool,
    /// The bytes that follow show whether the previous message was indeed a counted frame.
    unproven: bool,
    line_ends: LineEnds,
    /// At the end of the stream, a counted frame begins so many bytes before it.
    last_frame: usize,
}

/// Where the lines of a connection end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineEnds {
    /// At a line ending or NUL.
    AtEndings,
    /// Also where a counted frame certainly begins.
    AtFrames,
}

/// The message at the front of the rest.
#[derive(Debug)]
enum Message {
    /// A message of which nothing has been examined.
    New,
    /// A line.
    Line { search: Search, doubtful: bool },
    /// A line that exceeds the limit. `kept` is its beginning, and `length` the number of consumed bytes.
    LongLine { search: Search, doubtful: bool, kept: Vec<u8>, length: u64, ends_in_return: bool },
}

/// The first bytes of a line that do not have to be searched again.
#[derive(Clone, Copy, Debug, Default)]
struct Search {
    /// For its end.
    end: usize,
    /// For a counted frame.
    frame: usize,
}

/// Where a line ends, and where the next message begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LineEnd {
    end: usize,
    next: usize,
}

impl Lines {
    pub(crate) fn new(options: LineOptions) -> Self {
        Self {
            options,
            message: Message::New,
            counted: false,
            ending_due: false,
            unproven: false,
            line_ends: LineEnds::AtEndings,
            last_frame: 0,
        }
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
        self.line_ends = LineEnds::AtFrames;
    }

    /// Decides between a counted frame and a line.
    fn begin(&mut self, rest: &[u8], follow: Follow, out: &mut Out<'_>) -> usize {
        let count = match count(rest) {
            Answer::Yes(count) => count,
            Answer::Undecided if !matches!(follow, Follow::End(_)) => return 0,
            Answer::Undecided | Answer::No => return self.begin_line(rest, follow, out),
        };
        let max = self.options.max_message;
        let Some(length) = count.at_most(max) else { return self.begin_doubtful(rest, follow, out) };
        let end = count.prefix + length;
        if rest.len() < end {
            return match follow {
                Follow::End(_) if self.counted && !self.frame_follows(rest, follow) => {
                    let frame = &rest[count.prefix..];
                    out.parcel.push_rejected(Reason::Incomplete, frame.len() as u64, frame.to_vec());
                    rest.len()
                }
                Follow::More => 0,
                Follow::Pause if !self.is_miscounted(rest) => 0,
                Follow::Pause | Follow::End(_) => self.begin_doubtful(rest, follow, out),
            };
        }
        let proven = match follows_counted(rest, end, follow, max) {
            Answer::No => return self.begin_doubtful(rest, follow, out),
            Answer::Undecided if follow == Follow::More => return 0,
            Answer::Undecided => false,
            Answer::Yes(()) => true,
        };
        self.options.push(&mut out.parcel, without_ending(&rest[count.prefix..end]), &out.parser);
        self.end_of_frame(proven);
        end
    }

    /// Returns whether `rest`, which begins with a count of more bytes than have come before a pause, is no frame: the pause is between two
    /// lines of a peer that has not sent a frame before, or behind other frames.
    fn is_miscounted(&self, rest: &[u8]) -> bool {
        (!self.counted && rest.ends_with(b"\n")) || frames_end_here(rest, self.options.max_message)
    }

    fn begin_line(&mut self, rest: &[u8], follow: Follow, out: &mut Out<'_>) -> usize {
        self.message = Message::Line { search: Search::default(), doubtful: false };
        self.line(rest, follow, out)
    }

    fn begin_doubtful(&mut self, rest: &[u8], follow: Follow, out: &mut Out<'_>) -> usize {
        out.doubtful += 1;
        self.message = Message::Line { search: Search::default(), doubtful: true };
        self.line(rest, follow, out)
    }

    /// Returns whether a counted frame begins anywhere in `rest`, at the end of the stream.
    fn frame_follows(&mut self, rest: &[u8], follow: Follow) -> bool {
        // A frame that has been found before is still there, unless it has been consumed.
        if !(1..rest.len()).contains(&self.last_frame) {
            self.last_frame = match find_frame(rest, 1, 0, rest.len(), follow, self.options.max_message) {
                Sought::Frame(begin) => rest.len() - begin,
                Sought::Undecided { .. } | Sought::Nothing => 0,
            };
        }
        self.last_frame > 0
    }

    fn end_of_line(&mut self) {
        self.message = Message::New;
        self.counted = false;
    }

    /// Consumes a line, or the beginning of an oversized one.
    fn line(&mut self, rest: &[u8], follow: Follow, out: &mut Out<'_>) -> usize {
        let Message::Line { search, doubtful } = &mut self.message else { return 0 };
        let max = self.options.max_message;
        // With fewer bytes, the last could be a `\r` before the end of a line that does not exceed the limit.
        let long = max + 2;
        if resembles_count(&rest[..rest.len().min(long)]) {
            self.line_ends = LineEnds::AtFrames;
        }
        let found = line_end(rest, search.end, follow);
        search.end = found.map_or_else(|searched| searched, |line| line.end);
        let mut consumable = search.end;
        if self.line_ends == LineEnds::AtFrames {
            match find_frame(rest, 1, search.frame, search.end, follow, max) {
                Sought::Frame(begin) => {
                    out.doubtful += u64::from(!*doubtful);
                    self.options.push(&mut out.parcel, &rest[..begin], &out.parser);
                    self.end_of_line();
                    return begin;
                }
                Sought::Undecided { begin, sign } => {
                    search.frame = sign;
                    if begin < long {
                        return 0;
                    }
                    return self.begin_long_line(rest, begin);
                }
                Sought::Nothing => search.frame = search.end,
            }
            if search.end == rest.len() {
                consumable -= count_at_end(rest);
            }
        }
        if let Ok(LineEnd { end, next }) = found {
            let line = &rest[..end];
            let line = if rest[end] == b'\n' { line.strip_suffix(b"\r").unwrap_or(line) } else { line };
            self.options.push(&mut out.parcel, line, &out.parser);
            self.end_of_line();
            return next;
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
            _ if consumable >= long => self.begin_long_line(rest, consumable),
            _ => 0,
        }
    }

    /// Consumes the first bytes of an oversized line.
    fn begin_long_line(&mut self, rest: &[u8], count: usize) -> usize {
        let Message::Line { search, doubtful } = self.message else { return 0 };
        let search = Search { end: search.end - count, frame: search.frame.saturating_sub(count) };
        let kept = rest[..self.options.max_message].to_vec();
        let ends_in_return = rest[count - 1] == b'\r';
        self.message = Message::LongLine { search, doubtful, kept, length: count as u64, ends_in_return };
        count
    }

    /// Consumes more of an oversized line.
    fn long_line(&mut self, rest: &[u8], follow: Follow, out: &mut Out<'_>) -> usize {
        let Message::LongLine { search, doubtful, kept, length, ends_in_return } = &mut self.message else {
            return 0;
        };
        let found = line_end(rest, search.end, follow);
        search.end = found.map_or_else(|searched| searched, |line| line.end);
        let sought = if self.line_ends == LineEnds::AtFrames {
            find_frame(rest, 0, search.frame, search.end, follow, self.options.max_message)
        } else {
            Sought::Nothing
        };
        let (count, sign) = match sought {
            Sought::Frame(begin) => {
                out.doubtful += u64::from(!*doubtful);
                out.parcel.push_rejected(Reason::Oversized, *length + begin as u64, std::mem::take(kept));
                self.end_of_line();
                return if begin == 0 { self.begin(rest, follow, out) } else { begin };
            }
            Sought::Undecided { begin, sign } => (begin, sign),
            Sought::Nothing
                if self.line_ends == LineEnds::AtFrames
                    && search.end == rest.len()
                    && !matches!(follow, Follow::End(_)) =>
            {
                (search.end - count_at_end(rest), search.end)
            }
            Sought::Nothing => (search.end, search.end),
        };
        *length += count as u64;
        if count > 0 {
            *ends_in_return = rest[count - 1] == b'\r';
        }
        (search.end, search.frame) = (search.end - count, sign - count);
        match (sought, found) {
            (Sought::Nothing, Ok(LineEnd { end, next })) => {
                *length -= u64::from(*ends_in_return && rest[end] == b'\n');
                out.parcel.push_rejected(Reason::Oversized, *length, std::mem::take(kept));
                self.end_of_line();
                next
            }
            _ => count,
        }
    }

    /// Ends an oversized message at the end of the stream.
    fn end_long(&mut self, ending: Ending, out: &mut Out<'_>) {
        match std::mem::replace(&mut self.message, Message::New) {
            Message::LongLine { kept, length, ends_in_return, .. } => {
                let length = length - u64::from(ends_in_return && ending == Ending::Closed);
                out.parcel.push_rejected(Reason::Oversized, length, kept);
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
            Message::LongLine { kept, .. } => kept.capacity(),
        }
    }
}

/// The messages of a call.
struct Out<'a> {
    parcel: Parcel,
    parser: Parser<'a>,
    doubtful: u64,
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
