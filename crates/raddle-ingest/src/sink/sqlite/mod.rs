//! A sink that stores messages in an SQLite database.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use raddle::{thread, time};
use rusqlite::Connection;

use self::checkpoint::Checkpoints;
use self::file::{Change, Files, Opening};
use self::insert::Names;
use self::retention::Sweeper;
use self::schema::Purpose;
use super::interface::{Batch, Sink, StoreError, Stored};
use crate::books::Books;
use crate::unstored::Aside;

mod checkpoint;
pub(crate) mod error;
mod file;
mod insert;
mod retention;
pub(crate) mod schema;

pub use self::error::OpenError;
pub use self::retention::Retention;

/// Pause between attempts to open a database that is in use.
const PAUSE: Duration = Duration::from_millis(200);

/// How often a wait for the database is logged.
const REMINDER: Duration = Duration::from_secs(10);

/// How often a lasting failure of the maintenance is reported.
const MAINTENANCE_REMINDER: Duration = Duration::from_secs(10);

/// The options of a [`SqliteSink`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqliteOptions {
    /// The permission bits of the database, its log, and the log's index. If absent, new files have 0640 less the umask, and existing files
    /// keep theirs.
    pub mode: Option<u32>,
    /// How long [`SqliteSink::open`] waits while another program has locked the database, or the disk is full. The
    /// default is no limit.
    pub wait: Option<Duration>,
    /// Whether every page is checked when the database is opened. The default is false.
    pub check: bool,
    /// The size of the write-ahead log, in bytes, beyond which it must leave `disk_reserve` on the disk. 4 GiB.
    ///
    /// The log cannot be begun anew while a reader stays in one transaction. That reader is named in the program's log.
    pub log_limit: u64,
    /// The room on the disk, in bytes, below which nothing is stored while the log is beyond `log_limit`, until the reader that holds it up is
    /// done. 1 GiB.
    pub disk_reserve: u64,
    /// The messages that are deleted. By default, none are.
    pub retention: Retention,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            mode: None,
            wait: None,
            check: false,
            log_limit: 4 << 30,
            disk_reserve: 1 << 30,
            retention: Retention::default(),
        }
    }
}

/// Stores messages in an SQLite database. Each batch is a transaction that survives a power failure once committed.
///
/// Table `messages` has the columns `id`, `received` and `sent` (microseconds since 1970, UTC), `source`, `peer`, `facility`, `severity`, `host`,
/// `app`, `process`, `message_id`, `text`, `body_from`, `body_length`; table `rejected` has `id`, `received`, `source`, `peer`, `reason`, `length`, `bytes`;
/// view `readable` shows messages with readable times and the body of the text. An id is unique across both tables and across restarts, even if rows are deleted.
/// Table `sources` has the last number of each sender that numbers its messages. Columns, indexes and triggers may be added.
///
/// The database is in WAL mode: it can be read while it is written. The log is copied into the database between batches; a reader
/// that stays in one transaction holds this up, and is named in the program's log. On close, the log is merged into the database file.
///
/// A message that the database refuses is stored as rejected. If the table `rejected` refuses it, too, it is written to `FILE.refused`.
#[derive(Debug)]
pub struct SqliteSink {
    db: Connection,
    path: PathBuf,
    files: Files,
    names: Names,
    aside: Aside,
    checkpoints: Checkpoints,
    sweeper: Sweeper,
    /// When a failure of the maintenance was last reported.
    reported: Option<Instant>,
}

impl SqliteSink {
    /// Opens the database to add messages. The file is created if it is missing, and migrated if it has the schema of an earlier version.
    ///
    /// Blocks while another program has locked the database, and logs it. `books` are those of the pipeline.
    ///
    /// # Errors
    /// Returns an error if the file cannot be created or written, is damaged, or is not a database of messages; or if it is in use for longer than
    /// [`SqliteOptions::wait`].
    pub fn open(path: impl AsRef<Path>, books: &Books, options: &SqliteOptions) -> Result<Self, OpenError> {
        let begin = time::now();
        let mut reminded = None;
        Self::open_while(path, books, options, |error| {
            let now = time::now();
            if options.wait.is_some_and(|wait| now - begin >= wait) {
                return false;
            }
            if reminded.is_none_or(|reminded| now - reminded >= REMINDER) {
                reminded = Some(now);
                log::warn!("{error}: waiting");
            }
            true
        })
    }

