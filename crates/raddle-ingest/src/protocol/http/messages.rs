//! Messages from the body of a request.

use memchr::memchr;

use super::reply::Response;
use crate::message::{Parcel, Reason};
use crate::protocol::json;
use crate::protocol::lines::LineOptions;
use crate::syslog::Parser;

/// The content of a body, by its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// A JSON value per line.
    JsonLines,
    /// An array of JSON values, or one.
    Json,
    /// A message per line.
    Lines,
    /// One message: the fields of a form.
    Form,
}

impl Format {
    /// Returns the format of a content type.
    pub(crate) fn of(content_type: Option<&str>) -> Result<Self, Response> {
        let supported =
            "application/x-ndjson, application/json, text/plain and application/x-www-form-urlencoded";
        let refuse = |reason: String| {
            Err(Response::refusal(415, format!("{reason}; use {supported}"))
                .header("Accept", supported.replace(" and", ",")))
        };
        let Some(content_type) = content_type else {
            return refuse("there is no Content-Type".to_owned());
        };
        let mut parts = content_type.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        for part in parts {
            if let Some((name, value)) = part.split_once('=')
                && name.trim().eq_ignore_ascii_case("charset")
                && !["utf-8", "utf8", "us-ascii"]
                    .contains(&value.trim_matches(['"', ' ']).to_ascii_lowercase().as_str())
            {
                return refuse(format!("the charset {value:?} is not supported: send UTF-8"));
            }
        }
        match kind.as_str() {
            "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/x-jsonlines"
            | "application/jsonlines" => Ok(Self::JsonLines),
            "application/json" => Ok(Self::Json),
            "text/plain" => Ok(Self::Lines),
            "application/x-www-form-urlencoded" => Ok(Self::Form),
            kind => refuse(format!("the Content-Type {kind:?} is not supported")),
        }
    }
}

/// Adds the messages of a body to the parcel.
pub(crate) fn add(
    parcel: &mut Parcel,
    format: Format,
    body: &[u8],
    options: &LineOptions,
    max_messages: usize,
    parser: &Parser<'_>,
) -> Result<(), Response> {
    let too_many = || Response::refusal(413, format!("more than {max_messages} messages in a request"));
    match format {
        Format::JsonLines => {
            for line in lines(body) {
                let line = line.trim_ascii();
                // An empty line is not a value.
                if !line.is_empty() {
                    if parcel.len() >= max_messages {
                        return Err(too_many());
                    }
                    json::push_line(parcel, line, options, parser);
                }
            }
            Ok(())
        }
        Format::Json => {
            json::push_document(parcel, body, options, parser, max_messages).map_err(|error| match error {
                json::DocumentError::TooMany => too_many(),
                error => Response::refusal(400, error.to_string()),
            })
        }
        Format::Lines => {
            for line in lines(body) {
                if parcel.len() >= max_messages {
                    return Err(too_many());
                }
                options.push(parcel, line, parser);
            }
            Ok(())
        }
        Format::Form => form(parcel, body, options, parser),
    }
}

/// Returns the lines of a body without their ends.
fn lines(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = body;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = memchr(b'\n', rest);
        let line = &rest[..end.unwrap_or(rest.len())];
        rest = &rest[end.map_or(rest.len(), |end| end + 1)..];
        // A carriage return belongs to the end of the line only if a newline follows.
        Some(if end.is_some() { line.strip_suffix(b"\r").unwrap_or(line) } else { line })
    })
}

/// Adds the fields of a form as one message, a JSON object.
fn form(
    parcel: &mut Parcel,
    body: &[u8],
    options: &LineOptions,
    parser: &Parser<'_>,
) -> Result<(), Response> {
    if matches!(body.first(), Some(b'{' | b'[')) || memchr(b'=', body).is_none() {
        let reason = "the body is not a form: name its type in the header Content-Type";
        return Err(Response::refusal(415, reason));
    }
    let mut object = String::from("{");
    for field in body.split(|byte| *byte == b'&').filter(|field| !field.is_empty()) {
        let at = memchr(b'=', field).unwrap_or(field.len());
        let name = decoded(&field[..at])?;
        let value = decoded(field.get(at + 1..).unwrap_or_default())?;
        let (Ok(name), Ok(value)) = (String::from_utf8(name), String::from_utf8(value)) else {
            options.reject(parcel, Reason::NotUtf8, body);
            return Ok(());
        };
        if object.len() > 1 {
            object.push(',');
        }
        object.push_str(&serde_json::Value::String(name).to_string());
        object.push(':');
        object.push_str(&serde_json::Value::String(value).to_string());
    }
    object.push('}');
    json::push_line(parcel, object.as_bytes(), options, parser);
    Ok(())
}

/// Decodes a name or a value of a form.
fn decoded(text: &[u8]) -> Result<Vec<u8>, Response> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, behind @ ..] = rest {
        rest = behind;
        bytes.push(match (first, behind) {
            (b'+', _) => b' ',
            (b'%', [high, low, behind @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                rest = behind;
                16 * digit(*high) + digit(*low)
            }
            (b'%', _) => {
                return Err(Response::refusal(400, "the form has a % without two hexadecimal digits"));
            }
            (other, _) => *other,
        });
    }
    Ok(bytes)
}

fn digit(hexadecimal: u8) -> u8 {
    match hexadecimal {
        b'0'..=b'9' => hexadecimal - b'0',
        lower_or_upper => (lower_or_upper | 0x20) - b'a' + 10,
    }
}
