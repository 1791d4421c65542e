//! The service manager: readiness, reloads, the stop, and the watchdog, by the protocol of systemd.
//!
//! Without a service manager, nothing is sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use raddle_ingest::{Batch, Sink, StoreError, Stored};
use sd_notify::NotifyState;

/// Reports states. The program does not depend on it.
fn notify(states: &[NotifyState<'_>]) {
    loop {
        match sd_notify::notify(states) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return log::debug!("cannot notify the service manager: {error}"),
            Ok(()) => return,
        }
    }
}

/// Reports that messages are received.
pub(crate) fn ready() {
    notify(&[NotifyState::Ready]);
}

/// Reports that the settings are read again.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(_) => notify(&[NotifyState::Reloading]),
    }
}

/// Reports that the program stops.
pub(crate) fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Requests more time for the stop, since it makes progress.
pub(crate) fn extend(time: Duration) {
    notify(&[NotifyState::ExtendTimeoutUsec(u32::try_from(time.as_micros()).unwrap_or(u32::MAX))]);
}

/// Reports the status as text.
pub(crate) fn status(text: &str) {
    notify(&[NotifyState::Status(text)]);
}

/// Counts the calls of a sink, which show that the writer is not stuck.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pulse(Arc<AtomicU64>);

impl Pulse {
    fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A sink whose calls are counted. The writer calls it at least about every second, also when it is idle and when the database fails.
pub(crate) struct Watched {
    sink: Box<dyn Sink>,
    pulse: Pulse,
    failures: Failures,
}

/// The last failure of the maintenance, and when it was reported.
#[derive(Debug, Default)]
struct Failures {
    last: Option<(String, Instant)>,
}

impl Failures {
    /// How long the same failure is not reported again.
    const QUIET: Duration = Duration::from_mins(1);

    fn is_news(&mut self, reason: &str, now: Instant) -> bool {
        let known = |(last, at): &(String, Instant)| last == reason && now - *at < Self::QUIET;
        let news = !self.last.as_ref().is_some_and(known);
        if news {
            self.last = Some((reason.to_owned(), now));
        }
        news
    }
}

impl Watched {
    pub(crate) fn new(sink: Box<dyn Sink>, pulse: Pulse) -> Self {
        Self { sink, pulse, failures: Failures::default() }
    }
}

impl Sink for Watched {
    fn store(&mut self, batch: &Batch) -> Result<Stored, StoreError> {
        let outcome = self.sink.store(batch);
        self.pulse.beat();
        outcome
    }

    fn stored_in_part(&mut self, batch: &Batch) -> (Vec<bool>, Stored) {
        self.sink.stored_in_part(batch)
    }

    fn transactions(&self) -> usize {
        self.sink.transactions()
    }

    fn sizes(&self) -> Vec<(&'static str, u64)> {
        self.sink.sizes()
    }

    fn maintain(&mut self) -> Result<(), StoreError> {
        let outcome = self.sink.maintain();
        self.pulse.beat();
        let Err(error) = outcome else {
            self.failures.last = None;
            return Ok(());
        };
        // The writer logs it, and it may be the same every second.
        if self.failures.is_news(&error.to_string(), raddle::time::now()) { Err(error) } else { Ok(()) }
    }

    fn close(self: Box<Self>) -> Result<(), StoreError> {
        self.sink.close()
    }
}

/// Keeps the service manager from killing the program, as long as the writer is not stuck.
#[derive(Debug)]
pub(crate) struct Watchdog {
    pulse: Pulse,
    /// The time after which the service manager kills the program.
    timeout: Duration,
    count: u64,
    changed: Instant,
    next: Instant,
}

impl Watchdog {
    /// Creates a watchdog if the service manager requests one.
    pub(crate) fn requested(pulse: Pulse, now: Instant) -> Option<Self> {
        let timeout = sd_notify::watchdog_enabled().filter(|timeout| !timeout.is_zero())?;
        Some(Self::new(pulse, timeout, now))
    }

