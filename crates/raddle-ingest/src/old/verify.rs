//! Verification of a database against a burst.

use std::fmt;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::old::send::Burst;

/// Verifies that the database at `path` contains exactly the messages of `burst`: each text once, those of each connection in
/// the order in which they were sent, and none rejected.
///
/// # Errors
/// [`MismatchError`] with the first difference, or with the reason why the database cannot be read.
pub fn verify(path: impl AsRef<Path>, burst: &Burst) -> Result<(), MismatchError> {
    // Not read-only: the last connection to close removes the write-ahead log, which requires write access.
    let path = std::path::absolute(path).map_err(|error| MismatchError(error.to_string()))?;
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let rejected: i64 = db.query_row("SELECT count(*) FROM rejected", [], |row| row.get(0))?;
    if rejected > 0 {
        return Err(MismatchError(format!("{rejected} messages were rejected")));
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
            return Err(MismatchError(format!("row {id} has a text that was not sent: {text:?}")));
        };
        let sent = burst.text(connection, *message);
        if text != sent {
            return Err(MismatchError(format!("row {id} has {text:?}, expected {sent:?}")));
        }
        *message += 1;
    }
    for (connection, next) in (1..).zip(next) {
        let share = burst.share(connection);
        if next - 1 != share {
            return Err(MismatchError(format!(
                "{} of the {share} messages of connection {connection} are stored",
                next - 1
            )));
        }
    }
    Ok(())
}

fn number_of_connection(text: &str) -> Option<u64> {
    text.strip_prefix("connection ")?.split(' ').next()?.parse().ok()
}

/// The error of [`verify`]: a difference between the database and the burst.
#[derive(Debug, PartialEq, Eq)]
pub struct MismatchError(String);

impl fmt::Display for MismatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for MismatchError {}

impl From<rusqlite::Error> for MismatchError {
    fn from(error: rusqlite::Error) -> Self {
        Self(format!("cannot read the database: {error}"))
    }
}
