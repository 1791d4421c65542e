//! Whether a database holds just the messages of a burst.

use std::fmt;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::send::Burst;

/// Compares the database at `path` with what `burst` sends: every text once, none other, each connection's in
/// the order in which they were sent, none rejected.
///
/// # Errors
/// [`Mismatch`]: the first difference, or why the database cannot be read.
pub fn verify(path: impl AsRef<Path>, burst: &Burst) -> Result<(), Mismatch> {
    // Not read-only: then whoever closes last could not tidy up, and would leave two more files.
    let path = std::path::absolute(path).map_err(|error| Mismatch(error.to_string()))?;
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let rejected: i64 = db.query_row("SELECT count(*) FROM rejected", [], |row| row.get(0))?;
    if rejected > 0 {
        return Err(Mismatch(format!("{rejected} messages were rejected")));
    }
    let mut next: Vec<u64> = vec![1; usize::try_from(burst.connections).unwrap_or(usize::MAX)];
    let mut statement = db.prepare("SELECT id, text FROM messages ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (id, text): (i64, String) = (row.get(0)?, row.get(1)?);
        let connection = number_of_connection(&text);
        let expected = connection
            .and_then(|connection| usize::try_from(connection).ok()?.checked_sub(1))
            .and_then(|index| next.get_mut(index));
        let (Some(connection), Some(message)) = (connection, expected) else {
            return Err(Mismatch(format!("row {id} has a text that was never sent: {text:?}")));
        };
        let sent = burst.text(connection, *message);
        if text != sent {
            return Err(Mismatch(format!("row {id} has {text:?} where {sent:?} is to come")));
        }
        *message += 1;
    }
    for (connection, next) in (1..).zip(next) {
        let share = burst.share(connection);
        if next - 1 != share {
            return Err(Mismatch(format!(
                "{} of the {share} messages of connection {connection} are there",
                next - 1
            )));
        }
    }
    Ok(())
}

fn number_of_connection(text: &str) -> Option<u64> {
    text.strip_prefix("connection ")?.split(' ').next()?.parse().ok()
}

/// How a database differs from what was sent.
#[derive(Debug, PartialEq, Eq)]
pub struct Mismatch(String);

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Mismatch {}

impl From<rusqlite::Error> for Mismatch {
    fn from(error: rusqlite::Error) -> Self {
        Self(format!("cannot be read: {error}"))
    }
}
