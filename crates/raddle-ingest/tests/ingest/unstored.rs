//! Files of messages that could not be stored: written, imported, damaged.

use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use raddle_ingest::{
    Batch, Books, Header, ImportError, Imported, MemorySink, Parcel, Pipeline, PipelineOptions, Reason, Sink,
    SqliteOptions, SqliteSink, StoreError, Stored, Unstored, UnstoredFile, import,
};

use crate::conformance::{numbered, parcel};
use crate::support::{Scratch, open, texts, within_limit};

fn parcels(books: &Books) -> Vec<Parcel> {
    let mut first =
        Parcel::new(books.open("tcp"), "127.0.0.1:7".into(), UNIX_EPOCH + Duration::from_micros(12_345_678));
    first.push("<13>1 - höst app 5 id the \"body\"\t\\", |text| Header {
        facility: Some(1),
        severity: Some(5),
        sent: Some(-77),
        host: text.find("höst").map(|at| &text[at..at + 5]),
        app: Some("app").and_then(|app| text.find(app).map(|at| &text[at..at + 3])),
        process: text.find("5 id").map(|at| &text[at..=at]),
        message_id: text.find("id").map(|at| &text[at..at + 2]),
        body: &text[text.find("the").unwrap()..],
    });
    first.push_text("");
    first.push_text("plain \u{1f980}\u{7f}\u{2028}");
    first.push_rejected(Reason::NotUtf8, 300, vec![0, 0xff, 0x10]);
    let mut second = Parcel::new(books.open("udp"), "peer".into(), UNIX_EPOCH - Duration::from_secs(1));
    second.push_rejected(Reason::Oversized, 1 << 40, Vec::new());
    second.push_rejected(Reason::ContainsNul, 1, vec![0]);
    second.push_rejected(Reason::Incomplete, 1, vec![b'x']);
    second.push_rejected(Reason::NotJson, 2, vec![b'1', b'2']);
    second.push_text("last");
    vec![first, second]
}

fn write(file: &mut UnstoredFile, parcels: &[Parcel]) {
    let parcels: Vec<&Parcel> = parcels.iter().collect();
    file.add(&parcels).unwrap();
}

fn import_into(path: &Path, sink: &mut dyn Sink, books: &Books) -> Result<Imported, ImportError> {
    import(path, sink, books, &mut |_| false)
}

/// A count without damage.
fn imported(stored: u64, rejected: u64, duplicates: u64) -> Imported {
    let mut imported = Imported::default();
    (imported.stored, imported.rejected, imported.duplicates) = (stored, rejected, duplicates);
    imported
}

#[test]
fn import_stores_written_messages_with_all_columns() {
    let scratch = Scratch::new("unstored-columns");
    let database = scratch.path("messages.db");
    let books = Books::new();
    let mut file = UnstoredFile::beside(&database, &books);
    assert!(UnstoredFile::find(&database).is_empty(), "nothing is written yet");
    write(&mut file, &parcels(&books)[..1]);
    write(&mut file, &parcels(&books)[1..]);
    let path = scratch.path("messages.db.unstored");
    assert_eq!(file.place(), path.display().to_string());
    // It is in use until it is closed.
    let error = import_into(&path, &mut MemorySink::new(), &books).unwrap_err().to_string();
    assert!(error.ends_with("it is in use by another program"), "{error}");
    drop(file);
    assert_eq!(UnstoredFile::find(&database), [path.as_path()]);
    let (mut direct, mut sink) = (MemorySink::new(), MemorySink::new());
    direct.store(&Batch::new(parcels(&books))).unwrap();
    assert_eq!(import_into(&path, &mut sink, &books).unwrap(), imported(4, 5, 0));
    assert_eq!((sink.messages(), sink.rejected()), (direct.messages(), direct.rejected()));
    assert!(scratch.names().is_empty(), "the file is removed: {:?}", scratch.names());
}

