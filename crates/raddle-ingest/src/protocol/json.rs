//! Messages in JSON: a string's message is the string, an object's is its text, with the columns that are found in it.

use std::fmt;

use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::lines::LineOptions;
use crate::message::{Header, Parcel, Reason};
use crate::syslog::Parser;

/// A body that is not valid.
#[derive(Debug)]
pub(crate) enum DocumentError {
    /// It has more messages than allowed.
    TooMany,
    NotUtf8 {
        at: usize,
    },
    NotJson {
        at: usize,
        reason: String,
    },
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DocumentError::TooMany => f.write_str("the body has too many messages"),
            DocumentError::NotUtf8 { at } => write!(f, "the body is not UTF-8: byte {at}"),
            DocumentError::NotJson { at, reason } => write!(f, "the body is not JSON: byte {at}: {reason}"),
        }
    }
}

/// Adds the message of a line of NDJSON. One that is not a string or an object in JSON is rejected; its neighbours are not affected.
pub(crate) fn push_line(parcel: &mut Parcel, line: &[u8], options: &LineOptions, parser: &Parser<'_>) {
    if line.len() > options.max_message.saturating_mul(6) {
        // Too long even if every character of a string is escaped.
        return options.reject(parcel, Reason::Oversized, line);
    }
    match std::str::from_utf8(line).map(serde_json::from_str::<&RawValue>) {
        Err(_) => options.reject(parcel, Reason::NotUtf8, line),
        Ok(Err(_)) => options.reject(parcel, Reason::NotJson, line),
        Ok(Ok(value)) => push_value(parcel, value, options, parser),
    }
}

/// Adds the messages of a JSON array, or one message.
///
/// # Errors
/// Returns an error if the body is not JSON; some messages may have been added.
pub(crate) fn push_document(
    parcel: &mut Parcel,
    body: &[u8],
    options: &LineOptions,
    parser: &Parser<'_>,
    max_messages: usize,
) -> Result<(), DocumentError> {
    let text =
        std::str::from_utf8(body).map_err(|error| DocumentError::NotUtf8 { at: error.valid_up_to() })?;
    let mut too_many = false;
    let mut json = serde_json::Deserializer::from_str(text);
    let outcome = if text.trim_ascii_start().starts_with('[') {
        json.deserialize_seq(Elements { parcel, options, parser, max_messages, too_many: &mut too_many })
    } else {
        de::Deserialize::deserialize(&mut json).map(|value| push_value(parcel, value, options, parser))
    };
    outcome.and_then(|()| json.end()).map_err(|error| {
        if too_many {
            return DocumentError::TooMany;
        }
        let before: usize =
            text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
        let reason = error.to_string();
        let reason = reason.split(" at line ").next().unwrap_or_default().to_owned();
        DocumentError::NotJson { at: before + error.column().saturating_sub(1), reason }
    })
}

/// Adds the elements of an array.
struct Elements<'p> {
    parcel: &'p mut Parcel,
    options: &'p LineOptions,
    parser: &'p Parser<'p>,
    max_messages: usize,
    too_many: &'p mut bool,
}

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        while let Some(value) = array.next_element::<&RawValue>()? {
            if self.parcel.len() >= self.max_messages {
                *self.too_many = true;
                return Err(de::Error::custom("too many messages"));
            }
            push_value(self.parcel, value, self.options, self.parser);
        }
        Ok(())
    }
}

fn push_value(parcel: &mut Parcel, value: &RawValue, options: &LineOptions, parser: &Parser<'_>) {
    let text = value.get();
    match text.as_bytes().first() {
        Some(b'"') => match unescaped(text) {
            Some(text) => options.push(parcel, text.as_bytes(), parser),
            None => match serde_json::from_str::<String>(text) {
                Ok(text) => options.push(parcel, text.as_bytes(), parser),
                // A lone surrogate, for example.
                Err(_) => options.reject(parcel, Reason::NotJson, text.as_bytes()),
            },
        },
        Some(b'{') if text.len() <= options.max_message => parcel.push(text, columns),
        Some(b'{') => options.reject(parcel, Reason::Oversized, text.as_bytes()),
        _ => options.reject(parcel, Reason::NotJson, text.as_bytes()),
    }
}

