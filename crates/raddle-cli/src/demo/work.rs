//! The database of the demo while it runs.

use std::path::{Path, PathBuf};

use raddle_ingest::{Books, Sink as _, SqliteOptions, SqliteSink};
use rusqlite::Connection;

use crate::failure::Failure;

/// A directory beside the database, in which the server stores messages; its database becomes that of the demo in the end.
///
/// The database of the demo is locked meanwhile: no other program uses it, and it is unchanged if the demo fails.
pub(crate) struct Work {
    target: PathBuf,
    directory: PathBuf,
    lock: Option<SqliteSink>,
}

impl Work {
    /// Locks the database, which is created, or is that of an earlier demo.
    pub(crate) fn begin(target: &Path) -> Result<Self, Failure> {
        let lock = SqliteSink::open_demo(target, &Books::new(), &SqliteOptions::default())?;
        remove_stale(target);
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

/// Removes the directories of demos that were killed. The caller has locked the database, so that no other demo uses one.
fn remove_stale(target: &Path) {
    let processes = Path::new("/proc");
    let Some(name) = target.file_name().map(|name| format!("{}.demo-", name.to_string_lossy())) else {
        return;
    };
    let parent = target.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let file = entry.file_name();
        let process =
            file.to_str().and_then(|it| it.strip_prefix(&name)).and_then(|it| it.parse::<u32>().ok());
        // A process of the same number may be another program. The directory of a number that is this one's is certainly stale.
        let is_gone = |process: u32| {
            process == std::process::id()
                || (processes.join("self").exists() && !processes.join(process.to_string()).exists())
        };
        if process.is_some_and(is_gone) && entry.file_type().is_ok_and(|it| it.is_dir()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
