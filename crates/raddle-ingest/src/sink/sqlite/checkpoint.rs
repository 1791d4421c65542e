//! Copies the write-ahead log into the database, so that the log stays small.
//!
//! SQLite appends each transaction to the log. A checkpoint copies the log into the database; then the next transaction begins the log
//! anew, if no reader uses it. A reader in a transaction sees the log as it was, so it holds up both. The policy:
//!
//! - From 16 MiB on, a passive checkpoint copies as much as possible. It does not wait for readers.
//! - From 64 MiB on, the log is begun anew after a short wait for readers. This succeeds between short transactions of readers, for any
//!   number of readers. Otherwise a reader stays in one transaction, and is named in the program's log.
//! - From the limit on, nothing is stored while the disk has little room, until that reader is done: a disk that is full would stop other programs
//!   as well. While it has room, the log grows, and the reader is named every minute.

use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use raddle::time;
use rusqlite::Connection;

use super::file::{BUSY_TIMEOUT, beside};
use crate::sink::interface::StoreError;

/// Sizes of the log in bytes, less if the limit is low.
const SOFT: u64 = 16 << 20;
const FIRM: u64 = 64 << 20;

/// How long a checkpoint waits for readers, and how often.
const WAIT: Duration = Duration::from_millis(50);
const PAUSE: Duration = Duration::from_secs(1);

/// How often readers that hold up the log are named.
const REMINDER: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub(crate) struct Checkpoints {
    path: PathBuf,
    limit: u64,
    /// The room that a log beyond the limit leaves on the disk.
    reserve: u64,
    soft: u64,
    firm: u64,
    /// The size of the log when it was last looked at.
    size: u64,
    /// The size of the part that had been copied by then.
    copied: u64,
    page: u64,
    /// When a checkpoint last waited for readers.
    waited: Option<Instant>,
    named: Option<Instant>,
}

/// The kind of a checkpoint.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Nothing: it reports the size.
    Noop,
    Passive,
    /// Also truncates the log.
    Truncate,
}

impl Checkpoints {
    pub(crate) fn new(path: &Path, limit: u64, reserve: u64) -> Self {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let (soft, firm) = (SOFT.min(limit / 4), FIRM.min(limit / 2));
        Self { path, limit, reserve, soft, firm, size: 0, copied: 0, page: 0, waited: None, named: None }
    }

    /// Checkpoints if the log has grown.
    pub(crate) fn run(&mut self, db: &Connection) -> Result<(), StoreError> {
        let outcome = self.checkpoint(db, Mode::Noop).and_then(|()| {
            // If all of a large log is copied at a moment without readers, the next transaction begins it anew.
            let least = if self.size < self.firm { self.soft } else { self.page };
            if self.size - self.copied >= least {
                self.checkpoint(db, Mode::Passive)?;
            }
            if self.size < self.firm || self.waited.is_some_and(|waited| time::now() - waited < PAUSE) {
                return Ok(());
            }
            self.restart(db, WAIT)
        });
        outcome.map_err(|error| {
            StoreError::new(format!("cannot copy the write-ahead log into the database: {error}"))
        })
    }

    /// Fails if the log has reached its limit, cannot be begun anew, and has little room to grow.
    pub(crate) fn check_limit(&mut self, db: &Connection) -> Result<(), StoreError> {
        if self.size < self.limit || self.has_room() {
            return Ok(());
        }
        self.restart(db, BUSY_TIMEOUT).map_err(StoreError::new)?;
        if self.size < self.limit {
            return Ok(());
        }
        Err(StoreError::new(format!(
            "the write-ahead log {}-wal has reached its limit of {} MiB, since the database is being read by {}, and the disk has less than {} MiB \
             left: end the reader, or make room",
            self.path.display(),
            self.limit >> 20,
            self.readers(),
            self.reserve >> 20,
        )))
    }

    /// Returns whether the disk has room for a log that is larger than its limit.
    fn has_room(&self) -> bool {
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        let Ok(disk) = nix::sys::statvfs::statvfs(directory) else { return true };
        #[allow(clippy::useless_conversion, reason = "the types differ among systems")]
        let (blocks, size) = (u64::from(disk.blocks_available()), u64::from(disk.fragment_size()));
        blocks.saturating_mul(size) > self.reserve
    }

