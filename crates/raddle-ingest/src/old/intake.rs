//! The entrance from a source into the queue.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use raddle::Queue;

use crate::old::account::Counts;
use crate::old::arrival::Arrival;

/// Enqueues the messages of a source. Clones share the queue.
#[derive(Clone)]
pub struct Intake {
    queue: Arc<Queue<Arrival>>,
    counts: Arc<Counts>,
}

impl Intake {
    pub(crate) fn new(queue: Arc<Queue<Arrival>>, counts: Arc<Counts>) -> Self {
        Self { queue, counts }
    }

    /// Enqueues messages in order, blocking while the queue is full.
    ///
    /// The messages count as received.
    ///
    /// # Errors
    /// [`WriterGoneError`] if the writer has terminated. The messages are lost.
    pub fn put(&self, arrivals: Vec<Arrival>) -> Result<(), WriterGoneError> {
        self.counts.received.fetch_add(arrivals.len() as u64, Ordering::AcqRel);
        self.queue.put_many(arrivals).map_err(|_| WriterGoneError)
    }
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake").field("queued", &self.queue.len()).field("counts", &self.counts).finish()
    }
}

/// The error of [`Intake::put`]: the writer has terminated, and the messages are counted as lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriterGoneError;

impl fmt::Display for WriterGoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot enqueue messages: the writer has terminated")
    }
}

impl std::error::Error for WriterGoneError {}
