//! The forms of almost all syslog messages, parsed without a general parser.
//!
//! A text in any other form is left to the general parser. Tests compare the columns with those of the general parser.

use jiff::civil::DateTime;
use jiff::tz::Offset;

const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// The columns of a message behind its priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Form<'t> {
    pub(crate) time: Time,
    pub(crate) host: Option<&'t str>,
    pub(crate) app: Option<&'t str>,
    pub(crate) process: Option<&'t str>,
    pub(crate) message_id: Option<&'t str>,
    pub(crate) body: &'t str,
}

/// The sender's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Time {
    Absent,
    /// Microseconds since 1970, UTC.
    Known(i64),
    /// Without a year and a zone.
    Local(Local),
}

/// A time of RFC 3164: `Nov 29 20:30:03`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Local {
    pub(crate) month: i8,
    pub(crate) day: i8,
    pub(crate) hour: i8,
    pub(crate) minute: i8,
    pub(crate) second: i8,
}

/// Returns the columns of the text behind a priority, if it has one of the usual forms.
pub(crate) fn find(after: &str) -> Option<Form<'_>> {
    let after = after.trim_end();
    match after.as_bytes() {
        [b'1', b' ', ..] => rfc_5424(&after[2..]),
        [first, ..] if first.is_ascii_digit() => {
            let (time, rest) = token(after)?;
            rfc_3164(Time::Known(timestamp(time)?), rest)
        }
        [_, _, _, b' ', ..] => rfc_3164(Time::Local(local(after)?), after.get(16..)?),
        _ => None,
    }
}

/// Returns whether a header may begin here; otherwise the text behind the priority is the message.
pub(crate) fn may_begin(after: &str) -> bool {
    let bytes = after.as_bytes();
    match bytes.first() {
        Some(first) if first.is_ascii_digit() || matches!(first, b'-' | b'+') => true,
        Some(_) => {
            bytes.get(..3).is_some_and(|name| MONTHS.iter().any(|month| month.eq_ignore_ascii_case(name)))
        }
        None => false,
    }
}

/// `2026-11-29T20:30:03.423142+00:00 host app 231 id [structured data] text`, or `-` in place of each.
fn rfc_5424(text: &str) -> Option<Form<'_>> {
    let (time, text) = token(text)?;
    let (host, text) = token(text)?;
    let (app, text) = token(text)?;
    let (process, text) = token(text)?;
    let (message_id, text) = token(text)?;
    if host.ends_with(':') || [app, process, message_id].contains(&":") {
        return None;
    }
    let time = if time == "-" { Time::Absent } else { Time::Known(timestamp(time)?) };
    let body = structured_data(text)?.trim_start_matches([' ', '\t']);
    let body = body.strip_prefix('\u{feff}').unwrap_or(body);
    let column = |column| if column == "-" { None } else { Some(column) };
    let [host, app, process, message_id] = [host, app, process, message_id].map(column);
    Some(Form { time, host, app, process, message_id, body })
}

/// `host app[231]: text`, behind the time.
fn rfc_3164(time: Time, text: &str) -> Option<Form<'_>> {
    let (host, text) = token(text)?;
    if host.ends_with(':') || host == "-" {
        return None;
    }
    let end = text.bytes().position(|byte| !is_name(byte) || byte == b':').filter(|end| *end > 0)?;
    let (tag, text) = text.split_at(end);
    let body = text.strip_prefix(':')?.trim_start_matches([' ', '\t']);
    if body.starts_with(['-', '[', ':']) {
        return None;
    }
    let (app, process) = match tag.split_once('[') {
        Some((app, process)) => (app, Some(process.strip_suffix(']')?)),
        None => (tag, None),
    };
    let is_plain = |name: &str| !name.is_empty() && !name.contains(['[', ']']);
    if !is_plain(app) || !process.is_none_or(is_plain) || tag == "-" {
        return None;
    }
    Some(Form { time, host: Some(host), app: Some(app), process, message_id: None, body })
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_graphic()
}

/// Splits off the first word, which ends with one space.
fn token(text: &str) -> Option<(&str, &str)> {
    let end = text.bytes().position(|byte| !is_name(byte)).filter(|end| *end > 0)?;
    let rest = text[end..].strip_prefix(' ')?;
    (!rest.starts_with([' ', '\t'])).then_some((&text[..end], rest))
}

