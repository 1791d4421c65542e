//! The SQLite sink: the suite of all sinks, and the properties of a file.
#![allow(
    unreachable_pub,
    clippy::cast_possible_truncation,
    reason = "a test, of which other tests use parts"
)]

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use raddle_ingest::{
    Batch, Books, Header, Remembered, RowOutcome, Sink, SqliteOptions, SqliteSink, StoreError, Stored,
};
use rusqlite::{Connection, Row};

use crate::conformance::{Contents, Place, REFUSED, conformance, numbered, parcel};
use crate::support::{Scratch, number, open, within_limit};

/// A database in a directory of its own.
struct File {
    scratch: Scratch,
    /// The copy that a crash leaves behind has another name.
    path: Mutex<PathBuf>,
}

impl File {
    fn new(name: &str) -> Self {
        let scratch = Scratch::new(&format!("sqlite-{name}"));
        let path = scratch.path("messages.db").into();
        Self { scratch, path }
    }

    fn path(&self) -> PathBuf {
        self.path.lock().unwrap().clone()
    }
}

/// An outage that ends with a statement.
struct End(Connection, &'static str);

impl Drop for End {
    fn drop(&mut self) {
        self.0.execute_batch(self.1).unwrap();
    }
}

impl Place for File {
    fn open(&self, books: &Books) -> Box<dyn Sink> {
        Box::new(SqliteSink::open(self.path(), books, &SqliteOptions::default()).unwrap())
    }

    fn refuse(&self) {
        open(&self.path())
            .execute_batch(&format!(
                "CREATE TRIGGER IF NOT EXISTS refuse BEFORE INSERT ON messages WHEN NEW.text LIKE '%{REFUSED}%'
                 BEGIN SELECT RAISE(ABORT, 'not this one'); END"
            ))
            .unwrap();
    }

    fn outages(&self) -> Vec<&'static str> {
        vec!["locked", "renamed table", "renamed column", "renamed sources", "broken trigger", "query only"]
    }

    fn outage(&self, name: &str) -> Box<dyn std::any::Any> {
        let db = open(&self.path());
        // A statement of a trigger is not checked when it is created.
        let (begin, end) = match name {
            "locked" => ("BEGIN IMMEDIATE", "ROLLBACK"),
            "renamed table" => {
                ("ALTER TABLE messages RENAME TO other", "ALTER TABLE other RENAME TO messages")
            }
            "renamed column" => (
                "DROP VIEW readable; ALTER TABLE messages RENAME COLUMN host TO server",
                "ALTER TABLE messages RENAME COLUMN server TO host",
            ),
            "renamed sources" => {
                ("ALTER TABLE sources RENAME TO other", "ALTER TABLE other RENAME TO sources")
            }
            "broken trigger" => (
                "CREATE TRIGGER broken AFTER INSERT ON messages BEGIN INSERT INTO missing VALUES (1); END",
                "DROP TRIGGER broken",
            ),
            _ => ("ALTER TABLE ingest RENAME TO other", "ALTER TABLE other RENAME TO ingest"),
        };
        db.execute_batch(begin).unwrap();
        Box::new(End(db, end))
    }

    fn kill(&self, sink: Box<dyn Sink>) {
        // A crash of the program leaves the files as they are while the sink is open.
        let mut path = self.path.lock().unwrap();
        let mut name = path.clone().into_os_string();
        name.push("x");
        let copy = PathBuf::from(name);
        for suffix in ["", "-wal"] {
            let add = |path: &Path| {
                let mut name = path.as_os_str().to_owned();
                name.push(suffix);
                name
            };
            std::fs::copy(add(&path), add(&copy)).unwrap();
        }
        drop(sink);
        *path = copy;
    }

    fn contents(&self, books: &Books) -> Contents {
        let _ = &self.scratch;
        contents(&self.path(), books)
    }
}

