//! One timer: who it is, what it runs, and what became of it so far.

use std::mem::needs_drop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::{Duration, Instant};

use crate::raw::Guarded;
use crate::rt::{self, KeepAliveToken, Kind, Object, Op, Place, Wait};
use crate::thread::drop_guarded;

/// What a timer runs. Who claimed the timer, or took it out of the schedule, is alone with this.
pub(super) trait Call: Send + Sync {
    /// Runs the function.
    fn call(&self);
    /// Drops the function, if it is there still.
    fn discard(&self);
}

const DROPPED: &str = "the destructor of a timer's function";

/// A function that runs once.
pub(super) struct Once<F>(Guarded<Option<F>>);

impl<F> Drop for Once<F> {
    fn drop(&mut self) {
        drop_guarded(DROPPED, self.0.get_mut().take()); // a timer of a program that was given up
    }
}

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
        if needs_drop::<F>() {
            let function = self.0.lock().take();
            drop(function); // after the lock is let go: it is the user's code
        }
    }
}

/// A function that runs again and again; gone after a panic.
pub(super) struct Again<F>(Guarded<Option<F>>);

impl<F> Drop for Again<F> {
    fn drop(&mut self) {
        drop_guarded(DROPPED, self.0.get_mut().take()); // a timer of a program that was given up
    }
}

impl<F> Again<F> {
    pub(super) fn new(function: F) -> Self {
        Self(Guarded::new(Some(function)))
    }
}

