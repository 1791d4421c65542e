//! Messages in an `SQLite` file.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior, params};

use crate::arrival::{Arrival, micros};
use crate::schema::{self, FileId, OpenError, Purpose};
use crate::sink::{Sink, StoreError};

/// Takes a number of ids for a batch and returns the last: none that was ever taken, nor one that was put in by hand.
const TAKE_IDS: &str = "
    UPDATE ingest SET last_id = ?1 + max(
        last_id,
        (SELECT coalesce(max(id), 0) FROM messages),
        (SELECT coalesce(max(id), 0) FROM rejected)
    ) RETURNING last_id";

/// Stores messages in an `SQLite` file: a batch is a transaction, and what is committed survives a power failure.
///
/// Table `messages` has `id`, `received` (microseconds since 1970, UTC), `peer`, `text`; table `rejected` has
/// `id`, `received`, `peer`, `reason`, `length`, `bytes`; view `readable` shows messages with a readable time. An id is
/// unique in both tables together and over restarts, even if rows were deleted meanwhile.
///
/// The file can be read while it is written (it is in WAL mode). A reader that stays for long keeps the
/// `-wal` file beside it growing; at the close it is folded into the file, which then stands alone.
#[derive(Debug)]
pub struct SqliteSink {
    db: Connection,
    path: PathBuf,
    file: FileId,
}

impl SqliteSink {
    /// Opens the file for adding messages; it is made if there is none.
    ///
    /// # Errors
    /// The file cannot be made or written, is in use, or is something else than a database of messages.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_for(path.as_ref(), Purpose::Ingest)
    }

    /// Opens the file for a demo: what an earlier demo left in it is deleted, and nothing else ever is.
    ///
    /// Until it is closed nobody else can use the file, not even to read it.
    ///
    /// # Errors
    /// As for [`open`](Self::open), where any use by others counts; and if it has been opened for real messages.
    pub fn open_demo(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_for(path.as_ref(), Purpose::Demo)
    }

    fn open_for(path: &Path, purpose: Purpose) -> Result<Self, OpenError> {
        let (db, file) = schema::open(path, purpose)?;
        Ok(Self { db, path: path.to_owned(), file })
    }

    /// What goes into a file without a name is gone when it is closed.
    fn still_there(&self) -> Result<(), StoreError> {
        if self.file.is_unchanged() {
            return Ok(());
        }
        let path = self.path.display();
        Err(StoreError::new(format!("{path} was deleted, moved or replaced while it was in use")))
    }

    fn insert(&mut self, batch: &[Arrival]) -> rusqlite::Result<()> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let count = i64::try_from(batch.len()).unwrap_or(i64::MAX);
            let last: i64 = transaction.prepare_cached(TAKE_IDS)?.query_row([count], |row| row.get(0))?;
            let mut message = transaction.prepare_cached("INSERT INTO messages VALUES (?1, ?2, ?3, ?4)")?;
            let mut rejected =
                transaction.prepare_cached("INSERT INTO rejected VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
            for (arrival, id) in batch.iter().zip(last - count + 1..) {
                let (received, peer) = (micros(arrival.received), &*arrival.peer);
                match &arrival.content {
                    Ok(text) => message.execute(params![id, received, peer, text])?,
                    Err(it) => {
                        let length = i64::try_from(it.length).unwrap_or(i64::MAX);
                        rejected.execute(params![
                            id,
                            received,
                            peer,
                            it.reason.to_string(),
                            length,
                            it.bytes
                        ])?
                    }
                };
            }
        }
        // Should this fail, or anything before, dropping the transaction takes it back.
        transaction.commit()
    }
}

impl Sink for SqliteSink {
    fn store(&mut self, batch: &[Arrival]) -> Result<(), StoreError> {
        self.still_there()?;
        self.insert(batch).map_err(StoreError::new)
    }

