//! Deletes old messages in small steps, between batches.

use std::time::{Duration, Instant, SystemTime};

use raddle::time;
use rusqlite::{Connection, TransactionBehavior};

use crate::message::micros;
use crate::sink::interface::StoreError;

/// Ids that are looked at in one step, fewer if messages are large.
const STEP: u64 = 20_000;

/// Bytes that are deleted in one step.
const STEP_BYTES: u64 = 16 << 20;

/// Pages that are given back to the file system in one step.
const PAGES: i64 = 2_000;

/// The space within the file that is kept for new messages, as a part of the whole.
const SPARE: i64 = 4;

/// The pause after everything that is due has been done.
const PAUSE: Duration = Duration::from_secs(10);

/// Selects the messages that are deleted, including rejected ones. Messages are deleted in the order in which they
/// were stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Messages received longer ago than this are deleted. They are looked for in the order in which they were stored.
    pub age: Option<Duration>,
    /// If the messages fill more than this, in bytes, the first are deleted. Space within the file is used again; if much of
    /// it is empty, the file shrinks.
    pub bytes: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Sweeper {
    retention: Retention,
    /// When the next step is due.
    due: Option<Instant>,
}

impl Sweeper {
    pub(crate) fn new(retention: Retention) -> Self {
        Self { retention, due: None }
    }

    /// Does one step, if one is due.
    pub(crate) fn sweep(&mut self, db: &mut Connection) -> Result<(), StoreError> {
        let now = time::now();
        if self.retention == Retention::default() || self.due.is_some_and(|due| now < due) {
            return Ok(());
        }
        let is_done = self.step(db).map_err(|error| {
            self.due = now.checked_add(PAUSE);
            StoreError::new(format!("cannot delete old messages: {error}"))
        })?;
        if is_done {
            self.due = now.checked_add(PAUSE);
        }
        Ok(())
    }

    /// Deletes some messages. Returns whether nothing more is due.
    fn step(&self, db: &mut Connection) -> rusqlite::Result<bool> {
        let mut deleted = 0;
        if let Some(age) = self.retention.age {
            let before = SystemTime::now().checked_sub(age).map_or(i64::MIN, micros);
            deleted += delete(db, Some(before), u64::MAX)?;
        }
        if let Some(bytes) = self.retention.bytes {
            let excess = used(db)?.saturating_sub(bytes);
            if excess > 0 {
                deleted += delete(db, None, excess)?;
            }
        }
        Ok(deleted == 0 && shrink(db)?)
    }
}

/// Returns the bytes of the database that are in use.
fn used(db: &Connection) -> rusqlite::Result<u64> {
    let number = |sql: &str| db.prepare_cached(sql)?.query_row([], |row| row.get::<_, i64>(0));
    let pages = number("PRAGMA page_count")? - number("PRAGMA freelist_count")?;
    Ok(u64::try_from(pages * number("PRAGMA page_size")?).unwrap_or(0))
}

/// Deletes those of the first messages that were received before a time, or all of the first, of at most about `bytes` bytes.
fn delete(db: &mut Connection, before: Option<i64>, bytes: u64) -> rusqlite::Result<usize> {
    let used = used(db)?;
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut deleted = 0;
    {
        // Each of these is one look at an end of a table; together in one SELECT they would not be.
        let bounds = transaction
            .prepare_cached(
                "SELECT min(coalesce(m, r), coalesce(r, m)), max(coalesce(n, s), coalesce(s, n)) FROM (SELECT
                    (SELECT min(id) FROM messages) AS m, (SELECT max(id) FROM messages) AS n,
                    (SELECT min(id) FROM rejected) AS r, (SELECT max(id) FROM rejected) AS s)",
            )?
            .query_row([], |row| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?)))?;
        let (Some(first), Some(last)) = bounds else { return Ok(0) };
        // Ids have gaps, so there are at most as many messages.
        let average = (used / last.abs_diff(first).saturating_add(1)).max(1);
        let count = (bytes.min(STEP_BYTES) / average).clamp(1, STEP);
        let last = first.saturating_add_unsigned(count - 1);
        for sql in [
            "DELETE FROM messages WHERE id BETWEEN ?1 AND ?2 AND (?3 IS NULL OR received < ?3)",
            "DELETE FROM rejected WHERE id BETWEEN ?1 AND ?2 AND (?3 IS NULL OR received < ?3)",
        ] {
            deleted += transaction.prepare_cached(sql)?.execute((first, last, before))?;
        }
    }
    if deleted > 0 {
        transaction.commit()?;
    }
    Ok(deleted)
}

/// Gives empty pages back to the file system if there are many. Returns whether nothing more is due.
fn shrink(db: &Connection) -> rusqlite::Result<bool> {
    let number = |sql: &str| db.prepare_cached(sql)?.query_row([], |row| row.get::<_, i64>(0));
    let (pages, empty) = (number("PRAGMA page_count")?, number("PRAGMA freelist_count")?);
    // A database of the first version cannot shrink, but uses its space again.
    let is_incremental = number("PRAGMA auto_vacuum")? == 2;
    if !is_incremental || empty < PAGES || empty < pages / SPARE {
        return Ok(true);
    }
    let mut statement = db.prepare(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
    let mut rows = statement.query([])?;
    // Each row is a page.
    while rows.next()?.is_some() {}
    Ok(false)
}
