//! The database file: its contents, restarts, and files that are refused.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use raddle::Thread;
use raddle_ingest::{Batch, Books, OpenError, Sink, SqliteOptions, SqliteSink, Stored};

use crate::conformance::parcel;
use crate::sqlite::contents;
use crate::support::{Scratch, number, open, texts, within_limit};

fn open_sink(path: &Path) -> Result<SqliteSink, OpenError> {
    let options = SqliteOptions { wait: Some(Duration::ZERO), ..SqliteOptions::default() };
    SqliteSink::open(path, &Books::new(), &options)
}

fn store(mut sink: SqliteSink, texts: &[&str]) {
    let books = Books::new();
    let source = books.open("tcp");
    // The sink of the tests below has books of its own, in which the first source has the same number.
    assert_eq!(sink.store(&Batch::new(vec![parcel(source, texts)])).unwrap(), Stored::default());
    Box::new(sink).close().unwrap();
}

fn add(path: &Path, texts: &[&str]) {
    let books = Books::new();
    let _ = books.open("tcp");
    store(SqliteSink::open(path, &books, &SqliteOptions::default()).unwrap(), texts);
}

fn demo(path: &Path, texts: &[&str]) {
    let books = Books::new();
    let _ = books.open("tcp");
    store(SqliteSink::open_demo(path, &books, &SqliteOptions::default()).unwrap(), texts);
}

/// Returns the reasons why the file is refused, for the program and for the demo.
fn refused(path: &Path) -> [String; 2] {
    let demo = SqliteSink::open_demo(path, &Books::new(), &SqliteOptions::default());
    [open_sink(path).unwrap_err().to_string(), demo.unwrap_err().to_string()]
}

/// The schema of version 1, as it was created.
const FIRST: &str = "
    CREATE TABLE messages (
        id       INTEGER PRIMARY KEY,
        received INTEGER NOT NULL,
        peer     TEXT NOT NULL,
        text     TEXT NOT NULL
    ) STRICT;
    CREATE TABLE rejected (
        id       INTEGER PRIMARY KEY,
        received INTEGER NOT NULL,
        peer     TEXT NOT NULL,
        reason   TEXT NOT NULL,
        length   INTEGER NOT NULL,
        bytes    BLOB NOT NULL
    ) STRICT;
    CREATE TABLE ingest (
        only     INTEGER PRIMARY KEY CHECK (only = 1),
        last_id  INTEGER NOT NULL,
        is_demo  INTEGER NOT NULL
    ) STRICT;
    CREATE VIEW readable AS
        SELECT id, strftime('%Y-%m-%d %H:%M:%f', received / 1000000.0, 'unixepoch') AS received_utc, peer, text
        FROM messages;
    PRAGMA application_id = 0x7261646c;
    PRAGMA user_version = 1;
    PRAGMA journal_mode = WAL;
    INSERT INTO ingest VALUES (1, 7, 0);
    INSERT INTO messages VALUES (1, 1000000, 'peer', 'old one'), (2, 2000000, 'peer', 'old two');
    INSERT INTO rejected VALUES (3, 3000000, 'peer', 'not UTF-8', 1, x'ff');";

