//! The syntax of octet-counted frames, and the search for one within a line.

use memchr::memchr;

use super::interface::Ending;

/// The maximum number of digits of a count. More digits are the beginning of a line.
const LONGEST_COUNT: usize = 10;

/// The maximum number of spaces before, and of digits of, a doubtful count.
const LONGEST_PADDING: usize = 20;

/// The bytes that may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follow {
    /// More bytes may come.
    More,
    /// No more bytes come for the moment.
    Pause,
    /// The stream has ended.
    End(Ending),
}

/// The answer to a question about bytes, the last of which may not have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer<T> {
    Yes(T),
    No,
    Undecided,
}

impl<T> Answer<T> {
    fn without_value(self) -> Answer<()> {
        match self {
            Answer::Yes(_) => Answer::Yes(()),
            Answer::No => Answer::No,
            Answer::Undecided => Answer::Undecided,
        }
    }
}

/// The count at the beginning of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count {
    /// The number of digits, and the space.
    pub(super) prefix: usize,
    /// The number of bytes that follow.
    pub(super) length: u64,
}

impl Count {
    /// Returns the number of bytes that follow, unless they are more than `max`.
    pub(super) fn at_most(self, max: usize) -> Option<usize> {
        usize::try_from(self.length).ok().filter(|length| *length <= max)
    }
}

/// The result of a search for a frame within a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sought {
    /// A frame begins there.
    Frame(usize),
    /// A frame may begin at `begin`. The search continues with the `<` at `sign`, once more bytes are there.
    Undecided { begin: usize, sign: usize },
    /// No frame begins before the limit, except with the last bytes before it.
    Nothing,
}

