//! RELP, the reliable event logging protocol: `txnr SP command SP length [SP data] LF`, each frame answered after the commit.
//!
//! The frames of one read are one parcel with one ticket, or several if they would need much of the queue. Their answers are written in the
//! order of the frames, when everything
//! before them is settled.
//!
//! For librelp, the client of rsyslog, the answer `200` ends the sender's responsibility for the message. So does an error: librelp
//! reports it and drops the message. Therefore `500` is answered only where the operator chose to shed messages. If the messages
//! cannot be stored, they are not answered at all: the connection ends, and the sender sends them again over the next one.

use std::collections::VecDeque;
use std::io::Write;

use memchr::memchr;

use super::interface::{Ending, Io, Protocol};
use super::lines::LineOptions;
use crate::intake::Limits;
use crate::message::{Parcel, Reason};
use crate::settlement::{Failure, Settlement};
use crate::syslog::Parser;

/// The longest header: a number of nine digits, a command of 32 letters, a length of nine digits, and the spaces.
const MAX_HEADER: usize = 9 + 1 + 32 + 1 + 9 + 1;

/// The longest data of a command other than `syslog`.
const MAX_COMMAND_DATA: usize = 16 << 10;

/// The answer to `open`: the offers of this server.
const OFFERS: &str = concat!(
    "200 OK\nrelp_version=0\nrelp_software=raddle,",
    env!("CARGO_PKG_VERSION"),
    ",",
    env!("CARGO_PKG_REPOSITORY"),
    "\ncommands=syslog"
);

/// The options of [`Relp`].
#[derive(Clone, Debug)]
pub(crate) struct RelpOptions {
    /// How texts are read.
    pub(crate) lines: LineOptions,
    /// The largest parcel: it is enqueued as a whole, and small ones would keep a large one from a queue that is almost full.
    pub(crate) parcel: Limits,
}

/// A RELP session, as the server.
#[derive(Debug)]
pub(crate) struct Relp {
    options: RelpOptions,
    /// The answers that have not been written, in order.
    groups: VecDeque<Group>,
    next_ticket: u64,
    /// A frame that is longer than the limit, while it arrives.
    oversized: Option<Oversized>,
    /// No further frame is accepted: the connection ends once everything is answered.
    closing: bool,
    /// The end was announced to the client.
    announced: bool,
}

/// Answers that are written together.
#[derive(Debug)]
struct Group {
    /// The ticket of the messages; absent if there are none.
    ticket: Option<u64>,
    answers: Vec<Answer>,
    settlement: Option<Settlement>,
}

#[derive(Debug)]
struct Answer {
    number: u32,
    kind: AnswerKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AnswerKind {
    /// That of the settlement.
    Message,
    Open,
    Close,
    Unknown,
}

#[derive(Debug)]
struct Oversized {
    number: u32,
    length: usize,
    /// The beginning of the data.
    kept: Vec<u8>,
    /// The number of bytes of the data that have not arrived.
    missing: usize,
}

/// The header of a frame.
#[derive(Debug, PartialEq, Eq)]
struct Header<'a> {
    number: u32,
    command: &'a [u8],
    length: usize,
    /// The number of bytes before the data.
    size: usize,
}

/// A frame that cannot be interpreted, nor can the bytes behind it.
type Malformed = &'static str;

impl Relp {
    pub(crate) fn new(options: RelpOptions) -> Self {
        Self {
            options,
            groups: VecDeque::new(),
            next_ticket: 0,
            oversized: None,
            closing: false,
            announced: false,
        }
    }