fn columns(path: &Path) -> Vec<String> {
    let db = open(path);
    let mut statement = db
        .prepare(
            "SELECT s.name || '.' || c.name || ' ' || c.type || c.\"notnull\" || c.pk || c.hidden || coalesce(c.dflt_value, '')
             FROM sqlite_schema AS s JOIN pragma_table_xinfo(s.name) AS c WHERE s.type IN ('table', 'view') ORDER BY 1",
        )
        .unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[test]
fn file_of_the_first_version_is_migrated() {
    let scratch = Scratch::new("file-first");
    let (path, fresh) = (scratch.path("messages.db"), scratch.path("fresh.db"));
    open(&path).execute_batch(FIRST).unwrap();
    add(&path, &["new one", "new two"]);
    add(&fresh, &["one"]);
    assert_eq!(columns(&path), columns(&fresh), "the same columns as a new file");
    assert_eq!(texts(&path), ["old one", "old two", "new one", "new two"]);
    let books = Books::new();
    let contents = contents(&path, &books);
    for message in &contents.messages {
        assert_eq!((message.source, &message.body), (Some(books.open("tcp")), &message.text));
    }
    assert_eq!((contents.rejected.len(), &*contents.rejected[0].bytes), (1, &[0xff][..]));
    assert_eq!(
        number(&path, "SELECT min(id) FROM messages WHERE text LIKE 'new%'"),
        8,
        "no id is given again"
    );
    assert_eq!(number(&path, "SELECT count(*) FROM readable"), 4);
    assert!(open_sink(&path).is_ok(), "the second time, nothing is migrated");
}

#[test]
fn file_that_cannot_be_migrated_is_unchanged() {
    let scratch = Scratch::new("file-unmigrated");
    let path = scratch.path("messages.db");
    let db = open(&path);
    db.execute_batch(FIRST).unwrap();
    db.execute_batch("ALTER TABLE messages ADD COLUMN process TEXT").unwrap();
    drop(db);
    let before = std::fs::read(&path).unwrap();
    for error in refused(&path) {
        assert!(error.contains("duplicate column name: process"), "{error}");
    }
    assert!(std::fs::read(&path).unwrap() == before, "the file has changed");
    assert_eq!(texts(&path), ["old one", "old two"]);
}

#[test]
fn file_of_another_format_is_refused_and_unchanged() {
    let scratch = Scratch::new("file-foreign");
    let text = scratch.path("notes.txt");
    std::fs::write(&text, "These are notes, and more than a hundred bytes of them. ".repeat(20)).unwrap();
    let other = scratch.path("other.db");
    open(&other).execute_batch("CREATE TABLE notes (text TEXT)").unwrap();
    let newer = scratch.path("newer.db");
    add(&newer, &["one"]);
    open(&newer).execute_batch("PRAGMA user_version = 3").unwrap();
    let altered = scratch.path("altered.db");
    add(&altered, &["one"]);
    open(&altered).execute_batch("ALTER TABLE rejected RENAME COLUMN reason TO why").unwrap();
    for (path, words) in [
        (&text, "is not a database of messages"),
        (&other, "is not a database of messages"),
        (&newer, "has schema version 3, expected 2"),
        (&altered, "has other tables than expected: no such column: reason"),
    ] {
        let before = std::fs::read(path).unwrap();
        for error in refused(path) {
            assert!(error.contains(words) && !error.contains('\n'), "{error}");
        }
        assert!(std::fs::read(path).unwrap() == before, "{} has changed", path.display());
    }
}

#[test]
fn damaged_file_is_an_error() {
    let scratch = Scratch::new("file-damaged");
    let path = scratch.path("messages.db");
    let text = "x".repeat(500);
    add(&path, &vec![&*text; 2000]);
    let whole = std::fs::read(&path).unwrap();
    // The header of the file has the size of its pages.
    let page = usize::from(u16::from_be_bytes([whole[16], whole[17]]));
    let damaged = scratch.path("damaged.db");
    let fill = |part: std::ops::Range<usize>| {
        let mut bytes = whole.clone();
        bytes[part].fill(0xa5);
        bytes
    };
    let mut in_the_middle = fill(whole.len() / 2..whole.len() / 2 + page);
    for (name, bytes) in [
        ("cut in the middle", whole[..whole.len() / 2].to_owned()),
        ("cut by a page", whole[..whole.len() - page].to_owned()),
        ("schema", fill(100..page)),
        ("last page", fill(whole.len() - page..whole.len())),
    ] {
        std::fs::write(&damaged, bytes).unwrap();
        for error in refused(&damaged) {
            assert!(error.contains("is damaged: database disk image is malformed"), "{name}: {error}");
            assert!(error.ends_with(": restore it from a backup, or move it away"), "{name}: {error}");
        }
    }
    // A page in the middle is found if every page is checked.
    in_the_middle.truncate(whole.len());
    std::fs::write(&damaged, in_the_middle).unwrap();
    drop(open_sink(&damaged).unwrap());
    let options = SqliteOptions { check: true, ..SqliteOptions::default() };
    let error = SqliteSink::open(&damaged, &Books::new(), &options).unwrap_err().to_string();
    assert!(error.contains("is damaged: ") && !error.contains('\n'), "{error}");
    assert!(SqliteSink::open(&path, &Books::new(), &options).is_ok(), "an intact file passes");
}

#[test]
fn locked_database_is_waited_for() {
    within_limit(|| {
        let scratch = Scratch::new("file-locked");
        let path = scratch.path("messages.db");
        add(&path, &["one"]);
        let other = open(&path);
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let error = open_sink(&path).unwrap_err();
        assert!(error.is_temporary());
        assert!(error.to_string().ends_with("messages.db is in use by another program"), "{error}");
        // The wait ends when the caller ends it.
        let mut calls = 0;
        let outcome = SqliteSink::open_while(&path, &Books::new(), &SqliteOptions::default(), |error| {
            assert!(error.is_temporary());
            calls += 1;
            calls < 3
        });
        assert!(outcome.is_err());
        assert_eq!(calls, 3);
        // It ends when the database is free.
        let calls = Arc::new(AtomicUsize::new(0));
        let waiter = Thread::new({
            let (path, calls) = (path.clone(), calls.clone());
            move || {
                let options = SqliteOptions::default();
                SqliteSink::open_while(&path, &Books::new(), &options, |_| {
                    calls.fetch_add(1, Ordering::SeqCst);
                    true
                })
                .is_ok()
            }
        });
        let waiter = waiter.start().unwrap();
        crate::support::until(|| calls.load(Ordering::SeqCst) > 1);
        other.execute_batch("ROLLBACK").unwrap();
        assert!(waiter.join().unwrap());
    });
}

#[test]
fn new_files_are_not_readable_by_others() {
    let scratch = Scratch::new("file-mode");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let modes = |path: &Path| {
        let name = path.to_str().unwrap();
        [name.to_owned(), format!("{name}-wal"), format!("{name}-shm")].map(|it| mode(Path::new(&it)))
    };
    let books = Books::new();
    let source = books.open("tcp");
    let open_with = |path: &Path, mode| {
        let options = SqliteOptions { mode, ..SqliteOptions::default() };
        let mut sink = SqliteSink::open(path, &books, &options).unwrap();
        sink.store(&Batch::new(vec![parcel(source, &["one"])])).unwrap();
        sink
    };
    let path = scratch.path("messages.db");
    // The umask may remove more.
    let sink = open_with(&path, None);
    for mode in modes(&path) {
        assert_eq!((mode & 0o137, mode & 0o600), (0, 0o600), "{mode:o}");
    }
    drop(sink);
    // An existing file keeps its permissions, unless they are set.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o664)).unwrap();
    let sink = open_with(&path, None);
    assert_eq!(modes(&path), [0o664; 3]);
    drop(sink);
    let sink = open_with(&path, Some(0o600));
    assert_eq!(modes(&path), [0o600; 3]);
    drop(sink);
    let sink = open_with(&scratch.path("other.db"), Some(0o600));
    assert_eq!(modes(&scratch.path("other.db")), [0o600; 3]);
    drop(sink);
}

#[test]
fn deleted_or_replaced_file_is_noticed() {
    let scratch = Scratch::new("file-gone");
    let books = Books::new();
    let source = books.open("tcp");
    for (name, suffix) in [("database", ""), ("log", "-wal"), ("index", "-shm")] {
        for replace in [false, true] {
            let path = scratch.path(&format!("{name}-{replace}.db"));
            let mut sink = SqliteSink::open(&path, &books, &SqliteOptions::default()).unwrap();
            let batch = Batch::new(vec![parcel(source, &["one"])]);
            assert_eq!(sink.store(&batch).unwrap(), Stored::default());
            let file = format!("{}{suffix}", path.display());
            let aside = scratch.path("aside");
            std::fs::rename(&file, &aside).unwrap();
            if replace {
                std::fs::copy(&aside, &file).unwrap();
            }
            let error = sink.store(&batch).unwrap_err().to_string();
            assert!(error.contains(&file) && error.contains("deleted, moved or replaced"), "{error}");
            // Once it is back, the sink stores again.
            std::fs::rename(&aside, &file).unwrap();
            assert_eq!(sink.store(&batch).unwrap(), Stored::default());
            Box::new(sink).close().unwrap();
            assert_eq!(texts(&path), ["one", "one"]);
        }
    }
}

#[test]
fn restart_adds_messages_and_reuses_no_id() {
    let scratch = Scratch::new("file-restart");
    let path = scratch.path("messages.db");
    add(&path, &["one", "two"]);
    add(&path, &["three"]);
    assert_eq!(texts(&path), ["one", "two", "three"]);
    assert_eq!(number(&path, "SELECT max(id) FROM messages"), 3);
    open(&path).execute_batch("DELETE FROM messages").unwrap();
    add(&path, &["four"]);
    assert_eq!(number(&path, "SELECT id FROM messages"), 4, "ids of deleted messages do not come again");
    let by_hand = "INSERT INTO messages (id, received, peer, text) VALUES (100, 0, '', 'by hand')";
    open(&path).execute(by_hand, []).unwrap();
    add(&path, &["five"]);
    assert_eq!(number(&path, "SELECT id FROM messages WHERE text = 'five'"), 101);
}

#[test]
fn two_sinks_can_share_a_database() {
    within_limit(|| {
        let scratch = Scratch::new("file-two");
        let path = scratch.path("messages.db");
        let failed = Arc::new(AtomicBool::new(false));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (path, failed) = (path.clone(), failed.clone());
                let run = move || {
                    let books = Books::new();
                    let source = books.open("tcp");
                    let mut sink = SqliteSink::open(&path, &books, &SqliteOptions::default()).unwrap();
                    for _ in 0..100 {
                        let batch = Batch::new(vec![parcel(source, &["one", "two", "three"])]);
                        while let Err(error) = sink.store(&batch) {
                            // The other writer may get the lock several times in a row.
                            let is_locked = error.to_string().contains("locked");
                            failed.fetch_or(!is_locked, Ordering::SeqCst);
                            assert!(is_locked, "{error}");
                        }
                        sink.maintain().unwrap();
                    }
                    Box::new(sink).close().unwrap();
                };
                Thread::new(run).start().unwrap()
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(number(&path, "SELECT count(DISTINCT id) FROM messages"), 600);
        assert_eq!(number(&path, "SELECT max(id) FROM messages"), 600);
    });
}

#[test]
fn demo_replaces_only_the_database_of_a_demo() {
    let scratch = Scratch::new("file-demo");
    let path = scratch.path("messages.db");
    demo(&path, &["one", "two"]);
    demo(&path, &["three"]);
    assert_eq!(texts(&path), ["three"]);
    assert_eq!(number(&path, "SELECT id FROM messages"), 1);
    add(&path, &["real"]);
    let error =
        SqliteSink::open_demo(&path, &Books::new(), &SqliteOptions::default()).unwrap_err().to_string();
    assert!(error.ends_with("contains messages that are not from a demo: choose another file"), "{error}");
    assert_eq!(texts(&path), ["three", "real"]);
}

#[test]
fn unwritable_path_is_reported_with_the_error_of_the_system() {
    let scratch = Scratch::new("file-place");
    std::fs::write(scratch.path("file"), "").unwrap();
    for (path, words) in [
        (scratch.path("file").join("messages.db"), "Not a directory"),
        (scratch.path("missing").join("messages.db"), "No such file or directory"),
        (scratch.path("."), "it is a directory"),
        ("/proc/messages.db".into(), "No such file or directory"),
        ("/dev/null".into(), "it is not a regular file"),
        ("".into(), "cannot make an empty path absolute"),
    ] {
        for error in refused(&path) {
            assert!(error.starts_with("cannot open ") && error.contains(words), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }
}

#[test]
fn empty_files_and_unusual_names_are_accepted() {
    let scratch = Scratch::new("file-names");
    std::fs::write(scratch.path("empty.db"), "").unwrap();
    for name in ["empty.db", ":memory:", "file:a?mode=memory", "with space.db", "ü%20.db"] {
        add(&scratch.path(name), &["one"]);
        assert_eq!(texts(&scratch.path(name)), ["one"], "{name}");
    }
}

#[test]
fn log_whose_database_is_missing_is_not_deleted() {
    let scratch = Scratch::new("file-orphan");
    let path = scratch.path("messages.db");
    let log = scratch.path("messages.db-wal");
    let books = Books::new();
    let source = books.open("tcp");
    let mut sink = SqliteSink::open(&path, &books, &SqliteOptions::default()).unwrap();
    sink.store(&Batch::new(vec![parcel(source, &["in the log"])])).unwrap();
    // As after a crash after which the database was moved without its log.
    let saved = (std::fs::read(&path).unwrap(), std::fs::read(&log).unwrap());
    Box::new(sink).close().unwrap();
    std::fs::write(&log, &saved.1).unwrap();
    for database in [None, Some("")] {
        let _ = std::fs::remove_file(&path);
        if let Some(content) = database {
            std::fs::write(&path, content).unwrap();
        }
        for error in refused(&path) {
            assert!(error.contains("messages.db-wal has messages that belong to it"), "{error}");
        }
        assert!(std::fs::read(&log).unwrap() == saved.1, "the log has changed");
    }
    std::fs::write(&path, &saved.0).unwrap();
    drop(open_sink(&path).unwrap());
    assert_eq!(texts(&path), ["in the log"]);
}
