//! The thread between the queue and the sink.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use raddle::{Event, Queue, thread, time};

use crate::account::Counts;
use crate::arrival::Arrival;
use crate::sink::Sink;
use crate::spill::Spill;

/// Between two tries to store a batch: doubled each time, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How often a batch is tried again after the stop, and how long it takes between the tries.
const LAST_TRIES: u32 = 5;
const LAST_PAUSE: Duration = Duration::from_millis(200);

/// How long storing must have gone well before a failure is news again.
const CALM: Duration = Duration::from_secs(10);

/// Takes batches from the queue and has the sink store them, until the queue is shut down and empty.
///
/// While the sink fails, the batch is kept and tried again; the queue fills, and its being full holds the
/// source back. After the stop there is no time for that: what the sink will not take is written elsewhere.
pub(crate) struct Writer<S> {
    pub(crate) queue: Arc<Queue<Arrival>>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) stop: Arc<Event>,
    pub(crate) sink: S,
    pub(crate) batch: usize,
    pub(crate) linger: Duration,
    pub(crate) spill: Spill,
    pub(crate) failures: FailureLog,
    /// The sink has had its last try, and the rest goes elsewhere.
    pub(crate) sink_abandoned: bool,
}

impl<S: Sink> Writer<S> {
    /// Returns what went wrong at the end, in words.
    pub(crate) fn run(mut self) -> Vec<String> {
        let _deserted = Deserted { queue: self.queue.clone(), stop: self.stop.clone() };
        let mut lost = None;
        loop {
            let batch = self.queue.get_many(self.batch, self.linger);
            if batch.is_empty() {
                break;
            }
            if let Err(error) = self.store(&batch) {
                // Nowhere to put it: then take in no more, so that at least the peers hear of the rest.
                self.queue.shutdown();
                lost.get_or_insert(format!("messages are lost: they can be written nowhere: {error}"));
            }
        }
        let mut problems: Vec<String> = lost.into_iter().chain(self.told_of_spill()).collect();
        if let Err(error) = self.sink.close() {
            problems.push(format!("closing the database: {error}"));
        }
        problems
    }

    /// Has the batch stored, or written elsewhere.
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

    /// Tries until the sink has stored the batch; after the stop, only a few times.
    fn store_in_sink(&mut self, batch: &[Arrival]) -> Result<(), SinkAbandoned> {
        let mut failing: Option<Failing> = None;
        while let Err(error) = self.sink.store(batch) {
            if let Some(line) = self.failures.failed(&error.to_string(), time::now()) {
                log::warn!("{line}");
            }
            failing.get_or_insert_default().pause(&self.stop)?;
        }
        if let Some(line) = self.failures.stored(time::now()) {
            log::warn!("{line}");
        }
        Ok(())
    }

    fn told_of_spill(&self) -> Option<String> {
        let count = self.counts.unstored.load(Ordering::Acquire);
        let files = self.spill.files();
        (count > 0).then(|| {
            format!("{count} messages could not be stored; they are in {files}, a line of JSON each")
        })
    }
}

/// A batch that the sink has not taken yet.
struct Failing {
    pause: Duration,
    last_tries: u32,
}

/// The sink has had its last try.
struct SinkAbandoned;

impl Default for Failing {
    fn default() -> Self {
        Self { pause: FIRST_PAUSE, last_tries: LAST_TRIES }
    }
}

impl Failing {
    /// Waits before the next try, if there may be one.
    fn pause(&mut self, stop: &Event) -> Result<(), SinkAbandoned> {
        if stop.is_set() {
            self.last_tries = self.last_tries.checked_sub(1).ok_or(SinkAbandoned)?;
            thread::sleep(LAST_PAUSE);
        } else {
            stop.wait_timeout(self.pause);
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
        Ok(())
    }
}

/// However the writer ends, nobody waits for it in vain.
///
/// In order, the queue is shut down and empty by then. If the writer panicked, whoever puts must hear of it,
/// and what is in the queue is lost; the account says so, for it was counted as received.
struct Deserted {
    queue: Arc<Queue<Arrival>>,
    stop: Arc<Event>,
}

impl Drop for Deserted {
    fn drop(&mut self) {
        self.stop.set();
        drop(self.queue.shutdown_now());
    }
}

/// The failures of a sink, until storing has gone well for a while.
///
/// On a disk that is almost full success and failure take turns, and a line for each would bury all others.
#[derive(Debug, Default)]
pub(crate) struct FailureLog {
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    since: Instant,
    last: Instant,
    /// The reasons that were said.
    told: Vec<String>,
    /// Whether something was stored since the last thing that was said, which was said, too.
    succeeded: bool,
}

impl FailureLog {
    /// Notes a failure; a line to say if its reason is news.
    pub(crate) fn failed(&mut self, reason: &str, now: Instant) -> Option<String> {
        self.current.take_if(|current| now - current.last >= CALM && current.succeeded);
        let current = self.current.get_or_insert_with(|| Current {
            since: now,
            last: now,
            told: Vec::new(),
            succeeded: false,
        });
        current.last = now;
        if current.told.iter().any(|told| told == reason) {
            return None;
        }
        current.told.push(reason.to_owned());
        current.succeeded = false; // whoever heard of this wants to hear of its end
        Some(format!("cannot store: {reason}; messages are held back and tried again"))
    }

    /// Notes a success; a line to say if that is news.
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
    fn success_and_failure_in_turns_are_told_once() {
        let (mut failures, begin) = (FailureLog::default(), raddle::time::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        assert_eq!(failures.stored(at(0)), None);
        assert!(failures.failed("full", at(1)).unwrap().starts_with("cannot store: full; "));
        assert_eq!(failures.failed("full", at(30)), None, "it has not gone well meanwhile");
        assert_eq!(failures.stored(at(31)).unwrap(), "storing again, after 30.0 s");
        for second in 32..60 {
            assert_eq!(failures.failed("full", at(second)), None);
            assert_eq!(failures.stored(at(second)), None);
        }
        assert!(failures.failed("locked", at(60)).unwrap().starts_with("cannot store: locked; "));
        assert_eq!(failures.stored(at(60)).unwrap(), "storing again, after 59.0 s");
        assert_eq!(failures.stored(at(61)), None);
        assert!(failures.failed("full", at(70)).unwrap().starts_with("cannot store: full; "));
        assert_eq!(failures.stored(at(71)).unwrap(), "storing again, after 1.0 s");
    }
}