pub fn contents(path: &Path, books: &Books) -> Contents {
    fn column<T: rusqlite::types::FromSql>(row: &Row<'_>, name: &str) -> T {
        row.get(name).unwrap()
    }
    let db = open(path);
    let base = |row: &Row<'_>| {
        let mut base = Remembered::default();
        base.source = Some(books.open(&column::<String>(row, "source")));
        base.peer = column(row, "peer");
        base.received = column(row, "received");
        base
    };
    let all = |sql: &str, read: &dyn Fn(&Row<'_>) -> Remembered| -> Vec<Remembered> {
        let mut statement = db.prepare(sql).unwrap();
        statement.query_map([], |row| Ok(read(row))).unwrap().map(Result::unwrap).collect()
    };
    let messages = all("SELECT * FROM messages ORDER BY id", &|row| {
        let mut message = base(row);
        message.sent = column(row, "sent");
        message.facility = column(row, "facility");
        message.severity = column(row, "severity");
        message.host = column(row, "host");
        message.app = column(row, "app");
        message.process = column(row, "process");
        message.message_id = column(row, "message_id");
        message.text = column(row, "text");
        let first = column::<Option<u32>>(row, "body_from").unwrap_or(1) as usize;
        let length = column::<Option<u32>>(row, "body_length").map_or(usize::MAX, |length| length as usize);
        message.body = message.text.chars().skip(first - 1).take(length).collect();
        message
    });
    let rejected = all("SELECT * FROM rejected ORDER BY id", &|row| {
        let mut message = base(row);
        message.reason = column(row, "reason");
        message.length = u64::try_from(column::<i64>(row, "length")).unwrap();
        message.bytes = column(row, "bytes");
        message
    });
    let mut statement = db.prepare("SELECT sender, last_seq FROM sources").unwrap();
    let last = statement
        .query_map([], |row| Ok((row.get::<_, String>(0)?, u64::try_from(row.get::<_, i64>(1)?).unwrap())));
    let last = last.unwrap().map(Result::unwrap).collect();
    Contents { messages, rejected, last }
}

#[test]
fn readable_view_shows_the_body() {
    let file = File::new("readable");
    let books = Books::new();
    let mut sink = file.open(&books);
    let mut parcel = parcel(books.open("tcp"), &["whole"]);
    for (from, to) in [(4, 8), (4, 10), (0, 3), (10, 10)] {
        parcel.push("é: bödy.", |text| Header { body: &text[from..to], ..Header::default() });
    }
    sink.store(&Batch::new(vec![parcel])).unwrap();
    sink.close().unwrap();
    let db = open(&file.path());
    let mut statement = db.prepare("SELECT body FROM readable ORDER BY id").unwrap();
    let bodies: Vec<String> =
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(bodies, ["whole", "böd", "bödy.", "é:", ""]);
}

#[test]
fn sqlite_sink_conforms() {
    within_limit(|| conformance(File::new));
}

/// Stores texts, of which those with [`REFUSED`] are refused because of `sql`.
fn store_refused(name: &str, sql: &str, texts: &[&str]) -> (File, Result<Stored, StoreError>) {
    let file = File::new(name);
    let books = Books::new();
    let source = books.open("tcp");
    let mut sink = file.open(&books);
    let db = open(&file.path());
    // As in the command line program, where a message may refer to a row that does not exist.
    db.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    db.execute_batch(sql).unwrap_or_else(|error| panic!("{name}: {error}"));
    drop(db);
    let stored = sink.store(&Batch::new(vec![parcel(source, texts), numbered(source, "s", 1, &["last"])]));
    sink.close().unwrap();
    (file, stored)
}