    fn close(self) -> Result<(), StoreError> {
        let there = self.still_there();
        let checkpoint = self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
        let closed = self.db.close().map_err(|(_, error)| error);
        let busy = checkpoint.and_then(|busy| closed.map(|()| busy)).map_err(|error| {
            let path = self.path.display();
            StoreError::new(format!("{error}; some messages are in {path}-wal, keep it with {path}"))
        })?;
        if busy {
            let path = self.path.display();
            log::warn!(
                "somebody is reading {path}: the newest messages are in {path}-wal until they are done"
            );
        }
        there
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, SystemTime};

    use raddle::{Event, thread};

    use super::*;
    use crate::intake::Intake;
    use crate::pipeline::{Pipeline, PipelineOptions};
    use crate::source::Source;

    /// A sink whose file cannot grow while there is no room.
    struct OnDisk {
        sink: SqliteSink,
        room: Arc<AtomicBool>,
    }

    impl Sink for OnDisk {
        fn store(&mut self, batch: &[Arrival]) -> Result<(), StoreError> {
            // The limit is never below what the file has already.
            let pages = if self.room.load(Ordering::SeqCst) { i32::MAX } else { 1 };
            self.sink.db.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
            self.sink.store(batch)
        }

        fn close(self) -> Result<(), StoreError> {
            self.sink.close()
        }
    }

    struct Numbers(usize);

    impl Source for Numbers {
        fn run(self, intake: Intake, stop: &Arc<Event>) -> io::Result<()> {
            for number in 0..self.0 {
                let content = Ok(format!("number {number}"));
                let arrival = Arrival { received: SystemTime::now(), peer: "test".into(), content };
                intake.put(vec![arrival]).map_err(io::Error::other)?;
            }
            stop.wait();
            Ok(())
        }
    }

    #[test]
    fn commits_reach_the_disk_before_they_count() {
        let path = std::env::temp_dir().join(format!("raddle-synchronous-{}.db", std::process::id()));
        let _ = std::fs::remove_file(&path);
        for open in [SqliteSink::open, SqliteSink::open_demo] {
            let sink = open(&path);
            // A demo refuses a file for real messages.
            let Ok(sink) = sink else { continue };
            let pragma = |name| sink.db.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
            assert_eq!(pragma("synchronous"), Ok(2), "FULL");
            assert_eq!(pragma("fullfsync"), Ok(1));
            sink.close().unwrap();
        }
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_full_disk_takes_nothing_and_loses_nothing() {
        let path = std::env::temp_dir().join(format!("raddle-full-{}.db", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let room = Arc::new(AtomicBool::new(true));
        let sink = OnDisk { sink: SqliteSink::open(&path).unwrap(), room: room.clone() };
        let stop = Arc::new(Event::new());
        let options = PipelineOptions { queue: 1000, batch: 100, ..PipelineOptions::default() };
        room.store(false, Ordering::SeqCst);
        let pipeline = Pipeline::start(Numbers(3000), sink, &options, stop.clone()).unwrap();
        let limit = raddle::time::now() + Duration::from_mins(1);
        while pipeline.progress().queued < 1000 {
            assert!(raddle::time::now() < limit, "{pipeline:?}");
            thread::sleep(Duration::from_millis(1));
        }
        // A few rows found room in the pages that were there; since then the batch comes back whole.
        let reader = Connection::open(&path).unwrap();
        let count =
            || reader.query_row("SELECT count(*) FROM messages", [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(u64::try_from(count()), Ok(pipeline.progress().account.stored));
        assert!(count() < 1000);
        room.store(true, Ordering::SeqCst);
        stop.set();
        let outcome = pipeline.finish();
        assert!(outcome.is_good(), "{outcome:?}");
        assert_eq!(outcome.account.stored, 3000);
        let wrong = "SELECT count(*) FROM messages WHERE text <> 'number ' || (id - 1)";
        assert_eq!(reader.query_row(wrong, [], |row| row.get::<_, i64>(0)), Ok(0));
        assert_eq!(count(), 3000);
        drop(reader);
        std::fs::remove_file(&path).unwrap();
    }
}
