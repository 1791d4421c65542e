//! The database file: opening it, its owner, and whether it still exists.

use std::fs::{File, Metadata, Permissions, metadata};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::error::{OpenError, Why};
use super::schema::{self, Purpose};

/// The permission bits of a new file, less those of the process's umask.
const MODE: u32 = 0o640;

/// The size of a page in bytes. Each page is written into the log and into the database by calls of its own, so that larger pages cost less per
/// message; but a commit of a single message writes two or three pages.
const PAGE: u32 = 8192;

/// The name is not parsed as a URI, and one thread at a time uses the connection.
const ACCESS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// How long the first access waits for another writer, before the caller decides whether to wait longer.
const FIRST_BUSY_TIMEOUT: Duration = Duration::from_millis(200);

/// How long a batch waits for another writer, before it fails and is retried.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// How the file is opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opening {
    pub(crate) purpose: Purpose,
    /// The permission bits that the files get; if absent, new files get the default, and the others keep theirs.
    pub(crate) mode: Option<u32>,
    /// Whether every page is checked.
    pub(crate) check: bool,
}

/// Opens the database at `path`, creating it if it is missing.
pub(crate) fn open(path: &Path, opening: Opening) -> Result<(Connection, Files), OpenError> {
    let fail = |why| OpenError::new(path, why);
    // An absolute path is never a special name such as `:memory:`.
    let absolute = std::path::absolute(path).map_err(|error| fail(Why::File(error)))?;
    probe(&absolute, opening.mode).map_err(|error| fail(Why::File(error)))?;
    let mut db = Connection::open_with_flags(&absolute, ACCESS).map_err(|error| fail(Why::from(error)))?;
    prepare(&mut db, opening).map_err(fail)?;
    let page = db.query_row("PRAGMA page_size", [], |row| row.get::<_, u32>(0));
    let page = page.map_err(|error| fail(Why::from(error)))?;
    let files = Files::of(&absolute, page, &db).map_err(|error| fail(Why::File(error)))?;
    Ok((db, files))
}