#[test]
fn each_run_has_a_file_of_its_own() {
    let scratch = Scratch::new("unstored-runs");
    let database = scratch.path("messages.db");
    let books = Books::new();
    let source = books.open("tcp");
    std::fs::write(scratch.path("messages.db.unstored.damaged"), "no message").unwrap();
    let written = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"];
    for text in written {
        let mut file = UnstoredFile::beside(&database, &books);
        write(&mut file, &[parcel(source, &[text])]);
    }
    let found = UnstoredFile::find(&database);
    let names: Vec<_> = found.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names[..2], ["messages.db.unstored", "messages.db.unstored.2"]);
    assert_eq!(names[9..], ["messages.db.unstored.10", "messages.db.unstored.11"]);
    let mut sink = MemorySink::new();
    for path in &found {
        assert_eq!(import_into(path, &mut sink, &books).unwrap(), imported(1, 0, 0));
    }
    let texts: Vec<String> = sink.messages().into_iter().map(|it| it.text).collect();
    assert_eq!(texts, written);
}

#[test]
fn file_in_the_temporary_directory_is_used_and_found() {
    let scratch = Scratch::new("unstored-elsewhere");
    // The directory of the database cannot be written, since it does not exist.
    let database = scratch.path("missing").join("messages.db");
    let books = Books::new();
    let source = books.open("tcp");
    let mut file = UnstoredFile::beside(&database, &books);
    write(&mut file, &[parcel(source, &["one"])]);
    let path = PathBuf::from(file.place());
    assert!(path.starts_with(std::env::temp_dir()), "{}", path.display());
    drop(file);
    assert_eq!(UnstoredFile::find(&database), [path.as_path()]);
    let other = scratch.path("messages.db");
    assert!(UnstoredFile::find(&other).is_empty(), "it belongs to a database of the same name elsewhere");
    let mut sink = MemorySink::new();
    assert_eq!(import_into(&path, &mut sink, &books).unwrap(), imported(1, 0, 0));
    assert!(!path.exists());
}

/// A sink that fails, or commits and then fails, at the given batches.
struct Failing {
    sink: MemorySink,
    batch: usize,
    before: Option<usize>,
    after: Option<usize>,
}

impl Sink for Failing {
    fn store(&mut self, batch: &Batch) -> Result<Stored, StoreError> {
        self.batch += 1;
        if self.before == Some(self.batch) {
            return Err(StoreError::new("failed before the commit"));
        }
        let stored = self.sink.store(batch)?;
        if self.after == Some(self.batch) {
            return Err(StoreError::new("failed after the commit"));
        }
        Ok(stored)
    }

    fn close(self: Box<Self>) -> Result<(), StoreError> {
        Ok(())
    }
}

#[test]
fn interrupted_import_stores_each_message_once() {
    let scratch = Scratch::new("unstored-interrupted");
    let database = scratch.path("messages.db");
    let books = Books::new();
    let source = books.open("tcp");
    let mut file = UnstoredFile::beside(&database, &books);
    let texts: Vec<String> = (0..25_000).map(|number| number.to_string()).collect();
    for texts in texts.chunks(100) {
        let texts: Vec<&str> = texts.iter().map(|text| &**text).collect();
        write(&mut file, &[parcel(source, &texts)]);
    }
    drop(file);
    let path = scratch.path("messages.db.unstored");
    let copy = scratch.path("copy");
    std::fs::copy(&path, &copy).unwrap();
    let sink = MemorySink::new();
    let mut failing = Failing { sink: sink.clone(), batch: 0, before: Some(2), after: None };
    let error = import_into(&path, &mut failing, &books).unwrap_err().to_string();
    assert!(error.ends_with("failed before the commit"), "{error}");
    let mut failing = Failing { sink: sink.clone(), batch: 0, before: None, after: Some(2) };
    assert!(import_into(&path, &mut failing, &books).is_err());
    // The third attempt succeeds, since the caller permits it.
    let mut failing = Failing { sink: sink.clone(), batch: 0, before: Some(3), after: None };
    let outcome = import(&path, &mut failing, &books, &mut |_| true).unwrap();
    assert_eq!(outcome, imported(5000, 0, 20_000));
    let stored: Vec<String> = sink.messages().into_iter().map(|it| it.text).collect();
    assert_eq!(stored, texts);
    // Even a copy of the file adds nothing.
    let mut again = sink.clone();
    assert_eq!(import_into(&copy, &mut again, &books).unwrap(), imported(0, 0, 25_000));
}