    fn new(pulse: Pulse, timeout: Duration, now: Instant) -> Self {
        Self { count: pulse.count(), pulse, timeout, changed: now, next: now }
    }

    /// Returns how often [`tick`](Self::tick) must be called.
    pub(crate) fn pause(&self) -> Duration {
        self.timeout / 6
    }

    /// Reports to the service manager, if it is time and the writer is not stuck.
    pub(crate) fn tick(&mut self, now: Instant) {
        if self.is_due(now) {
            notify(&[NotifyState::Watchdog]);
        }
    }

    fn is_due(&mut self, now: Instant) -> bool {
        let count = self.pulse.count();
        if count != self.count {
            (self.count, self.changed) = (count, now);
        }
        // A timeout that is shorter than the writer's longest pause does not make it stuck.
        let stuck = now - self.changed >= self.timeout.max(Duration::from_secs(5));
        if stuck || now < self.next {
            return false;
        }
        self.next = now + self.timeout / 3;
        true
    }
}

#[cfg(test)]
mod tests {
    use raddle_ingest::RowOutcome;

    use super::*;

    /// A sink that differs from the defaults of the interface in each answer.
    struct Particular;

    impl Sink for Particular {
        fn store(&mut self, _batch: &Batch) -> Result<Stored, StoreError> {
            Err(StoreError::new("not now"))
        }

        fn stored_in_part(&mut self, _batch: &Batch) -> (Vec<bool>, Stored) {
            (vec![true, false], Stored { exceptions: vec![(0, RowOutcome::Duplicate)] })
        }

        fn transactions(&self) -> usize {
            3
        }

        fn maintain(&mut self) -> Result<(), StoreError> {
            Err(StoreError::new("no maintenance"))
        }

        fn sizes(&self) -> Vec<(&'static str, u64)> {
            vec![("database", 5)]
        }

        fn close(self: Box<Self>) -> Result<(), StoreError> {
            Err(StoreError::new("not closed"))
        }
    }

    #[test]
    fn watched_sink_answers_as_the_sink_does() {
        let (batch, pulse) = (Batch::default(), Pulse::default());
        let mut sink = Watched::new(Box::new(Particular), pulse.clone());
        assert_eq!(sink.store(&batch).unwrap_err().to_string(), "not now");
        let (stored, exceptions) = sink.stored_in_part(&batch);
        assert_eq!((stored, exceptions.exceptions), (vec![true, false], vec![(0, RowOutcome::Duplicate)]));
        assert_eq!(sink.transactions(), 3);
        assert_eq!(sink.maintain().unwrap_err().to_string(), "no maintenance");
        assert_eq!(sink.sizes(), [("database", 5)]);
        assert_eq!(Box::new(sink).close().unwrap_err().to_string(), "not closed");
        assert_eq!(pulse.count(), 2, "a call of store and one of maintain");
    }

    #[test]
    fn failure_that_lasts_is_reported_once_a_minute() {
        let (mut failures, begin) = (Failures::default(), raddle::time::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        assert!(failures.is_news("deleted", at(0)));
        assert!((1..60).all(|second| !failures.is_news("deleted", at(second))));
        assert!(failures.is_news("full", at(59)));
        assert!(failures.is_news("deleted", at(60)));
        assert!(failures.is_news("deleted", at(120)));
    }

    #[test]
    fn stuck_writer_ends_the_reports() {
        let (pulse, begin) = (Pulse::default(), raddle::time::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut watchdog = Watchdog::new(pulse.clone(), Duration::from_secs(30), begin);
        assert!(watchdog.is_due(at(0)));
        assert!(!watchdog.is_due(at(5)), "a third of the timeout has not passed");
        assert!(watchdog.is_due(at(10)));
        pulse.beat();
        assert!(watchdog.is_due(at(20)));
        assert!(watchdog.is_due(at(45)));
        assert!(!watchdog.is_due(at(55)), "no call of the sink has ended for longer than the timeout");
        pulse.beat();
        assert!(watchdog.is_due(at(56)));
    }
}
