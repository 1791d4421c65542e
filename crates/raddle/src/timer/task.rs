//! One timer: its function, when it is due, and its state.

use std::mem::needs_drop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::{Duration, Instant};

use crate::raw::Guarded;
use crate::rt::{self, KeepAliveToken, Kind, Object, Op, Place, Wait, WaitOutcome};
use crate::thread::drop_guarded;

/// The function of a timer. Only the runner that claimed the timer, or the thread that removed it, uses it.
pub(super) trait TimerFn: Send + Sync {
    /// Runs the function.
    fn call(&self);
    /// Drops the function, if that has not happened.
    fn discard(&self);
}

const DROPPED: &str = "the destructor of a timer's function";

/// A function that runs once.
pub(super) struct OnceFn<F>(Guarded<Option<F>>);

impl<F> OnceFn<F> {
    pub(super) fn new(function: F) -> Self {
        Self(Guarded::new(Some(function)))
    }
}

impl<F: FnOnce() + Send> TimerFn for OnceFn<F> {
    fn call(&self) {
        let function = self.0.lock().take();
        if let Some(function) = function {
            function();
        }
    }

    fn discard(&self) {
        if needs_drop::<F>() {
            let function = self.0.lock().take();
            drop(function); // after the lock is released, because it runs the user's code
        }
    }
}

impl<F> Drop for OnceFn<F> {
    fn drop(&mut self) {
        drop_guarded(DROPPED, self.0.get_mut().take()); // of a timer whose program was abandoned
    }
}

/// A function that runs repeatedly. It is dropped after a panic.
pub(super) struct RepeatingFn<F>(Guarded<Option<F>>);

impl<F> RepeatingFn<F> {
    pub(super) fn new(function: F) -> Self {
        Self(Guarded::new(Some(function)))
    }
}

