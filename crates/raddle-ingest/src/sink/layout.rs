//! What a database of messages looks like, and how it is opened.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use super::open_error::{OpenError, Why};
use super::place::Place;

/// "radl" in the file's header says whose it is, the layout's number which program can read it.
const APPLICATION: i64 = 0x7261_646c;
const LAYOUT: i64 = 1;

/// Read, write, and nothing read into the name; one thread at a time uses a connection.
const ACCESS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// How long another writer may hold the database before that counts as a failure, to be told and tried again.
const PATIENCE: Duration = Duration::from_secs(1);

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
pub(super) enum Purpose {
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
pub(super) fn open(path: &Path, purpose: Purpose) -> Result<(Connection, Place), OpenError> {
    let fail = |why| OpenError::new(path, why);
    // As an absolute path no name means something else to `SQLite`, as `:memory:` would.
    let whole = std::path::absolute(path).map_err(|error| fail(Why::File(error)))?;
    let place = touch(&whole).map_err(|error| fail(Why::File(error)))?;
    let mut db = Connection::open_with_flags(&whole, ACCESS).map_err(|error| fail(Why::Database(error)))?;
    prepare(&mut db, purpose).map_err(fail)?;
    Ok((db, place))
}

/// Finds out, in the operating system's words, whether the file can be had: `SQLite`'s say less.
fn touch(path: &Path) -> io::Result<Place> {
    let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() {
        Ok(Place::new(path, &metadata))
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
        db.busy_timeout(PATIENCE)?;
    }
    let start = db.transaction_with_behavior(purpose.lock())?;
    identify(&start)?;
    take_over(&start, purpose)?;
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
fn take_over(db: &Transaction<'_>, purpose: Purpose) -> Result<(), Why> {
    let is_new = db.query_row("SELECT count(*) = 0 FROM ingest", [], |row| row.get(0))?;
    if is_new {
        db.execute("INSERT INTO ingest VALUES (1, 0, ?1)", [purpose == Purpose::Demo])?;
        return Ok(());
    }
    match purpose {
        Purpose::Ingest => db.execute_batch("UPDATE ingest SET is_demo = 0")?,
        Purpose::Demo => {
            if !db.query_row("SELECT is_demo FROM ingest", [], |row| row.get(0))? {
                return Err(Why::NotTheDemos);
            }
            db.execute_batch("DELETE FROM messages; DELETE FROM rejected; UPDATE ingest SET last_id = 0")?;
        }
    }
    Ok(())
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
