//! The threads that run the functions of timers: how many there are, who is idle, when one more is needed.
//!
//! A due timer gets an idle runner; else a new one while there are fewer than twice the processors; else it
//! waits for a runner to come free. If that takes a millisecond in which fewer functions were begun than there
//! are runners, then some function is slow, and one more runner is started; so slow functions hold the others
//! up by a few milliseconds, while a hundred thousand quick ones due at once are worked off by a few threads.
//!
//! This only counts and decides; the service does what is decided, without the lock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::raw::Waiter;

/// How long due timers may find every runner busy before somebody looks whether one more is needed.
const PATIENCE: Duration = Duration::from_millis(1);
/// How soon it is tried again to start a thread after that has failed.
pub(super) const RETRY: Duration = Duration::from_millis(10);

pub(super) struct Crew {
    /// Runners without work; the last to become idle is the first to be called.
    idle: Vec<Arc<Waiter>>,
    /// Runners alive or being started.
    total: usize,
    /// Runners that were called or started and have not looked for work yet.
    coming: usize,
    /// As many runners are started without waiting for one to come free.
    ample: usize,
    /// How many functions were begun.
    begun: u64,
    /// Since when timers have waited while every runner was busy, and what `begun` was then.
    short: Option<(Instant, u64)>,
    /// No thread could be started: not to be tried again before this.
    retry: Option<Instant>,
    /// It has been reported that timers are due and there is no runner at all.
    reported: bool,
}

/// What is to be done once the lock is let go.
pub(super) struct Orders {
    pub(super) call: Vec<Arc<Waiter>>,
    pub(super) start: usize,
}

impl Crew {
    pub(super) fn new(ample: usize) -> Self {
        Self {
            idle: Vec::new(),
            total: 0,
            coming: 0,
            ample,
            begun: 0,
            short: None,
            retry: None,
            reported: false,
        }
    }

    /// Sees to it that somebody comes for each of the timers in line, if that is possible.
    pub(super) fn staff(&mut self, in_line: usize, now: Instant) -> Orders {
        let mut orders = Orders { call: Vec::new(), start: 0 };
        while in_line > self.coming {
            if let Some(runner) = self.idle.pop() {
                orders.call.push(runner);
            } else if self.may_start(now) && (self.total < self.ample || self.is_stuck(now)) {
                orders.start += 1;
                self.total += 1;
                self.short = None;
            } else {
                break;
            }
            self.coming += 1;
        }
        self.watch_the_line(in_line, now);
        orders
    }

    /// When to look again even if nothing happens.
    pub(super) fn look_again(&self) -> Option<Instant> {
        let (since, _) = self.short?;
        Some(self.retry.map_or(since + PATIENCE, |retry| retry.max(since + PATIENCE)))
    }

    /// A runner that was called or started is here.
    pub(super) fn arrived(&mut self) {
        self.coming -= 1;
        self.reported = false;
    }

    /// A runner that was to be started cannot be; says whether it is to be reported that there is none at all.
    pub(super) fn not_started(&mut self, now: Instant) -> bool {
        self.coming -= 1;
        self.total -= 1;
        self.retry = Some(now + RETRY);
        self.total == 0 && !std::mem::replace(&mut self.reported, true)
    }

    pub(super) fn began(&mut self) {
        self.begun += 1;
    }

    pub(super) fn rests(&mut self, runner: &Arc<Waiter>) {
        self.idle.push(runner.clone());
    }

    /// A runner has been idle for long enough; says whether it may end. If not, it has been called.
    pub(super) fn leaves(&mut self, runner: &Arc<Waiter>) -> bool {
        let place = self.idle.iter().position(|other| Arc::ptr_eq(other, runner));
        if let Some(place) = place {
            self.idle.remove(place);
            self.total -= 1;
        }
        place.is_some()
    }

    /// A runner will not come back from its function.
    pub(super) fn lost(&mut self) {
        self.total -= 1;
    }

    fn may_start(&self, now: Instant) -> bool {
        self.retry.is_none_or(|retry| retry <= now)
    }

    /// For a while now, fewer functions were begun than there are runners.
    fn is_stuck(&self, now: Instant) -> bool {
        self.short.is_some_and(|(since, begun)| {
            now.saturating_duration_since(since) >= PATIENCE && self.begun - begun < self.total as u64
        })
    }

    fn watch_the_line(&mut self, in_line: usize, now: Instant) {
        if in_line <= self.coming {
            self.short = None;
            self.retry = None;
        } else if self.short.is_none_or(|(since, _)| now.saturating_duration_since(since) >= PATIENCE) {
            self.short = Some((now, self.begun));
        }
    }
}
