//! What a database of messages looks like, and how it is opened.

use std::error::Error;
use std::fmt;
use std::fs::{File, Metadata, metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

/// "radl" in the file's header says whose it is, the layout's number which program can read it.
const APPLICATION: i64 = 0x7261_646c;
const LAYOUT: i64 = 1;

/// Read, write, and nothing read into the name; one thread at a time uses a connection.
const ACCESS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// How long another writer may hold the database before that counts as a failure, to be told and tried again.
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

/// Whose messages are to go into the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Real ones: added to what is there, and no demo may touch the file any more.
    Ingest,
    /// A demo's: they take the place of an earlier demo's.
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

/// Opens the database at `path`, which is made if there is none.
pub(crate) fn open(path: &Path, purpose: Purpose) -> Result<(Connection, FileId), OpenError> {
    let fail = |why| OpenError::new(path, why);
    // As an absolute path no name means something else to `SQLite`, as `:memory:` would.
    let absolute = std::path::absolute(path).map_err(|error| fail(Why::File(error)))?;
    let file = probe(&absolute).map_err(|error| fail(Why::File(error)))?;
    let mut db =
        Connection::open_with_flags(&absolute, ACCESS).map_err(|error| fail(Why::Database(error)))?;
    prepare(&mut db, purpose).map_err(fail)?;
    Ok((db, file))
}

/// Finds out, in the operating system's words, whether the file can be had: `SQLite`'s say less.
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
        // Held from the first look at it until it is closed: a demo deletes, and must be alone to do so.
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
    // What is committed must survive a power failure. The second line only matters on macOS.
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "fullfsync", true)?;
    Ok(())
}

/// Makes the tables in an empty file; any other must be of this layout.
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

/// Claims the file for its purpose; a new one has no row in `ingest` yet.
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

/// A file and the path that led to it.
#[derive(Debug)]
pub(crate) struct FileId {
    path: PathBuf,
    file: (u64, u64),
}

impl FileId {
    pub(crate) fn new(path: &Path, metadata: &Metadata) -> Self {
        Self { path: path.to_owned(), file: number(metadata) }
    }

    /// Says whether the path leads to the file still. It is not opened: closing it would give up its locks.
    pub(crate) fn is_unchanged(&self) -> bool {
        metadata(&self.path).is_ok_and(|metadata| number(&metadata) == self.file)
    }
}

/// The device and the number of a file on it.
fn number(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Why a database file cannot be opened for storing messages. Nothing in the file was changed.
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
                write!(f, "{path} has layout {found}, this program knows layout {known}: choose another file")
            }
            Why::NotADemo => {
                write!(f, "{path} holds messages that are not an earlier demo's: choose another file")
            }
            Why::NoWal(mode) => {
                write!(
                    f,
                    "{path} is on a file system without write-ahead log (journal mode {mode}): choose another place"
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
