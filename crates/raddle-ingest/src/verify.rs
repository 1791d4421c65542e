//! Compares a database with the messages that were sent.

use std::fmt;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::sink::sqlite::schema;

/// The messages that were sent, over several connections. The numbers of connections and messages count from 1.
pub trait Sent {
    /// Returns the number of connections.
    fn connections(&self) -> u64;

    /// Returns the number of messages of a connection.
    fn share(&self, connection: u64) -> u64;

    /// Returns a text, which contains `connection 3 message 17` with the two numbers, followed by a space or the end.
    fn text(&self, connection: u64, message: u64) -> String;
}

/// How often each message may be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Once, and in the order in which the messages of a connection were sent.
    ExactlyOnce,
    /// Once or more, in any order.
    AtLeastOnce,
}

/// The contents of a database that passed [`verify`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// The number of rows.
    pub rows: u64,
    /// The number of rows beyond one for each message.
    pub doubles: u64,
}

/// Verifies that the database at `path` contains the messages that were sent and nothing else, that none was rejected, and that the file is
/// intact.
///
/// # Errors
/// Returns a [`MismatchError`] with the first difference, or with the reason why the database cannot be read.
pub fn verify(
    path: impl AsRef<Path>,
    sent: &dyn Sent,
    delivery: Delivery,
) -> Result<Verified, MismatchError> {
    // Not read-only: the last connection to close removes the write-ahead log, which requires write access.
    let path = std::path::absolute(path).map_err(|error| MismatchError(error.to_string()))?;
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    if let Some(problem) = schema::integrity(&db)?.first() {
        return Err(MismatchError(format!("the database is damaged: {problem}")));
    }
    let rejected: i64 = db.query_row("SELECT count(*) FROM rejected", [], |row| row.get(0))?;
    if rejected > 0 {
        return Err(MismatchError(format!("{rejected} messages were rejected")));
    }
    let mut connections: Vec<Seen> = (1..=sent.connections()).map(|it| Seen::new(sent.share(it))).collect();
    let mut verified = Verified::default();
    let mut statement = db.prepare("SELECT id, text FROM messages ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (id, text): (i64, String) = (row.get(0)?, row.get(1)?);
        verified.rows += 1;
        let unknown = || MismatchError(format!("row {id} has a text that was not sent: {text:?}"));
        let (connection, message) = numbers(&text).ok_or_else(unknown)?;
        let seen = usize::try_from(connection)
            .ok()
            .and_then(|connection| connections.get_mut(connection.checked_sub(1)?))
            .ok_or_else(unknown)?;
        if message == 0 || message > seen.share {
            return Err(unknown());
        }
        if delivery == Delivery::ExactlyOnce && message != seen.count + 1 {
            let expected = seen.count + 1;
            return Err(MismatchError(format!(
                "row {id} has message {message} of connection {connection}, expected message {expected}"
            )));
        }
        if text != sent.text(connection, message) {
            return Err(unknown());
        }
        if !seen.add(message) {
            verified.doubles += 1;
        }
    }
    for (connection, seen) in (1..).zip(&connections) {
        if seen.count != seen.share {
            return Err(MismatchError(format!(
                "{} of the {} messages of connection {connection} are stored",
                seen.count, seen.share
            )));
        }
    }
    Ok(verified)
}

/// Which messages of a connection are stored.
struct Seen {
    share: u64,
    count: u64,
    bits: Vec<u64>,
}

impl Seen {
    fn new(share: u64) -> Self {
        Self { share, count: 0, bits: Vec::new() }
    }

    /// Adds a message. Returns whether it is new.
    fn add(&mut self, message: u64) -> bool {
        let word = usize::try_from(message / 64).expect("memory for each message");
        if self.bits.len() <= word {
            self.bits.resize(word + 1, 0);
        }
        let bit = 1 << (message % 64);
        let is_new = self.bits[word] & bit == 0;
        self.bits[word] |= bit;
        self.count += u64::from(is_new);
        is_new
    }
}

/// Returns the numbers of the connection and of the message.
fn numbers(text: &str) -> Option<(u64, u64)> {
    let (_, rest) = text.split_once("connection ")?;
    let (connection, rest) = rest.split_once(" message ")?;
    let message = rest.split(' ').next()?;
    Some((connection.parse().ok()?, message.parse().ok()?))
}

/// The error of [`verify`]: a difference between the database and the messages that were sent.
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
