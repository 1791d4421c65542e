//! The books as text and as JSON: the status while the program runs, and the account at the end.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use raddle::{Event, Mutex, Thread};
use raddle_ingest::{Account, Books, Counters, SourceCounts};
use serde_json::{Map, Value};

use super::service::{self, Watchdog};
use crate::output;

/// Interval of the live line.
const FRAME: Duration = Duration::from_millis(200);

/// How much more time a drain that makes progress requests of the service manager.
const EXTENSION: Duration = Duration::from_secs(30);

/// The longest pause between two reports.
const LOOK: Duration = Duration::from_secs(1);

/// The counters that are reported.
#[derive(Clone, Debug)]
pub(crate) struct Counted {
    pub(crate) books: Books,
    pub(crate) counters: Counters,
}

impl Counted {
    /// Prints the account of each source and, as the last line, the account of all.
    pub(crate) fn announce(&self) {
        let counts = self.counters.counts();
        for (name, account) in self.books.accounts() {
            let counts = counts.sources.iter().find(|(source, _)| *source == name);
            let counts = counts.map(|(_, counts)| *counts).unwrap_or_default();
            let mut fields = fields_of(&account);
            fields.insert("source".to_owned(), Value::from(&*name));
            for (key, count) in remarkable(&counts) {
                fields.insert(key.replace(' ', "_"), count.into());
            }
            output::announce(&format!("source {name}: {account}{}", listed(&counts)), fields);
        }
        let total = self.books.total();
        output::announce(&total.to_string(), fields_of(&total));
    }

    /// Logs the account of all sources, and the changes since `before`.
    fn log(&self, before: &Snapshot, now: &Snapshot) {
        let Account { received, stored, rejected, duplicate, shed, unstored, queued, in_flight, .. } =
            now.account;
        let rate = now.rate_since(before);
        let counts =
            self.counters.counts().sources.iter().fold(SourceCounts::default(), |mut sum, (_, it)| {
                sum.open += it.open;
                sum.refused += it.refused;
                sum.doubtful += it.doubtful;
                sum.dropped += it.dropped;
                sum
            });
        let text = format!(
            "{}; stored {rate} per second, {queued} queued, {} connections{}",
            now.account,
            counts.open,
            listed(&counts)
        );
        log::info!(
            received, stored, rejected, duplicate, shed, unstored, queued, in_flight, rate,
            connections = counts.open, refused = counts.refused, doubtful = counts.doubtful, dropped = counts.dropped;
            "{text}"
        );
        service::status(&text);
    }

    fn snapshot(&self, time: Instant) -> Snapshot {
        Snapshot { time, account: self.books.total() }
    }

    /// Logs the account of all sources.
    pub(crate) fn log_now(&self) {
        let now = self.snapshot(raddle::time::now());
        self.log(&now, &now);
    }
}

/// The account at one time.
#[derive(Clone, Copy, Debug)]
struct Snapshot {
    time: Instant,
    account: Account,
}

impl Snapshot {
    /// Returns the messages stored per second.
    fn rate_since(&self, before: &Self) -> u64 {
        let done = |account: &Account| account.stored + account.rejected;
        let messages = u128::from(done(&self.account).saturating_sub(done(&before.account)));
        let micros = (self.time - before.time).as_micros().max(1);
        u64::try_from(messages * 1_000_000 / micros).unwrap_or(u64::MAX)
    }
}

fn fields_of(account: &Account) -> Map<String, Value> {
    let Account { received, stored, rejected, duplicate, shed, unstored, queued, in_flight, .. } = *account;
    [
        ("received", received),
        ("stored", stored),
        ("rejected", rejected),
        ("duplicate", duplicate),
        ("shed", shed),
        ("unstored", unstored),
        ("queued", queued),
        ("in_flight", in_flight),
        ("lost", account.lost()),
    ]
    .into_iter()
    .map(|(name, count)| (name.to_owned(), count.into()))
    .collect()
}

