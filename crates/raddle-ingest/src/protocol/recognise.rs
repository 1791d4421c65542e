//! The recognition of a protocol by the first bytes of a connection.

use std::sync::Arc;

use memchr::memchr;

use super::http::{Http, HttpOptions};
use super::interface::{Ending, Io, Protocol};
use super::lines::{LineOptions, Lines};
use super::relp::{Relp, RelpOptions};
use crate::settlement::Settlement;

/// The longest first line of an HTTP request; a longer one is a line of text.
const LONGEST_REQUEST_LINE: usize = 8 << 10;

const METHODS: &[&[u8]] =
    &[b"GET ", b"POST ", b"PUT ", b"HEAD ", b"OPTIONS ", b"DELETE ", b"PATCH ", b"CONNECT ", b"TRACE "];

/// The first bytes of a client of HTTP/2 with prior knowledge.
const HTTP_2: &[u8] = b"PRI * HTTP/2.0\r\n";

/// The response to it, in HTTP/1.
const HTTP_2_REFUSED: &[u8] =
    b"HTTP/1.1 505 HTTP Version Not Supported\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// A fatal alert, `handshake_failure`, in the oldest version of the record, which all clients read.
const TLS_ALERT: &[u8] = &[0x15, 3, 1, 0, 2, 2, 40];

/// The settings of the protocols among which is chosen.
#[derive(Clone, Debug)]
pub(crate) struct RecognitionOptions {
    pub(crate) lines: LineOptions,
    pub(crate) relp: RelpOptions,
    pub(crate) http: HttpOptions,
}

/// A protocol that is chosen by the first bytes.
///
/// | first bytes | protocol |
/// |---|---|
/// | a method, a path and ` HTTP/1.` on one line | HTTP |
/// | digits, ` open ` and a digit | RELP |
/// | a TLS handshake | refused with an alert, and logged |
/// | the beginning of HTTP/2 | refused with status 505, and logged |
/// | all other | lines and counted frames |
pub(crate) struct Recognise {
    options: Arc<RecognitionOptions>,
    state: State,
}

enum State {
    Undecided,
    Chosen(Box<dyn Protocol>),
    /// The connection is refused, and arriving bytes are ignored.
    Refused,
}

/// The protocol that the first bytes belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Recognised {
    Undecided,
    Lines,
    Relp,
    Http,
    Http2,
    Tls,
}

impl Recognise {
    pub(crate) fn new(options: Arc<RecognitionOptions>) -> Self {
        Self { options, state: State::Undecided }
    }

    fn choose(&mut self, protocol: impl Protocol + 'static) -> &mut dyn Protocol {
        self.state = State::Chosen(Box::new(protocol));
        match &mut self.state {
            State::Chosen(protocol) => &mut **protocol,
            State::Undecided | State::Refused => unreachable!("it was just chosen"),
        }
    }

    fn refuse(&mut self, reply: &[u8], what: &str, io: &mut Io<'_>) {
        log::warn!("{}: closed: {what} is not supported here", io.peer);
        io.out.extend_from_slice(reply);
        io.close = true;
        self.state = State::Refused;
    }

    fn chosen(&self) -> Option<&dyn Protocol> {
        match &self.state {
            State::Chosen(protocol) => Some(&**protocol),
            State::Undecided | State::Refused => None,
        }
    }
}

impl Protocol for Recognise {
    fn receive(&mut self, input: &[u8], io: &mut Io<'_>) -> usize {
        match &mut self.state {
            State::Chosen(protocol) => return protocol.receive(input, io),
            State::Refused => return input.len(),
            State::Undecided => {}
        }
        let options = self.options.clone();
        match recognise(input) {
            Recognised::Undecided => 0,
            Recognised::Lines => self.choose(Lines::new(options.lines.clone())).receive(input, io),
            Recognised::Relp => self.choose(Relp::new(options.relp.clone())).receive(input, io),
            Recognised::Http => self.choose(Http::new(options.http.clone())).receive(input, io),
            Recognised::Http2 => {
                self.refuse(HTTP_2_REFUSED, "HTTP/2", io);
                input.len()
            }
            Recognised::Tls => {
                self.refuse(TLS_ALERT, "TLS", io);
                input.len()
            }
        }
    }

    fn pause(&mut self, rest: &[u8], io: &mut Io<'_>) -> usize {
        match &mut self.state {
            State::Chosen(protocol) => protocol.pause(rest, io),
            State::Undecided | State::Refused => 0,
        }
    }

    fn end(&mut self, rest: &[u8], ending: Ending, io: &mut Io<'_>) {
        match &mut self.state {
            State::Chosen(protocol) => protocol.end(rest, ending, io),
            State::Undecided => {
                let lines = self.options.lines.clone();
                self.choose(Lines::new(lines)).end(rest, ending, io);
            }
            State::Refused => {}
        }
    }

    fn settled(&mut self, ticket: u64, settlement: &Settlement, io: &mut Io<'_>) {
        if let State::Chosen(protocol) = &mut self.state {
            protocol.settled(ticket, settlement, io);
        }
    }

    fn drain(&mut self, io: &mut Io<'_>) {
        if let State::Chosen(protocol) = &mut self.state {
            protocol.drain(io);
        }
    }

    fn refuses_when_full(&self) -> bool {
        self.chosen().is_some_and(Protocol::refuses_when_full)
    }

    fn unsettled(&self) -> usize {
        self.chosen().map_or(0, Protocol::unsettled)
    }

    fn memory(&self) -> usize {
        self.chosen().map_or(0, Protocol::memory)
    }
}

/// Recognises the protocol of a connection that begins with `bytes`.
fn recognise(bytes: &[u8]) -> Recognised {
    match bytes {
        [] | [0x16] => Recognised::Undecided,
        [0x16, 3, ..] => Recognised::Tls,
        [first, ..] if first.is_ascii_digit() => relp(bytes),
        [first, ..] if first.is_ascii_uppercase() => http(bytes),
        _ => Recognised::Lines,
    }
}

fn relp(bytes: &[u8]) -> Recognised {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits > 9 {
        return Recognised::Lines;
    }
    let (open, after) = (b" open ", &bytes[digits..]);
    match after.get(..open.len()) {
        None if open.starts_with(after) => Recognised::Undecided,
        Some(begin) if begin == open => match after.get(open.len()) {
            None => Recognised::Undecided,
            Some(length) if length.is_ascii_digit() => Recognised::Relp,
            Some(_) => Recognised::Lines,
        },
        _ => Recognised::Lines,
    }
}

fn http(bytes: &[u8]) -> Recognised {
    if HTTP_2.starts_with(bytes) && bytes != HTTP_2 {
        return Recognised::Undecided;
    }
    if bytes.starts_with(HTTP_2) {
        return Recognised::Http2;
    }
    if METHODS.iter().any(|method| method.starts_with(bytes) && bytes.len() < method.len()) {
        return Recognised::Undecided;
    }
    if !METHODS.iter().any(|method| bytes.starts_with(method)) {
        return Recognised::Lines;
    }
    let searched = &bytes[..bytes.len().min(LONGEST_REQUEST_LINE)];
    let Some(end) = memchr(b'\n', searched) else {
        let is_long = bytes.len() >= LONGEST_REQUEST_LINE;
        return if is_long { Recognised::Lines } else { Recognised::Undecided };
    };
    let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
    let mut words = line.split(|byte| *byte == b' ');
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some(_), Some(path), Some(version), None) if !path.is_empty() && version.starts_with(b"HTTP/1.") => {
            Recognised::Http
        }
        _ => Recognised::Lines,
    }
}