    /// Consumes frames until one is incomplete, or the parcel is large enough.
    fn frames(&mut self, input: &[u8], read: &mut Read<'_>) -> Result<usize, Malformed> {
        let mut at = 0;
        let limits = self.options.parcel;
        while !self.closing && at < input.len() {
            if read.parcel.len() >= limits.messages || read.parcel.bytes() >= limits.bytes {
                break;
            }
            if self.oversized.is_some() {
                at += self.oversized_data(&input[at..], read)?;
                if self.oversized.is_some() {
                    break;
                }
                continue;
            }
            let rest = &input[at..];
            let Some(header) = Header::parse(rest)? else { break };
            let max_message = self.options.lines.max_message;
            if header.command == b"syslog" && header.length > max_message {
                let oversized = Oversized {
                    number: header.number,
                    length: header.length,
                    kept: Vec::new(),
                    missing: header.length,
                };
                at += header.size;
                self.oversized = Some(oversized);
                continue;
            }
            if header.command != b"syslog" && header.length > MAX_COMMAND_DATA {
                return Err("the data of a command is too long");
            }
            let end = header.size + header.length;
            match rest.get(end) {
                None => break,
                Some(b'\n') => {}
                Some(_) => return Err("a frame is longer than its length says"),
            }
            self.frame(&header, &rest[header.size..end], read);
            at += end + 1;
        }
        Ok(at)
    }

    /// Consumes data of the frame that is too long, and its end.
    fn oversized_data(&mut self, input: &[u8], read: &mut Read<'_>) -> Result<usize, Malformed> {
        let Some(it) = &mut self.oversized else { return Ok(0) };
        let arrived = it.missing.min(input.len());
        let room = self.options.lines.max_message - it.kept.len();
        it.kept.extend_from_slice(&input[..arrived.min(room)]);
        it.missing -= arrived;
        match input.get(arrived) {
            None => Ok(arrived),
            Some(b'\n') => {
                let it = self.oversized.take().expect("the frame is oversized");
                read.parcel.push_rejected(Reason::Oversized, it.length as u64, it.kept);
                read.answers.push(Answer { number: it.number, kind: AnswerKind::Message });
                Ok(arrived + 1)
            }
            Some(_) => Err("a frame is longer than its length says"),
        }
    }

    fn frame(&mut self, header: &Header<'_>, data: &[u8], read: &mut Read<'_>) {
        let kind = match header.command {
            b"syslog" => {
                // Templates of clients end in a newline, which is not part of the message.
                let data = data.strip_suffix(b"\n").unwrap_or(data);
                self.options.lines.push(&mut read.parcel, data, &read.parser);
                AnswerKind::Message
            }
            b"open" => AnswerKind::Open,
            b"close" => {
                self.closing = true;
                AnswerKind::Close
            }
            _ => AnswerKind::Unknown,
        };
        let answer = Answer { number: header.number, kind };
        if kind != AnswerKind::Message && read.parcel.is_empty() {
            // It does not wait for the messages behind it.
            self.groups.push_back(Group { ticket: None, answers: vec![answer], settlement: None });
        } else {
            read.answers.push(answer);
        }
    }

    /// Writes the answers whose predecessors are all settled.
    fn write(&mut self, io: &mut Io<'_>) {
        while let Some(group) = self.groups.front() {
            if group.ticket.is_some() && group.settlement.is_none() {
                break;
            }
            let failure = group.settlement.as_ref().and_then(|it| it.failure);
            if matches!(failure, Some(Failure::Unavailable | Failure::OutOfSequence { .. })) {
                // Nothing is answered any more: the client sends these messages again, over another connection.
                self.groups.clear();
                self.closing = true;
                break;
            }
            for answer in &group.answers {
                let text = match (answer.kind, failure) {
                    (AnswerKind::Open, _) => OFFERS,
                    (AnswerKind::Unknown, _) => "500 unknown command",
                    (AnswerKind::Message, Some(_)) => "500 the queue is full",
                    (AnswerKind::Message, None) | (AnswerKind::Close, _) => "200 OK",
                };
                let written = writeln!(io.out, "{} rsp {} {text}", answer.number, text.len());
                debug_assert!(written.is_ok(), "memory can be written");
            }
            self.groups.pop_front();
        }
        if self.closing {
            io.close = true;
            if self.groups.is_empty() && !std::mem::replace(&mut self.announced, true) {
                io.out.extend_from_slice(b"0 serverclose 0\n");
            }
        }
    }
}

/// The frames of one read.
struct Read<'a> {
    parcel: Parcel,
    parser: Parser<'a>,
    answers: Vec<Answer>,
}