/// Returns the counts that should be zero.
fn remarkable(counts: &SourceCounts) -> [(&'static str, u64); 5] {
    [
        ("datagrams dropped by the system", counts.dropped),
        ("connections refused", counts.refused),
        ("connections closed for memory", counts.closed_for_memory),
        ("connections closed with unread replies", counts.closed_unread),
        ("doubtful lines", counts.doubtful),
    ]
}

fn listed(counts: &SourceCounts) -> String {
    let mut text = String::new();
    for (name, count) in remarkable(counts).into_iter().filter(|(_, count)| *count > 0) {
        let _ = write!(text, ", {count} {name}");
    }
    text
}

/// Reports while the program runs: a live line in a terminal, otherwise a line in the log at intervals; and to the watchdog.
#[derive(Debug)]
pub(crate) struct Reporter {
    pub(crate) counted: Counted,
    /// How often a line is logged, and the capacity of the queue. Both may change.
    pub(crate) settings: Arc<Mutex<(Option<Duration>, usize)>>,
    pub(crate) watchdog: Option<Watchdog>,
    /// Set when the drain begins.
    pub(crate) stopping: Arc<Event>,
    /// Whether there is a terminal for the live line.
    pub(crate) live: bool,
}

impl Reporter {
    /// Runs on a thread of its own until `done` is set.
    pub(crate) fn start(self, done: Arc<Event>) -> std::io::Result<()> {
        let thread = Thread::new(move || self.run(&done)).name("reporter").daemon(true);
        thread.start().map(drop).map_err(std::io::Error::other)
    }

    fn run(mut self, done: &Event) {
        let begin = self.counted.snapshot(raddle::time::now());
        let (mut logged, mut shown) = (begin, begin);
        let (mut extended, mut next_extension) = (begin.account, begin.time);
        loop {
            let (interval, capacity) = *self.settings.lock();
            let pause = if self.live { FRAME } else { interval.unwrap_or(LOOK) };
            let pause = self.watchdog.as_ref().map_or(pause, |watchdog| pause.min(watchdog.pause()));
            let pause = pause.clamp(Duration::from_millis(1), LOOK);
            if done.wait_timeout(pause) {
                output::hide_live();
                return;
            }
            let now = self.counted.snapshot(raddle::time::now());
            if let Some(watchdog) = &mut self.watchdog {
                watchdog.tick(now.time);
            }
            if self.stopping.is_set() && now.account != extended && now.time >= next_extension {
                service::extend(EXTENSION);
                (extended, next_extension) = (now.account, now.time + EXTENSION / 3);
            }
            if self.live {
                output::show_live(live_line(&now, &shown, capacity));
                // The rate is that of about a second.
                if now.time - shown.time >= LOOK {
                    shown = now;
                }
            } else if interval.is_some_and(|interval| now.time - logged.time >= interval) {
                self.counted.log(&logged, &now);
                logged = now;
            }
        }
    }
}

fn live_line(now: &Snapshot, before: &Snapshot, capacity: usize) -> String {
    let Account { stored, rejected, queued, shed, unstored, .. } = now.account;
    let rate = now.rate_since(before);
    let mut line = format!("{rate}/s  queue {queued} of {capacity}  stored {stored}  rejected {rejected}");
    for (name, count) in [("shed", shed), ("unstored", unstored)].into_iter().filter(|(_, count)| *count > 0)
    {
        let _ = write!(line, "  {name} {count}");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_is_that_of_the_time_between() {
        let begin = raddle::time::now();
        let at = |millis, stored| {
            let mut account = Account::default();
            (account.received, account.stored) = (stored, stored);
            Snapshot { time: begin + Duration::from_millis(millis), account }
        };
        assert_eq!(at(500, 1100).rate_since(&at(0, 100)), 2000);
        assert_eq!(at(0, 5).rate_since(&at(0, 5)), 0);
        assert_eq!(live_line(&at(1000, 20), &at(0, 10), 50), "10/s  queue 0 of 50  stored 20  rejected 0");
    }
}
