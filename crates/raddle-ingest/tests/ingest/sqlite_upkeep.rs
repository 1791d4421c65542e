//! The maintenance of the SQLite sink: the log stays small, old messages are deleted.

use std::path::Path;
use std::time::{Duration, SystemTime};

use raddle_ingest::{Batch, Books, Parcel, Reason, Retention, Sink, SourceId, SqliteOptions, SqliteSink};
use rusqlite::Connection;

use crate::conformance::parcel;
use crate::support::{Scratch, number, open, texts, within_limit};

/// A batch of about a MiB.
fn large(source: SourceId) -> Batch {
    let text = "x".repeat(1000);
    Batch::new(vec![parcel(source, &vec![&*text; 1000])])
}

fn log_size(path: &Path) -> u64 {
    std::fs::metadata(format!("{}-wal", path.display())).map_or(0, |it| it.len())
}

/// Begins to read, and stays in the transaction.
fn reading(path: &Path) -> Connection {
    let reader = open(path);
    reader.execute_batch("BEGIN").unwrap();
    let _: i64 = reader.query_row("SELECT count(*) FROM messages", [], |row| row.get(0)).unwrap();
    reader
}

#[test]
fn log_stays_small_while_readers_come_and_go() {
    within_limit(|| {
        let scratch = Scratch::new("upkeep-readers");
        let path = scratch.path("messages.db");
        let books = Books::new();
        let source = books.open("tcp");
        let options = SqliteOptions { log_limit: 16 << 20, ..SqliteOptions::default() };
        let mut sink = SqliteSink::open(&path, &books, &options).unwrap();
        let mut largest = 0;
        // At almost any moment there is a reader: each ends after the next one has begun.
        let mut reader = Some(reading(&path));
        for round in 0..60 {
            sink.store(&large(source)).unwrap();
            sink.maintain().unwrap();
            largest = largest.max(log_size(&path));
            reader = (round % 8 != 7).then(|| {
                let next = reading(&path);
                drop(reader.take());
                next
            });
        }
        assert!(largest < 16 << 20, "{largest}");
        drop(reader);
        Box::new(sink).close().unwrap();
        assert_eq!(number(&path, "SELECT count(*) FROM messages"), 60_000);
        assert_eq!(log_size(&path), 0);
    });
}

#[test]
fn sizes_are_those_of_the_files() {
    let scratch = Scratch::new("upkeep-sizes");
    let path = scratch.path("messages.db");
    let books = Books::new();
    let source = books.open("tcp");
    let mut sink = SqliteSink::open(&path, &books, &SqliteOptions::default()).unwrap();
    sink.store(&large(source)).unwrap();
    let database = std::fs::metadata(&path).unwrap().len();
    assert_eq!(sink.sizes(), [("database", database), ("log", log_size(&path))]);
    assert!(database + log_size(&path) > 1_000_000);
}

#[test]
fn log_without_readers_is_restarted() {
    let scratch = Scratch::new("upkeep-log");
    let path = scratch.path("messages.db");
    let books = Books::new();
    let source = books.open("tcp");
    let mut sink = SqliteSink::open(&path, &books, &SqliteOptions::default()).unwrap();
    for _ in 0..50 {
        sink.store(&large(source)).unwrap();
        sink.maintain().unwrap();
    }
    assert!(log_size(&path) < 24 << 20, "{}", log_size(&path));
    Box::new(sink).close().unwrap();
}

#[test]
fn reader_that_holds_up_the_log_is_named_and_stops_the_sink_when_the_disk_has_no_room() {
    within_limit(|| {
        let scratch = Scratch::new("upkeep-limit");
        let path = scratch.path("messages.db");
        let books = Books::new();
        let source = books.open("tcp");
        // No disk has so much room.
        let options =
            SqliteOptions { log_limit: 8 << 20, disk_reserve: u64::MAX, ..SqliteOptions::default() };
        let mut sink = SqliteSink::open(&path, &books, &options).unwrap();
        let reader = reading(&path);
        let mut stored = 0;
        let error = loop {
            match sink.store(&large(source)) {
                Ok(_) => stored += 1,
                Err(error) => break error.to_string(),
            }
            sink.maintain().unwrap();
            assert!(stored < 20, "the log has {} bytes", log_size(&path));
        };
        assert!(stored >= 4, "{stored}");
        assert!(error.contains("messages.db-wal has reached its limit of 8 MiB"), "{error}");
        if cfg!(target_os = "linux") {
            let process = std::process::id();
            assert!(error.contains(&format!("is being read by process {process} (")), "{error}");
        }
        drop(reader);
        for _ in 0..20 {
            sink.store(&large(source)).unwrap();
            sink.maintain().unwrap();
        }
        assert!(log_size(&path) <= 10 << 20, "{}", log_size(&path));
        Box::new(sink).close().unwrap();
        assert_eq!(number(&path, "SELECT count(*) FROM messages"), (stored + 20) * 1000);
    });
}

#[test]
fn sink_stores_beyond_the_limit_of_the_log_while_the_disk_has_room() {
    within_limit(|| {
        let scratch = Scratch::new("upkeep-beyond");
        let path = scratch.path("messages.db");
        let books = Books::new();
        let source = books.open("tcp");
        let options = SqliteOptions { log_limit: 4 << 20, disk_reserve: 0, ..SqliteOptions::default() };
        let mut sink = SqliteSink::open(&path, &books, &options).unwrap();
        let reader = reading(&path);
        for _ in 0..20 {
            sink.store(&large(source)).unwrap();
            sink.maintain().unwrap();
        }
        assert!(log_size(&path) > 16 << 20, "{}", log_size(&path));
        let seen = reader.query_row("SELECT count(*) FROM messages", [], |row| row.get::<_, i64>(0));
        assert_eq!(seen, Ok(0), "the reader sees one state throughout");
        drop(reader);
        // The log is begun anew.
        for _ in 0..20 {
            sink.store(&large(source)).unwrap();
            sink.maintain().unwrap();
        }
        assert!(log_size(&path) < 30 << 20, "{}", log_size(&path));
        Box::new(sink).close().unwrap();
        assert_eq!(number(&path, "SELECT count(*) FROM messages"), 40_000);
    });
}