    /// Opens the database as [`open`](Self::open) does, but blocks only as long as `keep_waiting` returns true. It is called several times
    /// per second, with the reason for waiting.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_while(
        path: impl AsRef<Path>,
        books: &Books,
        options: &SqliteOptions,
        mut keep_waiting: impl FnMut(&OpenError) -> bool,
    ) -> Result<Self, OpenError> {
        loop {
            match Self::open_for(path.as_ref(), books, options, Purpose::Ingest) {
                Err(error) if error.is_temporary() && keep_waiting(&error) => thread::sleep(PAUSE),
                outcome => return outcome,
            }
        }
    }

    /// Opens the database for a demo, deleting the messages of an earlier demo.
    ///
    /// The file is locked exclusively until it is closed: no other program can read it.
    ///
    /// # Errors
    /// Returns an error if the file cannot be created or written, is in use, or is not a database of messages, and if it contains messages that are not from
    /// a demo.
    pub fn open_demo(
        path: impl AsRef<Path>,
        books: &Books,
        options: &SqliteOptions,
    ) -> Result<Self, OpenError> {
        Self::open_for(path.as_ref(), books, options, Purpose::Demo)
    }

    fn open_for(
        path: &Path,
        books: &Books,
        options: &SqliteOptions,
        purpose: Purpose,
    ) -> Result<Self, OpenError> {
        let opening = Opening { purpose, mode: options.mode, check: options.check };
        let (db, files) = file::open(path, opening)?;
        Ok(Self {
            db,
            path: path.to_owned(),
            files,
            names: Names::new(books.clone()),
            aside: Aside::new(path, options.mode.unwrap_or(0o640)),
            checkpoints: Checkpoints::new(path, options.log_limit, options.disk_reserve),
            sweeper: Sweeper::new(options.retention),
            reported: None,
        })
    }

    /// Fails if the file was deleted or replaced: messages stored in it would disappear with the last handle. Also fails if it was truncated.
    fn check_files(&mut self) -> Result<(), StoreError> {
        match self.files.changed(&self.db) {
            None => Ok(()),
            Some(Change::Truncated(path)) => Err(StoreError::new(format!(
                "{} was truncated while it was in use: restore it from a backup, and restart the program",
                path.display()
            ))),
            Some(Change::Other(path)) => {
                let path = path.display();
                Err(StoreError::new(format!(
                    "{path} was deleted, moved or replaced while it was in use: restart the program"
                )))
            }
        }
    }
}

impl Sink for SqliteSink {
    fn store(&mut self, batch: &Batch) -> Result<Stored, StoreError> {
        self.check_files()?;
        self.checkpoints.check_limit(&self.db)?;
        insert::store(&mut self.db, &mut self.names, &mut self.aside, batch)
    }

    fn maintain(&mut self) -> Result<(), StoreError> {
        self.check_files()?;
        // The log is kept small even if nothing can be deleted.
        let swept = self.sweeper.sweep(&mut self.db);
        let outcome = self.checkpoints.run(&self.db).and(swept);
        // This happens after each batch: a lasting failure is reported at times.
        let Err(error) = outcome else { return Ok(()) };
        let now = time::now();
        if self.reported.is_some_and(|reported| now - reported < MAINTENANCE_REMINDER) {
            return Ok(());
        }
        self.reported = Some(now);
        Err(error)
    }

    fn sizes(&self) -> Vec<(&'static str, u64)> {
        let parts = [("database", ""), ("log", "-wal")].into_iter();
        let size = |suffix| std::fs::metadata(file::beside(&self.path, suffix)).map_or(0, |it| it.len());
        parts.map(|(part, suffix)| (part, size(suffix))).collect()
    }

    fn close(mut self: Box<Self>) -> Result<(), StoreError> {
        let files = self.check_files();
        let checkpoint = self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
        let closed = self.db.close().map_err(|(_, error)| error);
        let path = self.path.display();
        let busy = checkpoint.and_then(|busy: bool| closed.map(|()| busy)).map_err(|error| {
            StoreError::new(format!("{error}; some messages are in {path}-wal: keep it beside {path}"))
        })?;
        if busy {
            log::warn!(
                "{path} is being read: the newest messages stay in {path}-wal until the reader is done"
            );
        }
        files
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use rusqlite::limits::Limit;

    use super::*;
    use crate::message::{Parcel, Reason};
    use crate::sink::interface::RowOutcome;
    use crate::unstored::import;

    fn sink(test: &str) -> (SqliteSink, Books, PathBuf) {
        let path = std::env::temp_dir().join(format!("raddle-sink-{test}-{}.db", std::process::id()));
        remove(&path);
        let books = Books::new();
        let sink = SqliteSink::open(&path, &books, &SqliteOptions::default()).unwrap();
        (sink, books, path)
    }

    fn remove(path: &Path) {
        for suffix in ["", "-wal", "-shm", ".refused"] {
            let _ = std::fs::remove_file(file::beside(path, suffix));
        }
    }

    fn batch(books: &Books, texts: &[&str]) -> Batch {
        let mut parcel = Parcel::new(books.open("tcp"), "peer".into(), UNIX_EPOCH);
        for text in texts {
            parcel.push_text(text);
        }
        Batch::new(vec![parcel])
    }

    fn count(sink: &SqliteSink, sql: &str) -> i64 {
        sink.db.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn stored_messages_are_committed_to_disk() {
        let (sink, books, path) = sink("synchronous");
        let check = |sink: &SqliteSink| {
            assert_eq!(count(sink, "PRAGMA synchronous"), 2, "FULL");
            assert_eq!(count(sink, "PRAGMA fullfsync"), 1);
            let mode = sink.db.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0));
            assert_eq!(mode.unwrap(), "wal");
        };
        check(&sink);
        drop(sink);
        remove(&path);
        check(&SqliteSink::open_demo(&path, &books, &SqliteOptions::default()).unwrap());
        remove(&path);
    }

