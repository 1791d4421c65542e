//! The database of the demo while it runs.

use std::path::{Path, PathBuf};

use raddle_ingest::{Books, Sink as _, SqliteOptions, SqliteSink};
use rusqlite::Connection;

use crate::failure::Failure;

/// A directory beside the database, in which the server stores messages; its database becomes that of the demo in the end.
///
/// The database of the demo is locked meanwhile: no other program uses it, and it is what it was if the demo fails.
pub(crate) struct Work {
    target: PathBuf,
    directory: PathBuf,
    lock: Option<SqliteSink>,
}

impl Work {
    /// Locks the database, which is created, or is that of an earlier demo.
    pub(crate) fn begin(target: &Path) -> Result<Self, Failure> {
        let lock = SqliteSink::open_demo(target, &Books::new(), &SqliteOptions::default())?;
        let mut directory = target.as_os_str().to_owned();
        directory.push(format!(".demo-{}", std::process::id()));
        let directory = PathBuf::from(directory);
        std::fs::create_dir(&directory).map_err(|error| {
            Failure::new(format!("cannot create the directory {}: {error}", directory.display()))
        })?;
        Ok(Self { target: target.to_owned(), directory, lock: Some(lock) })
    }

    /// Returns the path of the server's database.
    pub(crate) fn database(&self) -> PathBuf {
        self.directory.join("messages.db")
    }

    /// Returns the number of messages in the server's database, which is not running.
    pub(crate) fn stored(&self) -> Result<u64, Failure> {
        let db = Connection::open(self.database())?;
        let stored: i64 = db.query_row("SELECT count(*) FROM messages", [], |row| row.get(0))?;
        Ok(stored.unsigned_abs())
    }

    /// Replaces the database of the demo with that of the server.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        {
            let db = Connection::open(self.database())?;
            // A later demo may replace the messages.
            db.execute("UPDATE ingest SET is_demo = 1", [])?;
        }
        if let Some(lock) = self.lock.take() {
            Box::new(lock).close()?;
        }
        std::fs::rename(self.database(), &self.target)
            .map_err(|error| Failure::new(format!("cannot replace {}: {error}", self.target.display())))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