/// Returns the content of a JSON string if it is a part of its text.
fn unescaped(text: &str) -> Option<&str> {
    let content = text.strip_prefix('"')?.strip_suffix('"')?;
    memchr::memchr(b'\\', content.as_bytes()).is_none().then_some(content)
}

/// Returns the columns that are found in an object.
fn columns(text: &str) -> Header<'_> {
    let header = Header { body: text, ..Header::default() };
    let mut json = serde_json::Deserializer::from_str(text);
    json.deserialize_map(Columns(header)).unwrap_or(header)
}

struct Columns<'de>(Header<'de>);

/// The keys with a meaning. Of several keys with one meaning, the first counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Host,
    App,
    Process,
    MessageId,
    Severity,
    /// The name of a severity: a number may be that of another scale.
    Level,
    Facility,
    Time,
    /// Seconds since 1970.
    Created,
    Message,
    Other,
}

impl Key {
    fn of(name: &str) -> Self {
        match name {
            "host" | "hostname" => Key::Host,
            "app" | "appname" | "app_name" => Key::App,
            "pid" | "procid" | "process" => Key::Process,
            "msgid" => Key::MessageId,
            "severity" => Key::Severity,
            "level" | "levelname" => Key::Level,
            "facility" => Key::Facility,
            "timestamp" | "time" | "@timestamp" => Key::Time,
            "created" => Key::Created,
            "message" | "msg" => Key::Message,
            _ => Key::Other,
        }
    }
}

impl<'de> de::Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl Visitor<'_> for Name {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Key, E> {
                Ok(Key::of(name))
            }
        }
        deserializer.deserialize_str(Name)
    }
}

impl<'de> Visitor<'de> for Columns<'de> {
    type Value = Header<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Header<'de>, A::Error> {
        let Self(mut header) = self;
        let whole = header.body;
        while let Some(key) = object.next_key()? {
            if key == Key::Other {
                object.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = object.next_value::<&'de RawValue>()?.get();
            // The columns are parts of the text: a string without escapes, or a number.
            let part = match value.as_bytes().first() {
                Some(b'"') => unescaped(value),
                Some(b'-' | b'0'..=b'9') => Some(value),
                _ => None,
            };
            let Some(part) = part.filter(|part| !part.is_empty()) else { continue };
            match key {
                Key::Host => header.host = header.host.or(Some(part)),
                Key::App => header.app = header.app.or(Some(part)),
                Key::Process => header.process = header.process.or(Some(part)),
                Key::MessageId => header.message_id = header.message_id.or(Some(part)),
                Key::Severity => {
                    header.severity = header.severity.or_else(|| small(part, 7).or_else(|| severity(part)));
                }
                Key::Level => header.severity = header.severity.or_else(|| severity(part)),
                Key::Facility => {
                    header.facility = header.facility.or_else(|| small(part, 23).or_else(|| facility(part)));
                }
                Key::Time => header.sent = header.sent.or_else(|| time(part)),
                Key::Created => header.sent = header.sent.or_else(|| seconds(part)),
                Key::Message if header.body.len() == whole.len() => header.body = part,
                Key::Message | Key::Other => {}
            }
        }
        Ok(header)
    }
}

/// Reads a number up to `most`.
fn small(text: &str, most: u8) -> Option<u8> {
    text.parse().ok().filter(|number| *number <= most)
}

/// Returns the severity of a name.
fn severity(name: &str) -> Option<u8> {
    const NAMES: [(&str, u8); 16] = [
        ("emerg", 0),
        ("emergency", 0),
        ("panic", 0),
        ("alert", 1),
        ("crit", 2),
        ("critical", 2),
        ("fatal", 2),
        ("err", 3),
        ("error", 3),
        ("warn", 4),
        ("warning", 4),
        ("notice", 5),
        ("info", 6),
        ("information", 6),
        ("debug", 7),
        ("trace", 7),
    ];
    NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, number)| *number)
}