#[test]
fn damaged_lines_are_kept_aside() {
    let scratch = Scratch::new("unstored-damaged");
    let database = scratch.path("messages.db");
    let books = Books::new();
    let source = books.open("tcp");
    let mut file = UnstoredFile::beside(&database, &books);
    write(&mut file, &[parcel(source, &["one", "two"])]);
    drop(file);
    let path = scratch.path("messages.db.unstored");
    let damaged = [
        "no JSON",
        "{\"received\":1,\"peer\":\"p\"}",
        "{\"received\":1,\"text\":\"no peer\"}",
        "{\"received\":1,\"peer\":\"p\",\"reason\":\"unknown\",\"length\":1,\"bytes\":\"00\"}",
        "{\"received\":1,\"peer\":\"p\",\"reason\":\"oversized\",\"length\":1,\"bytes\":\"0\"}",
        "{\"received\":1,\"peer\":\"p\",\"reason\":\"oversized\",\"length\":1,\"bytes\":\"0ü\"}",
        "{\"received\":1,\"peer\":\"p\",\"text\":\"number without sender\",\"number\":5}",
        "",
        // The rest of a line that was not written to its end.
        "{\"received\":1,\"peer\":\"p\",\"te",
    ];
    let mut content = std::fs::read_to_string(&path).unwrap();
    content.push_str(&damaged[..4].join("\n"));
    content.push_str("\n{\"received\":1,\"peer\":\"p\",\"text\":\"contains \\u0000\"}\n");
    content.push_str("{\"received\":1,\"peer\":\"p\",\"text\":\"good\",\"unknown\":[1]}\n");
    content.push_str(&damaged[4..].join("\n"));
    std::fs::write(&path, content).unwrap();
    // An import that fails leaves only the file itself.
    let mut failing = Failing { sink: MemorySink::new(), batch: 0, before: Some(1), after: None };
    assert!(import_into(&path, &mut failing, &books).is_err());
    assert_eq!(scratch.names(), ["messages.db.unstored"]);
    let mut sink = MemorySink::new();
    let outcome = import_into(&path, &mut sink, &books).unwrap();
    assert_eq!((outcome.stored, outcome.rejected, outcome.damaged), (3, 1, 9));
    let kept = outcome.damaged_file.clone().unwrap();
    assert_eq!(kept, scratch.path("messages.db.unstored.damaged"));
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), damaged.join("\n"), "not a byte is added");
    assert!(
        outcome.to_string().starts_with("3 messages stored, 1 rejected, 9 damaged lines kept in /"),
        "{outcome}"
    );
    assert_eq!(scratch.names(), ["messages.db.unstored.damaged"]);
    assert_eq!(sink.rejected()[0].reason, "contains NUL");
    assert!(UnstoredFile::find(&database).is_empty());
}

#[test]
fn file_of_the_first_version_is_imported_once() {
    let scratch = Scratch::new("unstored-first");
    let path = scratch.path("messages.db.unstored");
    let lines = "{\"received\":5,\"peer\":\"127.0.0.1:9\",\"text\":\"quote \\\" and \\u0009\"}\n\
                 {\"received\":6,\"peer\":\"127.0.0.1:9\",\"reason\":\"not UTF-8\",\"length\":2,\"bytes\":\"fffe\"}\n";
    let books = Books::new();
    let mut sink = MemorySink::new();
    std::fs::write(&path, lines).unwrap();
    assert_eq!(import_into(&path, &mut sink, &books).unwrap(), imported(1, 1, 0));
    let message = &sink.messages()[0];
    assert_eq!(
        (&*message.text, message.received, message.source),
        ("quote \" and \t", 5, Some(books.open("tcp")))
    );
    assert_eq!(sink.rejected()[0].bytes, [0xff, 0xfe]);
    // As after a crash between the commit and the removal of the file.
    std::fs::write(&path, lines).unwrap();
    assert_eq!(import_into(&path, &mut sink, &books).unwrap(), imported(0, 0, 2));
}