/// Returns what follows `-` or `[id name="value"][id]`.
fn structured_data(text: &str) -> Option<&str> {
    let mut bytes = text.as_bytes();
    if let [b'-', rest @ ..] = bytes {
        bytes = rest;
    } else {
        while let [b'[', rest @ ..] = bytes {
            bytes = element(rest)?;
        }
        if bytes.len() == text.len() {
            return None;
        }
    }
    matches!(bytes.first(), None | Some(b' ')).then(|| &text[text.len() - bytes.len()..])
}

/// Returns what follows `id name="value" name="value"]`.
fn element(bytes: &[u8]) -> Option<&[u8]> {
    let mut bytes = name(bytes)?;
    loop {
        match bytes {
            [b']', rest @ ..] => return Some(rest),
            [b' ', rest @ ..] => bytes = value(name(rest)?.strip_prefix(b"=\"")?)?,
            _ => return None,
        }
    }
}

/// Returns what follows a name of structured data.
fn name(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.iter().position(|byte| !is_name(*byte) || matches!(byte, b'=' | b']' | b'"' | b'['))?;
    (end > 0).then(|| &bytes[end..])
}

/// Returns what follows a value and its closing quote.
fn value(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        match memchr::memchr2(b'"', b'\\', bytes)? {
            end if bytes[end] == b'"' => return Some(&bytes[end + 1..]),
            // The escaped character is one byte.
            escape if bytes.get(escape + 1)?.is_ascii() => bytes = &bytes[escape + 2..],
            _ => return None,
        }
    }
}

/// Parses `2026-11-29T20:30:03.423142+00:00`, to microseconds since 1970.
fn timestamp(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let (time, mut rest) = bytes.split_at_checked(19)?;
    if [time[4], time[7], time[10], time[13], time[16]] != *b"--T::" {
        return None;
    }
    let year = i16::from(pair(time, 0)?) * 100 + i16::from(pair(time, 2)?);
    let [month, day, hour, minute, second] =
        [pair(time, 5)?, pair(time, 8)?, pair(time, 11)?, pair(time, 14)?, pair(time, 17)?];
    let time = DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
    let mut micros = 0;
    if let [b'.', fraction @ ..] = rest {
        let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if !(1..=9).contains(&digits) {
            return None;
        }
        let places = (0..6).map(|place| {
            fraction.get(place).filter(|_| place < digits).map_or(0, |digit| i64::from(digit - b'0'))
        });
        micros = places.fold(0, |micros, digit| micros * 10 + digit);
        rest = &fraction[digits..];
    }
    let offset = match *rest {
        [b'Z'] => 0,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let (hours, minutes) = (pair(rest, 1)?, pair(rest, 4)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let seconds = i64::from(hours) * 3600 + i64::from(minutes) * 60;
            if sign == b'-' { -seconds } else { seconds }
        }
        _ => return None,
    };
    let seconds = Offset::UTC.to_timestamp(time).ok()?.as_second() - offset;
    Some(seconds * 1_000_000 + micros)
}

/// Parses `Nov 29 20:30:03 `.
fn local(text: &str) -> Option<Local> {
    let bytes: &[u8; 16] = text.as_bytes().first_chunk()?;
    if [bytes[3], bytes[6], bytes[9], bytes[12], bytes[15]] != *b"  :: " {
        return None;
    }
    let month = MONTHS.iter().position(|month| bytes.starts_with(*month))?;
    let day = if bytes[4] == b' ' { pair(&[b'0', bytes[5]], 0)? } else { pair(bytes, 4)? };
    let local = Local {
        month: i8::try_from(month + 1).ok()?,
        day,
        hour: pair(bytes, 7)?,
        minute: pair(bytes, 10)?,
        second: pair(bytes, 13)?,
    };
    // The day is checked with the year.
    (local.hour < 24 && local.minute < 60 && local.second < 60).then_some(local)
}

/// Parses two digits.
fn pair(bytes: &[u8], at: usize) -> Option<i8> {
    let digit = |at: usize| {
        bytes.get(at).filter(|byte| byte.is_ascii_digit()).map(|byte| i8::try_from(byte - b'0').unwrap_or(0))
    };
    Some(digit(at)? * 10 + digit(at + 1)?)
}
