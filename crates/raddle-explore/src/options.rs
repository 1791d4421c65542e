//! The options of an exploration: strategy, grain, time mode and limits.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// How an exploration chooses its schedules.
///
/// # Examples
/// ```
/// use raddle_explore::{Explorer, Strategy};
///
/// let outcome = Explorer::new().strategy(Strategy::Random).max_executions(100).run(|| {
///     raddle::Thread::spawn(|| ()).join().unwrap();
/// });
/// assert_eq!(outcome.to_string(), "inconclusive after 100 executions");
/// assert_eq!(Strategy::Random.to_string(), "random walk");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Strategy {
    /// All other strategies in turn; the default.
    ///
    /// The first execution runs all threads in lockstep. After that [`Dpor`] gets every second execution until it has
    /// seen every class of schedules, and [`Surw`], [`Pos`], [`Random`] and [`Pct`] share the rest. While the estimated
    /// size of the remaining search space is far beyond [`Explorer::max_executions`], `Dpor` gets one execution in
    /// eight, and `Surw` every second one.
    ///
    /// [`Explorer::max_executions`]: crate::Explorer::max_executions
    /// [`Dpor`]: Strategy::Dpor
    /// [`Surw`]: Strategy::Surw
    /// [`Pos`]: Strategy::Pos
    /// [`Pct`]: Strategy::Pct
    /// [`Random`]: Strategy::Random
    #[default]
    Portfolio,
    /// Dynamic partial-order reduction with source sets and sleep sets (Abdulla, Aronis, Jonsson and Sagonas, POPL
    /// 2014).
    ///
    /// Runs one schedule of each class. Two schedules are in the same class if they differ only in the order of steps
    /// that do not conflict.
    Dpor,
    /// Selectively uniform random walk (Zhao, Wolff, Mathur and Roychoudhury, ASPLOS 2025).
    ///
    /// Threads that run the same source lines share a role. Every second execution chooses among roles instead of
    /// threads.
    Surw,
    /// Partial order sampling (Yuan, Yang and Gu, CAV 2018).
    Pos,
    /// Probabilistic concurrency testing for bugs of depth 3 (Burckhardt, Kothari, Musuvathi and Nagarakatte, ASPLOS
    /// 2010).
    Pct,
    /// Random walk: each enabled thread is equally likely to take the next step.
    Random,
    /// Depth-first search through all schedules, or through those within a
    /// [preemption bound](crate::Explorer::preemption_bound).
    Depth,
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Strategy::Portfolio => "a portfolio of strategies",
            Strategy::Dpor => "partial-order reduction",
            Strategy::Surw => "selectively uniform random walk",
            Strategy::Pos => "partial order sampling",
            Strategy::Pct => "probabilistic concurrency testing",
            Strategy::Random => "random walk",
            Strategy::Depth => "depth-first search",
        })
    }
}

/// The unit that is interleaved: what counts as one step.
///
/// # Examples
/// ```
/// use raddle::{Lock, Thread};
/// use raddle_explore::{Explorer, Grain};
/// use std::sync::Arc;
///
/// let program = || {
///     let lock = Arc::new(Lock::new());
///     let other = Thread::spawn({ let lock = lock.clone(); move || drop(lock.lock()) });
///     drop(lock.lock());
///     other.join().unwrap();
/// };
/// // The program sees two orders; the lock's own code sees more.
/// let operations = Explorer::new().survey(program).classes;
/// let atoms = Explorer::new().grain(Grain::Atoms).survey(program).classes;
/// assert!(operations == 2 && atoms > operations);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Grain {
    /// One operation of the toolkit is one step: to acquire a lock, to put an item, to load a cell. This is the grain
    /// for programs that use the toolkit.
    #[default]
    Operations,
    /// Each atomic access inside an operation is a step, and threads park. Each thread may wake spuriously once, from a
    /// wait without a timeout. This is the grain for primitives written on [`raddle::rt`].
    Atoms,
}

