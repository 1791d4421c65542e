//! The schema of the database, and how it is opened.

use std::error::Error;
use std::fmt;
use std::fs::{File, Metadata, metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

/// Identify the file format: "radl" in the header of the file, and the version of the schema.
const APPLICATION: i64 = 0x7261_646c;
const LAYOUT: i64 = 1;

/// The name is not parsed as a URI, and one thread at a time uses the connection.
const ACCESS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// How long to wait for another writer before a batch fails and is retried.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

const TABLES: &str = "
    -- received: microseconds since 1970-01-01 00:00 UTC, here and below
    CREATE TABLE messages (
        id       INTEGER PRIMARY KEY,
        received INTEGER NOT NULL,
        peer     TEXT NOT NULL,
        text     TEXT NOT NULL
    ) STRICT;

    -- length: bytes the message had; bytes: what is kept of them
    CREATE TABLE rejected (
        id       INTEGER PRIMARY KEY,
        received INTEGER NOT NULL,
        peer     TEXT NOT NULL,
        reason   TEXT NOT NULL,
        length   INTEGER NOT NULL,
        bytes    BLOB NOT NULL
    ) STRICT;

    -- one row; last_id: the highest id ever given in either table, never given again
    CREATE TABLE ingest (
        only     INTEGER PRIMARY KEY CHECK (only = 1),
        last_id  INTEGER NOT NULL,
        is_demo  INTEGER NOT NULL
    ) STRICT;

    CREATE VIEW readable AS
        SELECT id, strftime('%Y-%m-%d %H:%M:%f', received / 1000000.0, 'unixepoch') AS received_utc, peer, text
        FROM messages;
";

/// The kind of messages that the file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Real messages, added to the existing ones. No demo may open the file from now on.
    Ingest,
    /// Messages of a demo, which replace those of an earlier demo.
    Demo,
}

impl Purpose {
    fn lock(self) -> TransactionBehavior {
        match self {
            Purpose::Ingest => TransactionBehavior::Immediate,
            Purpose::Demo => TransactionBehavior::Exclusive,
        }
    }
}

/// Opens the database at `path`, creating it if it is missing.
pub(crate) fn open(path: &Path, purpose: Purpose) -> Result<(Connection, FileId), OpenError> {
    let fail = |why| OpenError::new(path, why);
    // An absolute path is never a special name such as `:memory:`.
    let absolute = std::path::absolute(path).map_err(|error| fail(Why::File(error)))?;
    let file = probe(&absolute).map_err(|error| fail(Why::File(error)))?;
    let mut db =
        Connection::open_with_flags(&absolute, ACCESS).map_err(|error| fail(Why::Database(error)))?;
    prepare(&mut db, purpose).map_err(fail)?;
    Ok((db, file))
}

/// Opens the file once, since the errors of the operating system are clearer than those of SQLite.
fn probe(path: &Path) -> io::Result<FileId> {
    let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() {
        Ok(FileId::new(path, &metadata))
    } else {
        Err(io::Error::other("not a regular file"))
    }
}

fn prepare(db: &mut Connection, purpose: Purpose) -> Result<(), Why> {
    if purpose == Purpose::Demo {
        // Locked from the first access until it is closed: a demo deletes rows and must be the only user.
        db.busy_timeout(Duration::ZERO)?;
        db.pragma_update_and_check(None, "locking_mode", "EXCLUSIVE", |_| Ok(()))?;
    } else {
        db.busy_timeout(BUSY_TIMEOUT)?;
    }
    let start = db.transaction_with_behavior(purpose.lock())?;
    identify(&start)?;
    claim(&start, purpose)?;
    start.commit()?;
    let mode: String = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(Why::NoWal(mode));
    }
    // Commits survive a power failure. The second pragma only has an effect on macOS.
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "fullfsync", true)?;
    Ok(())
}

