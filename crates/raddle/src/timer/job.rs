//! One timer: who it is, what it runs, and what became of it so far.

use std::mem::ManuallyDrop;
use std::panic::Location;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::{Duration, Instant};

use crate::host::{self, Kind, Object, Obligation, Op, Wait};
use crate::raw::Guarded;

/// When a timer is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    At(Instant),
    /// At a moment that the clock cannot tell.
    Never,
}

impl From<Option<Instant>> for Due {
    fn from(moment: Option<Instant>) -> Self {
        moment.map_or(Due::Never, Due::At)
    }
}

/// What a timer runs. Who claimed the timer, or took it out of the schedule, is alone with this.
pub(super) trait Call: Send + Sync {
    /// Runs the function.
    fn call(&self);
    /// Drops the function, if it is there still.
    fn discard(&self);
}

/// A function that runs once.
pub(super) struct Once<F>(Guarded<Option<F>>);

impl<F> Once<F> {
    pub(super) fn new(function: F) -> Self {
        Self(Guarded::new(Some(function)))
    }
}

impl<F: FnOnce() + Send> Call for Once<F> {
    fn call(&self) {
        let function = self.0.lock().take();
        if let Some(function) = function {
            function();
        }
    }

    fn discard(&self) {
        let function = self.0.lock().take();
        drop(function); // after the lock is let go: it is the user's code
    }
}

/// A function that runs again and again; gone after a panic.
pub(super) struct Again<F>(Guarded<Option<F>>);

impl<F> Again<F> {
    pub(super) fn new(function: F) -> Self {
        Self(Guarded::new(Some(function)))
    }
}

impl<F: FnMut() + Send> Call for Again<F> {
    fn call(&self) {
        let function = self.0.lock().take();
        if let Some(mut function) = function {
            function();
            *self.0.lock() = Some(function);
        }
    }

    fn discard(&self) {
        let function = self.0.lock().take();
        drop(function);
    }
}

/// What a timer is from its start.
pub(super) struct Start {
    pub(super) name: Option<Box<str>>,
    pub(super) daemon: bool,
    /// `Some`: it repeats.
    pub(super) period: Option<Duration>,
    /// Keeps the program alive until the timer is over.
    pub(super) obligation: Option<Obligation>,
    /// The line that started it.
    pub(super) at: &'static Location<'static>,
}

/// States of [`Job::over`].
const PENDING: u32 = 0;
const AWAITED: u32 = 1;
const OVER: u32 = 2;

/// No run yet, in [`Job::lateness`].
const NONE: u64 = u64::MAX;

/// A timer, shared by its handles, the schedule and the thread that runs it.
pub(super) struct Job<C: ?Sized = dyn Call> {
    /// Its number among the program's timers, never used again.
    pub(super) number: u64,
    name: Option<Box<str>>,
    pub(super) daemon: bool,
    pub(super) period: Option<Duration>,
    at: &'static Location<'static>,
    /// Not ended by the drop of a timer that never came to its end: then its program is gone.
    obligation: Option<ManuallyDrop<Obligation>>,
    over: AtomicU32,
    /// Ident of the thread that runs the function; 0: it is not running.
    runner: AtomicU64,
    runs: AtomicU64,
    missed: AtomicU64,
    /// Of the last run, in nanoseconds.
    lateness: AtomicU64,
    pub(super) call: C,
}

impl<C: Call> Job<C> {
    pub(super) fn new(number: u64, start: Start, call: C) -> Self {
        Self {
            number,
            name: start.name,
            daemon: start.daemon,
            period: start.period,
            at: start.at,
            obligation: start.obligation.map(ManuallyDrop::new),
            over: AtomicU32::new(PENDING),
            runner: AtomicU64::new(0),
            runs: AtomicU64::new(0),
            missed: AtomicU64::new(0),
            lateness: AtomicU64::new(NONE),
            call,
        }
    }
}

impl<C: ?Sized> Job<C> {
    pub(super) fn name(&self) -> String {
        match &self.name {
            Some(name) => name.to_string(),
            None => format!("Timer-{}", self.number),
        }
    }

    /// A step that the toolkit takes on the timer's behalf, told with the line that started the timer.
    pub(super) fn op(&self, kind: Kind) -> Op {
        Op { object: Object::of(self, "Timer"), kind, at: self.at }
    }

    /// The calling thread runs the function from now on.
    pub(super) fn begins(&self, due: Instant) {
        let late = host::now().saturating_duration_since(due);
        self.lateness.store(u64::try_from(late.as_nanos()).unwrap_or(NONE - 1), Relaxed);
        self.runs.fetch_add(1, Relaxed);
        self.runner.store(host::ident(), Relaxed);
    }