/// When timeouts expire and sleeps end. The clock is virtual in either mode.
///
/// # Examples
/// ```
/// use raddle::{Event, Thread};
/// use raddle_explore::{Explorer, Time};
/// use std::{sync::Arc, time::Duration};
///
/// let program = || {
///     let ready = Arc::new(Event::new());
///     let setter = Thread::spawn({ let ready = ready.clone(); move || ready.set() });
///     assert!(ready.wait_timeout(Duration::from_secs(5)), "timed out");
///     setter.join().unwrap();
/// };
/// // The setter may be delayed for longer than five seconds.
/// assert!(Explorer::new().run(program).expect_failure().to_string().contains("timed out"));
/// // Under `Quiescent`, five seconds are enough for everything that can still proceed.
/// Explorer::new().time(Time::Quiescent).run(program).assert_exhausted();
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Time {
    /// At any moment: a timeout, and the end of a sleep, is a step like any other.
    ///
    /// Neither the length of a timeout nor an earlier deadline of another thread matters. After eight waits of one
    /// thread have timed out while other threads were enabled, its further waits time out only when no other thread is
    /// enabled; the outcome is [`Inconclusive`](crate::Outcome::Inconclusive) then.
    #[default]
    Explored,
    /// When no other step is possible, in the order of the deadlines.
    ///
    /// Code takes no time, and a sleep is longer than any computation. Waits with equal deadlines time out in any order.
    Quiescent,
}

/// So many waits of a task may time out in one execution while other tasks are enabled.
pub(crate) const EARLY_TIMEOUTS: usize = 8;

/// What computing a deadline from a timeout is, as far as it can make a difference to the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deadlines {
    /// Nothing: no step depends on the value of a deadline.
    #[default]
    Ignored,
    /// A part of the step before, which reads the clock.
    Read,
    /// A step of its own: the clock can advance between the step before and the start of a wait.
    Step,
}

/// The rules of each execution of an exploration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent options")]
pub(crate) struct Rules {
    pub(crate) grain: Grain,
    pub(crate) time: Time,
    /// How often each task may wake spuriously from a wait without a timeout.
    pub(crate) spurious: usize,
    pub(crate) max_steps: usize,
    /// Panics are left to joiners and to the excepthook.
    pub(crate) panics_allowed: bool,
    pub(crate) races: bool,
    /// Enqueueing as a waiter is a step of its own.
    pub(crate) arrivals: bool,
    /// What computing a deadline from a timeout is.
    pub(crate) deadlines: Deadlines,
    /// Whether the steps are recorded for a report.
    pub(crate) record: bool,
}

impl Rules {
    pub(crate) fn fine(&self) -> bool {
        self.grain == Grain::Atoms
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            grain: Grain::default(),
            time: Time::default(),
            spurious: 0,
            max_steps: 20_000,
            panics_allowed: false,
            races: false,
            arrivals: false,
            deadlines: Deadlines::Ignored,
            record: false,
        }
    }
}

/// The options that an [`Explorer`](crate::Explorer) collects.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) strategy: Strategy,
    pub(crate) seed: u64,
    pub(crate) max_executions: u64,
    pub(crate) max_time: Duration,
    pub(crate) stuck_after: Duration,
    pub(crate) preemption_bound: Option<usize>,
    pub(crate) shrink: bool,
    pub(crate) allow_independent: bool,
    pub(crate) rules: Rules,
    pub(crate) observer: Option<Observer>,
    pub(crate) cancelled: Option<Arc<AtomicBool>>,
}

impl Options {
    /// Whether no further execution is wanted.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.as_ref().is_some_and(|cancelled| cancelled.load(Relaxed))
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            seed: 0,
            max_executions: 20_000,
            max_time: Duration::from_mins(1),
            stuck_after: Duration::from_secs(10),
            preemption_bound: None,
            shrink: true,
            allow_independent: false,
            rules: Rules::default(),
            observer: None,
            cancelled: None,
        }
    }
}

/// How one execution ended; for tests of the search.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ended {
    /// The kind of failure, if the execution failed.
    pub failure: Option<&'static str>,
    /// The execution was cut short because equivalent ones have been run.
    pub redundant: bool,
    /// A bound disabled a step that is possible.
    pub bounded: bool,
}

/// A callback that receives the end of each execution.
#[derive(Clone)]
pub(crate) struct Observer(Arc<dyn Fn(Ended) + Send + Sync>);

impl Observer {
    pub(crate) fn new(see: impl Fn(Ended) + Send + Sync + 'static) -> Self {
        Self(Arc::new(see))
    }

    pub(crate) fn see(&self, end: Ended) {
        (self.0)(end);
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_limits_are_the_documented_ones() {
        let options = Options::default();
        assert_eq!((options.max_executions, options.rules.max_steps), (20_000, 20_000));
        assert_eq!(
            (options.max_time, options.stuck_after),
            (Duration::from_mins(1), Duration::from_secs(10))
        );
    }
}