impl Protocol for Relp {
    fn receive(&mut self, input: &[u8], io: &mut Io<'_>) -> usize {
        if self.closing {
            return input.len();
        }
        let zone = self.options.lines.zone.clone();
        let mut consumed = 0;
        loop {
            let parser = Parser::new(&zone, io.received);
            let mut read = Read { parcel: io.parcel(), parser, answers: Vec::new() };
            consumed += self.frames(&input[consumed..], &mut read).unwrap_or_else(|reason| {
                log::warn!("{}: not RELP: {reason}; closing the connection", io.peer);
                self.closing = true;
                self.oversized = None;
                input.len() - consumed
            });
            let Read { mut parcel, answers, .. } = read;
            if parcel.is_empty() {
                break;
            }
            let ticket = self.next_ticket;
            self.next_ticket += 1;
            parcel.set_receipt(io.receipt(ticket));
            io.parcels.push(parcel);
            self.groups.push_back(Group { ticket: Some(ticket), answers, settlement: None });
        }
        self.write(io);
        if self.closing { input.len() } else { consumed }
    }

    fn end(&mut self, _rest: &[u8], _ending: Ending, _io: &mut Io<'_>) {
        // An incomplete frame is not answered: its sender keeps it.
        self.closing = true;
        self.announced = true;
        self.oversized = None;
    }

    fn settled(&mut self, ticket: u64, settlement: &Settlement, io: &mut Io<'_>) {
        if let Some(group) = self.groups.iter_mut().find(|it| it.ticket == Some(ticket)) {
            group.settlement = Some(settlement.clone());
        }
        self.write(io);
    }

    fn drain(&mut self, io: &mut Io<'_>) {
        self.closing = true;
        self.oversized = None;
        self.write(io);
    }

    fn unsettled(&self) -> usize {
        self.groups.len()
    }

    fn memory(&self) -> usize {
        let answers: usize = self.groups.iter().map(|it| it.answers.capacity() * size_of::<Answer>()).sum();
        self.groups.capacity() * size_of::<Group>()
            + answers
            + self.oversized.as_ref().map_or(0, |it| it.kept.capacity())
    }
}

impl<'a> Header<'a> {
    /// Reads a header. Returns `None` if it is incomplete.
    fn parse(input: &'a [u8]) -> Result<Option<Self>, Malformed> {
        let input = &input[..input.len().min(MAX_HEADER)];
        let Some(first) = memchr(b' ', input) else { return Self::incomplete(&[input], &[]) };
        let number = digits(&input[..first]).ok_or("a frame does not begin with a number")?;
        let rest = &input[first + 1..];
        let Some(second) = memchr(b' ', rest) else { return Self::incomplete(&[], rest) };
        let command = &rest[..second];
        if command.is_empty() || command.len() > 32 || !command.iter().all(u8::is_ascii_alphabetic) {
            return Err("a frame has no command");
        }
        let rest = &rest[second + 1..];
        let Some(third) = rest.iter().position(|byte| matches!(byte, b' ' | b'\n')) else {
            return Self::incomplete(&[rest], &[]);
        };
        let length = digits(&rest[..third]).ok_or("a frame has no length")? as usize;
        let mut size = first + 1 + second + 1 + third;
        // The space is optional if there are no data.
        if rest[third] == b' ' {
            size += 1;
        } else if length > 0 {
            return Err("a frame is shorter than its length says");
        }
        Ok(Some(Self { number, command, length, size }))
    }

    /// Returns `None` if the field that is not terminated yet can become valid.
    fn incomplete(number: &[&[u8]], command: &[u8]) -> Result<Option<Self>, Malformed> {
        if number.iter().any(|it| it.len() > 9 || !it.iter().all(u8::is_ascii_digit)) {
            return Err("a frame has no number where one is expected");
        }
        if command.len() > 32 || !command.iter().all(u8::is_ascii_alphabetic) {
            return Err("a frame has no command");
        }
        Ok(None)
    }
}

