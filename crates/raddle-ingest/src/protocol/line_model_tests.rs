//! A model of the framing of messages, written from INTERFACES.md: it sees the whole stream, and is slow and simple. [`Lines`](super::lines::Lines)
//! must find the same messages in any stream, however it is divided into pieces.

use proptest::prelude::*;

use super::interface::Ending;
use super::line_tests::{Call, bound, config, ending, lengths, lines, run, stream};
use super::testing::pieces;

/// A stream that has ended.
struct Stream<'a> {
    bytes: &'a [u8],
    max: usize,
}

/// The messages of a stream, in the form of the other tests.
#[derive(Debug, Default, PartialEq, Eq)]
struct Messages {
    messages: Vec<String>,
    doubtful: u64,
}

impl Stream<'_> {
    fn has(&self, at: usize, bytes: &[u8]) -> bool {
        self.bytes[at..].starts_with(bytes)
    }

    fn digit(&self, at: usize) -> bool {
        self.bytes.get(at).is_some_and(u8::is_ascii_digit)
    }

    /// Reads a count: one to ten digits, of which the first is not 0, a space, and `<`. Returns where the message begins, and its length.
    fn count(&self, at: usize) -> Option<(usize, u64)> {
        let space = at + self.bytes[at..].iter().position(|byte| *byte == b' ')?;
        let digits = std::str::from_utf8(&self.bytes[at..space]).ok()?;
        let is_number = digits.bytes().all(|digit| digit.is_ascii_digit()) && !digits.starts_with('0');
        let is_count = is_number && (1..=10).contains(&digits.len()) && self.has(space + 1, b"<");
        is_count.then(|| (space + 1, digits.parse().expect("ten digits")))
    }

    /// Returns where the message of a count that is not beyond the maximum begins and ends. It may end behind the stream.
    fn frame(&self, at: usize) -> Option<(usize, usize)> {
        let (begin, length) = self.count(at)?;
        (length <= self.max as u64).then(|| (begin, begin + usize::try_from(length).expect("a small number")))
    }

    fn begins_frame(&self, at: usize) -> bool {
        self.has(at, b"<") || self.count(at).is_some()
    }

    /// The stream ends before it is clear whether a frame begins.
    fn breaks_off(&self, at: usize) -> bool {
        let rest = std::str::from_utf8(&self.bytes[at..]).unwrap_or("no digits");
        let digits = rest.strip_suffix(' ').unwrap_or(rest);
        let is_number = digits.bytes().all(|digit| digit.is_ascii_digit()) && !digits.starts_with('0');
        rest.is_empty() || (is_number && (1..=10).contains(&digits.len()))
    }

    fn may_follow(&self, at: usize) -> bool {
        let is_ending = self.has(at, b"\n") || self.has(at, b"\0") || self.has(at, b"\r\n");
        is_ending || &self.bytes[at..] == b"\r" || self.begins_frame(at) || self.breaks_off(at)
    }

    /// Returns whether a counted frame ends here, by what follows.
    fn ends_frame(&self, at: usize) -> bool {
        let Some((message, _)) = self.count(at) else { return self.may_follow(at) };
        let is_there = |end: usize| end <= self.bytes.len();
        let next = self.frame(at).map(|(_, end)| end);
        if next.is_some_and(|end| !is_there(end) || self.may_follow(end)) {
            return true;
        }
        // Does another count that ends with the same digit fit better?
        let mut begin = message - 1;
        while begin > 0 && message - 1 - begin < 10 && self.digit(begin - 1) {
            begin -= 1;
        }
        let others = (begin..message - 1).filter(|begin| *begin != at).filter_map(|begin| self.frame(begin));
        !others.map(|(_, end)| end).any(|end| {
            // It needs no less than a whole frame behind it if the next one is too long.
            let is_open = |end: usize| !is_there(end) || self.breaks_off(end) || &self.bytes[end..] == b"\r";
            if is_open(end) {
                return next.is_some();
            }
            if next.is_some() {
                return self.may_follow(end);
            }
            self.may_follow(end)
                && self.frame(end).is_some_and(|(_, third)| !is_open(third) && self.may_follow(third))
        })
    }

    /// Returns where a frame begins whose message certainly begins at `sign`, within a line that begins at `line`.
    fn certain(&self, line: usize, sign: usize) -> Option<usize> {
        let space = sign.checked_sub(1).filter(|space| *space > line && self.bytes[*space] == b' ')?;
        let priority = (1..=3).find(|digits| self.bytes.get(sign + 1 + digits) == Some(&b'>'))?;
        if !(0..priority).all(|index| self.digit(sign + 1 + index)) {
            return None;
        }
        let run = (line..space).rev().take_while(|at| self.digit(*at)).last()?;
        (run.max(line + 1).max(space.saturating_sub(10))..space).find(|begin| {
            self.frame(*begin).is_some_and(|(_, end)| {
                end <= self.bytes.len()
                    && if *begin == run {
                        self.may_follow(end)
                    } else {
                        self.count(end).is_some() || self.breaks_off(end)
                    }
            })
        })
    }

    /// Returns whether a line begins like a count: digits and a space, perhaps behind a byte order mark and spaces.
    fn resembles_count(&self, at: usize) -> bool {
        let line = &self.bytes[at..self.bytes.len().min(at + self.max + 2)];
        let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
        let mut padding = 0;
        while padding < 20 && line.get(padding) == Some(&b' ') {
            padding += 1;
        }
        let mut digits = 0;
        while digits < 20 && line.get(padding + digits).is_some_and(u8::is_ascii_digit) {
            digits += 1;
        }
        digits > 0 && line.get(padding + digits) == Some(&b' ')
    }

    fn messages(&self, ending: Ending) -> Messages {
        let mut found = Messages::default();
        let (mut at, mut after_frame, mut split) = (0, false, false);
        while at < self.bytes.len() {
            let frame = self.frame(at);
            if let Some((begin, end)) = frame
                && end <= self.bytes.len()
                && self.ends_frame(end)
            {
                self.add(&mut found, without_ending(&self.bytes[begin..end]));
                (after_frame, split) = (true, true);
                at = match &self.bytes[end..] {
                    [b'\r', b'\n', ..] => end + 2,
                    [b'\n' | 0, ..] | [b'\r'] => end + 1,
                    _ => end,
                };
                continue;
            }
            let all = at..self.bytes.len();
            if let Some((begin, end)) = frame
                && end > self.bytes.len()
                && after_frame
                && !all.clone().any(|sign| self.has(sign, b"<") && self.certain(at, sign).is_some())
            {
                let bytes = &self.bytes[begin..];
                reject(&mut found, "incomplete", bytes, bytes);
                break;
            }
            let is_doubtful = self.count(at).is_some();
            found.doubtful += u64::from(is_doubtful);
            split |= self.resembles_count(at);
            let is_end = |at: &usize| {
                let is_nul = self.has(*at, b"\0");
                self.has(*at, b"\n") || (is_nul && (self.begins_frame(at + 1) || self.breaks_off(at + 1)))
            };
            let end = all.clone().find(is_end);
            let mut signs = (at..end.unwrap_or(all.end)).filter(|sign| self.has(*sign, b"<"));
            let cut = if split { signs.find_map(|sign| self.certain(at, sign)) } else { None };
            let line = |end| &self.bytes[at..end];
            after_frame = false;
            at = match (cut, end, ending) {
                (Some(cut), ..) => {
                    found.doubtful += u64::from(!is_doubtful);
                    self.add(&mut found, line(cut));
                    cut
                }
                (None, Some(end), _) => {
                    let is_newline = self.has(end, b"\n");
                    let line = line(end);
                    let stripped = line.strip_suffix(b"\r").filter(|_| is_newline);
                    self.add(&mut found, stripped.unwrap_or(line));
                    end + 1
                }
                (None, None, Ending::Closed) => {
                    let line = line(all.end);
                    self.add(&mut found, line.strip_suffix(b"\r").unwrap_or(line));
                    all.end
                }
                (None, None, Ending::Cut) => {
                    let line = line(all.end);
                    let reason = if line.len() > self.max { "oversized" } else { "incomplete" };
                    reject(&mut found, reason, line, &line[..line.len().min(self.max)]);
                    all.end
                }
            };
        }
        found
    }

    fn add(&self, found: &mut Messages, message: &[u8]) {
        if message.len() > self.max {
            reject(found, "oversized", message, &message[..self.max]);
        } else if message.contains(&0) {
            reject(found, "contains NUL", message, message);
        } else {
            match std::str::from_utf8(message) {
                Ok(text) => found.messages.push(text.to_owned()),
                Err(_) => reject(found, "not UTF-8", message, message),
            }
        }
    }
}