impl<F: FnMut() + Send> TimerFn for RepeatingFn<F> {
    fn call(&self) {
        let function = self.0.lock().take();
        if let Some(mut function) = function {
            match catch_unwind(AssertUnwindSafe(&mut function)) {
                Ok(()) => *self.0.lock() = Some(function),
                Err(payload) => {
                    drop_guarded(DROPPED, function); // a panic of its destructor during the unwinding would abort
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

impl<F> Drop for RepeatingFn<F> {
    fn drop(&mut self) {
        drop_guarded(DROPPED, self.0.get_mut().take()); // of a timer whose program was abandoned
    }
}

/// When a timer is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    At(Instant),
    /// Beyond the range of the clock.
    Never,
}

impl From<Option<Instant>> for Due {
    fn from(moment: Option<Instant>) -> Self {
        moment.map_or(Due::Never, Due::At)
    }
}

/// Returns the first tick after `due` that has not passed at `now`, and the number of ticks that have.
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

/// The settings of a timer that is about to be started.
pub(super) struct TimerSettings {
    pub(super) name: Option<Box<str>>,
    pub(super) daemon: bool,
    /// The period of a repeating timer.
    pub(super) period: Option<Duration>,
    /// Keeps the program alive until the timer has finished.
    pub(super) keep_alive: Option<KeepAliveToken>,
    /// The line that starts the timer.
    pub(super) at: Place,
}

/// A timer, shared by its handles, the schedule and the runner.
pub(super) struct TimerTask<F: ?Sized = dyn TimerFn> {
    /// The timer's number in its program, which is never reused; 0 until it is scheduled.
    number: AtomicU64,
    /// Boxed twice to be one word, because few timers have a name.
    name: Option<Box<Box<str>>>,
    pub(super) daemon: bool,
    repetition: Option<Box<Repetition>>,
    at: Place,
    keep_alive: Option<KeepAliveToken>,
    /// `PENDING`, `AWAITED` (pending, with parked waiters) or `FINISHED`.
    state: AtomicU32,
    /// The `ident` of the thread that runs the function; 0 while it is not running.
    runner: AtomicU64,
    runs: AtomicU64,
    /// Of the last run in nanoseconds, or `NEVER_RAN`.
    lateness: AtomicU64,
    pub(super) function: F,
}

const PENDING: u32 = 0;
const AWAITED: u32 = 1;
const FINISHED: u32 = 2;

const NEVER_RAN: u64 = u64::MAX;

/// The additional state of a repeating timer.
struct Repetition {
    period: Duration,
    missed: AtomicU64,
}

impl<F: TimerFn> TimerTask<F> {
    pub(super) fn new(settings: TimerSettings, function: F) -> Self {
        let repetition = |period| Box::new(Repetition { period, missed: AtomicU64::new(0) });
        Self {
            number: AtomicU64::new(0),
            name: settings.name.map(Box::new),
            daemon: settings.daemon,
            repetition: settings.period.map(repetition),
            at: settings.at,
            keep_alive: settings.keep_alive,
            state: AtomicU32::new(PENDING),
            runner: AtomicU64::new(0),
            runs: AtomicU64::new(0),
            lateness: AtomicU64::new(NEVER_RAN),
            function,
        }
    }
}

impl<F: ?Sized> TimerTask<F> {
    pub(super) fn name(&self) -> String {
        match &self.name {
            Some(name) => name.to_string(),
            None => format!("Timer-{}", self.number.load(Relaxed)),
        }
    }

    /// Sets the timer's number. Called before other threads know of the timer.
    pub(super) fn set_number(&self, number: u64) {
        self.number.store(number, Relaxed);
    }

    /// Returns an operation on the timer that raddle performs itself, at the line that started the timer.
    pub(super) fn op(&self, kind: Kind) -> Op {
        Op { object: Object::of(self, "Timer"), kind, at: self.at, verb: None }
    }

    /// Notes that the calling thread runs the function from now on.
    pub(super) fn begin(&self, due: Instant) {
        let late = rt::now().saturating_duration_since(due);
        self.lateness.store(u64::try_from(late.as_nanos()).unwrap_or(NEVER_RAN - 1), Relaxed);
        self.runs.fetch_add(1, Relaxed);
        self.runner.store(rt::ident(), Relaxed);
    }

    /// Returns when the function must run again after a run that was due at `due`, if the timer repeats.
    pub(super) fn next(&self, due: Instant) -> Option<Due> {
        let repetition = self.repetition.as_ref()?;
        let (next, missed) = next_tick(due, repetition.period, rt::now());
        repetition.missed.fetch_add(missed, Relaxed);
        Some(next)
    }

    /// Notes that the function is not running any more.
    pub(super) fn clear_runner(&self) {
        self.runner.store(0, Relaxed);
    }

    /// Marks the timer as finished: its waiters return, and the program need not wait for it.
    pub(super) fn finish(&self) {
        self.clear_runner();
        rt::atom(&self.state);
        // Release: everything that the function did happens before its waiters return.
        let before = self.state.swap(FINISHED, AcqRel);
        if before == AWAITED {
            rt::wake(&self.state, u32::MAX);
        }
        // A scheduler may unwind the thread that has just finished the timer, which is then finished again.
        if before != FINISHED
            && let Some(keep_alive) = &self.keep_alive
        {
            keep_alive.release();
        }
    }

    /// Returns the word that changes when the timer finishes.
    pub(super) fn state(&self) -> &AtomicU32 {
        &self.state
    }

    pub(super) fn is_finished(&self) -> bool {
        self.state.load(Acquire) == FINISHED
    }

    /// Parks the calling thread until the timer has finished, until the deadline of `wait` at the latest, and returns whether it
    /// has.
    pub(super) fn wait_until(&self, wait: &Wait<'_>) -> bool {
        loop {
            rt::atom(&self.state);
            if self.is_finished() {
                return true;
            }
            rt::atom(&self.state);
            let _ = self.state.compare_exchange(PENDING, AWAITED, Acquire, Acquire);
            if rt::wait(&self.state, AWAITED, wait) == WaitOutcome::TimedOut {
                return self.is_finished();
            }
        }
    }

    /// Returns whether the calling thread is running the function.
    pub(super) fn is_own(&self) -> bool {
        self.runner.load(Relaxed) == rt::ident()
    }

    /// Returns the period, or `None` if the timer runs once.
    pub(super) fn period(&self) -> Option<Duration> {
        self.repetition.as_ref().map(|repetition| repetition.period)
    }

    pub(super) fn runs(&self) -> u64 {
        self.runs.load(Relaxed)
    }

    pub(super) fn missed(&self) -> u64 {
        self.repetition.as_ref().map_or(0, |repetition| repetition.missed.load(Relaxed))
    }

    pub(super) fn lateness(&self) -> Option<Duration> {
        match self.lateness.load(Relaxed) {
            NEVER_RAN => None,
            nanoseconds => Some(Duration::from_nanos(nanoseconds)),
        }
    }
}

/// Finishes the timer when dropped, so that a panic in the destructor of its function cannot block its waiters.
pub(super) struct FinishGuard<'a>(pub(super) &'a TimerTask);

impl Drop for FinishGuard<'_> {
    fn drop(&mut self) {
        self.0.finish();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Due, OnceFn, TimerSettings, TimerTask, next_tick};
    use crate::rt::{self, Place};

    #[test]
    fn timer_that_finishes_twice_releases_the_program_once() {
        let keep_alive = rt::keep_alive_token();
        assert!(keep_alive.is_some());
        let settings =
            TimerSettings { name: None, daemon: false, period: None, keep_alive, at: Place::caller() };
        let task = TimerTask::new(settings, OnceFn::new(|| ()));
        task.finish();
        task.finish(); // the count of tokens would become negative
        assert!(task.is_finished());
    }

    #[test]
    fn repeating_timer_stays_on_its_grid_and_counts_missed_ticks() {
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
    fn extreme_periods_do_not_overflow() {
        let (start, ms) = (crate::rt::now(), Duration::from_millis);
        assert_eq!(next_tick(start, Duration::ZERO, start + ms(5)), (Due::At(start + ms(5)), 0));
        assert_eq!(next_tick(start, Duration::MAX, start), (Due::Never, 0));
        let year = Duration::from_hours(365 * 24);
        let (next, missed) = next_tick(start, Duration::from_nanos(1), start + year);
        assert_eq!((next, u128::from(missed)), (Due::At(start + year), year.as_nanos() - 1));
    }
}
