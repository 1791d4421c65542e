//! Queries of a database of messages, which may be written at the same time.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, SystemTime};

use memchr::memmem::Finder;
use raddle::time;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row};

use crate::message::micros;
use crate::sink::sqlite::error::{OpenError, Why};
use crate::sink::sqlite::schema;

/// How long a reader stays in one transaction: it holds up the checkpoints of the writer.
const SLICE: Duration = Duration::from_millis(100);

/// Rows between two looks at the clock.
const STRIDE: usize = 1000;

/// Rows in succession that are older than wanted, after which no newer ones are expected.
const OLD_ROWS: usize = 1_000_000;

const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Selects messages. A condition that is absent holds for every message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The name of the source.
    pub source: Option<String>,
    /// The beginning of the peer's address.
    pub peer: Option<String>,
    /// The host.
    pub host: Option<String>,
    /// The application.
    pub app: Option<String>,
    /// The least severe: 3 stands for 0 to 3.
    pub severity: Option<u8>,
    /// The earliest time of receipt.
    pub since: Option<SystemTime>,
    /// The latest time of receipt.
    pub until: Option<SystemTime>,
    /// A part of the text.
    pub text: Option<String>,
}

/// The column by which messages are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountBy {
    /// The name of the source.
    Source,
    /// The address of the peer.
    Peer,
    /// The host.
    Host,
    /// The application.
    App,
    /// The severity.
    Severity,
}

/// A stored message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the columns are described in `SqliteSink`")]
pub struct StoredMessage {
    pub id: i64,
    pub received: i64,
    pub source: String,
    pub peer: String,
    pub sent: Option<i64>,
    pub facility: Option<u8>,
    pub severity: Option<u8>,
    pub host: Option<String>,
    pub app: Option<String>,
    pub process: Option<String>,
    pub message_id: Option<String>,
    pub text: String,
    pub body: String,
}

/// A rejected message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the columns are described in `SqliteSink`")]
pub struct RejectedMessage {
    pub id: i64,
    pub received: i64,
    pub source: String,
    pub peer: String,
    pub reason: String,
    pub length: u64,
    pub bytes: Vec<u8>,
}

/// How many messages were rejected for a reason.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReasonCount {
    /// The reason.
    pub reason: String,
    /// The number of messages.
    pub count: u64,
    /// The latest time of receipt, in microseconds since 1970, UTC.
    pub latest: i64,
}

/// Reads a database of messages.
///
/// The database may be written at the same time. A query runs in short transactions, so that the log of the writer stays small; messages that are
/// stored during the query may be missing from its result. There is no index on the time: a query of old messages reads every newer one.
///
/// # Examples
/// ```
/// use std::time::SystemTime;
///
/// use raddle_ingest::{Batch, Books, CountBy, Filter, MessageReader, Parcel, Sink, SqliteOptions, SqliteSink};
///
/// let directory = std::env::temp_dir().join(format!("raddle-reader-{}", std::process::id()));
/// std::fs::create_dir_all(&directory)?;
/// let path = directory.join("messages.db");
/// let books = Books::new();
/// let mut sink = SqliteSink::open(&path, &books, &SqliteOptions::default())?;
/// let mut parcel = Parcel::new(books.open("tcp"), "peer".into(), SystemTime::now());
/// parcel.push_text("one");
/// parcel.push_text("two");
/// sink.store(&Batch::new(vec![parcel]))?;
///
/// let reader = MessageReader::open(&path)?; // the sink may stay open
/// assert_eq!(reader.newest(&Filter::default(), 1)?[0].text, "two");
/// assert_eq!(reader.counts(CountBy::Source, &Filter::default())?, [("tcp".to_owned(), 2)]);
/// # drop((reader, sink));
/// # std::fs::remove_dir_all(&directory)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct MessageReader {
    db: Connection,
}

impl MessageReader {
    /// Opens a database, which is not changed.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, or is not a database of messages.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let fail = |why| OpenError::new(path, why);
        let absolute = std::path::absolute(path).map_err(|error| fail(Why::File(error)))?;
        // The errors of the operating system are clearer than those of SQLite.
        let metadata = std::fs::metadata(&absolute).map_err(|error| fail(Why::File(error)))?;
        if !metadata.is_file() {
            return Err(fail(Why::File(std::io::Error::other("it is not a regular file"))));
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(&absolute, flags).map_err(|error| fail(Why::from(error)))?;
        db.busy_timeout(BUSY_TIMEOUT).map_err(|error| fail(Why::from(error)))?;
        schema::recognise(&db).map_err(fail)?;
        Ok(Self { db })
    }