    /// The function has run; when it is to run again, if it repeats.
    pub(super) fn next(&self, due: Instant) -> Option<Due> {
        let (next, missed) = next_tick(due, self.period?, host::now());
        self.missed.fetch_add(missed, Relaxed);
        Some(next)
    }

    /// The thread that ran the function is no longer the timer's.
    pub(super) fn leaves_runner(&self) {
        self.runner.store(0, Relaxed);
    }

    /// The function will not run again, and is not running: waiters go on, the program may end.
    pub(super) fn settle(&self) {
        self.leaves_runner();
        host::atom(&self.over);
        // Release: what the function did happens before the return of its waiters.
        if self.over.swap(OVER, AcqRel) == AWAITED {
            host::wake(&self.over, u32::MAX);
        }
        if let Some(obligation) = &self.obligation {
            obligation.end();
        }
    }

    /// The word by which waiters see that it is over.
    pub(super) fn word(&self) -> &AtomicU32 {
        &self.over
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Acquire) == OVER
    }

    /// Parks the calling thread until the timer is over, until `deadline` at most; says whether it is.
    pub(super) fn wait_until(&self, deadline: Option<Instant>) -> bool {
        loop {
            host::atom(&self.over);
            if self.is_over() {
                return true;
            }
            host::atom(&self.over);
            let _ = self.over.compare_exchange(PENDING, AWAITED, Acquire, Acquire);
            if host::wait(&self.over, AWAITED, deadline) == Wait::TimedOut {
                return self.is_over();
            }
        }
    }

    /// Whether the calling thread is inside the function.
    pub(super) fn is_own(&self) -> bool {
        self.runner.load(Relaxed) == host::ident()
    }

    pub(super) fn runs(&self) -> u64 {
        self.runs.load(Relaxed)
    }

    pub(super) fn missed(&self) -> u64 {
        self.missed.load(Relaxed)
    }

    pub(super) fn lateness(&self) -> Option<Duration> {
        match self.lateness.load(Relaxed) {
            NONE => None,
            nanoseconds => Some(Duration::from_nanos(nanoseconds)),
        }
    }
}

/// Settles the timer when dropped, so that a panic in the drop of its function cannot keep its waiters.
pub(super) struct Settling<'a>(pub(super) &'a Job);

impl Drop for Settling<'_> {
    fn drop(&mut self) {
        self.0.settle();
    }
}

/// The first tick on the grid that has not passed at `now`, and how many have passed since the one at `due`.
fn next_tick(due: Instant, period: Duration, now: Instant) -> (Due, u64) {
    let Some(next) = due.checked_add(period) else {
        return (Due::Never, 0);
    };
    if period.is_zero() {
        return (Due::At(now), 0);
    }
    if next >= now {
        return (Due::At(next), 0);
    }
    let (behind, period) = ((now - next).as_nanos(), period.as_nanos());
    let missed = behind.div_ceil(period);
    let ahead = u64::try_from(missed * period - behind).ok().map(Duration::from_nanos);
    (ahead.and_then(|ahead| now.checked_add(ahead)).into(), u64::try_from(missed).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::{Due, next_tick};
    use std::time::Duration;

    #[test]
    fn a_repeating_timer_stays_on_its_grid_and_counts_what_it_missed() {
        let (start, ms) = (crate::host::now(), Duration::from_millis);
        let after = |run| next_tick(start, ms(10), start + run);
        assert_eq!(after(ms(0)), (Due::At(start + ms(10)), 0));
        assert_eq!(after(ms(9)), (Due::At(start + ms(10)), 0));
        assert_eq!(after(ms(10)), (Due::At(start + ms(10)), 0), "due now, not missed");
        assert_eq!(after(ms(11)), (Due::At(start + ms(20)), 1));
        assert_eq!(after(ms(20)), (Due::At(start + ms(20)), 1));
        assert_eq!(after(ms(95)), (Due::At(start + ms(100)), 9));
    }

    #[test]
    fn the_ends_of_the_range_are_no_errors() {
        let (start, ms) = (crate::host::now(), Duration::from_millis);
        assert_eq!(next_tick(start, Duration::ZERO, start + ms(5)), (Due::At(start + ms(5)), 0));
        assert_eq!(next_tick(start, Duration::MAX, start), (Due::Never, 0));
        let year = Duration::from_hours(365 * 24);
        let (next, missed) = next_tick(start, Duration::from_nanos(1), start + year);
        assert_eq!((next, u128::from(missed)), (Due::At(start + year), year.as_nanos() - 1));
    }
}
