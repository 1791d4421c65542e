//! The status of a pipeline: whether it works, and the sizes and times of its batches.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use raddle::Mutex;

/// Whether a pipeline works, and the sizes and times of its batches. Clones share it.
///
/// The writer updates it; [`Intake::status`](crate::Intake::status) returns it.
#[derive(Clone)]
pub struct Status(Arc<Inner>);

struct Inner {
    /// Messages per stored batch.
    batch_messages: Histogram,
    /// Seconds that it took to store a batch.
    commit_seconds: Histogram,
    errors: AtomicU64,
    failing: AtomicBool,
    draining: AtomicBool,
    /// The reason of the last failure.
    reason: Mutex<String>,
    /// Bytes on disk of the parts of the sink.
    sizes: Mutex<Vec<(&'static str, u64)>>,
}

impl Default for Status {
    fn default() -> Self {
        Self(Arc::new(Inner {
            batch_messages: Histogram::new(exponential_buckets(1.0, 4.0, 9)),
            commit_seconds: Histogram::new(exponential_buckets(0.000_25, 2.0, 16)),
            errors: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            reason: Mutex::new(String::new()),
            sizes: Mutex::new(Vec::new()),
        }))
    }
}

impl Status {
    /// Returns the reason why the last batch was not stored, if it was not. The writer retries it.
    pub fn failure(&self) -> Option<String> {
        self.0.failing.load(Ordering::Acquire).then(|| self.0.reason.lock().clone())
    }

    /// Returns how often the sink failed to store a batch.
    pub fn errors(&self) -> u64 {
        self.0.errors.load(Ordering::Relaxed)
    }

    /// Returns whether the program is stopping.
    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Acquire)
    }

    /// Records that the program is stopping, so that load balancers send it no more requests.
    pub fn set_draining(&self) {
        self.0.draining.store(true, Ordering::Release);
    }

    /// Records that the sink has stored a batch within `time`.
    pub(crate) fn stored(&self, messages: usize, time: Duration) {
        #[allow(clippy::cast_precision_loss, reason = "a batch is small")]
        self.0.batch_messages.observe(messages as f64);
        self.0.commit_seconds.observe(time.as_secs_f64());
        self.0.failing.store(false, Ordering::Release);
    }

    /// Records that the sink has failed to store a batch.
    pub(crate) fn failed(&self, reason: &str) {
        self.0.errors.fetch_add(1, Ordering::Relaxed);
        let mut known = self.0.reason.lock();
        if *known != reason {
            reason.clone_into(&mut known);
        }
        self.0.failing.store(true, Ordering::Release);
    }

    /// Records how many bytes the parts of the sink occupy on disk.
    pub(crate) fn set_sizes(&self, sizes: Vec<(&'static str, u64)>) {
        if !sizes.is_empty() {
            *self.0.sizes.lock() = sizes;
        }
    }

    pub(crate) fn sizes(&self) -> Vec<(&'static str, u64)> {
        self.0.sizes.lock().clone()
    }

    pub(crate) fn batch_messages(&self) -> &Histogram {
        &self.0.batch_messages
    }

    pub(crate) fn commit_seconds(&self) -> &Histogram {
        &self.0.commit_seconds
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Status")
            .field("failure", &self.failure())
            .field("errors", &self.errors())
            .field("draining", &self.is_draining())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_lasts_until_a_batch_is_stored() {
        let status = Status::default();
        assert_eq!(status.failure(), None);
        status.failed("locked");
        status.failed("the disk is full");
        assert_eq!(status.failure().as_deref(), Some("the disk is full"));
        status.stored(10, Duration::from_millis(1));
        assert_eq!((status.failure(), status.errors()), (None, 2));
        assert!(!status.is_draining());
        status.set_draining();
        assert!(status.is_draining());
    }
}
