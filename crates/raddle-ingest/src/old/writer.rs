//! The writer: stores batches from the queue in the sink.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use raddle::{Event, Queue, thread, time};

use crate::old::account::Counts;
use crate::old::arrival::Arrival;
use crate::old::sink::Sink;
use crate::old::spill::Spill;

/// Pauses between attempts to store a batch, doubled after each attempt up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The number of attempts after the stop, and the pause between them.
const LAST_ATTEMPTS: u32 = 5;
const LAST_PAUSE: Duration = Duration::from_millis(200);

/// How long the sink must have worked before the same failure is logged again.
const CALM: Duration = Duration::from_secs(10);

/// Dequeues batches and stores them in the sink, until the queue is shut down and empty.
///
/// While the sink fails, the writer retries the batch; the queue fills and exerts backpressure on the source. After the stop, the
/// number of attempts is limited: messages that the sink does not store are written to the spill file.
pub(crate) struct Writer<S> {
    pub(crate) queue: Arc<Queue<Arrival>>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) stop: Arc<Event>,
    pub(crate) sink: S,
    pub(crate) batch: usize,
    pub(crate) linger: Duration,
    pub(crate) spill: Spill,
    pub(crate) failures: FailureLog,
    /// The sink has failed its last attempt, and the remaining messages are spilled.
    pub(crate) sink_abandoned: bool,
}

impl<S: Sink> Writer<S> {
    /// Runs until the queue is shut down and empty. Returns messages about what failed.
    pub(crate) fn run(mut self) -> Vec<String> {
        let _close_on_drop = CloseOnDrop { queue: self.queue.clone(), stop: self.stop.clone() };
        let mut lost = None;
        loop {
            let batch = self.queue.get_many(self.batch, self.linger);
            if batch.is_empty() {
                break;
            }
            if let Err(error) = self.store(&batch) {
                // The messages are lost: refuse more, so that the peers notice.
                self.queue.shutdown();
                lost.get_or_insert(format!("messages are lost: they cannot be written to any file: {error}"));
            }
        }
        let mut problems: Vec<String> = lost.into_iter().chain(self.spill_message()).collect();
        if let Err(error) = self.sink.close() {
            problems.push(format!("cannot close the database: {error}"));
        }
        problems
    }

    /// Stores the batch in the sink or in the spill file.
    fn store(&mut self, batch: &[Arrival]) -> io::Result<()> {
        if !self.sink_abandoned && self.store_in_sink(batch).is_ok() {
            let stored = batch.iter().filter(|arrival| arrival.content.is_ok()).count();
            self.counts.stored.fetch_add(stored as u64, Ordering::AcqRel);
            self.counts.rejected.fetch_add((batch.len() - stored) as u64, Ordering::AcqRel);
            return Ok(());
        }
        self.sink_abandoned = true;
        self.spill.add(batch)?;
        self.counts.unstored.fetch_add(batch.len() as u64, Ordering::AcqRel);
        Ok(())
    }

    /// Retries until the sink has stored the batch; after the stop, only a few times.
    fn store_in_sink(&mut self, batch: &[Arrival]) -> Result<(), SinkAbandoned> {
        let mut retries: Option<Retries> = None;
        while let Err(error) = self.sink.store(batch) {
            if let Some(line) = self.failures.failed(&error.to_string(), time::now()) {
                log::warn!("{line}");
            }
            retries.get_or_insert_default().pause(&self.stop)?;
        }
        if let Some(line) = self.failures.stored(time::now()) {
            log::warn!("{line}");
        }
        Ok(())
    }

    fn spill_message(&self) -> Option<String> {
        let count = self.counts.unstored.load(Ordering::Acquire);
        let files = self.spill.files();
        (count > 0).then(|| {
            format!("{count} messages could not be stored and were written to {files}, as lines of JSON")
        })
    }
}

/// The retries of a batch that the sink failed to store.
struct Retries {
    pause: Duration,
    last_attempts: u32,
}

/// The sink has failed its last attempt.
struct SinkAbandoned;

impl Default for Retries {
    fn default() -> Self {
        Self { pause: FIRST_PAUSE, last_attempts: LAST_ATTEMPTS }
    }
}

impl Retries {
    /// Waits before the next attempt, if one is left.
    fn pause(&mut self, stop: &Event) -> Result<(), SinkAbandoned> {
        if stop.is_set() {
            self.last_attempts = self.last_attempts.checked_sub(1).ok_or(SinkAbandoned)?;
            thread::sleep(LAST_PAUSE);
        } else {
            stop.wait_timeout(self.pause);
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
        Ok(())
    }
}

/// Shuts the queue down when the writer terminates, so that no thread blocks on it forever.
///
/// In a normal stop, the queue is shut down and empty by then. If the writer panicked, blocked sources get an error, and the messages in
/// the queue are lost; the account shows this, since they count as received.
struct CloseOnDrop {
    queue: Arc<Queue<Arrival>>,
    stop: Arc<Event>,
}

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.stop.set();
        drop(self.queue.shutdown_now());
    }
}

/// Decides which failures of the sink are logged.
///
/// On a disk that is almost full, success and failure alternate, and a line for each would hide all others.
#[derive(Debug, Default)]
pub(crate) struct FailureLog {
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    since: Instant,
    last: Instant,
    /// The reasons that were logged.
    logged: Vec<String>,
    /// Whether a batch was stored, and logged as such, since the last logged failure.
    succeeded: bool,
}

impl FailureLog {
    /// Records a failure. Returns a line if it is to be logged.
    pub(crate) fn failed(&mut self, reason: &str, now: Instant) -> Option<String> {
        self.current.take_if(|current| now - current.last >= CALM && current.succeeded);
        let current = self.current.get_or_insert_with(|| Current {
            since: now,
            last: now,
            logged: Vec::new(),
            succeeded: false,
        });
        current.last = now;
        if current.logged.iter().any(|logged| logged == reason) {
            return None;
        }
        current.logged.push(reason.to_owned());
        current.succeeded = false; // the end of a logged failure is logged, too
        Some(format!("cannot store messages: {reason}; retrying"))
    }

    /// Records a success. Returns a line if it is to be logged.
    pub(crate) fn stored(&mut self, now: Instant) -> Option<String> {
        let current = self.current.as_mut()?;
        if std::mem::replace(&mut current.succeeded, true) {
            return None;
        }
        Some(format!("storing again, after {:.1} s", (now - current.since).as_secs_f64()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alternating_success_and_failure_is_logged_once() {
        let (mut failures, begin) = (FailureLog::default(), raddle::time::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        assert_eq!(failures.stored(at(0)), None);
        assert!(failures.failed("full", at(1)).unwrap().starts_with("cannot store messages: full; "));
        assert_eq!(failures.failed("full", at(30)), None, "no success since then");
        assert_eq!(failures.stored(at(31)).unwrap(), "storing again, after 30.0 s");
        for second in 32..60 {
            assert_eq!(failures.failed("full", at(second)), None);
            assert_eq!(failures.stored(at(second)), None);
        }
        assert!(failures.failed("locked", at(60)).unwrap().starts_with("cannot store messages: locked; "));
        assert_eq!(failures.stored(at(60)).unwrap(), "storing again, after 59.0 s");
        assert_eq!(failures.stored(at(61)), None);
        assert!(failures.failed("full", at(70)).unwrap().starts_with("cannot store messages: full; "));
        assert_eq!(failures.stored(at(71)).unwrap(), "storing again, after 1.0 s");
    }
}
