//! A sink that stores messages in an SQLite database.

use std::path::{Path, PathBuf};
use std::time::Duration;

use raddle::{thread, time};
use rusqlite::Connection;

use self::checkpoint::Checkpoints;
use self::file::{Files, Opening};
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

/// The options of a [`SqliteSink`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqliteOptions {
    /// The permission bits of the database, its log, and the log's index. If absent, new files have 0640 less the umask, and existing files
    /// keep theirs.
    pub mode: Option<u32>,
    /// How long [`SqliteSink::open`] waits while another program has locked the database, or the disk is full. Unlimited.
    pub wait: Option<Duration>,
    /// Whether every page is checked when the database is opened. No.
    pub check: bool,
    /// The size of the write-ahead log, in bytes, from which nothing is stored until the reader that holds it up is done. 4 GiB.
    pub log_limit: u64,
    /// What is deleted. Nothing.
    pub retention: Retention,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { mode: None, wait: None, check: false, log_limit: 4 << 30, retention: Retention::default() }
    }
}

/// Stores messages in an SQLite database. Each batch is a transaction that survives a power failure once committed.
///
/// Table `messages` has the columns `id`, `received` and `sent` (microseconds since 1970, UTC), `source`, `peer`, `facility`, `severity`, `host`,
/// `app`, `process`, `message_id`, `text` and `body`; table `rejected` has `id`, `received`, `source`, `peer`, `reason`, `length`, `bytes`;
/// view `readable` shows messages with readable times. An id is unique across both tables and across restarts, even if rows are deleted.
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
}

impl SqliteSink {
    /// Opens the database to add messages. The file is created if it is missing, and migrated if it has the schema of an earlier version.
    ///
    /// Blocks while another program has locked the database, and logs it. `books` are those of the pipeline.
    ///
    /// # Errors
    /// If the file cannot be created or written, is damaged, or is not a database of messages; or if it is in use for longer than the options say.
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
    /// As for [`open`](Self::open).
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
    /// If the file cannot be created or written, is in use, or is not a database of messages, and if it contains messages that are not from
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
            checkpoints: Checkpoints::new(path, options.log_limit),
            sweeper: Sweeper::new(options.retention),
        })
    }

    /// Fails if the file was deleted or replaced: messages stored in it would disappear with the last handle.
    fn check_files(&mut self) -> Result<(), StoreError> {
        match self.files.changed() {
            None => Ok(()),
            Some(path) => {
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
        self.sweeper.sweep(&mut self.db)?;
        self.checkpoints.run(&self.db)
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
