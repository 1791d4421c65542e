//! A sink that stores messages in an SQLite database.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior, params};

use crate::old::arrival::{Arrival, micros};
use crate::old::schema::{self, FileId, OpenError, Purpose};
use crate::old::sink::{Sink, StoreError};

/// Allocates ids for a batch and returns the last. No id is allocated twice, and none that a row inserted by hand has.
const ALLOCATE_IDS: &str = "
    UPDATE ingest SET last_id = ?1 + max(
        last_id,
        (SELECT coalesce(max(id), 0) FROM messages),
        (SELECT coalesce(max(id), 0) FROM rejected)
    ) RETURNING last_id";

/// Stores messages in an SQLite database. Each batch is a transaction that survives a power failure once committed.
///
/// Table `messages` has `id`, `received` (microseconds since 1970, UTC), `peer`, `text`; table `rejected` has
/// `id`, `received`, `peer`, `reason`, `length`, `bytes`; view `readable` shows messages with a readable time. An id is
/// unique across both tables and across restarts, even if rows are deleted.
///
/// The database is in WAL mode: it can be read while it is written. A long-running reader makes the `-wal` file grow. On close,
/// the log is merged into the database file.
#[derive(Debug)]
pub struct SqliteSink {
    db: Connection,
    path: PathBuf,
    file: FileId,
}

impl SqliteSink {
    /// Opens the database to add messages. The file is created if it is missing.
    ///
    /// # Errors
    /// If the file cannot be created or written, is in use, or is not a database of messages.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_for(path.as_ref(), Purpose::Ingest)
    }

    /// Opens the database for a demo, deleting the messages of an earlier demo.
    ///
    /// The file is locked exclusively until it is closed: no other program can read it.
    ///
    /// # Errors
    /// As for [`open`](Self::open), and if the database contains messages that are not from a demo.
    pub fn open_demo(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_for(path.as_ref(), Purpose::Demo)
    }

    fn open_for(path: &Path, purpose: Purpose) -> Result<Self, OpenError> {
        let (db, file) = schema::open(path, purpose)?;
        Ok(Self { db, path: path.to_owned(), file })
    }

    /// Fails if the file was deleted or replaced: messages stored in it would disappear with the last handle.
    fn check_file(&self) -> Result<(), StoreError> {
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
            let last: i64 = transaction.prepare_cached(ALLOCATE_IDS)?.query_row([count], |row| row.get(0))?;
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
        // On any error, dropping the transaction rolls it back.
        transaction.commit()
    }
}

impl Sink for SqliteSink {
    fn store(&mut self, batch: &[Arrival]) -> Result<(), StoreError> {
        self.check_file()?;
        self.insert(batch).map_err(StoreError::new)
    }

    fn close(self) -> Result<(), StoreError> {
        let file = self.check_file();
        let checkpoint = self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
        let closed = self.db.close().map_err(|(_, error)| error);
        let busy = checkpoint.and_then(|busy| closed.map(|()| busy)).map_err(|error| {
            let path = self.path.display();
            StoreError::new(format!("{error}; some messages are in {path}-wal: keep it beside {path}"))
        })?;
        if busy {
            let path = self.path.display();
            log::warn!(
                "{path} is being read: the newest messages stay in {path}-wal until the reader is done"
            );
        }
        file
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
    use crate::old::intake::Intake;
    use crate::old::pipeline::{Pipeline, PipelineOptions};
    use crate::old::source::Source;

    /// A sink whose file cannot grow while `room` is false.
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
    fn stored_messages_are_committed_to_disk() {
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
    fn full_disk_stores_no_part_of_a_batch_and_loses_none() {
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
