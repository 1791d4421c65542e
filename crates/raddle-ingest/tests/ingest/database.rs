//! The file: what may be in it, what is kept over restarts, what is refused.

use std::path::Path;

use raddle_ingest::old::{Burst, PipelineOptions, SqliteSink, TcpOptions, verify};

use crate::support::{Running, Scratch, number, open, send, texts, until, within_limit};

/// Stores a few messages and closes the file.
fn store(path: &Path, sink: SqliteSink, lines: &str) {
    let running = Running::new(TcpOptions::default(), sink, &PipelineOptions::default());
    running.send(lines.as_bytes());
    let count = lines.lines().count() as u64;
    until(|| running.received() == count);
    assert_eq!(running.stop_well().stored, count, "{}", path.display());
}

fn add(path: &Path, lines: &str) {
    store(path, SqliteSink::open(path).unwrap(), lines);
}

fn demo(path: &Path, lines: &str) {
    store(path, SqliteSink::open_demo(path).unwrap(), lines);
}

/// Why the file is refused, for the program and for the demo.
fn refused(path: &Path) -> [String; 2] {
    [SqliteSink::open(path).unwrap_err().to_string(), SqliteSink::open_demo(path).unwrap_err().to_string()]
}

#[test]
fn restart_adds_messages_and_reuses_no_id() {
    within_limit(|| {
        let scratch = Scratch::new("restart");
        let path = scratch.path("messages.db");
        add(&path, "one\ntwo\n");
        add(&path, "three\n");
        assert_eq!(texts(&path), ["one", "two", "three"]);
        assert_eq!(number(&path, "SELECT max(id) FROM messages"), 3);
        open(&path).execute_batch("DELETE FROM messages").unwrap();
        add(&path, "four\n");
        assert_eq!(number(&path, "SELECT id FROM messages"), 4, "ids of deleted messages do not come again");
        open(&path).execute("INSERT INTO messages VALUES (100, 0, '', 'by hand')", []).unwrap();
        add(&path, "five\n");
        assert_eq!(number(&path, "SELECT id FROM messages WHERE text = 'five'"), 101);
    });
}

#[test]
fn two_writers_can_share_a_database() {
    within_limit(|| {
        let scratch = Scratch::new("two");
        let path = scratch.path("messages.db");
        let (first, second) = (Running::into_file(&path), Running::into_file(&path));
        let burst = Burst { messages: 2000, connections: 4, ..Burst::default() };
        send(&burst, first.address).unwrap();
        send(&burst, second.address).unwrap();
        assert_eq!(first.stop_well().stored + second.stop_well().stored, 4000);
        assert_eq!(number(&path, "SELECT count(*) FROM messages"), 4000);
    });
}

#[test]
fn demo_replaces_only_the_database_of_a_demo() {
    within_limit(|| {
        let scratch = Scratch::new("demo");
        let path = scratch.path("messages.db");
        demo(&path, "one\ntwo\n");
        demo(&path, "three\n");
        assert_eq!(texts(&path), ["three"]);
        assert_eq!(number(&path, "SELECT id FROM messages"), 1);
        add(&path, "real\n");
        let error = SqliteSink::open_demo(&path).unwrap_err().to_string();
        assert!(
            error.ends_with("contains messages that are not from a demo: choose another file"),
            "{error}"
        );
        assert_eq!(texts(&path), ["three", "real"]);
    });
}

#[test]
fn file_of_another_format_is_refused_and_unchanged() {
    let scratch = Scratch::new("foreign");
    let text = scratch.path("notes.txt");
    std::fs::write(&text, "These are notes, and more than a hundred bytes of them. ".repeat(20)).unwrap();
    let other = scratch.path("other.db");
    open(&other).execute_batch("CREATE TABLE notes (text TEXT)").unwrap();
    let newer = scratch.path("newer.db");
    drop(SqliteSink::open(&newer).unwrap());
    open(&newer).execute_batch("PRAGMA user_version = 2").unwrap();
    for (path, words) in [
        (&text, "is not a database of messages"),
        (&other, "is not a database of messages"),
        (&newer, "has schema version 2, expected 1"),
    ] {
        let before = std::fs::read(path).unwrap();
        for error in refused(path) {
            assert!(error.contains(words) && !error.contains('\n'), "{error}");
        }
        assert_eq!(std::fs::read(path).unwrap(), before);
    }
}