    #[test]
    fn full_disk_is_an_outage_that_stores_no_part_of_a_batch() {
        let (mut sink, books, path) = sink("full");
        let pages = |sink: &SqliteSink, pages: i32| {
            sink.db.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
        };
        let text = "x".repeat(300);
        let mut stored = 0;
        for _ in 0..3 {
            // The limit is never below the present size of the file.
            pages(&sink, 1);
            let batch = batch(&books, &[&*text; 100]);
            for _ in 0..3 {
                let error = sink.store(&batch).unwrap_err().to_string();
                assert!(error.contains("full"), "{error}");
                assert_eq!(count(&sink, "SELECT count(*) FROM messages"), stored);
                sink.maintain().unwrap();
            }
            pages(&sink, i32::MAX);
            assert_eq!(sink.store(&batch).unwrap(), Stored::default());
            stored += 100;
        }
        assert_eq!(count(&sink, "SELECT count(*) FROM messages"), stored);
        assert_eq!(count(&sink, "SELECT count(*) FROM rejected"), 0);
        Box::new(sink).close().unwrap();
        remove(&path);
    }

    #[test]
    fn truncated_file_is_noticed_before_each_batch_and_at_the_end() {
        let (mut sink, books, path) = sink("truncated");
        let batch = batch(&books, &["one"]);
        sink.store(&batch).unwrap();
        sink.maintain().unwrap();
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        for length in [4096, 0] {
            file.set_len(length).unwrap();
            for error in [sink.store(&batch).unwrap_err(), sink.maintain().unwrap_err()] {
                assert!(error.to_string().contains("was truncated while it was in use"), "{error}");
            }
        }
        assert!(Box::new(sink).close().is_err());
        drop(file);
        remove(&path);
    }

    #[test]
    fn truncation_of_the_last_pages_is_noticed() {
        let (mut sink, books, path) = sink("truncated-late");
        let text = "x".repeat(3000);
        for _ in 0..20 {
            sink.store(&batch(&books, &[&*text; 100])).unwrap();
        }
        Box::new(sink).close().unwrap();
        let length = std::fs::metadata(&path).unwrap().len();
        for reopened in [true, false] {
            let mut sink = SqliteSink::open(&path, &books, &SqliteOptions::default()).unwrap();
            let batch = batch(&books, &[&*text; 10]);
            if !reopened {
                // The log is copied, and the file has grown.
                sink.store(&batch).unwrap();
                sink.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
                sink.maintain().unwrap();
            }
            let copy = std::fs::read(&path).unwrap();
            let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
            for shorter in [copy.len() as u64 - 4096, length / 2, 20 * 4096] {
                file.set_len(shorter).unwrap();
                for error in [sink.store(&batch).unwrap_err(), sink.maintain().unwrap_err()] {
                    assert!(error.to_string().contains("was truncated while it was in use"), "{error}");
                }
                std::fs::write(&path, &copy).unwrap();
            }
            // Once it is restored, storing continues.
            sink.store(&batch).unwrap();
            drop(file);
        }
        remove(&path);
    }

