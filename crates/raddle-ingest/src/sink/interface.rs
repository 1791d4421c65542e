//! The interface of sinks: a batch in, the outcome of each of its messages out.

use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::message::{Parcel, Row};

/// Stores messages in batches.
///
/// A sink has one user, the writer, which passes it every batch until it is stored.
///
/// # Examples
/// A sink that prints messages:
/// ```
/// use raddle_ingest::{Batch, Content, Sink, StoreError, Stored};
///
/// struct Printer;
///
/// impl Sink for Printer {
///     fn store(&mut self, batch: &Batch) -> Result<Stored, StoreError> {
///         for row in batch.rows() {
///             if let Content::Text(text, _) = row.content {
///                 println!("{}: {text}", row.peer);
///             }
///         }
///         Ok(Stored::default()) // without exceptions
///     }
///
///     fn close(self: Box<Self>) -> Result<(), StoreError> {
///         Ok(())
///     }
/// }
/// ```
pub trait Sink: Send + 'static {
    /// Stores the whole batch, or nothing of it unless [`stored_in_part`](Self::stored_in_part) reports otherwise.
    ///
    /// After a success, the batch is durable even across a power failure. Messages that a source rejected are stored as such,
    /// with the reason. A message that the database refuses (a constraint, a trigger) is stored as rejected with the
    /// database's reason, and its neighbours are stored. For numbered messages, the last number is updated in the same transaction.
    ///
    /// # Errors
    /// Returns an error in an outage: the batch was not stored, and the reason is not one of the messages. The writer passes the
    /// same batch again.
    fn store(&mut self, batch: &Batch) -> Result<Stored, StoreError>;

    /// Returns which parcels of a batch are stored although [`store`](Self::store) failed, and the exceptions among their messages.
    ///
    /// A sink that stores a batch in several transactions may have stored a part. The writer calls this before it abandons a batch,
    /// and keeps only the other parcels elsewhere. The list has an entry for each parcel; an empty one means none, as by default.
    fn stored_in_part(&mut self, batch: &Batch) -> (Vec<bool>, Stored) {
        let _ = batch;
        (Vec::new(), Stored::default())
    }

    /// Returns the number of transactions over which a large batch is distributed. The writer's limits are per transaction.
    ///
    /// One, unless overridden.
    fn transactions(&self) -> usize {
        1
    }

    /// Performs the maintenance that is due between batches: retention, checkpoints. It is called after each batch, and
    /// about every second.
    ///
    /// # Errors
    /// Returns the error of the maintenance, which is logged.
    fn maintain(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Returns how many bytes the parts of the sink occupy on disk, for the metrics. It is called about every second.
    fn sizes(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }

    /// Closes the sink.
    ///
    /// # Errors
    /// Returns the reason why the sink could not be closed properly. Stored messages remain stored.
    fn close(self: Box<Self>) -> Result<(), StoreError>;
}

/// Messages that are stored together.
#[derive(Debug)]
pub struct Batch {
    number: u64,
    parcels: Vec<Parcel>,
    rows: usize,
    bytes: usize,
}

/// Creates an empty batch, with a number of its own.
impl Default for Batch {
    fn default() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // The number only has to be different from all others.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { number, parcels: Vec::new(), rows: 0, bytes: 0 }
    }
}

impl Batch {
    /// Creates a batch of parcels.
    pub fn new(parcels: Vec<Parcel>) -> Self {
        let mut batch = Self::default();
        for parcel in parcels {
            batch.push(parcel);
        }
        batch
    }

    pub(crate) fn push(&mut self, parcel: Parcel) {
        self.rows += parcel.len();
        self.bytes += parcel.bytes();
        self.parcels.push(parcel);
    }

    /// Returns the number by which a sink recognises a batch that is passed again. No other batch of the process has it; it is not 0.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Returns the number of messages.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Returns whether there are no messages.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Returns the number of bytes of all messages.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the parcels in order.
    pub fn parcels(&self) -> &[Parcel] {
        &self.parcels
    }

    /// Returns the messages of all parcels in order.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.parcels.iter().flat_map(Parcel::rows)
    }
}

/// The outcome of a stored batch: every message is stored as it is, except for these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// The exceptions: the index of a message in the batch, and its outcome, by ascending index.
    pub exceptions: Vec<(usize, RowOutcome)>,
}

/// The outcome of a message that was not stored as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowOutcome {
    /// A message with the same sender and number is stored already.
    Duplicate,
    /// The database refused the message, and it is stored as rejected with this reason.
    Refused(String),
    /// The message's number is not the one that follows the sender's last. It is not stored, nor is any other message of its parcel.
    OutOfSequence {
        /// The number that must be next.
        expected: u64,
    },
}

/// The error of a sink that did not store a batch.
#[derive(Debug)]
pub struct StoreError(Box<dyn Error + Send + Sync>);

impl StoreError {
    /// Creates an error with its cause.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}