/// Reads a number of one to nine digits.
fn digits(text: &[u8]) -> Option<u32> {
    if text.is_empty() || text.len() > 9 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0')))
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::super::testing::{Wire, inputs, line_options, pieces};
    use super::*;

    /// The options of most tests.
    pub(crate) fn relp_options() -> RelpOptions {
        RelpOptions { lines: line_options(), parcel: Limits { messages: 1000, bytes: 1 << 20 } }
    }

    fn session() -> Wire<Relp> {
        Wire::new(Relp::new(relp_options()))
    }

    #[test]
    fn read_that_would_need_much_of_the_queue_is_several_parcels() {
        let parcel = Limits { messages: 2, bytes: 10 };
        let mut session = Wire::new(Relp::new(RelpOptions { parcel, ..relp_options() }));
        let frames = b"1 syslog 1 a\n2 syslog 1 b\n3 syslog 11 long enough\n4 bad 0\n5 syslog 1 c\n6 sys";
        session.feed(frames);
        let lengths: Vec<usize> = session.parcels.iter().map(Parcel::len).collect();
        assert_eq!(lengths, [2, 1, 1]);
        assert_eq!(session.rest, b"6 sys");
        session.commit_all();
        assert_eq!(
            session.written(),
            "1 rsp 6 200 OK\n2 rsp 6 200 OK\n3 rsp 6 200 OK\n4 rsp 19 500 unknown command\n5 rsp 6 200 OK\n"
        );
    }

    fn offers(number: u32) -> String {
        format!("{number} rsp {} {OFFERS}\n", OFFERS.len())
    }

    #[test]
    fn frames_are_answered_in_order_after_the_commit() {
        let mut session = session();
        let wanted =
            "relp_version=0\nrelp_software=librelp,1.11.0,http://librelp.adiscon.com\ncommands=syslog";
        session.feed(format!("1 open {} {wanted}\n", wanted.len()).as_bytes());
        assert_eq!(session.written(), offers(1));
        session.feed(b"2 syslog 3 one\n3 syslog 7 <13>two\n4 sys");
        session.feed(b"log 4 four\n5 syslog 0\n6 syslog 4 six\n\n");
        assert_eq!(session.messages, ["one", "<13>two", "four", "", "six"]);
        assert_eq!(session.parcels.len(), 2, "one for each read");
        assert_eq!(session.written(), "");
        assert_eq!(session.protocol.unsettled(), 2);
        session.commit();
        assert_eq!(session.written(), "2 rsp 6 200 OK\n3 rsp 6 200 OK\n");
        session.commit();
        assert_eq!(session.written(), "4 rsp 6 200 OK\n5 rsp 6 200 OK\n6 rsp 6 200 OK\n");
        session.feed(b"7 close 0\n");
        assert_eq!(session.written(), "7 rsp 6 200 OK\n0 serverclose 0\n");
        assert!(session.close);
    }

    #[test]
    fn later_settlement_waits_for_the_earlier() {
        let mut session = session();
        session.feed(b"1 syslog 1 a\n");
        session.feed(b"2 syslog 1 b\n3 open 0\n4 foo 2 xy\n5 syslog 1 c\n");
        session.feed(b"6 open 0\n");
        session.fail(1, Failure::Full);
        assert_eq!(session.written(), "");
        session.commit();
        let full = "rsp 21 500 the queue is full";
        let unknown = "4 rsp 19 500 unknown command\n";
        let expected = format!("1 rsp 6 200 OK\n2 {full}\n{}{unknown}5 {full}\n{}", offers(3), offers(6));
        assert_eq!(session.written(), expected);
        assert!(!session.close);
    }

    #[test]
    fn message_that_cannot_be_stored_is_not_answered() {
        let mut session = session();
        session.feed(b"1 syslog 1 a\n");
        session.feed(b"2 syslog 1 b\n");
        session.commit();
        assert_eq!(session.written(), "1 rsp 6 200 OK\n");
        session.fail(0, Failure::Unavailable);
        assert_eq!(session.written(), "0 serverclose 0\n", "librelp would forget a message that is answered");
        assert!(session.close);
        assert_eq!(session.protocol.unsettled(), 0);
    }

    #[test]
    fn frame_that_is_not_valid_ends_the_session_after_the_answers() {
        for wrong in [
            "x",
            "1x",
            "1234567890 ",
            "1 sys_log 0\n",
            "1  3 abc\n",
            "1 syslog x\n",
            "1 syslog 3 abcd\n",
            "1 syslog 3\nabc",
            "1 syslog 0 x",
            "1 open 99999 ",
            "1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "1 syslog 1234567890 ",
        ] {
            let mut session = session();
            session.feed(format!("1 syslog 1 a\n{wrong}").as_bytes());
            assert!(session.close, "{wrong:?}");
            assert_eq!(session.messages, ["a"], "{wrong:?}");
            session.feed(b"2 syslog 1 b\n");
            assert_eq!(session.messages, ["a"], "{wrong:?}");
            session.commit();
            assert_eq!(session.written(), "1 rsp 6 200 OK\n0 serverclose 0\n", "{wrong:?}");
        }
    }

    #[test]
    fn oversized_frame_is_stored_as_rejected_and_answered() {
        let mut session = session();
        session.feed(b"1 syslog 1000000 ");
        for _ in 0..1000 {
            session.feed(&[b'x'; 1000]);
        }
        session.feed(b"\n2 syslog 1 b\n");
        assert!(session.memory < 4000, "{}", session.memory);
        assert_eq!(session.messages, [format!("oversized, 1000000: {}", "x".repeat(100)), "b".to_owned()]);
        session.commit();
        assert_eq!(session.written(), "1 rsp 6 200 OK\n2 rsp 6 200 OK\n");
    }

    #[test]
    fn bytes_that_are_not_text_are_stored_as_rejected_and_answered() {
        let mut session = session();
        session.feed(b"1 syslog 2 \xff\xfe\n2 syslog 3 a\0b\n");
        session.commit();
        assert_eq!(session.messages, ["not UTF-8, 2: \u{fffd}\u{fffd}", "contains NUL, 3: a\0b"]);
        assert_eq!(session.written(), "1 rsp 6 200 OK\n2 rsp 6 200 OK\n");
    }

    #[test]
    fn drained_session_answers_the_frames_that_were_read() {
        let mut session = session();
        session.feed(b"1 syslog 1 a\n2 syslog 5 in");
        session.drain();
        assert!(session.close);
        assert_eq!(session.written(), "");
        session.feed(b"com\n3 syslog 1 b\n");
        session.commit();
        assert_eq!(session.messages, ["a"]);
        assert_eq!(session.written(), "1 rsp 6 200 OK\n0 serverclose 0\n");
        session.end(Ending::Closed);
        assert_eq!(session.written(), "");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(inputs(300)) })]

        #[test]
        fn messages_do_not_depend_on_splits(
            frames in prop::collection::vec(
                prop_oneof![
                    prop::collection::vec(any::<u8>(), 0..120).prop_map(|data| ("syslog", data)),
                    Just(("open", b"relp_version=1".to_vec())),
                    Just(("odd", Vec::new())),
                ],
                0..8
            ),
            lengths in prop::collection::vec(0usize..400, 0..10),
        ) {
            let mut bytes = Vec::new();
            for (number, (command, data)) in frames.iter().enumerate() {
                bytes.extend(format!("{} {command} {}", number + 1, data.len()).bytes());
                if !data.is_empty() {
                    bytes.push(b' ');
                    bytes.extend(data);
                }
                bytes.push(b'\n');
            }
            let (mut whole, mut split) = (session(), session());
            whole.feed(&bytes);
            for piece in pieces(&bytes, &lengths) {
                split.feed(piece);
            }
            whole.commit_all();
            split.commit_all();
            prop_assert_eq!(&whole.messages, &split.messages);
            prop_assert_eq!(whole.written(), split.written());
            prop_assert!(whole.rest.is_empty() && split.rest.is_empty() && !whole.close);
            prop_assert_eq!(whole.messages.len(), frames.iter().filter(|it| it.0 == "syslog").count());
        }

        #[test]
        fn memory_is_bounded_for_any_bytes(
            bytes in prop::collection::vec(
                prop_oneof![any::<u8>(), b'0'..=b'9', Just(b' '), Just(b'\n'), Just(b's')],
                0..600
            ),
            valid in any::<bool>(),
            lengths in prop::collection::vec(0usize..400, 0..10),
        ) {
            let mut session = session();
            if valid {
                session.feed(b"1 syslog ");
            }
            for piece in pieces(&bytes, &lengths) {
                session.feed(piece);
            }
            prop_assert!(session.rest.len() <= MAX_HEADER + MAX_COMMAND_DATA + 1);
            session.end(Ending::Cut);
            session.commit_all();
        }
    }
}