fn reject(found: &mut Messages, reason: &str, message: &[u8], kept: &[u8]) {
    let kept = String::from_utf8_lossy(kept);
    found.messages.push(format!("rejected: {reason}, {}: {kept:?}", message.len()));
}

fn without_ending(message: &[u8]) -> &[u8] {
    match message {
        [front @ .., b'\r', b'\n'] | [front @ .., b'\n' | 0] => front,
        _ => message,
    }
}

/// Counted frames of which some have a wrong count, with messages that look like counts.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<[u8; 4]>(), 0..12).prop_map(|choices| {
        let mut stream = Vec::new();
        for [kind, length, tail, error] in choices {
            let tail: &[u8] = match tail % 16 {
                0 => b"1",
                1 => b"12",
                2 => b" 5",
                3 => b"9 ",
                4 => b"<",
                5 => b"\n",
                6 => b"15 <13>x",
                7 => b"0",
                _ => b"",
            };
            let body = [b"<13>", &b"abcdefghijklmnopqrstuvwxyz"[..usize::from(length % 27)], tail].concat();
            let count = match error {
                0..=19 => body.len() + 1,
                20..=39 => body.len() - 1,
                40..=49 => body.len() * 10 + usize::from(error) - 40,
                50..=54 => body.len() / 10,
                55 => 1 << 30,
                56 => 100_000,
                57 => 0,
                _ => body.len(),
            };
            stream.extend_from_slice(format!("{count} ").as_bytes());
            stream.extend_from_slice(&body);
            match kind {
                0..=9 => stream.extend_from_slice(b"\n"),
                10..=14 => stream.extend_from_slice(b"\0"),
                15..=19 => stream.extend_from_slice(b"text"),
                20..=24 => stream.extend_from_slice(b"7"),
                25..=29 => drop(stream.pop()),
                _ => {}
            }
        }
        stream
    })
}

proptest! {
    #![proptest_config(config())]

    /// The model and the protocol agree.
    #[test]
    fn framing_is_that_of_the_model(
        stream in prop_oneof![stream(), frames()],
        lengths in lengths(),
        ending in ending(),
        max in prop_oneof![1_usize..20, 20_usize..200],
    ) {
        let expected = Stream { bytes: &stream, max }.messages(ending);
        let calls: Vec<_> = pieces(&stream, &lengths).into_iter().map(Call::Receive).collect();
        let (_, outcome) = run(&mut lines(max), &calls, ending, bound(max));
        let found = Messages { messages: outcome.messages, doubtful: outcome.doubtful };
        prop_assert_eq!(found, expected, "{:?}", String::from_utf8_lossy(&stream));
    }
}