#[test]
fn unwritable_path_is_reported_with_the_error_of_the_system() {
    let scratch = Scratch::new("place");
    std::fs::write(scratch.path("file"), "").unwrap();
    for (path, words) in [
        (scratch.path("file").join("messages.db"), "Not a directory"),
        (scratch.path("missing").join("messages.db"), "No such file or directory"),
        (scratch.path("."), "Is a directory"),
        ("/proc/messages.db".into(), "No such file or directory"),
        ("/dev/null".into(), "not a regular file"),
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
    within_limit(|| {
        let scratch = Scratch::new("names");
        std::env::set_current_dir(scratch.path(".")).unwrap();
        std::fs::write("empty.db", "").unwrap();
        for name in ["empty.db", ":memory:", "file:a?mode=memory", "with space.db", "ü%20.db"] {
            add(Path::new(name), "one\n");
            assert_eq!(texts(&scratch.path(name)), ["one"], "{name}");
        }
    });
}

#[test]
fn database_can_be_read_while_it_is_written() {
    within_limit(|| {
        let scratch = Scratch::new("reader");
        let path = scratch.path("messages.db");
        let running = Running::into_file(&path);
        running.send(b"one\n");
        until(|| running.pipeline.progress().account.stored == 1);
        let reader = open(&path);
        reader.execute_batch("BEGIN").unwrap();
        let seen =
            || reader.query_row("SELECT count(*) FROM messages", [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(seen(), 1);
        running.send(b"two\n");
        assert_eq!(running.stop_well().stored, 2);
        assert_eq!(seen(), 1, "a reader's transaction sees one state");
        reader.execute_batch("COMMIT").unwrap();
        assert_eq!(seen(), 2);
    });
}

#[test]
fn verify_finds_every_kind_of_difference() {
    within_limit(|| {
        let scratch = Scratch::new("verify");
        let path = scratch.path("messages.db");
        let burst = Burst { messages: 6, connections: 2, ..Burst::default() };
        let running = Running::into_file(&path);
        send(&burst, running.address).unwrap();
        let _ = running.stop_well();
        verify(&path, &burst).unwrap();
        for (change, words) in [
            (
                "DELETE FROM messages WHERE text = 'connection 2 message 3'",
                "2 of the 3 messages of connection 2",
            ),
            (
                "DELETE FROM messages WHERE text = 'connection 1 message 2'",
                "expected \"connection 1 message 2\"",
            ),
            ("UPDATE messages SET text = text || ' ' WHERE text = 'connection 1 message 2'", "expected "),
            (
                "INSERT INTO messages SELECT 99, 0, '', 'connection 1 message 3'",
                "expected \"connection 1 message 4\"",
            ),
            ("INSERT INTO messages VALUES (99, 0, '', 'connection 3 message 1')", "not sent"),
            ("INSERT INTO messages VALUES (99, 0, '', 'hello')", "not sent"),
            ("INSERT INTO rejected VALUES (99, 0, '', 'oversized', 1, 'x')", "1 messages were rejected"),
        ] {
            let db = open(&path);
            let changed = scratch.path("changed.db");
            db.execute("VACUUM INTO ?1", [changed.to_str().unwrap()]).unwrap();
            open(&changed).execute_batch(&change.replace("'x'", "x'00'")).unwrap();
            let error = verify(&changed, &burst).unwrap_err().to_string();
            assert!(error.contains(words), "{change}: {error}");
            std::fs::remove_file(&changed).unwrap();
        }
    });
}