#[test]
fn row_that_the_database_refuses_is_rejected_with_the_reason() {
    let trigger = |time: &str, action: &str| {
        format!(
            "CREATE TABLE log (text TEXT);
             CREATE TRIGGER t {time} INSERT ON messages WHEN NEW.text LIKE '%{REFUSED}%'
             BEGIN INSERT INTO log VALUES (NEW.text); SELECT {action}; END"
        )
    };
    let deferred = "
        CREATE TABLE allowed (word TEXT PRIMARY KEY);
        INSERT INTO allowed VALUES ('good');
        CREATE TABLE words (word TEXT REFERENCES allowed DEFERRABLE INITIALLY DEFERRED);
        CREATE TRIGGER t AFTER INSERT ON messages
        BEGIN INSERT INTO words VALUES (iif(NEW.text LIKE '%REFUSED%', 'bad', 'good')); END";
    for (name, sql, reason) in [
        ("unique", "CREATE UNIQUE INDEX u ON messages (text LIKE '%REFUSED%') WHERE text LIKE '%REFUSED%'; INSERT INTO messages (id, received, peer, text) VALUES (1, 0, '', 'REFUSED by hand')".to_owned(), "UNIQUE constraint failed: index 'u'"),
        ("before-abort", trigger("BEFORE", "RAISE(ABORT, 'no, thanks')"), "no, thanks"),
        ("after-abort", trigger("AFTER", "RAISE(ABORT, 'no, thanks')"), "no, thanks"),
        ("before-fail", trigger("BEFORE", "RAISE(FAIL, 'failed')"), "failed"),
        ("after-fail", trigger("AFTER", "RAISE(FAIL, 'failed')"), "failed"),
        ("before-ignore", trigger("BEFORE", "RAISE(IGNORE)"), "a trigger ignored the message"),
        ("before-rollback", trigger("BEFORE", "RAISE(ROLLBACK, 'all of it')"), "all of it"),
        ("after-rollback", trigger("AFTER", "RAISE(ROLLBACK, 'all of it')"), "all of it"),
        ("not-null", "ALTER TABLE messages ADD COLUMN added TEXT; ALTER TABLE messages ADD COLUMN word TEXT GENERATED ALWAYS AS (iif(text LIKE '%REFUSED%', NULL, 1)) VIRTUAL NOT NULL".to_owned(), "NOT NULL constraint failed: messages.word"),
        ("check", "ALTER TABLE messages ADD COLUMN added TEXT CHECK (text NOT LIKE '%REFUSED%')".to_owned(), "CHECK constraint failed"),
        ("expression", "CREATE INDEX i ON messages (json_extract(iif(text LIKE '%REFUSED%', text, '{}'), '$.a'))".to_owned(), "malformed JSON"),
        ("immediate-key", deferred.replace("DEFERRABLE INITIALLY DEFERRED", ""), "FOREIGN KEY constraint failed"),
        ("deferred-key", deferred.to_owned(), "FOREIGN KEY constraint failed"),
    ] {
        for texts in [
            &["REFUSED 1"][..],
            &["one", "two", "REFUSED 1", "three"],
            &["REFUSED 1", "REFUSED 2", "one", "REFUSED 3"],
        ] {
            let (file, stored) = store_refused(name, &sql, texts);
            let path = file.path();
            let stored = stored.unwrap_or_else(|error| panic!("{name}: {error}"));
            let bad: Vec<usize> = (0..texts.len()).filter(|index| texts[*index].contains(REFUSED)).collect();
            let found: Vec<usize> = stored.exceptions.iter().map(|(index, _)| *index).collect();
            assert_eq!(found, bad, "{name}: {stored:?}");
            for (_, outcome) in &stored.exceptions {
                assert!(matches!(outcome, RowOutcome::Refused(it) if it.contains(reason)), "{name}: {outcome:?}");
            }
            let good = texts.len() - bad.len() + 1;
            let good = i64::try_from(good).unwrap();
            assert_eq!(number(&path, "SELECT count(*) FROM messages WHERE peer <> ''"), good, "{name}");
            let count = i64::try_from(bad.len()).unwrap();
            let sql = format!("SELECT count(*) FROM rejected WHERE reason LIKE '%{}%' AND CAST(bytes AS TEXT) LIKE 'REFUSED _'", reason.replace('\'', "''"));
            assert_eq!(number(&path, &sql), count, "{name}");
            assert_eq!(number(&path, "SELECT last_seq FROM sources"), 1, "{name}");
            if sql.contains("INTO log") {
                assert_eq!(number(&path, "SELECT count(*) FROM log"), 0, "{name}: what the trigger wrote is undone");
            }
            assert_eq!(number(&path, "SELECT count(*) FROM (SELECT id FROM messages UNION ALL SELECT id FROM rejected GROUP BY id HAVING count(*) > 1)") , number(&path, "SELECT count(*) FROM messages"), "{name}");
        }
    }
}
