//! What to explore, how, and how long.

use std::sync::Arc;
use std::time::Duration;

use crate::exploration::Exploration;
use crate::observer::{Ended, Observer};
use crate::outcome::{Outcome, Survey};
use crate::stage::{Grain, Rules, Time};
use crate::strategy::Strategy;
use crate::token::Token;

/// An exploration: its strategy and its limits.
///
/// ```
/// use raddle::{Mutex, Thread};
/// use raddle_explore::{Explorer, Outcome, Strategy};
/// use std::sync::Arc;
///
/// let outcome = Explorer::new().strategy(Strategy::Dpor).run(|| {
///     let total = Arc::new(Mutex::new(0));
///     let other = { let total = total.clone(); Thread::spawn(move || *total.lock() += 1) };
///     *total.lock() += 1;
///     other.join().unwrap();
///     assert_eq!(*total.lock(), 2);
/// });
/// assert!(matches!(outcome, Outcome::Exhausted { classes: 2, .. }));
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is explored before `run`"]
pub struct Explorer {
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
}

impl Default for Explorer {
    fn default() -> Self {
        Self::new()
    }
}

impl Explorer {
    /// By [`Strategy::Portfolio`], at most 20,000 executions in at most a minute, each of at most 20,000 steps.
    pub fn new() -> Self {
        Self {
            strategy: Strategy::Portfolio,
            seed: 0,
            max_executions: 20_000,
            max_time: Duration::from_mins(1),
            stuck_after: Duration::from_secs(10),
            preemption_bound: None,
            shrink: true,
            allow_independent: false,
            rules: Rules::default(),
            observer: None,
        }
    }

    /// Which schedules are run.
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// What the random strategies begin with: the same seed, the same schedules. 0 unless set.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// After so many executions the outcome is [`Outcome::Inconclusive`].
    pub fn max_executions(mut self, executions: u64) -> Self {
        self.max_executions = executions;
        self
    }

    /// After this time the outcome is [`Outcome::Inconclusive`], and a failure is not made simpler any more; looked at
    /// between executions.
    pub fn max_time(mut self, time: Duration) -> Self {
        self.max_time = time;
        self
    }

    /// An execution with more steps has failed: it goes on for ever, as far as can be told.
    pub fn max_steps(mut self, steps: usize) -> Self {
        self.rules.max_steps = steps;
        self
    }

    /// A thread that takes so long from one step to the next is stuck outside the toolkit, and is reported. Ten
    /// seconds unless set. On Linux, one that waits there without a timeout for a thread that does not run is reported
    /// within half a second in any case.
    pub fn stuck_after(mut self, time: Duration) -> Self {
        self.stuck_after = time;
        self
    }

    /// Runs every schedule with at most so many preemptions, depth first: [`Strategy::Depth`]. It is exhausted only
    /// if that left nothing out.
    pub fn preemption_bound(mut self, preemptions: usize) -> Self {
        self.strategy = Strategy::Depth;
        self.preemption_bound = Some(preemptions);
        self
    }

    /// What counts as one step.
    pub fn grain(mut self, grain: Grain) -> Self {
        self.rules.grain = grain;
        self.rules.spurious = usize::from(grain == Grain::Atoms);
        self
    }

    /// When time limits pass.
    pub fn time(mut self, time: Time) -> Self {
        self.rules.time = time;
        self
    }

    /// Reports data races on [`Shared`](raddle::Shared) cells as failures: two accesses, one of them a write, that no
    /// synchronisation orders, whatever their values.
    ///
    /// [Atomic accesses](raddle::atomic) and fences synchronise as their orderings say, by the rules of C++20; a `Relaxed`
    /// access does not.
    pub fn races(mut self, races: bool) -> Self {
        self.rules.races = races;
        self
    }

    /// Whether a failure is made simple before it is reported: as few preemptions as possible, and the pair of steps
    /// whose order decides. That takes up to eighty more executions; yes unless set. Without it the report comes at
    /// once, with the schedule as it was found.
    pub fn shrink(mut self, shrink: bool) -> Self {
        self.shrink = shrink;
        self.rules.record = !shrink; // there is no other execution for the report to look at
        self
    }

    /// Leaves it to joiners to judge a thread's panic, and to the excepthook what nobody collects. Otherwise every panic
    /// that a thread ends with is a failure, and everything that the [excepthook](raddle::thread::set_excepthook) would
    /// hear of: a panic of a timer, of a callback, or of a task whose future is dropped, and a refused task.
    pub fn allow_panics(mut self, allow: bool) -> Self {
        self.rules.panics_allowed = allow;
        self
    }

    /// Calls `see` at the end of each execution of a search. Failures are counted then, and not explained.
    #[doc(hidden)]
    pub fn observe(mut self, see: impl Fn(Ended) + Send + Sync + 'static) -> Self {
        self.observer = Some(Observer::new(see));
        self
    }

    /// Accepts a program whose threads never touch the same object. Otherwise
    /// [`assert_exhausted`](Outcome::assert_exhausted) fails for it: most often its threads share what the explorer does
    /// not see.
    pub fn allow_independent(mut self, allow: bool) -> Self {
        self.allow_independent = allow;
        self
    }

    /// Runs `program` under one schedule after the other, until one fails, all were seen, or a limit is reached.
    ///
    /// With `RADDLE_REPLAY=token`, or the name of a file with a token, in the environment it runs that schedule alone; with `RADDLE_REPORT=directory` the
    /// page of a failure is written there.
    ///
    /// # Panics
    /// If `RADDLE_REPLAY` is no token, or one of another program.
    pub fn run(self, program: impl Fn() + Send + Sync + 'static) -> Outcome {
        match std::env::var("RADDLE_REPLAY") {
            Ok(token) if !token.is_empty() => self.replay(&token, program),
            _ => Exploration::new(self, Arc::new(program)).run(),
        }
    }

    /// Like [`run`](Explorer::run), and goes on past failures, which it counts.
    pub fn survey(self, program: impl Fn() + Send + Sync + 'static) -> Survey {
        Exploration::new(self, Arc::new(program)).survey()
    }

    /// Runs the schedule that a [report's token](crate::Report::token) stands for, and no other; `token` may also be the
    /// name of a file that holds it. The token knows
    /// the grain and the time; the other options are this exploration's.
    ///
    /// # Panics
    /// If that is no token, or the program has changed so that the token means nothing any more.
    pub fn replay(mut self, token: &str, program: impl Fn() + Send + Sync + 'static) -> Outcome {
        let token = Token::read(token).unwrap_or_else(|error| panic!("{error}"));
        self = self.grain(token.grain).time(token.time);
        Exploration::new(self, Arc::new(program)).replay(&token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_those_that_the_documentation_names() {
        let explorer = Explorer::new();
        assert_eq!((explorer.max_executions, explorer.rules.max_steps), (20_000, 20_000));
        assert_eq!(
            (explorer.max_time, explorer.stuck_after),
            (Duration::from_mins(1), Duration::from_secs(10))
        );
    }
}