    /// Returns the newest messages, the latest first.
    ///
    /// # Errors
    /// Returns an error if the database cannot be read.
    pub fn newest(&self, filter: &Filter, count: usize) -> Result<Vec<StoredMessage>, QueryError> {
        let mut ids = Vec::new();
        if count > 0 {
            self.scan(Table::Messages, filter, |row| {
                ids.push(row.get::<_, i64>(0)?);
                Ok(if ids.len() < count { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
            })?;
        }
        let mut statement = self.db.prepare(&format!(
            "SELECT id, received, source, peer, sent, facility, severity, host, app, process, message_id, text, {}
             FROM messages WHERE id = ?1",
            schema::BODY
        ))?;
        let mut messages = Vec::new();
        for id in ids {
            let message = statement.query_row([id], |row| {
                Ok(StoredMessage {
                    id: row.get(0)?,
                    received: row.get(1)?,
                    source: row.get(2)?,
                    peer: row.get(3)?,
                    sent: row.get(4)?,
                    facility: row.get(5)?,
                    severity: row.get(6)?,
                    host: row.get(7)?,
                    app: row.get(8)?,
                    process: row.get(9)?,
                    message_id: row.get(10)?,
                    text: row.get(11)?,
                    body: row.get(12)?,
                })
            });
            // It may have been deleted by now.
            messages.extend(message.optional()?);
        }
        Ok(messages)
    }

    /// Returns how many messages there are, by a column. The most come first. Messages without the column are counted as `-`.
    ///
    /// # Errors
    /// Returns an error if the database cannot be read.
    pub fn counts(&self, by: CountBy, filter: &Filter) -> Result<Vec<(String, u64)>, QueryError> {
        let column = match by {
            CountBy::Source => 2,
            CountBy::Peer => 3,
            CountBy::Severity => 4,
            CountBy::Host => 5,
            CountBy::App => 6,
        };
        let mut counts: HashMap<String, u64> = HashMap::new();
        self.scan(Table::Messages, filter, |row| {
            let number;
            let key = match row.get_ref(column)? {
                ValueRef::Text(text) => std::str::from_utf8(text).unwrap_or("-"),
                ValueRef::Integer(integer) => {
                    number = integer.to_string();
                    &number
                }
                _ => "-",
            };
            match counts.get_mut(key) {
                Some(count) => *count += 1,
                None => drop(counts.insert(key.to_owned(), 1)),
            }
            Ok(ControlFlow::Continue(()))
        })?;
        let mut counts: Vec<(String, u64)> = counts.into_iter().collect();
        counts.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        Ok(counts)
    }

    /// Returns how many messages were received in each interval of time: the begin of the interval in microseconds since 1970, UTC, a multiple of
    /// `interval`, and the number. Intervals without messages are absent.
    ///
    /// # Errors
    /// Returns an error if the database cannot be read.
    ///
    /// # Panics
    /// Panics if `interval` is shorter than a microsecond.
    pub fn rate(&self, filter: &Filter, interval: Duration) -> Result<BTreeMap<i64, u64>, QueryError> {
        let interval = i64::try_from(interval.as_micros()).unwrap_or(i64::MAX);
        assert!(interval > 0, "the interval is shorter than a microsecond");
        let mut counts = BTreeMap::new();
        self.scan(Table::Messages, filter, |row| {
            let received: i64 = row.get(1)?;
            *counts.entry(received.div_euclid(interval) * interval).or_insert(0) += 1;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(counts)
    }

    /// Returns how many messages were rejected for each reason, the most first. Of the filter, source, peer, time and text count.
    ///
    /// # Errors
    /// Returns an error if the database cannot be read.
    pub fn reasons(&self, filter: &Filter) -> Result<Vec<ReasonCount>, QueryError> {
        let mut counts: HashMap<String, (u64, i64)> = HashMap::new();
        self.scan(Table::Rejected, filter, |row| {
            let (reason, received): (String, i64) = (row.get(4)?, row.get(1)?);
            let (count, latest) = counts.entry(reason).or_insert((0, received));
            *count += 1;
            *latest = received.max(*latest);
            Ok(ControlFlow::Continue(()))
        })?;
        let mut counts: Vec<ReasonCount> = counts
            .into_iter()
            .map(|(reason, (count, latest))| ReasonCount { reason, count, latest })
            .collect();
        counts.sort_by(|one, other| other.count.cmp(&one.count).then_with(|| one.reason.cmp(&other.reason)));
        Ok(counts)
    }

    /// Returns the messages that were rejected last, the latest first. Of the filter, source, peer, time and text count.
    ///
    /// # Errors
    /// Returns an error if the database cannot be read.
    pub fn newest_rejected(&self, filter: &Filter, count: usize) -> Result<Vec<RejectedMessage>, QueryError> {
        let mut ids = Vec::new();
        if count > 0 {
            self.scan(Table::Rejected, filter, |row| {
                ids.push(row.get::<_, i64>(0)?);
                Ok(if ids.len() < count { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
            })?;
        }
        let mut statement = self.db.prepare(
            "SELECT id, received, source, peer, reason, length, bytes FROM rejected WHERE id = ?1",
        )?;
        let mut messages = Vec::new();
        for id in ids {
            let message = statement.query_row([id], |row| {
                Ok(RejectedMessage {
                    id: row.get(0)?,
                    received: row.get(1)?,
                    source: row.get(2)?,
                    peer: row.get(3)?,
                    reason: row.get(4)?,
                    length: u64::try_from(row.get::<_, i64>(5)?).unwrap_or(0),
                    bytes: row.get(6)?,
                })
            });
            messages.extend(message.optional()?);
        }
        Ok(messages)
    }

    /// Calls `found` for each wanted row, the latest first, until it breaks.
    fn scan(
        &self,
        table: Table,
        filter: &Filter,
        mut found: impl FnMut(&Row<'_>) -> rusqlite::Result<ControlFlow<()>>,
    ) -> Result<(), QueryError> {
        let finder = filter.text.as_ref().map(|text| Finder::new(text.as_bytes()));
        let wanted = Wanted {
            table,
            filter,
            finder,
            since: filter.since.map(micros),
            until: filter.until.map(micros),
        };
        let mut statement = self.db.prepare(&table.select(filter.text.is_some()))?;
        let mut below = i64::MAX;
        let mut old = 0;
        loop {
            // Each round is a transaction of its own.
            let end = time::now() + SLICE;
            let mut rows = statement.query([below])?;
            let mut looked = 0;
            loop {
                let Some(row) = rows.next()? else { return Ok(()) };
                below = row.get(0)?;
                if wanted.is_old(row)? {
                    old += 1;
                    if old >= OLD_ROWS {
                        return Ok(());
                    }
                } else {
                    old = 0;
                    if wanted.matches(row)? && found(row)?.is_break() {
                        return Ok(());
                    }
                }
                looked += 1;
                if looked % STRIDE == 0 && time::now() >= end {
                    break;
                }
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Table {
    Messages,
    Rejected,
}

impl Table {
    /// The columns that a filter needs, with the text only if it is needed.
    fn select(self, with_text: bool) -> String {
        let (table, columns, text) = match self {
            Table::Messages => ("messages", "id, received, source, peer, severity, host, app", "text"),
            Table::Rejected => ("rejected", "id, received, source, peer, reason, NULL, NULL", "bytes"),
        };
        let text = if with_text { text } else { "NULL" };
        // The highest id is not below any number.
        format!(
            "SELECT {columns}, {text} FROM {table} WHERE id < ?1 OR (?1 = {0} AND id = {0}) ORDER BY id DESC",
            i64::MAX
        )
    }
}

struct Wanted<'a> {
    table: Table,
    filter: &'a Filter,
    finder: Option<Finder<'a>>,
    since: Option<i64>,
    until: Option<i64>,
}

impl Wanted<'_> {
    fn is_old(&self, row: &Row<'_>) -> rusqlite::Result<bool> {
        let Some(since) = self.since else { return Ok(false) };
        Ok(row.get::<_, i64>(1)? < since)
    }

    fn matches(&self, row: &Row<'_>) -> rusqlite::Result<bool> {
        if let Some(until) = self.until
            && row.get::<_, i64>(1)? > until
        {
            return Ok(false);
        }
        let bytes = |column| {
            row.get_ref(column).map(|value| match value {
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(bytes),
                _ => None,
            })
        };
        let is = |column, wanted: &Option<String>| match wanted {
            None => Ok(true),
            Some(wanted) => bytes(column).map(|found| found == Some(wanted.as_bytes())),
        };
        if !is(2, &self.filter.source)? {
            return Ok(false);
        }
        if let Some(peer) = &self.filter.peer
            && !bytes(3)?.is_some_and(|found| found.starts_with(peer.as_bytes()))
        {
            return Ok(false);
        }
        if self.table == Table::Messages {
            if !is(5, &self.filter.host)? || !is(6, &self.filter.app)? {
                return Ok(false);
            }
            if let Some(severity) = self.filter.severity
                && row.get::<_, Option<u8>>(4)?.is_none_or(|found| found > severity)
            {
                return Ok(false);
            }
        }
        match &self.finder {
            None => Ok(true),
            Some(finder) => Ok(bytes(7)?.is_some_and(|text| finder.find(text).is_some())),
        }
    }
}

/// The error of a [`MessageReader`].
#[derive(Debug)]
pub struct QueryError(rusqlite::Error);

impl From<rusqlite::Error> for QueryError {
    fn from(error: rusqlite::Error) -> Self {
        Self(error)
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read the database: {}", self.0)
    }
}

impl Error for QueryError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}
