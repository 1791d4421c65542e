//! Queries of a database of messages.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use raddle_ingest::{
    Batch, Books, CountBy, Delivery, Filter, Header, MessageReader, Parcel, Reason, Sent, Sink,
    SqliteOptions, SqliteSink, Verified, verify,
};

use crate::support::{Scratch, open};

const SECOND: i64 = 1_000_000;

/// Ten messages, one per second from 100 s on, and two rejected ones.
fn fill(path: &Path) {
    let books = Books::new();
    let sources = [books.open("tcp"), books.open("udp")];
    let mut sink = SqliteSink::open(path, &books, &SqliteOptions::default()).unwrap();
    let parcels = (0..10_usize).map(|number| {
        let received = UNIX_EPOCH + Duration::from_secs(100 + number as u64);
        let peer = if number % 2 == 0 { "10.0.0.1:5" } else { "10.0.0.20:6" };
        let mut parcel = Parcel::new(sources[number % 2], peer.into(), received);
        let text =
            format!("{} app{} message {number}", if number < 3 { "alpha" } else { "beta" }, number % 3);
        parcel.push(&text, |text| {
            let space = text.find(' ').unwrap();
            Header {
                host: Some(&text[..space]),
                app: (number != 9).then(|| &text[space + 1..space + 5]),
                severity: u8::try_from(number).ok().filter(|it| *it < 8),
                body: &text[space + 6..],
                ..Header::default()
            }
        });
        parcel
    });
    let mut parcels: Vec<Parcel> = parcels.collect();
    let mut rejected = Parcel::new(sources[1], "10.0.0.3:7".into(), UNIX_EPOCH + Duration::from_secs(200));
    rejected.push_rejected(Reason::NotUtf8, 2, vec![0xff, b'x']);
    rejected.push_rejected(Reason::NotUtf8, 1, vec![0xfe]);
    rejected.push_rejected(Reason::Oversized, 1 << 40, b"begin".to_vec());
    parcels.push(rejected);
    sink.store(&Batch::new(parcels)).unwrap();
    Box::new(sink).close().unwrap();
}

fn bodies(reader: &MessageReader, filter: &Filter, count: usize) -> Vec<String> {
    reader.newest(filter, count).unwrap().into_iter().map(|it| it.body).collect()
}

#[test]
fn newest_messages_are_found_by_every_column() {
    let scratch = Scratch::new("query-newest");
    let path = scratch.path("messages.db");
    fill(&path);
    let reader = MessageReader::open(&path).unwrap();
    let at = |seconds| Some(UNIX_EPOCH + Duration::from_secs(seconds));
    let all = Filter::default();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(bodies(&reader, &all, 2), ["message 9", "message 8"]);
    assert_eq!(bodies(&reader, &all, 100).len(), 10);
    assert!(bodies(&reader, &all, 0).is_empty());
    for (filter, expected) in [
        (Filter { source: text("udp"), ..all.clone() }, "97531"),
        (Filter { source: text("UDP"), ..all.clone() }, ""),
        (Filter { peer: text("10.0.0.2"), ..all.clone() }, "97531"),
        (Filter { peer: text("10.0.0.1:"), ..all.clone() }, "86420"),
        (Filter { host: text("alpha"), ..all.clone() }, "210"),
        (Filter { app: text("app1"), ..all.clone() }, "741"),
        (Filter { severity: Some(3), ..all.clone() }, "3210"),
        (Filter { since: at(107), ..all.clone() }, "987"),
        (Filter { until: at(101), ..all.clone() }, "10"),
        (Filter { since: at(103), until: at(105), ..all.clone() }, "543"),
        (Filter { text: text("message 7"), ..all.clone() }, "7"),
        (Filter { text: text("%"), ..all.clone() }, ""),
        (Filter { text: text("beta"), source: text("tcp"), severity: Some(6), ..all.clone() }, "64"),
    ] {
        let found: String =
            bodies(&reader, &filter, 100).iter().map(|body| &body[body.len() - 1..]).collect();
        assert_eq!(found, expected, "{filter:?}");
    }
    let newest = &reader.newest(&all, 1).unwrap()[0];
    assert_eq!((newest.id, newest.received, &*newest.source), (10, 109 * SECOND, "udp"));
    assert_eq!((newest.host.as_deref(), newest.app.as_deref(), newest.severity), (Some("beta"), None, None));
}

#[test]
fn messages_are_counted_by_column_and_time() {
    let scratch = Scratch::new("query-counts");
    let path = scratch.path("messages.db");
    fill(&path);
    let reader = MessageReader::open(&path).unwrap();
    let all = Filter::default();
    let counts = |by| reader.counts(by, &all).unwrap();
    let pairs = |pairs: &[(&str, u64)]| -> Vec<(String, u64)> {
        pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    };
    assert_eq!(counts(CountBy::Source), pairs(&[("tcp", 5), ("udp", 5)]));
    assert_eq!(counts(CountBy::Host), pairs(&[("beta", 7), ("alpha", 3)]));
    assert_eq!(counts(CountBy::App), pairs(&[("app0", 3), ("app1", 3), ("app2", 3), ("-", 1)]));
    assert_eq!(counts(CountBy::Severity)[0], ("-".to_owned(), 2));
    assert_eq!(counts(CountBy::Peer).len(), 2);
    let beta = Filter { host: Some("beta".into()), ..all.clone() };
    assert_eq!(reader.counts(CountBy::Host, &beta).unwrap(), pairs(&[("beta", 7)]));
    let rate = reader.rate(&all, Duration::from_secs(4)).unwrap();
    assert_eq!(rate, BTreeMap::from([(100 * SECOND, 4), (104 * SECOND, 4), (108 * SECOND, 2)]));
}

