//! RELP, as the sender.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use memchr::memchr;

use super::messages::SendOptions;
use super::wire::{Answer, Wire};

/// The highest number of a transaction; 1 follows.
const LAST_TRANSACTION: u64 = 999_999_999;

/// How long a message that was refused is not sent again.
const REFUSED: Duration = Duration::from_millis(500);

/// The longest frame of a receiver: an answer to `open` with its offers.
const LONGEST_FRAME: usize = 64 << 10;

const OFFERS: &str = "relp_version=0\nrelp_software=raddle\ncommands=syslog";

pub(crate) struct Relp {
    options: Arc<SendOptions>,
    connection: u64,
    text: String,
    /// The last transaction of this connection.
    transaction: u64,
    is_open: bool,
    /// The transaction that closes the connection.
    closing: Option<u64>,
}

/// A frame of the receiver.
struct Frame<'a> {
    transaction: u64,
    command: &'a [u8],
    data: &'a [u8],
    length: usize,
}

impl Relp {
    pub(crate) fn new(options: Arc<SendOptions>, connection: u64) -> Self {
        Self { options, connection, text: String::new(), transaction: 0, is_open: false, closing: None }
    }

    fn next(&mut self) -> u64 {
        self.transaction = self.transaction % LAST_TRANSACTION + 1;
        self.transaction
    }
}

impl Wire for Relp {
    fn begin(&mut self, out: &mut Vec<u8>) {
        (self.transaction, self.is_open, self.closing) = (0, false, None);
        let transaction = self.next();
        let _ = writeln!(out, "{transaction} open {} {OFFERS}", OFFERS.len());
    }

    fn is_ready(&self) -> bool {
        self.is_open
    }

    fn batch(&self) -> u64 {
        1
    }

    fn add(&mut self, first: u64, _count: u64, out: &mut Vec<u8>) -> u64 {
        let transaction = self.next();
        self.text.clear();
        self.options.write_text(&mut self.text, self.connection, first);
        let _ = writeln!(out, "{transaction} syslog {} {}", self.text.len(), self.text);
        transaction
    }

    fn receive(&mut self, input: &[u8], answers: &mut Vec<Answer>) -> Result<usize, String> {
        let mut front = 0;
        while let Some(frame) = frame(&input[front..])? {
            front += frame.length;
            let text = || String::from_utf8_lossy(frame.data).trim_end().to_owned();
            match frame.command {
                b"rsp" if self.closing == Some(frame.transaction) => answers.push(Answer::Closing),
                b"rsp" if !self.is_open => {
                    if !frame.data.starts_with(b"200") {
                        return Err(format!("the receiver refuses the session: {}", text()));
                    }
                    self.is_open = true;
                }
                b"rsp" if frame.data.starts_with(b"200") => {
                    answers.push(Answer::Stored { id: frame.transaction, duplicates: 0, rejected: 0 });
                }
                b"rsp" => {
                    answers.push(Answer::Refused { id: frame.transaction, after: REFUSED, reason: text() });
                }
                b"serverclose" => answers.push(Answer::Closing),
                _ => {}
            }
        }
        Ok(front)
    }

    fn end(&mut self, out: &mut Vec<u8>) -> bool {
        let transaction = self.next();
        self.closing = Some(transaction);
        let _ = writeln!(out, "{transaction} close 0");
        true
    }
}

/// Parses a frame: `txnr SP command SP length [SP data] LF`.
fn frame(input: &[u8]) -> Result<Option<Frame<'_>>, String> {
    let invalid = || {
        let begin = String::from_utf8_lossy(&input[..input.len().min(40)]);
        format!("the receiver does not speak RELP: {begin:?}")
    };
    let number = |bytes: &[u8]| -> Option<u64> { std::str::from_utf8(bytes).ok()?.parse().ok() };
    let head = &input[..input.len().min(60)];
    let Some(first) = memchr(b' ', head) else {
        return if head.len() < 10 { Ok(None) } else { Err(invalid()) };
    };
    let Some(second) = memchr(b' ', &head[first + 1..]).map(|index| first + 1 + index) else {
        return if head.len() < 60 { Ok(None) } else { Err(invalid()) };
    };
    let digits = head[second + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let after = second + 1 + digits;
    if after == input.len() {
        return if digits < 10 { Ok(None) } else { Err(invalid()) };
    }
    let length = number(&input[second + 1..after]).and_then(|length| usize::try_from(length).ok());
    let (Some(transaction), Some(length)) = (number(&input[..first]), length) else { return Err(invalid()) };
    if length > LONGEST_FRAME {
        return Err(invalid());
    }
    // Without data, the space is optional.
    let data = after + usize::from(input[after] == b' ');
    let end = data + length;
    match input.get(end) {
        None => Ok(None),
        Some(b'\n') => Ok(Some(Frame {
            transaction,
            command: &input[first + 1..second],
            data: &input[data..end],
            length: end + 1,
        })),
        Some(_) => Err(invalid()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relp() -> (Relp, Vec<u8>) {
        let mut relp = Relp::new(Arc::new(SendOptions::default()), 3);
        let mut out = Vec::new();
        relp.begin(&mut out);
        (relp, out)
    }

    #[test]
    fn session_is_opened_and_closed() {
        let (mut relp, mut out) = relp();
        let offers = "relp_version=0\nrelp_software=raddle\ncommands=syslog";
        assert_eq!(String::from_utf8_lossy(&out), format!("1 open {} {offers}\n", offers.len()));
        assert!(!relp.is_ready());
        let mut answers = Vec::new();
        assert_eq!(relp.receive(b"1 rsp 6 200 OK\n2 r", &mut answers), Ok(15));
        assert!(relp.is_ready() && answers.is_empty());
        out.clear();
        assert_eq!((relp.add(17, 1, &mut out), relp.add(18, 1, &mut out)), (2, 3));
        assert!(relp.end(&mut out));
        let expected =
            "2 syslog 23 connection 3 message 17\n3 syslog 23 connection 3 message 18\n4 close 0\n";
        assert_eq!(String::from_utf8_lossy(&out), expected);
        let input = b"2 rsp 6 200 OK\n3 rsp 8 500 full\n4 rsp 0\n0 serverclose 0\n";
        assert_eq!(relp.receive(input, &mut answers), Ok(input.len()));
        let stored = Answer::Stored { id: 2, duplicates: 0, rejected: 0 };
        let refused = Answer::Refused { id: 3, after: REFUSED, reason: "500 full".to_owned() };
        assert_eq!(answers, [stored, refused, Answer::Closing, Answer::Closing]);
    }

    #[test]
    fn other_protocols_are_named_in_the_error() {
        for input in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"abcdefghijklm",
            b"1 rsp 6 200 OK!",
            b"x rsp 1 2\n",
            b"1 rsp 99999999 ",
        ] {
            let (mut relp, _) = relp();
            assert!(
                relp.receive(input, &mut Vec::new()).unwrap_err().contains("does not speak RELP"),
                "{input:?}"
            );
        }
        let (mut relp, _) = relp();
        assert!(relp.receive(b"1 rsp 6 500 no\n", &mut Vec::new()).unwrap_err().contains("500 no"));
        for input in [&b""[..], b"1", b"1 ", b"1 rsp", b"1 rsp ", b"1 rsp 6", b"1 rsp 6 200 OK"] {
            let (mut relp, _) = self::relp();
            assert_eq!(relp.receive(input, &mut Vec::new()), Ok(0), "{input:?}");
        }
    }
}