/// Creates the tables in an empty file. Any other file must have this schema.
fn identify(db: &Transaction<'_>) -> Result<(), Why> {
    let number = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0));
    let (application, layout) = (number("PRAGMA application_id")?, number("PRAGMA user_version")?);
    match (application, layout) {
        (APPLICATION, LAYOUT) => Ok(()),
        (APPLICATION, found) => Err(Why::OtherLayout { found, known: LAYOUT }),
        (0, 0) if number("SELECT count(*) FROM sqlite_schema")? == 0 => {
            db.execute_batch(TABLES)?;
            db.pragma_update(None, "application_id", APPLICATION)?;
            db.pragma_update(None, "user_version", LAYOUT)?;
            Ok(())
        }
        _ => Err(Why::Foreign),
    }
}

/// Claims the file for a purpose. A new file has no row in `ingest` yet.
fn claim(db: &Transaction<'_>, purpose: Purpose) -> Result<(), Why> {
    let is_new = db.query_row("SELECT count(*) = 0 FROM ingest", [], |row| row.get(0))?;
    if is_new {
        db.execute("INSERT INTO ingest VALUES (1, 0, ?1)", [purpose == Purpose::Demo])?;
        return Ok(());
    }
    match purpose {
        Purpose::Ingest => db.execute_batch("UPDATE ingest SET is_demo = 0")?,
        Purpose::Demo => {
            if !db.query_row("SELECT is_demo FROM ingest", [], |row| row.get(0))? {
                return Err(Why::NotADemo);
            }
            db.execute_batch("DELETE FROM messages; DELETE FROM rejected; UPDATE ingest SET last_id = 0")?;
        }
    }
    Ok(())
}

/// The identity of a file, and its path.
#[derive(Debug)]
pub(crate) struct FileId {
    path: PathBuf,
    file: (u64, u64),
}

impl FileId {
    pub(crate) fn new(path: &Path, metadata: &Metadata) -> Self {
        Self { path: path.to_owned(), file: number(metadata) }
    }

    /// Returns whether the path still names the same file. The file is not opened: closing it would release its locks.
    pub(crate) fn is_unchanged(&self) -> bool {
        metadata(&self.path).is_ok_and(|metadata| number(&metadata) == self.file)
    }
}

/// Returns the device and the inode of a file.
fn number(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// The error of opening a database. The file is unchanged.
#[derive(Debug)]
pub struct OpenError {
    path: PathBuf,
    why: Why,
}

#[derive(Debug)]
pub(crate) enum Why {
    File(io::Error),
    Database(rusqlite::Error),
    InUse,
    Foreign,
    OtherLayout { found: i64, known: i64 },
    NotADemo,
    NoWal(String),
}

impl OpenError {
    pub(crate) fn new(path: impl Into<PathBuf>, why: Why) -> Self {
        Self { path: path.into(), why }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.why {
            Why::File(error) => write!(f, "cannot open {path}: {error}"),
            Why::Database(error) => write!(f, "cannot use {path}: {error}"),
            Why::InUse => write!(f, "{path} is in use by another program"),
            Why::Foreign => write!(f, "{path} is not a database of messages: choose another file"),
            Why::OtherLayout { found, known } => {
                write!(f, "{path} has schema version {found}, expected {known}: choose another file")
            }
            Why::NotADemo => {
                write!(f, "{path} contains messages that are not from a demo: choose another file")
            }
            Why::NoWal(mode) => {
                write!(
                    f,
                    "{path} is on a file system without support for write-ahead logs (journal mode {mode}): choose another directory"
                )
            }
        }
    }
}

impl Error for OpenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.why {
            Why::File(error) => Some(error),
            Why::Database(error) => Some(error),
            _ => None,
        }
    }
}

impl From<rusqlite::Error> for Why {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Why::Foreign,
            Some(ErrorCode::DatabaseBusy) => Why::InUse,
            _ => Why::Database(error),
        }
    }
}