    /// Begins the log anew, if the readers are done within a short time. Otherwise they are named.
    fn restart(&mut self, db: &Connection, wait: Duration) -> rusqlite::Result<()> {
        db.busy_timeout(wait)?;
        let outcome = self.checkpoint(db, Mode::Truncate);
        db.busy_timeout(BUSY_TIMEOUT)?;
        outcome?;
        let now = time::now();
        self.waited = Some(now);
        if self.size < self.firm {
            self.named = None;
        } else if self.named.is_none_or(|named| now - named >= REMINDER) {
            self.named = Some(now);
            log::warn!(
                "the write-ahead log {}-wal has grown to {} MiB, since the database is being read by {}",
                self.path.display(),
                self.size >> 20,
                self.readers()
            );
        }
        Ok(())
    }

    fn checkpoint(&mut self, db: &Connection, mode: Mode) -> rusqlite::Result<()> {
        let sql = match mode {
            Mode::Noop => "PRAGMA wal_checkpoint(NOOP)",
            Mode::Passive => "PRAGMA wal_checkpoint(PASSIVE)",
            Mode::Truncate => "PRAGMA wal_checkpoint(TRUNCATE)",
        };
        if self.page == 0 {
            self.page = db.query_row("PRAGMA page_size", [], |row| row.get::<_, u32>(0))?.into();
        }
        let mut statement = db.prepare_cached(sql)?;
        let (pages, copied) =
            statement.query_row([], |row| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)))?;
        // Negative if the checkpoint could not begin.
        let bytes = |pages: i64| u64::try_from(pages).ok().map(|pages| pages * self.page);
        if let (Some(size), Some(copied)) = (bytes(pages), bytes(copied)) {
            (self.size, self.copied) = (size, copied);
        }
        Ok(())
    }

    /// Returns the programs that are reading, as text.
    fn readers(&self) -> String {
        let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
        let inode = std::fs::metadata(beside(&self.path, "-shm")).map_or(0, |it| it.ino());
        let mut text = String::new();
        for process in readers(&locks, inode) {
            if !text.is_empty() {
                text.push_str(", ");
            }
            let name = std::fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
            let _ = match name.trim_end() {
                "" => write!(text, "process {process}"),
                name => write!(text, "process {process} ({name})"),
            };
        }
        if text.is_empty() { "a program that cannot be determined".to_owned() } else { text }
    }
}

/// Returns the processes that hold a read lock of the log's index, by the kernel's list of locks.
fn readers(locks: &str, inode: u64) -> Vec<u32> {
    /// The bytes of the index on which readers hold locks.
    const FIRST: u64 = 123;
    const LAST: u64 = 127;
    let mut found = Vec::new();
    for line in locks.lines() {
        // 1: POSIX  ADVISORY  READ 4711 fd:01:131 124 124
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, _, _, "READ", process, file, begin, end] = words[..] else { continue };
        let (Ok(process), Ok(begin), Ok(end)) = (process.parse(), begin.parse::<u64>(), end.parse::<u64>())
        else {
            continue;
        };
        let is_file = file.rsplit(':').next().and_then(|it| it.parse().ok()) == Some(inode);
        if is_file && begin >= FIRST && end <= LAST && process != 0 && !found.contains(&process) {
            found.push(process);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_are_found_in_the_list_of_locks() {
        let locks = "\
1: POSIX  ADVISORY  READ 4711 fd:01:131 124 124
2: POSIX  ADVISORY  READ 4711 fd:01:131 128 128
3: POSIX  ADVISORY  WRITE 12 fd:01:131 120 120
4: POSIX  ADVISORY  READ 13 fd:01:132 124 124
5: FLOCK  ADVISORY  WRITE 14 fd:01:131 0 EOF
5: -> POSIX  ADVISORY  READ 15 fd:01:131 124 124
6: POSIX  ADVISORY  READ 16 fd:01:131 127 127
7: POSIX  ADVISORY  READ 16 fd:01:131 125 125
";
        assert_eq!(readers(locks, 131), [4711, 16]);
        assert!(readers("", 131).is_empty());
    }
}