#[test]
fn rejected_messages_are_counted_by_reason() {
    let scratch = Scratch::new("query-rejected");
    let path = scratch.path("messages.db");
    fill(&path);
    let reader = MessageReader::open(&path).unwrap();
    let reasons = reader.reasons(&Filter::default()).unwrap();
    let counts: Vec<(&str, u64)> = reasons.iter().map(|it| (&*it.reason, it.count)).collect();
    assert_eq!(counts, [("not UTF-8", 2), ("oversized", 1)]);
    assert_eq!(reasons[0].latest, 200 * SECOND);
    let newest = reader.newest_rejected(&Filter::default(), 2).unwrap();
    assert_eq!(
        (newest[0].length, &*newest[0].bytes, &*newest[0].reason),
        (1 << 40, &b"begin"[..], "oversized")
    );
    assert_eq!(newest[1].bytes, [0xfe]);
    let filter = Filter { text: Some("x".into()), ..Filter::default() };
    assert_eq!(reader.newest_rejected(&filter, 9).unwrap().len(), 1);
    let filter = Filter { source: Some("tcp".into()), ..Filter::default() };
    assert!(reader.reasons(&filter).unwrap().is_empty());
}

#[test]
fn reader_does_not_hold_up_the_writer() {
    let scratch = Scratch::new("query-reader");
    let path = scratch.path("messages.db");
    fill(&path);
    let reader = MessageReader::open(&path).unwrap();
    assert_eq!(reader.newest(&Filter::default(), 3).unwrap().len(), 3);
    // It sees messages that are stored after it was opened, and holds no transaction that would keep the log from
    // being emptied.
    fill(&path);
    assert_eq!(reader.newest(&Filter::default(), 100).unwrap().len(), 20);
    let busy = open(&path).query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    assert_eq!(busy, Ok(0));
}

#[test]
fn other_files_are_not_read() {
    let scratch = Scratch::new("query-other");
    let open_error = |path: &Path| MessageReader::open(path).unwrap_err().to_string();
    assert!(open_error(&scratch.path("missing")).contains("No such file"));
    assert!(!scratch.path("missing").exists());
    assert!(open_error(&scratch.path(".")).contains("not a regular file"));
    std::fs::write(scratch.path("notes"), "notes ".repeat(200)).unwrap();
    assert!(open_error(&scratch.path("notes")).contains("is not a database of messages"));
    std::fs::write(scratch.path("empty"), "").unwrap();
    assert!(open_error(&scratch.path("empty")).contains("is not a database of messages"));
}

struct Texts;

impl Sent for Texts {
    fn connections(&self) -> u64 {
        2
    }

    fn share(&self, connection: u64) -> u64 {
        2 + connection
    }

    fn text(&self, connection: u64, message: u64) -> String {
        format!("<13>connection {connection} message {message} ...")
    }
}

#[test]
fn verify_finds_every_kind_of_difference() {
    let scratch = Scratch::new("query-verify");
    let path = scratch.path("messages.db");
    let books = Books::new();
    let mut sink = SqliteSink::open(&path, &books, &SqliteOptions::default()).unwrap();
    let mut parcel = Parcel::new(books.open("tcp"), "peer".into(), UNIX_EPOCH);
    for (connection, message) in [(1, 1), (2, 1), (2, 2), (1, 2), (2, 3), (1, 3), (2, 4)] {
        parcel.push_text(&Texts.text(connection, message));
    }
    sink.store(&Batch::new(vec![parcel])).unwrap();
    Box::new(sink).close().unwrap();
    for delivery in [Delivery::ExactlyOnce, Delivery::AtLeastOnce] {
        let mut expected = Verified::default();
        expected.rows = 7;
        assert_eq!(verify(&path, &Texts, delivery), Ok(expected));
    }
    let insert = "INSERT INTO messages (id, received, peer, text) SELECT 99, 0, ''";
    for (change, once, more) in [
        (
            "DELETE FROM messages WHERE id = 7",
            "3 of the 4 messages of connection 2",
            "3 of the 4 messages of connection 2",
        ),
        (
            "DELETE FROM messages WHERE id = 1",
            "row 4 has message 2 of connection 1, expected message 1",
            "2 of the 3",
        ),
        (
            "UPDATE messages SET text = text || ' ' WHERE id = 5",
            "row 5 has a text that was not sent",
            "not sent",
        ),
        (
            &format!("{insert}, text FROM messages WHERE id = 2"),
            "row 99 has message 1 of connection 2, expected message 5",
            "",
        ),
        (&format!("{insert}, 'connection 3 message 1'"), "not sent", "not sent"),
        (&format!("{insert}, 'connection 1 message 4'"), "not sent", "not sent"),
        (&format!("{insert}, 'hello'"), "not sent", "not sent"),
        (
            "INSERT INTO rejected (id, received, peer, reason, length, bytes) VALUES (99, 0, '', 'oversized', 1, x'00')",
            "1 messages were rejected",
            "1 messages were rejected",
        ),
    ] {
        let changed = scratch.path("changed.db");
        open(&path).execute("VACUUM INTO ?1", [changed.to_str().unwrap()]).unwrap();
        open(&changed).execute_batch(change).unwrap();
        let error = verify(&changed, &Texts, Delivery::ExactlyOnce).unwrap_err().to_string();
        assert!(error.contains(once), "{change}: {error}");
        match verify(&changed, &Texts, Delivery::AtLeastOnce) {
            Ok(verified) => assert_eq!((more, verified.doubles, verified.rows), ("", 1, 8), "{change}"),
            Err(error) => assert!(!more.is_empty() && error.to_string().contains(more), "{change}: {error}"),
        }
        std::fs::remove_file(&changed).unwrap();
    }
}
