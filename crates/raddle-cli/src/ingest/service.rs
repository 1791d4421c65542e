//! The service manager: readiness, reloads, the stop, and the watchdog, by the protocol of systemd.
//!
//! Without a service manager, nothing is sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use raddle_ingest::{Batch, Sink, StoreError, Stored};
use sd_notify::NotifyState;

/// Reports states. A failure is logged once; the program does not depend on it.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::debug!("cannot notify the service manager: {error}");
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
    pub(crate) sink: Box<dyn Sink>,
    pub(crate) pulse: Pulse,
}

impl Sink for Watched {
    fn store(&mut self, batch: &Batch) -> Result<Stored, StoreError> {
        let outcome = self.sink.store(batch);
        self.pulse.beat();
        outcome
    }

    fn maintain(&mut self) -> Result<(), StoreError> {
        let outcome = self.sink.maintain();
        self.pulse.beat();
        outcome
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
    use super::*;

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