#[test]
fn numbered_messages_keep_their_numbers() {
    let scratch = Scratch::new("unstored-numbered");
    let database = scratch.path("messages.db");
    let books = Books::new();
    let source = books.open("http");
    let mut file = UnstoredFile::beside(&database, &books);
    let parcels = [
        numbered(source, "a", 3, &["a3", "a4"]),
        parcel(source, &["plain"]),
        numbered(source, "b", 5, &["b5"]),
    ];
    write(&mut file, &parcels);
    drop(file);
    // The sender has sent a3 again by now; b4 is missing.
    let mut sink = MemorySink::new();
    sink.store(&Batch::new(vec![numbered(source, "a", 1, &["a1", "a2", "a3"])])).unwrap();
    let outcome = import_into(&scratch.path("messages.db.unstored"), &mut sink, &books).unwrap();
    assert_eq!((outcome.stored, outcome.duplicates, outcome.damaged), (2, 1, 1));
    let texts: Vec<String> = sink.messages().into_iter().map(|it| it.text).collect();
    assert_eq!(texts, ["a1", "a2", "a3", "a4", "plain"]);
    assert_eq!(sink.last()["a"], 4);
    let kept = std::fs::read_to_string(outcome.damaged_file.unwrap()).unwrap();
    assert!(kept.contains("\"text\":\"b5\"") && kept.contains("\"number\":5"), "{kept}");
}