/// Returns whether a count of octets begins `bytes`: digits, a space, and `<`.
pub(super) fn count(bytes: &[u8]) -> Answer<Count> {
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
pub(super) fn begins_frame(bytes: &[u8]) -> Answer<()> {
    match bytes {
        [b'<', ..] => Answer::Yes(()),
        _ => count(bytes).without_value(),
    }
}

/// Returns whether `bytes` may follow a counted frame.
pub(super) fn follows_frame(bytes: &[u8]) -> Answer<()> {
    match bytes {
        [b'\n' | 0, ..] | [b'\r', b'\n', ..] => Answer::Yes(()),
        [b'\r'] => Answer::Undecided,
        _ => begins_frame(bytes),
    }
}

/// Returns whether the counted frame that ends at `end` is followed by what may follow one.
///
/// If that is another count, it may be only a part of a count: with a first frame whose count is too large, its last byte is the first digit of the
/// next count; with a count that is too small, the last byte of the message is taken for a digit of the next count. The count at `end` is the
/// right one if what it counts is followed by what may follow a frame, or has not come. Otherwise the first frame does not end at `end` if another
/// count ends with the same digit, and its frame is followed by what may follow one: by a whole frame if the count at `end` is beyond the maximum,
/// since a long frame is no error. If there is none, it is the second frame that is wrong, not the first.
pub(super) fn follows_counted(rest: &[u8], end: usize, follow: Follow, max: usize) -> Answer<()> {
    let Answer::Yes(next) = count(&rest[end..]) else { return follows_frame(&rest[end..]) };
    let sign = end + next.prefix;
    let is_oversized = next.at_most(max).is_none();
    match frame_fits(rest, sign, next, max) {
        Answer::Undecided if follow == Follow::More => return Answer::Undecided,
        Answer::Undecided | Answer::Yes(_) => return Answer::Yes(()),
        Answer::No => {}
    }
    let digits = digits_at_end(&rest[..sign - 1]).min(LONGEST_COUNT);
    for begin in (sign - 1 - digits..sign - 1).filter(|begin| *begin != end) {
        let Answer::Yes(other) = count(&rest[begin..]) else { continue };
        let fits = match frame_fits(rest, sign, other, max) {
            Answer::Yes(behind) if is_oversized => match count(&rest[behind..]) {
                Answer::Yes(third) => frame_fits(rest, behind + third.prefix, third, max).without_value(),
                answer => answer.without_value(),
            },
            fits => fits.without_value(),
        };
        match fits {
            Answer::Undecided if follow == Follow::More => return Answer::Undecided,
            Answer::Undecided if is_oversized => {}
            Answer::Undecided | Answer::Yes(()) => return Answer::No,
            Answer::No => {}
        }
    }
    Answer::Yes(())
}

/// Returns where the message at `sign` ends, if it is followed by what may follow a frame.
fn frame_fits(rest: &[u8], sign: usize, count: Count, max: usize) -> Answer<usize> {
    let Some(length) = count.at_most(max) else { return Answer::No };
    let Some(behind) = rest.get(sign + length..) else { return Answer::Undecided };
    match follows_frame(behind) {
        Answer::Yes(()) => Answer::Yes(sign + length),
        Answer::No => Answer::No,
        Answer::Undecided => Answer::Undecided,
    }
}

/// Returns whether two or more counted frames begin within `rest`, not at its front, and the last of them ends with `rest`.
pub(super) fn frames_end_here(rest: &[u8], max: usize) -> bool {
    let mut at = match find_frame(rest, 1, 0, rest.len(), Follow::Pause, max) {
        Sought::Frame(begin) => begin,
        Sought::Undecided { .. } | Sought::Nothing => return false,
    };
    let mut frames = 0;
    while at < rest.len() {
        at += match (&rest[at..], count(&rest[at..])) {
            ([b'\n' | 0, ..], _) => 1,
            ([b'\r', b'\n', ..], _) => 2,
            (_, Answer::Yes(count)) => match count.at_most(max) {
                Some(length) => {
                    frames += 1;
                    count.prefix + length
                }
                None => return false,
            },
            _ => return false,
        };
    }
    at == rest.len() && frames > 1
}

/// Returns whether a line begins like a count: digits and a space, behind a byte order mark or spaces.
pub(super) fn resembles_count(line: &[u8]) -> bool {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let padding = line.iter().take(LONGEST_PADDING).take_while(|byte| **byte == b' ').count();
    let line = &line[padding..];
    let digits = line.iter().take(LONGEST_PADDING).take_while(|byte| byte.is_ascii_digit()).count();
    digits > 0 && line.get(digits) == Some(&b' ')
}

/// Searches `rest` for a counted frame of at most `max` bytes that certainly begins before `limit`: a count, a space, `<`, digits, `>`, and behind
/// the frame bytes that may follow one.
///
/// The search begins with the first `<` at `from` or behind it. No frame begins before `first`. The work is proportional to the bytes between
/// `from` and `limit`.
pub(super) fn find_frame(
    rest: &[u8],
    first: usize,
    from: usize,
    limit: usize,
    follow: Follow,
    max: usize,
) -> Sought {
    let mut from = from;
    while let Some(sign) = memchr(b'<', &rest[from..limit]).map(|index| from + index) {
        match frame_at(rest, first, sign, follow, max) {
            Sought::Nothing => from = sign + 1,
            sought => return sought,
        }
    }
    Sought::Nothing
}

/// Returns whether the `<` at `sign` is the first byte of a counted frame.
///
/// The message before it may end with digits: the longest count with a frame behind it is the right one. A count that is only a part of the
/// digits needs another count behind its frame.
fn frame_at(rest: &[u8], first: usize, sign: usize, follow: Follow, max: usize) -> Sought {
    let ended = matches!(follow, Follow::End(_));
    let Some(space) = sign.checked_sub(1).filter(|space| rest[*space] == b' ' && *space >= first) else {
        return Sought::Nothing;
    };
    let digits = digits_at_end(&rest[..space]);
    let run = space - digits;
    if digits == 0 {
        return Sought::Nothing;
    }
    match priority(&rest[sign..]) {
        Answer::Yes(()) => {}
        Answer::Undecided if !ended => return Sought::Undecided { begin: run, sign },
        Answer::Undecided | Answer::No => return Sought::Nothing,
    }
    for begin in (space - digits.min(LONGEST_COUNT)).max(first)..space {
        let Answer::Yes(found) = count(&rest[begin..]) else { continue };
        let Some(length) = found.at_most(max) else { continue };
        let proven = match rest.get(sign + length..) {
            None if ended => Answer::No,
            None => Answer::Undecided,
            Some(behind) => {
                match if begin == run { follows_frame(behind) } else { count(behind).without_value() } {
                    Answer::Undecided if follow != Follow::More => Answer::Yes(()),
                    answer => answer,
                }
            }
        };
        match proven {
            Answer::Yes(()) => return Sought::Frame(begin),
            Answer::Undecided => return Sought::Undecided { begin: run, sign },
            Answer::No => {}
        }
    }
    Sought::Nothing
}

/// Returns whether `bytes` begin with a priority: up to three digits between `<` and `>`.
fn priority(bytes: &[u8]) -> Answer<()> {
    let digits = bytes[1..].iter().take(4).take_while(|byte| byte.is_ascii_digit()).count();
    match bytes.get(1 + digits) {
        None if digits <= 3 => Answer::Undecided,
        Some(b'>') if (1..=3).contains(&digits) => Answer::Yes(()),
        _ => Answer::No,
    }
}

/// Returns the number of last bytes with which a count may begin.
pub(super) fn count_at_end(bytes: &[u8]) -> usize {
    let digits = bytes.strip_suffix(b" ").unwrap_or(bytes);
    let count = digits_at_end(digits);
    if count == 0 { 0 } else { count + bytes.len() - digits.len() }
}

/// Returns the number of digits at the end of `bytes`, or one more than a count has.
fn digits_at_end(bytes: &[u8]) -> usize {
    bytes.iter().rev().take(LONGEST_COUNT + 1).take_while(|byte| byte.is_ascii_digit()).count()
}