#[test]
fn close_while_the_database_is_read_keeps_everything() {
    let scratch = Scratch::new("upkeep-close");
    let path = scratch.path("messages.db");
    let books = Books::new();
    let source = books.open("tcp");
    let mut sink = SqliteSink::open(&path, &books, &SqliteOptions::default()).unwrap();
    sink.store(&Batch::new(vec![parcel(source, &["one"])])).unwrap();
    let reader = reading(&path);
    sink.store(&Batch::new(vec![parcel(source, &["two"])])).unwrap();
    Box::new(sink).close().unwrap();
    let seen = reader.query_row("SELECT count(*) FROM messages", [], |row| row.get::<_, i64>(0));
    assert_eq!(seen, Ok(1), "a reader's transaction sees one state");
    drop(reader);
    assert_eq!(texts(&path), ["one", "two"]);
}

/// Messages received a number of hours ago.
fn aged(source: SourceId, hours: u64, texts: &[&str]) -> Parcel {
    let received = SystemTime::now() - Duration::from_hours(hours);
    let mut parcel = Parcel::new(source, "peer".into(), received);
    for text in texts {
        parcel.push_text(text);
    }
    parcel.push_rejected(Reason::NotUtf8, 1, vec![0xff]);
    parcel
}

#[test]
fn old_messages_are_deleted_by_age() {
    let scratch = Scratch::new("upkeep-age");
    let path = scratch.path("messages.db");
    let books = Books::new();
    let source = books.open("tcp");
    let retention = Retention { age: Some(Duration::from_hours(5)), bytes: None };
    let mut sink =
        SqliteSink::open(&path, &books, &SqliteOptions { retention, ..SqliteOptions::default() }).unwrap();
    let many = vec!["x"; 70_000];
    let parcels = vec![
        aged(source, 9, &["nine"]),
        aged(source, 8, &many),
        aged(source, 6, &["six"]),
        aged(source, 4, &["four"]),
        aged(source, 7, &["seven"]),
        aged(source, 0, &["zero"]),
    ];
    sink.store(&Batch::new(parcels)).unwrap();
    // A step is bounded.
    sink.maintain().unwrap();
    assert!(number(&path, "SELECT count(*) FROM messages") > 10_000);
    for _ in 0..10 {
        sink.maintain().unwrap();
    }
    assert_eq!(texts(&path), ["four", "zero"]);
    assert_eq!(number(&path, "SELECT count(*) FROM rejected"), 2);
    Box::new(sink).close().unwrap();
}

#[test]
fn old_messages_are_deleted_by_size_and_the_file_shrinks() {
    let scratch = Scratch::new("upkeep-size");
    let path = scratch.path("messages.db");
    let books = Books::new();
    let source = books.open("tcp");
    let sink = |bytes| {
        let retention = Retention { age: None, bytes };
        SqliteSink::open(&path, &books, &SqliteOptions { retention, ..SqliteOptions::default() }).unwrap()
    };
    let mut first = sink(None);
    for _ in 0..60 {
        first.store(&large(source)).unwrap();
        first.maintain().unwrap();
    }
    Box::new(first).close().unwrap();
    let size = || std::fs::metadata(&path).unwrap().len();
    assert!(size() > 60 << 20);
    let mut second = sink(Some(20 << 20));
    for _ in 0..40 {
        second.maintain().unwrap();
    }
    second.store(&Batch::new(vec![parcel(source, &["last"])])).unwrap();
    second.maintain().unwrap();
    let left = number(&path, "SELECT count(*) FROM messages");
    assert!((1000..20_000).contains(&left), "{left}");
    assert_eq!(number(&path, "SELECT max(id) FROM messages"), 60_001, "the newest are kept");
    assert_eq!(number(&path, "SELECT min(id) FROM messages"), 60_002 - left, "the first are deleted first");
    Box::new(second).close().unwrap();
    assert!(size() < 40 << 20, "{}", size());
}

#[test]
fn log_stays_small_while_nothing_can_be_deleted() {
    let scratch = Scratch::new("upkeep-undeletable");
    let path = scratch.path("messages.db");
    let books = Books::new();
    let source = books.open("tcp");
    let retention = Retention { age: None, bytes: Some(1) };
    let options = SqliteOptions { retention, log_limit: 8 << 20, ..SqliteOptions::default() };
    let mut sink = SqliteSink::open(&path, &books, &options).unwrap();
    open(&path)
        .execute_batch("CREATE TRIGGER t BEFORE DELETE ON messages BEGIN SELECT RAISE(ABORT, 'keep it'); END")
        .unwrap();
    let mut errors = Vec::new();
    for _ in 0..20 {
        sink.store(&large(source)).unwrap();
        errors.extend(sink.maintain().err().map(|error| error.to_string()));
    }
    assert_eq!(errors[0], "cannot delete old messages: keep it");
    assert!(log_size(&path) <= 8 << 20, "{}", log_size(&path));
    Box::new(sink).close().unwrap();
    assert_eq!(number(&path, "SELECT count(*) FROM messages"), 20_000);
}