    #[test]
    fn database_may_be_emptied_and_vacuumed_by_another_program() {
        let (mut sink, books, path) = sink("vacuumed");
        let batch = batch(&books, &[&*"x".repeat(3000); 100]);
        for _ in 0..2 {
            sink.store(&batch).unwrap();
            let other = Connection::open(&path).unwrap();
            other.execute_batch("DELETE FROM messages; VACUUM; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
            assert!(std::fs::metadata(&path).unwrap().len() < 100_000);
            sink.maintain().unwrap();
        }
        sink.store(&batch).unwrap();
        assert_eq!(count(&sink, "SELECT count(*) FROM messages"), 100);
        Box::new(sink).close().unwrap();
        remove(&path);
    }

    #[test]
    fn message_that_is_too_long_for_the_database_is_rejected() {
        let (mut sink, books, path) = sink("long");
        sink.db.set_limit(Limit::SQLITE_LIMIT_LENGTH, 2 << 20).unwrap();
        let (long, longest) = ("y".repeat((2 << 20) - 10), "x".repeat(3 << 20));
        let batch = batch(&books, &["one", &longest, "two", &long, &longest]);
        let stored = sink.store(&batch).unwrap();
        let refused: Vec<usize> = stored.exceptions.iter().map(|(index, _)| *index).collect();
        assert_eq!(refused, [1, 3, 4]);
        for (_, outcome) in stored.exceptions {
            assert_eq!(outcome, RowOutcome::Refused("string or blob too big".into()));
        }
        assert_eq!(count(&sink, "SELECT count(*) FROM messages"), 2);
        let sql = "SELECT count(*) FROM rejected WHERE length > length(bytes) AND length(bytes) = 1 << 20";
        assert_eq!(count(&sink, sql), 3, "the beginning is kept");
        remove(&path);
    }

    #[test]
    fn message_that_cannot_be_rejected_is_kept_in_a_file() {
        let refuse = |table: &str, action: &str| {
            format!("CREATE TRIGGER {table}_t BEFORE INSERT ON {table} BEGIN SELECT RAISE({action}); END;")
        };
        let deferred = "
            CREATE TABLE allowed (word TEXT PRIMARY KEY);
            CREATE TABLE words (word TEXT REFERENCES allowed DEFERRABLE INITIALLY DEFERRED);
            CREATE TRIGGER d AFTER INSERT ON rejected BEGIN INSERT INTO words VALUES ('bad'); END;";
        for (name, sql) in [
            ("abort", refuse("rejected", "ABORT, 'not here'")),
            ("ignore", refuse("rejected", "IGNORE")),
            ("rollback", refuse("rejected", "ROLLBACK, 'not here'")),
            (
                "both",
                refuse("rejected", "ROLLBACK, 'not here'") + &refuse("messages", "ROLLBACK, 'nor here'"),
            ),
            ("key", deferred.to_owned()),
        ] {
            let (mut sink, books, path) = sink(&format!("kept-{name}"));
            let file = file::beside(&path, ".refused");
            sink.db.execute_batch(&sql).unwrap();
            sink.db
                .execute_batch(
                    "CREATE TRIGGER t BEFORE INSERT ON messages WHEN NEW.text = 'bad' BEGIN SELECT RAISE(ABORT, 'no'); END",
                )
                .unwrap();
            let mut parcel = Parcel::new(books.open("tcp"), "peer".into(), UNIX_EPOCH);
            parcel.push_text("one");
            parcel.push_text("bad");
            parcel.push_rejected(Reason::NotUtf8, 1, vec![0xff]);
            parcel.push_text("two");
            let batch = Batch::new(vec![parcel]);
            let stored = sink.store(&batch).unwrap();
            let lines = std::fs::read_to_string(&file).unwrap();
            let is_both = name == "both";
            assert_eq!(lines.lines().count(), 1 + if is_both { 4 } else { 2 }, "{name}: {lines}");
            assert!(lines.contains("\"text\":\"bad\"") && lines.contains("\"bytes\":\"ff\""), "{lines}");
            // Messages that the source rejected are not exceptions, at any index.
            let indices: Vec<usize> = stored.exceptions.iter().map(|(index, _)| *index).collect();
            assert_eq!(indices, if is_both { vec![0, 1, 3] } else { vec![1] }, "{name}");
            for (_, outcome) in &stored.exceptions {
                let RowOutcome::Refused(reason) = outcome else { panic!("{outcome:?}") };
                assert!(reason.contains("; kept in ") && reason.ends_with(".refused"), "{reason}");
            }
            let expected = if is_both { 0 } else { 2 };
            assert_eq!(count(&sink, "SELECT count(*) FROM messages"), expected, "{name}");
            assert_eq!(count(&sink, "SELECT count(*) FROM rejected"), 0, "{name}");
            // If the file cannot be written, nothing is stored.
            std::fs::remove_file(&file).unwrap();
            std::fs::create_dir(&file).unwrap();
            let error = sink.store(&batch).unwrap_err().to_string();
            assert!(error.contains("cannot write") && error.contains(".refused"), "{error}");
            assert_eq!(count(&sink, "SELECT count(*) FROM messages"), expected, "{name}");
            std::fs::remove_dir(&file).unwrap();
            // The file can be imported, once the database accepts the messages.
            assert!(sink.store(&batch).is_ok());
            for trigger in ["messages_t", "rejected_t", "t", "d"] {
                sink.db.execute_batch(&format!("DROP TRIGGER IF EXISTS {trigger}")).unwrap();
            }
            let before = count(&sink, "SELECT count(*) FROM messages");
            let imported = import(&file, &mut sink, &books, &mut |_| false).unwrap();
            let text = if is_both { 3 } else { 1 };
            assert_eq!((imported.stored, imported.rejected, imported.damaged), (text, 1, 0), "{name}");
            assert_eq!(count(&sink, "SELECT count(*) FROM messages") - before, i64::try_from(text).unwrap());
            assert_eq!(count(&sink, "SELECT count(*) FROM messages WHERE text = 'bad'"), 1, "{name}");
            assert!(!file.exists());
            remove(&path);
        }
    }

    #[test]
    fn many_messages_that_fail_the_commit_are_found() {
        let (mut sink, books, path) = sink("many");
        sink.db
            .execute_batch(
                "CREATE TABLE allowed (word TEXT PRIMARY KEY);
                 CREATE TABLE words (word TEXT REFERENCES allowed DEFERRABLE INITIALLY DEFERRED);
                 CREATE TRIGGER t AFTER INSERT ON messages WHEN NEW.text LIKE '%7%'
                 BEGIN INSERT INTO words VALUES (NEW.text); END",
            )
            .unwrap();
        let texts: Vec<String> = (0..2000).map(|number| number.to_string()).collect();
        let texts: Vec<&str> = texts.iter().map(|text| &**text).collect();
        let stored = sink.store(&batch(&books, &texts)).unwrap();
        let bad = (0..2000).filter(|number| texts[*number].contains('7'));
        assert!(stored.exceptions.iter().map(|(index, _)| *index).eq(bad));
        let count_of = i64::try_from(stored.exceptions.len()).unwrap();
        assert_eq!(count(&sink, "SELECT count(*) FROM messages"), 2000 - count_of);
        assert_eq!(count(&sink, "SELECT count(*) FROM rejected"), count_of);
        remove(&path);
    }
    #[test]
    fn many_messages_that_roll_back_the_transaction_are_found() {
        for (name, rejected) in [
            ("rolled-back", ""),
            (
                "rolled-back-twice",
                "CREATE TRIGGER r BEFORE INSERT ON rejected WHEN CAST(NEW.bytes AS TEXT) LIKE '%8%' BEGIN SELECT RAISE(ROLLBACK, 'nor here'); END",
            ),
        ] {
            let (mut sink, books, path) = sink(name);
            sink.db
                .execute_batch(
                    "CREATE TRIGGER t BEFORE INSERT ON messages WHEN NEW.text LIKE '%7%' BEGIN SELECT RAISE(ROLLBACK, 'no seven'); END;
                     CREATE UNIQUE INDEX u ON messages (text)",
                )
                .unwrap();
            sink.db.execute_batch(rejected).unwrap();
            let mut texts: Vec<String> = (0..3000).map(|number| number.to_string()).collect();
            // Refused only because of another message of the batch.
            texts[2999] = "1".to_owned();
            let texts: Vec<&str> = texts.iter().map(|text| &**text).collect();
            let stored = sink.store(&batch(&books, &texts)).unwrap();
            let bad = (0..3000).filter(|number| texts[*number].contains('7') || *number == 2999);
            assert!(stored.exceptions.iter().map(|(index, _)| *index).eq(bad), "{name}");
            let refused = i64::try_from(stored.exceptions.len()).unwrap();
            assert_eq!(count(&sink, "SELECT count(*) FROM messages"), 3000 - refused, "{name}");
            let kept = std::fs::read_to_string(file::beside(&path, ".refused")).unwrap_or_default();
            let kept = i64::try_from(kept.lines().count().saturating_sub(1)).unwrap();
            assert_eq!(count(&sink, "SELECT count(*) FROM rejected") + kept, refused, "{name}");
            assert_eq!(kept > 0, !rejected.is_empty(), "{name}");
            let (_, RowOutcome::Refused(reason)) = stored.exceptions.last().unwrap() else {
                panic!("{stored:?}")
            };
            assert!(reason.starts_with("UNIQUE constraint failed: messages.text"), "{reason}");
            remove(&path);
        }
    }
}
