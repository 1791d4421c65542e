//! The effects of signals on the running program.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use raddle::{Event, Mutex, Queue, Thread, time};

use super::books::Counted;
use super::signals::{self, Request};
use crate::output;

/// Exit status if messages or peers were left.
pub(crate) const LEFT: u8 = 4;

/// How long the signal that began the drain may be repeated without effect: `timeout` sends it to the program and to its process group.
const REPETITION: Duration = Duration::from_secs(1);

/// The requests that the main thread carries out. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Control(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    requests: Queue<Request>,
    stopping: Event,
    /// The signal that began the drain, and when.
    stopped_by: Mutex<Option<(String, Instant)>>,
    /// The counters that are reported, once messages are received.
    counted: Mutex<Option<Counted>>,
}

impl Control {
    /// Handles signals from now on.
    pub(crate) fn start() -> io::Result<Self> {
        let shared = Shared {
            requests: Queue::unbounded(),
            stopping: Event::new(),
            stopped_by: Mutex::new(None),
            counted: Mutex::new(None),
        };
        let control = Self(Arc::new(shared));
        let own = control.clone();
        signals::handle(move |request, signal| own.act(request, signal))?;
        Ok(control)
    }

    /// Stops the program at the end of standard input, unless it stops already.
    pub(crate) fn stop_with_input(&self) -> io::Result<()> {
        let control = self.clone();
        let watcher = Thread::new(move || {
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            if !control.is_stopping() {
                control.act(Request::Stop, "the end of standard input");
            }
        });
        // A daemon: the input may stay open until the program has terminated.
        drop(watcher.name("input").daemon(true).start().map_err(io::Error::other)?);
        Ok(())
    }

    /// Sets the counters that are reported.
    pub(crate) fn count(&self, counted: Counted) {
        *self.0.counted.lock() = Some(counted);
    }

    /// Returns whether a stop was requested.
    pub(crate) fn is_stopping(&self) -> bool {
        self.0.stopping.is_set()
    }

    /// Blocks until there is something to do, for at most a time.
    pub(crate) fn next(&self, timeout: Duration) -> Option<Request> {
        self.0.requests.get_timeout(timeout).ok()
    }

    /// Acts on a signal, on the thread of the signals: the main thread may be blocked in the drain.
    fn act(&self, request: Request, signal: &str) {
        match request {
            Request::Stop if self.is_stopping() => {
                let first = self.0.stopped_by.lock().clone();
                if first.is_some_and(|first| is_repetition(&first, signal, time::now())) {
                    log::info!("{signal} again within {REPETITION:?}: without effect");
                } else {
                    self.end_at_once(signal);
                }
            }
            Request::Stop => {
                *self.0.stopped_by.lock() = Some((signal.to_owned(), time::now()));
                log::info!(
                    "stopping: reading what has arrived, then storing it ({signal}; a second one ends at once)"
                );
                self.0.stopping.set();
                self.request(request);
            }
            Request::Reload if self.is_stopping() => log::info!("stopping: the settings are not read again"),
            Request::Reload => self.request(request),
            Request::Report => match &*self.0.counted.lock() {
                Some(counted) => counted.log_now(),
                None => log::info!("nothing has been received yet"),
            },
        }
    }

    fn request(&self, request: Request) {
        // The queue is unbounded, and never shut down.
        let put = self.0.requests.put(request);
        debug_assert!(put.is_ok(), "the queue is open");
    }

    /// Ends the program without storing the remaining messages.
    fn end_at_once(&self, signal: &str) -> ! {
        output::hide_live();
        let counted = self.0.counted.lock().clone();
        let left = counted.as_ref().map_or(0, |it| {
            let total = it.books.total();
            total.queued + total.in_flight
        });
        output::report_error(&format!(
            "{signal} again: ended at once; {left} messages that were received are not stored, and what peers have sent was not read"
        ));
        if let Some(counted) = counted {
            counted.announce();
        }
        // Without the handlers of `exit`, which wait for the other threads.
        signal_hook::low_level::exit(LEFT.into())
    }
}

/// Returns whether a signal is the first one once more, rather than a second request.
fn is_repetition((first, at): &(String, Instant), signal: &str, now: Instant) -> bool {
    first == signal && now - *at < REPETITION
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_signal_within_a_second_is_a_repetition() {
        let begin = time::now();
        let first = ("SIGTERM".to_owned(), begin);
        let at = |millis| begin + Duration::from_millis(millis);
        assert!(is_repetition(&first, "SIGTERM", begin));
        assert!(is_repetition(&first, "SIGTERM", at(999)));
        assert!(!is_repetition(&first, "SIGTERM", at(1000)));
        assert!(!is_repetition(&first, "SIGINT", at(1)));
    }
}
