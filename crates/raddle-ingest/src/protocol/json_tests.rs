//! JSON against a model, and hostile input: no panic, no message that is lost or invented, no more bytes kept than permitted.

use std::time::UNIX_EPOCH;

use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;

use super::json::{push_document, push_line};
use super::lines::LineOptions;
use super::testing::{inputs, line_options};
use crate::books::SourceId;
use crate::message::{Content, Parcel};
use crate::syslog::Parser;

const MOST: usize = 20;

/// The rows of a parcel: the text, or the reason.
fn rows(parcel: &Parcel, options: &LineOptions) -> Vec<Result<String, String>> {
    parcel
        .rows()
        .map(|row| match row.content {
            Content::Text(text, header) => {
                // A column that is not a part of the text would have panicked.
                assert!(text.contains(header.body));
                assert!(header.severity.is_none_or(|it| it < 8) && header.facility.is_none_or(|it| it < 24));
                Ok(text.to_owned())
            }
            Content::Rejected { reason, length, bytes } => {
                assert!(bytes.len() <= options.max_message && bytes.len() as u64 <= length);
                Err(reason.to_string())
            }
        })
        .collect()
}

/// Calls `push` with a new parcel, and returns its rows.
fn pushed<R>(
    push: impl FnOnce(&mut Parcel, &LineOptions, &Parser<'_>) -> R,
) -> (R, Vec<Result<String, String>>) {
    let options = line_options();
    let parser = Parser::new(&options.zone, UNIX_EPOCH);
    let mut parcel = Parcel::new(SourceId::FIRST, "peer".into(), UNIX_EPOCH);
    let result = push(&mut parcel, &options, &parser);
    let rows = rows(&parcel, &options);
    (result, rows)
}

/// The row of a value, by other means than those of the program.
fn model(value: &Value, text: &str) -> Result<String, String> {
    let max = line_options().max_message;
    match value {
        Value::String(string) if string.len() > max => Err("oversized".to_owned()),
        Value::String(string) if string.contains('\0') => Err("contains NUL".to_owned()),
        Value::String(string) => Ok(string.clone()),
        Value::Object(_) if text.len() > max => Err("oversized".to_owned()),
        Value::Object(_) => Ok(text.to_owned()),
        _ => Err("not a JSON string or object".to_owned()),
    }
}

/// Short texts with what is special in JSON or to the program.
fn string() -> impl Strategy<Value = String> {
    let parts = ["a", "\"", "\\", "\n", "\0", "\u{1}", "é", "\u{1f600}", "<13>", "{", "]", " ", "0123456789"];
    prop::collection::vec(prop::sample::select(parts.to_vec()), 0..14).prop_map(|parts| parts.concat())
}

fn key() -> impl Strategy<Value = String> {
    let known =
        ["host", "app", "pid", "severity", "level", "facility", "time", "created", "message", "msg", ""];
    prop_oneof![prop::sample::select(known.to_vec()).prop_map(str::to_owned), string()]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e12..1e12_f64).prop_map(Value::from),
        prop::sample::select(vec!["warn", "7", "8", "local3", "2026-01-02T03:04:05Z", "1.5"])
            .prop_map(Value::from),
        string().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..5).prop_map(|pairs| pairs.into_iter().collect()),
        ]
    })
}

/// Bytes that often are a part of JSON.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let parts: Vec<&[u8]> = vec![
        b"[",
        b"]",
        b"{",
        b"}",
        b"\"",
        b",",
        b":",
        b"\\",
        b"\\u",
        b"d800",
        b"\\u0000",
        b"\"host\"",
        b"\"message\"",
        b"1e999",
        b"-",
        b"null",
        b" ",
        b"\n",
        b"\xff",
        b"\xc3",
        b"\0",
        b"\xef\xbb\xbf",
        b"\"x\"",
        b"{}",
        b"0",
        b"tru",
    ];
    let part = prop_oneof![6 => prop::sample::select(parts).prop_map(<[u8]>::to_vec), 1 => prop::collection::vec(any::<u8>(), 1..4)];
    prop::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(inputs(400)) })]

    /// Each value is a message, or rejected with its reason, whether it is a line or an element, in order.
    #[test]
    fn rows_are_those_of_the_model(values in prop::collection::vec(value(), 0..MOST)) {
        let texts: Vec<String> = values.iter().map(Value::to_string).collect();
        let expected: Vec<_> = values.iter().zip(&texts).map(|(value, text)| model(value, text)).collect();
        let ((), lines) = pushed(|parcel, options, parser| {
            for line in &texts {
                push_line(parcel, line.as_bytes(), options, parser);
            }
        });
        prop_assert_eq!(&lines, &expected);
        let document = format!(" [ {} ]\n", texts.join(" ,\n"));
        let (outcome, elements) =
            pushed(|parcel, options, parser| push_document(parcel, document.as_bytes(), options, parser, MOST));
        prop_assert!(outcome.is_ok());
        prop_assert_eq!(&elements, &expected);
        // One more than permitted is an error.
        if let Some(fewer) = values.len().checked_sub(1) {
            let (outcome, elements) =
                pushed(|parcel, options, parser| push_document(parcel, document.as_bytes(), options, parser, fewer));
            prop_assert!(outcome.is_err());
            prop_assert!(elements.len() <= fewer);
        }
    }

    /// A line of any content is one row.
    #[test]
    fn line_of_any_bytes_is_one_row(line in hostile()) {
        let ((), rows) = pushed(|parcel, options, parser| push_line(parcel, &line, options, parser));
        prop_assert_eq!(rows.len(), 1);
    }

    /// A document is accepted if it is JSON, with a row for each element.
    #[test]
    fn document_of_any_bytes_has_a_row_for_each_element(document in hostile()) {
        let (outcome, rows) =
            pushed(|parcel, options, parser| push_document(parcel, &document, options, parser, usize::MAX));
        let text = std::str::from_utf8(&document).ok();
        let elements = text.and_then(|text| {
            let elements = serde_json::from_str::<Vec<&RawValue>>(text).map(|elements| elements.len());
            elements.or_else(|_| serde_json::from_str::<&RawValue>(text).map(|_| 1)).ok()
        });
        prop_assert_eq!(outcome.is_ok(), elements.is_some(), "{:?}", outcome);
        if let Some(elements) = elements {
            prop_assert_eq!(rows.len(), elements);
        }
    }
}