impl<F: FnMut() + Send> Call for Again<F> {
    fn call(&self) {
        let function = self.0.lock().take();
        if let Some(mut function) = function {
            match catch_unwind(AssertUnwindSafe(&mut function)) {
                Ok(()) => *self.0.lock() = Some(function),
                Err(payload) => {
                    drop_guarded(DROPPED, function); // not while it unwinds, where a panic of the destructor would abort
                    resume_unwind(payload)
                }
            }
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
    pub(super) keep_alive: Option<KeepAliveToken>,
    /// The line that started it.
    pub(super) at: Place,
}

/// States of [`Job::over`].
const PENDING: u32 = 0;
const AWAITED: u32 = 1;
const OVER: u32 = 2;

/// No run yet, in [`Job::lateness`].
const NONE: u64 = u64::MAX;

/// What only a timer that runs again and again has.
struct Repeats {
    period: Duration,
    missed: AtomicU64,
}

/// A timer, shared by its handles, the schedule and the thread that runs it.
pub(super) struct Job<C: ?Sized = dyn Call> {
    /// Its number among the program's timers, never used again; 0 until it is among them.
    number: AtomicU64,
    /// In a box of its own, as few have one.
    name: Option<Box<Box<str>>>,
    pub(super) daemon: bool,
    repeats: Option<Box<Repeats>>,
    at: Place,
    keep_alive: Option<KeepAliveToken>,
    over: AtomicU32,
    /// Ident of the thread that runs the function; 0: it is not running.
    runner: AtomicU64,
    runs: AtomicU64,
    /// Of the last run, in nanoseconds.
    lateness: AtomicU64,
    pub(super) call: C,
}

impl<C: Call> Job<C> {
    pub(super) fn new(start: Start, call: C) -> Self {
        Self {
            number: AtomicU64::new(0),
            name: start.name.map(Box::new),
            daemon: start.daemon,
            repeats: start.period.map(|period| Box::new(Repeats { period, missed: AtomicU64::new(0) })),
            at: start.at,
            keep_alive: start.keep_alive,
            over: AtomicU32::new(PENDING),
            runner: AtomicU64::new(0),
            runs: AtomicU64::new(0),
            lateness: AtomicU64::new(NONE),
            call,
        }
    }
}

impl<C: ?Sized> Job<C> {
    pub(super) fn name(&self) -> String {
        match &self.name {
            Some(name) => name.to_string(),
            None => format!("Timer-{}", self.number.load(Relaxed)),
        }
    }

    /// The timer is among those of its program now. To be called before others know of it.
    pub(super) fn gets_number(&self, number: u64) {
        self.number.store(number, Relaxed);
    }

    /// A step that the toolkit takes on the timer's behalf, told with the line that started the timer.
    pub(super) fn op(&self, kind: Kind) -> Op {
        Op::at(Object::of(self, "Timer"), kind, self.at)
    }

    /// The calling thread runs the function from now on.
    pub(super) fn begins(&self, due: Instant) {
        let late = rt::now().saturating_duration_since(due);
        self.lateness.store(u64::try_from(late.as_nanos()).unwrap_or(NONE - 1), Relaxed);
        self.runs.fetch_add(1, Relaxed);
        self.runner.store(rt::ident(), Relaxed);
    }

    /// The function has run; when it is to run again, if it repeats.
    pub(super) fn next(&self, due: Instant) -> Option<Due> {
        let repeats = self.repeats.as_ref()?;
        let (next, missed) = next_tick(due, repeats.period, rt::now());
        repeats.missed.fetch_add(missed, Relaxed);
        Some(next)
    }

    /// The thread that ran the function is no longer the timer's.
    pub(super) fn leaves_runner(&self) {
        self.runner.store(0, Relaxed);
    }

    /// The function will not run again, and is not running: waiters go on, the program may end.
    pub(super) fn settle(&self) {
        self.leaves_runner();
        rt::atom(&self.over);
        // Release: what the function did happens before the return of its waiters.
        let before = self.over.swap(OVER, AcqRel);
        if before == AWAITED {
            rt::wake(&self.over, u32::MAX);
        }
        // A scheduler may throw out the thread that has just settled it, which then does so again.
        if before != OVER
            && let Some(keep_alive) = &self.keep_alive
        {
            keep_alive.release();
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
            rt::atom(&self.over);
            if self.is_over() {
                return true;
            }
            rt::atom(&self.over);
            let _ = self.over.compare_exchange(PENDING, AWAITED, Acquire, Acquire);
            if rt::wait(&self.over, AWAITED, deadline) == Wait::TimedOut {
                return self.is_over();
            }
        }
    }

    /// Whether the calling thread is inside the function.
    pub(super) fn is_own(&self) -> bool {
        self.runner.load(Relaxed) == rt::ident()
    }

    /// How often it runs; `None`: once.
    pub(super) fn period(&self) -> Option<Duration> {
        self.repeats.as_ref().map(|repeats| repeats.period)
    }

    pub(super) fn runs(&self) -> u64 {
        self.runs.load(Relaxed)
    }

    pub(super) fn missed(&self) -> u64 {
        self.repeats.as_ref().map_or(0, |repeats| repeats.missed.load(Relaxed))
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

/// The first tick on the grid that has not passed at `now`, and how many have passed since the one at `due`.
pub(super) fn next_tick(due: Instant, period: Duration, now: Instant) -> (Due, u64) {
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
    use std::time::Duration;

    use super::{Due, Job, Once, Start, next_tick};
    use crate::rt::{self, Place};

    #[test]
    fn a_timer_that_is_settled_again_redeems_its_pledge_once() {
        let keep_alive = rt::keep_alive_token();
        assert!(keep_alive.is_some());
        let start = Start { name: None, daemon: false, period: None, keep_alive, at: Place::caller() };
        let job = Job::new(start, Once::new(|| ()));
        job.settle();
        job.settle(); // there would be fewer than no obligations now
        assert!(job.is_over());
    }

    #[test]
    fn a_repeating_timer_stays_on_its_grid_and_counts_what_it_missed() {
        let (start, ms) = (crate::rt::now(), Duration::from_millis);
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
        let (start, ms) = (crate::rt::now(), Duration::from_millis);
        assert_eq!(next_tick(start, Duration::ZERO, start + ms(5)), (Due::At(start + ms(5)), 0));
        assert_eq!(next_tick(start, Duration::MAX, start), (Due::Never, 0));
        let year = Duration::from_hours(365 * 24);
        let (next, missed) = next_tick(start, Duration::from_nanos(1), start + year);
        assert_eq!((next, u128::from(missed)), (Due::At(start + year), year.as_nanos() - 1));
    }
}