/// Checks the file, since the errors of the operating system are clearer than those of SQLite. Creates it if it is missing.
///
/// An existing file is not opened: closing it would release the locks of every other connection in this process.
fn probe(path: &Path, mode: Option<u32>) -> io::Result<()> {
    let is_empty =
        metadata(path).map_or_else(|error| error.kind() == io::ErrorKind::NotFound, |it| it.len() == 0);
    let log = beside(path, "-wal");
    if is_empty && metadata(&log).is_ok_and(|log| log.len() > 0) {
        // SQLite would delete the log.
        return Err(io::Error::other(format!(
            "it is missing or empty, but {} has messages that belong to it: put both back, or move the log away",
            log.display()
        )));
    }
    match metadata(path) {
        Ok(metadata) if !metadata.is_file() => {
            let what = if metadata.is_dir() { "it is a directory" } else { "it is not a regular file" };
            return Err(io::Error::other(what));
        }
        Ok(_) => {
            use nix::unistd::{AccessFlags, access};
            access(path, AccessFlags::R_OK | AccessFlags::W_OK)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut options = File::options();
            options.write(true).create_new(true).mode(mode.unwrap_or(MODE));
            match options.open(path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                created => drop(created?),
            }
        }
        Err(error) => return Err(error),
    }
    if let Some(mode) = mode {
        for path in names(path) {
            match std::fs::set_permissions(path, Permissions::from_mode(mode)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

/// Returns the names of the database file, its write-ahead log, and the log's index, which get the same permissions from SQLite.
fn names(path: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|suffix| beside(path, suffix))
}

/// Returns the name of a file beside the database.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn prepare(db: &mut Connection, opening: Opening) -> Result<(), Why> {
    let behavior = match opening.purpose {
        Purpose::Ingest => {
            db.busy_timeout(FIRST_BUSY_TIMEOUT)?;
            TransactionBehavior::Immediate
        }
        Purpose::Demo => {
            // Locked from the first access until it is closed: a demo deletes rows and must be the only user.
            db.busy_timeout(Duration::ZERO)?;
            db.pragma_update_and_check(None, "locking_mode", "EXCLUSIVE", |_| Ok(()))?;
            TransactionBehavior::Exclusive
        }
    };
    let pages: i64 = db.query_row("PRAGMA page_count", [], |row| row.get(0))?;
    if pages == 0 {
        // Both can only be chosen for a new file. The space of deleted messages can be given back in steps.
        db.pragma_update(None, "page_size", PAGE)?;
        db.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    let start = db.transaction_with_behavior(behavior)?;
    schema::establish(&start, opening.purpose)?;
    start.commit()?;
    let mode: String = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(Why::NoWal(mode));
    }
    // The first access creates the log and its index, so that they can be watched.
    db.query_row("SELECT count(*) FROM ingest", [], |_| Ok(()))?;
    if opening.check {
        let problems = schema::integrity(db)?;
        if !problems.is_empty() {
            return Err(Why::Damaged(problems.join("; ")));
        }
    }
    // Commits survive a power failure. The second pragma only has an effect on macOS.
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "fullfsync", true)?;
    // The journal of a savepoint that undoes a trigger is not written to a temporary file for each message.
    db.pragma_update(None, "temp_store", "MEMORY")?;
    // The sink decides when to copy the log into the database.
    db.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    if opening.purpose == Purpose::Ingest {
        db.busy_timeout(BUSY_TIMEOUT)?;
    }
    Ok(())
}

/// The pages that every database has: the root pages of its tables, and that of the schema.
const LEAST_PAGES: u64 = 5;

/// The identities of the database file and of those beside it.
#[derive(Debug)]
pub(crate) struct Files {
    known: Vec<(PathBuf, Option<(u64, u64)>)>,
    /// The database file is never shorter than this, in bytes.
    least: u64,
    /// The length of the database file, unless a commit has made the database smaller.
    length: u64,
    /// The number by which SQLite tells commits of other programs.
    version: i64,
}

/// The change of a file by another program.
#[derive(Debug)]
pub(crate) enum Change {
    /// It was deleted, moved or replaced.
    Other(PathBuf),
    /// It was truncated, so that pages of the database are missing.
    Truncated(PathBuf),
}

impl Files {
    fn of(path: &Path, page: u32, db: &Connection) -> io::Result<Self> {
        let length = metadata(path)?.len();
        let least = length.min(LEAST_PAGES * u64::from(page));
        let version = state(db).map_err(io::Error::other)?.0;
        let files = names(path).into_iter().map(|path| {
            let found = metadata(&path).ok().as_ref().map(number);
            (path, found)
        });
        Ok(Self { known: files.collect(), least, length, version })
    }

    /// Returns the first file that another program has changed. No file is opened: closing it would release its locks.
    ///
    /// A shorter database file is no change if the database has become smaller: by `VACUUM` in another program, or when empty pages were given
    /// back to the file system.
    pub(crate) fn changed(&mut self, db: &Connection) -> Option<Change> {
        let length = metadata(&self.known[0].0).map_or(0, |it| it.len());
        for (path, known) in &mut self.known {
            let metadata = metadata(&*path).ok();
            let found = metadata.as_ref().map(number);
            // The log and its index stay while the database is open. An exclusive lock needs no index.
            if known.is_none() {
                *known = found;
            } else if found != *known {
                return Some(Change::Other(path.clone()));
            }
        }
        if length < self.least {
            return Some(Change::Truncated(self.known[0].0.clone()));
        }
        match state(db) {
            Ok((version, size)) => {
                if length < self.length && version == self.version && size > length {
                    return Some(Change::Truncated(self.known[0].0.clone()));
                }
                (self.length, self.version) = (length, version);
            }
            // SQLite has compared the length with that in the file: it is malformed.
            Err(_) if length < self.length => return Some(Change::Truncated(self.known[0].0.clone())),
            Err(_) => {}
        }
        None
    }
}

/// Returns a number that changes with a commit of another program, and the length that the database has without its log.
fn state(db: &Connection) -> rusqlite::Result<(i64, u64)> {
    let number = |sql: &str| db.prepare_cached(sql)?.query_row([], |row| row.get::<_, i64>(0));
    let size = number("PRAGMA page_count")? * number("PRAGMA page_size")?;
    Ok((number("PRAGMA data_version")?, u64::try_from(size).unwrap_or(0)))
}

/// Returns the device and the inode of a file.
fn number(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}
