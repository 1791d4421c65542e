//! The outcomes of the messages of an acknowledged parcel.

use std::fmt;
use std::sync::Arc;

/// Receives the settlements of acknowledged parcels.
///
/// The writer calls it after the commit, never before.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use std::time::{Duration, SystemTime};
///
/// use raddle::Queue;
/// use raddle_ingest::{
///     Acknowledge, Books, MemorySink, Parcel, Pipeline, PipelineOptions, Receipt, Settlement, UnstoredFile,
/// };
///
/// struct Replies(Queue<(u64, Settlement)>);
///
/// impl Acknowledge for Replies {
///     fn settle(&self, _connection: u64, ticket: u64, settlement: Settlement) {
///         let _ = self.0.put((ticket, settlement));
///     }
///
///     fn flush(&self) {} // `put` has woken the receiver
/// }
///
/// let books = Books::new();
/// let source = books.open("letters");
/// let unstored = UnstoredFile::beside(std::env::temp_dir().join("letters.db"), &books);
/// let options = PipelineOptions::default();
/// let pipeline = Pipeline::start(Box::new(MemorySink::new()), Box::new(unstored), books, &options)?;
///
/// let replies = Arc::new(Replies(Queue::unbounded()));
/// let mut parcel = Parcel::new(source, "peer".into(), SystemTime::now());
/// parcel.push_text("hello");
/// parcel.set_receipt(Receipt::new(replies.clone(), 1, 7));
/// pipeline.intake().put(parcel)?;
///
/// let (ticket, settlement) = replies.0.get()?; // blocks until the commit
/// assert_eq!((ticket, settlement.stored), (7, 1));
/// assert!(pipeline.finish(Duration::from_secs(1)).is_good());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Acknowledge: Send + Sync {
    /// Records that the parcel with `ticket`, which arrived on `connection`, is settled.
    fn settle(&self, connection: u64, ticket: u64, settlement: Settlement);

    /// Wakes the receiver: all settlements of a batch have been recorded.
    fn flush(&self);
}

/// Connects a parcel to the receiver of its [`Settlement`].
#[derive(Clone)]
pub struct Receipt {
    to: Arc<dyn Acknowledge>,
    connection: u64,
    ticket: u64,
}

impl Receipt {
    /// Creates a receipt that is settled with `to`, under the two numbers.
    pub fn new(to: Arc<dyn Acknowledge>, connection: u64, ticket: u64) -> Self {
        Self { to, connection, ticket }
    }

    /// Returns the number under which the parcel is settled.
    pub fn ticket(&self) -> u64 {
        self.ticket
    }

    pub(crate) fn settle(&self, settlement: Settlement) {
        self.to.settle(self.connection, self.ticket, settlement);
    }

    pub(crate) fn receiver(&self) -> &Arc<dyn Acknowledge> {
        &self.to
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt")
            .field("connection", &self.connection)
            .field("ticket", &self.ticket)
            .finish_non_exhaustive()
    }
}

/// The outcomes of the messages of a parcel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settlement {
    /// The number of messages committed as text.
    pub stored: u64,
    /// The number of messages that had been stored before, under the same numbers of the same sender.
    pub duplicates: u64,
    /// The messages committed as rejected: their index in the parcel, and the reason.
    pub rejected: Vec<(usize, String)>,
    /// The reason why nothing was stored. The sender keeps the messages, and may send them again.
    pub failure: Option<Failure>,
}

/// The reason why nothing of a parcel was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The queue is full, and messages are shed.
    Full,
    /// The program terminates, and the sink does not work.
    Unavailable,
    /// The sender's numbers have a gap, or begin in the middle.
    OutOfSequence {
        /// The number that the first message must have.
        expected: u64,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Full => f.write_str("the queue is full"),
            Failure::Unavailable => f.write_str("the messages cannot be stored at present"),
            Failure::OutOfSequence { expected } => {
                write!(f, "the numbers are not in sequence: the next message must have number {expected}")
            }
        }
    }
}