/// Returns the facility of a name.
fn facility(name: &str) -> Option<u8> {
    const NAMES: [&str; 24] = [
        "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
        "ntp", "audit", "console", "clock", "local0", "local1", "local2", "local3", "local4", "local5",
        "local6", "local7",
    ];
    let index = NAMES.iter().position(|known| known.eq_ignore_ascii_case(name))?;
    u8::try_from(index).ok()
}

/// Reads a time with its offset from UTC, in RFC 3339.
fn time(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_microsecond)
}

/// Reads seconds since 1970.
#[allow(clippy::cast_possible_truncation, reason = "the number is checked")]
fn seconds(text: &str) -> Option<i64> {
    let micros = text.parse::<f64>().ok()? * 1e6;
    (micros.abs() < 1e18).then_some(micros.round() as i64)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use jiff::tz::TimeZone;

    use super::*;
    use crate::books::SourceId;
    use crate::message::Content;

    #[test]
    fn columns_are_found_in_an_object() {
        let whole = |text| Header { body: text, ..Header::default() };
        let cases = [
            ("{}", whole("{}")),
            (
                r#"{"host":"h","app":"a","pid":12,"severity":3,"facility":"local7","time":"1970-01-01T00:00:01+00:00","message":"m"}"#,
                Header {
                    facility: Some(23),
                    severity: Some(3),
                    sent: Some(1_000_000),
                    host: Some("h"),
                    app: Some("a"),
                    process: Some("12"),
                    message_id: None,
                    body: "m",
                },
            ),
            (
                r#" { "hostname" : "h", "app_name":"a", "procid":"p", "msgid":"i", "level":"WARN", "@timestamp":"1970-01-01T02:00:00.5+02:00", "msg" : "" , "created": 1.5}"#,
                Header {
                    facility: None,
                    severity: Some(4),
                    sent: Some(500_000),
                    host: Some("h"),
                    app: Some("a"),
                    process: Some("p"),
                    message_id: Some("i"),
                    body: "",
                },
            ),
            // The first of several keys with the same meaning counts.
            (r#"{"host":"one","hostname":"two"}"#, Header { host: Some("one"), ..whole("") }),
            // Not the number of a severity, but that of another scale.
            (r#"{"level":3,"severity":30,"facility":24}"#, whole("")),
            // Not in the text as it is, or of another type.
            (r#"{"host":"a\"b","app":["a"],"pid":null,"time":1700000000,"message":"a\nb"}"#, whole("")),
            (r#"{"time":"2024-01-01 00:00:00","timestamp":"yesterday","created":"x"}"#, whole("")),
            (
                r#"{"created":"1.25","process":"7","levelname":"CRITICAL"}"#,
                Header { severity: Some(2), sent: Some(1_250_000), process: Some("7"), ..whole("") },
            ),
            // Only keys of the object itself count.
            (r#"{"kubernetes":{"host":"h"},"\u0068ost":"k"}"#, Header { host: Some("k"), ..whole("") }),
        ];
        for (text, expected) in cases {
            let found = columns(text);
            // An empty message says less than the text.
            let body = if expected.body.is_empty() { text } else { expected.body };
            let expected = Header { body, ..expected };
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn deep_nesting_needs_no_stack() {
        let depth = 1_000_000;
        let value = format!("{{\"x\":{}{},\"msg\":\"m\"}}", "[".repeat(depth), "]".repeat(depth));
        let options = LineOptions { max_message: 3 * depth, zone: TimeZone::UTC };
        let parser = Parser::new(&options.zone, UNIX_EPOCH);
        let mut parcel = Parcel::new(SourceId::FIRST, "peer".into(), UNIX_EPOCH);
        push_line(&mut parcel, value.as_bytes(), &options, &parser);
        push_document(&mut parcel, format!("[{value},{{}}]").as_bytes(), &options, &parser, 10).unwrap();
        assert!(push_document(&mut parcel, &vec![b'['; depth], &options, &parser, 10).is_err());
        let bodies = parcel.rows().map(|row| match row.content {
            Content::Text(_, header) => header.body,
            Content::Rejected { .. } => "rejected",
        });
        assert_eq!(bodies.collect::<Vec<_>>(), ["m", "m", "{}"]);
    }
}