#[test]
fn refused_messages_are_stored_although_their_numbers_are_consumed() {
    let scratch = Scratch::new("unstored-refused");
    let database = scratch.path("messages.db");
    let books = Books::new();
    let source = books.open("http");
    let mut sink = SqliteSink::open(&database, &books, &SqliteOptions::default()).unwrap();
    open(&database)
        .execute_batch(
            "CREATE TRIGGER m BEFORE INSERT ON messages WHEN NEW.text LIKE 'bad%' BEGIN SELECT RAISE(ABORT, 'no'); END;
             CREATE TRIGGER r BEFORE INSERT ON rejected BEGIN SELECT RAISE(ABORT, 'nor here'); END;",
        )
        .unwrap();
    let parcels = [
        numbered(source, "a", 1, &["one", "bad two", "three", "bad four"]),
        numbered(source, "b", 1, &["bad one"]),
        parcel(source, &["bad plain"]),
    ];
    sink.store(&Batch::new(parcels.into())).unwrap();
    let path = scratch.path("messages.db.refused");
    // After a crash before the commit, the sender has sent its message again.
    let mut content = std::fs::read_to_string(&path).unwrap();
    let again = content.lines().find(|line| line.contains("bad four")).unwrap().to_owned();
    content = format!("{content}{}\n", again.replace("127.0.0.1:1000", "127.0.0.1:1001"));
    std::fs::write(&path, &content).unwrap();
    // As long as the database refuses the messages, the file remains as it is.
    let error = import_into(&path, &mut sink, &books).unwrap_err().to_string();
    assert!(error.contains("cannot write"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
    open(&database).execute_batch("DROP TRIGGER m; DROP TRIGGER r").unwrap();
    assert_eq!(import_into(&path, &mut sink, &books).unwrap(), imported(4, 0, 1));
    let expected = ["one", "three", "bad two", "bad four", "bad one", "bad plain"];
    assert_eq!(texts(&database), expected);
    assert!(!path.exists());
    // A crash before the removal of the file.
    std::fs::write(&path, &content).unwrap();
    assert_eq!(import_into(&path, &mut sink, &books).unwrap(), imported(0, 0, 5));
    // The senders continue with their next numbers.
    sink.store(&Batch::new(vec![numbered(source, "a", 4, &["again", "five"])])).unwrap();
    assert_eq!(texts(&database)[expected.len()..], ["five"]);
    Box::new(sink).close().unwrap();
}

#[test]
fn refused_messages_of_an_interrupted_import_are_stored_once() {
    let scratch = Scratch::new("unstored-refused-interrupted");
    let path = scratch.path("messages.db.refused");
    let books = Books::new();
    let texts: Vec<String> = (1..=25_000).map(|number| number.to_string()).collect();
    let mut content = "{\"unstored\":2,\"id\":\"file\",\"database\":\"/messages.db\"}\n".to_owned();
    for text in &texts {
        let plain = format!("{{\"received\":1,\"peer\":\"p\",\"text\":\"{text}\",\"refused\":\"no\"");
        let number = if text.ends_with('7') { "" } else { &format!(",\"sender\":\"a\",\"number\":{text}") };
        content = content + &plain + number + "}\n";
    }
    std::fs::write(&path, content).unwrap();
    let mut sink = MemorySink::new();
    sink.store(&Batch::new(vec![numbered(books.open("tcp"), "a", 1, &["x"; 25_000])])).unwrap();
    for (before, after) in [(Some(2), None), (None, Some(2))] {
        let mut failing = Failing { sink: sink.clone(), batch: 0, before, after };
        assert!(import_into(&path, &mut failing, &books).is_err());
    }
    assert_eq!(import_into(&path, &mut sink, &books).unwrap(), imported(5000, 0, 20_000));
    let stored: Vec<String> = sink.messages().into_iter().skip(25_000).map(|it| it.text).collect();
    assert_eq!(stored, texts);
}

#[test]
fn files_that_have_no_unstored_messages_are_left_unchanged() {
    let scratch = Scratch::new("unstored-foreign");
    let books = Books::new();
    let mut sink = MemorySink::new();
    let database = scratch.path("other.db");
    open(&database).execute_batch("CREATE TABLE t (text); INSERT INTO t VALUES ('x')").unwrap();
    let database = std::fs::read(&database).unwrap();
    for (name, content) in [
        ("empty", &b""[..]),
        ("text", b"a text\nof two lines"),
        ("json", b"{\"received\":1}\n{\"text\":\"no time\"}\n"),
        ("half-heading", b"{\"unstored\":2,\"id\":"),
        ("bytes", &[0; 5000]),
        ("database", &database),
        // Something else, although a part of it looks like messages of the first version.
        ("notes", b"{\"received\":1,\"peer\":\"p\",\"text\":\"a\"}\nsome notes about it\n"),
        ("log", b"a log\n{\"received\":1,\"peer\":\"p\",\"text\":\"a\"}\n"),
        ("half-line", b"{\"received\":1,\"peer\":\"p\",\"text\":\"a\"}\n{\"received\":2"),
        ("lines", b"{\"received\":1,\"peer\":\"p\",\"text\":\"a\"}\n\n"),
    ] {
        let path = scratch.path(name);
        std::fs::write(&path, content).unwrap();
        let names = scratch.names();
        let error = import_into(&path, &mut sink, &books).unwrap_err().to_string();
        assert!(error.contains("it is not a file of unstored messages"), "{name}: {error}");
        assert_eq!(std::fs::read(&path).unwrap(), content, "{name}");
        assert_eq!(scratch.names(), names, "{name}");
    }
    assert!(sink.messages().is_empty(), "nothing is imported in part");
}

/// A sink during the second batch of which something happens to the file.
struct Meanwhile<F>(MemorySink, usize, F);

impl<F: FnMut() + Send + 'static> Sink for Meanwhile<F> {
    fn store(&mut self, batch: &Batch) -> Result<Stored, StoreError> {
        self.1 += 1;
        if self.1 == 2 {
            self.2();
        }
        self.0.store(batch)
    }

    fn close(self: Box<Self>) -> Result<(), StoreError> {
        Ok(())
    }
}

#[test]
fn file_that_is_replaced_or_changed_during_the_import_is_not_removed() {
    let scratch = Scratch::new("unstored-replaced");
    let books = Books::new();
    let source = books.open("tcp");
    let path = scratch.path("messages.db.unstored");
    let texts: Vec<String> = (0..15_000).map(|number| number.to_string()).collect();
    let texts: Vec<&str> = texts.iter().map(|text| &**text).collect();
    let line = "{\"received\":1,\"peer\":\"p\",\"text\":\"new\"}\n";
    for (name, happens, why) in [
        ("replaced", 0, "it has been replaced by another file"),
        ("appended", 1, "it has been changed by another program"),
        ("truncated", 2, "it has been changed by another program"),
    ] {
        let mut file = UnstoredFile::beside(scratch.path("messages.db"), &books);
        write(&mut file, &[parcel(source, &texts)]);
        drop(file);
        let (new, target) = (scratch.path("new"), path.clone());
        std::fs::write(&new, line).unwrap();
        let sink = MemorySink::new();
        let meanwhile = Meanwhile(sink.clone(), 0, move || match happens {
            0 => std::fs::rename(&new, &target).unwrap(),
            1 => {
                let mut file = std::fs::File::options().append(true).open(&target).unwrap();
                std::io::Write::write_all(&mut file, line.as_bytes()).unwrap();
            }
            _ => std::fs::File::options().write(true).open(&target).unwrap().set_len(100).unwrap(),
        });
        let error = import_into(&path, &mut { meanwhile }, &books).unwrap_err().to_string();
        assert!(error.ends_with(why), "{name}: {error}");
        assert!(path.exists(), "{name}");
        match happens {
            0 => assert_eq!(std::fs::read_to_string(&path).unwrap(), line),
            1 => {
                // What was imported is not imported again.
                assert_eq!(
                    import_into(&path, &mut { sink.clone() }, &books).unwrap(),
                    imported(1, 0, 15_000)
                );
            }
            _ => {}
        }
        let _ = std::fs::remove_file(&path);
        let _ = std::fs::remove_file(scratch.path("new"));
        assert!(scratch.names().is_empty(), "{name}: {:?}", scratch.names());
    }
}

/// Has room for the first two messages of a parcel.
struct Narrow(Vec<usize>);

impl Unstored for Narrow {
    fn add(&mut self, parcels: &[&Parcel]) -> std::io::Result<()> {
        self.0 = parcels.iter().map(|parcel| parcel.len().min(2)).collect();
        Err(std::io::ErrorKind::StorageFull.into())
    }

    fn kept_in_part(&self) -> Vec<usize> {
        self.0.clone()
    }

    fn place(&self) -> String {
        "a narrow place".to_owned()
    }
}

/// A sink that is never available.
struct Broken;

impl Sink for Broken {
    fn store(&mut self, _batch: &Batch) -> Result<Stored, StoreError> {
        Err(StoreError::new("broken"))
    }

    fn close(self: Box<Self>) -> Result<(), StoreError> {
        Ok(())
    }
}

#[test]
fn only_messages_without_room_are_lost() {
    within_limit(|| {
        let books = Books::new();
        let source = books.open("tcp");
        let narrow = Box::new(Narrow(Vec::new()));
        let pipeline = Pipeline::start(Box::new(Broken), narrow, books, &PipelineOptions::default()).unwrap();
        pipeline.intake().put(parcel(source, &["1", "2", "3", "4", "5"])).unwrap();
        let outcome = pipeline.finish(Duration::ZERO);
        assert_eq!((outcome.account.unstored, outcome.account.lost()), (2, 3), "{}", outcome.account);
        let problems = outcome.problems.join("; ");
        assert!(problems.contains("messages are lost: they cannot be written to any file: "), "{problems}");
        assert!(
            problems.contains("2 messages could not be stored and were written to a narrow place"),
            "{problems}"
        );
    });
}

#[test]
fn other_files_are_not_imported() {
    let scratch = Scratch::new("unstored-other");
    let books = Books::new();
    let mut sink = MemorySink::new();
    let newer = scratch.path("newer");
    std::fs::write(&newer, "{\"unstored\":3,\"id\":\"x\",\"database\":\"y\"}\n").unwrap();
    let link = scratch.path("link");
    std::os::unix::fs::symlink(&newer, &link).unwrap();
    for (path, words) in [
        (newer, "it has format 3, expected 2: use a newer program"),
        (link, "symbolic link"),
        (scratch.path("missing"), "No such file"),
        (scratch.path("."), "it is not a regular file"),
    ] {
        let error = import_into(&path, &mut sink, &books).unwrap_err().to_string();
        assert!(error.starts_with("cannot import ") && error.contains(words), "{error}");
    }
    assert!(scratch.path("newer").exists());
}
