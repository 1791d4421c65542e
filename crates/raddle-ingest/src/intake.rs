//! The way from a source into the queue.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use raddle::Queue;

use crate::account::Counts;
use crate::arrival::Arrival;

/// Where a source puts what it received; clones lead to the same queue.
#[derive(Clone)]
pub struct Intake {
    queue: Arc<Queue<Arrival>>,
    counts: Arc<Counts>,
}

impl Intake {
    pub(crate) fn new(queue: Arc<Queue<Arrival>>, counts: Arc<Counts>) -> Self {
        Self { queue, counts }
    }

    /// Puts messages into the queue, in their order, waiting while it is full: that holds the source back.
    ///
    /// Each counts as received from here on.
    ///
    /// # Errors
    /// [`WriterGone`] if the writer has failed, so that nobody will ever take the messages.
    pub fn put(&self, arrivals: Vec<Arrival>) -> Result<(), WriterGone> {
        self.counts.received.fetch_add(arrivals.len() as u64, Ordering::AcqRel);
        self.queue.put_many(arrivals).map_err(|_| WriterGone)
    }
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake").field("queued", &self.queue.len()).field("counts", &self.counts).finish()
    }
}

/// The writer has failed; what was to be put is counted as received and lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriterGone;

impl fmt::Display for WriterGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the writer has failed: nobody takes the messages any more")
    }
}

impl std::error::Error for WriterGone {}
