//! The builder of an exploration.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::exploration::Exploration;
use crate::options::{Ended, Grain, Observer, Options, Strategy, Time};
use crate::outcome::{Outcome, Survey};
use crate::report::Token;
use crate::runtime::Program;

/// An exploration: its strategy, its rules and its limits.
///
/// [`check`](crate::check) is the short form with the defaults.
///
/// # Examples
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
#[derive(Clone, Debug, Default)]
#[must_use = "nothing is explored before `run`, `survey` or `replay` is called"]
pub struct Explorer {
    options: Options,
}

impl Explorer {
    /// Creates an exploration with [`Strategy::Portfolio`] and the default limits.
    ///
    /// The limits are 20,000 executions, 20,000 steps per execution, and one minute.
    ///
    /// # Examples
    /// ```
    /// raddle_explore::Explorer::new().run(|| ()).assert_exhausted();
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how schedules are chosen.
    ///
    /// # Examples
    /// ```
    /// # use raddle::{Shared, Thread};
    /// # use std::sync::Arc;
    /// # fn lost_update() {
    /// #     let value = Arc::new(Shared::new(0));
    /// #     let other = Thread::spawn({ let value = value.clone(); move || value.set(value.get() + 1) });
    /// #     value.set(value.get() + 1);
    /// #     other.join().unwrap();
    /// #     assert_eq!(value.get(), 2, "an update was lost");
    /// # }
    /// use raddle_explore::{Explorer, Strategy};
    ///
    /// let report = Explorer::new().strategy(Strategy::Pct).run(lost_update).expect_failure();
    /// assert!(report.to_string().contains("by probabilistic concurrency testing"));
    /// ```
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.options.strategy = strategy;
        self
    }

    /// Sets the seed of the random strategies; 0 by default.
    ///
    /// The same seed gives the same schedules.
    ///
    /// # Examples
    /// ```
    /// # use raddle::{Shared, Thread};
    /// # use std::sync::Arc;
    /// # fn lost_update() {
    /// #     let value = Arc::new(Shared::new(0));
    /// #     let other = Thread::spawn({ let value = value.clone(); move || value.set(value.get() + 1) });
    /// #     value.set(value.get() + 1);
    /// #     other.join().unwrap();
    /// #     assert_eq!(value.get(), 2, "an update was lost");
    /// # }
    /// use raddle_explore::{Explorer, Strategy};
    ///
    /// let random = Explorer::new().strategy(Strategy::Random).seed(7);
    /// let report = random.clone().run(lost_update).expect_failure();
    /// assert_eq!(random.run(lost_update).expect_failure().execution(), report.execution());
    /// ```
    pub fn seed(mut self, seed: u64) -> Self {
        self.options.seed = seed;
        self
    }

    /// Sets the number of executions after which the outcome is [`Outcome::Inconclusive`].
    ///
    /// # Examples
    /// ```
    /// # use raddle::{Shared, Thread};
    /// # use std::sync::Arc;
    /// # fn lost_update() {
    /// #     let value = Arc::new(Shared::new(0));
    /// #     let other = Thread::spawn({ let value = value.clone(); move || value.set(value.get() + 1) });
    /// #     value.set(value.get() + 1);
    /// #     other.join().unwrap();
    /// #     assert_eq!(value.get(), 2, "an update was lost");
    /// # }
    /// use raddle_explore::{Explorer, Outcome, Strategy};
    ///
    /// let outcome = Explorer::new().strategy(Strategy::Dpor).max_executions(1).run(lost_update);
    /// assert!(matches!(outcome, Outcome::Inconclusive { executions: 1, .. }));
    /// ```
    pub fn max_executions(mut self, executions: u64) -> Self {
        self.options.max_executions = executions;
        self
    }

    /// Sets the time after which the outcome is [`Outcome::Inconclusive`], and after which a failure is not simplified
    /// any further. The time is checked between executions.
    ///
    /// # Examples
    /// ```
    /// use raddle_explore::{Explorer, Outcome};
    /// use std::time::Duration;
    ///
    /// let outcome = Explorer::new().max_time(Duration::ZERO).run(|| ());
    /// assert!(matches!(outcome, Outcome::Inconclusive { executions: 0, .. }));
    /// ```
    pub fn max_time(mut self, time: Duration) -> Self {
        self.options.max_time = time;
        self
    }

    /// Sets the number of steps after which an execution fails as a livelock.
    ///
    /// # Examples
    /// ```
    /// use raddle::atomic::{AtomicBool, Ordering};
    /// use raddle_explore::Explorer;
    ///
    /// let report = Explorer::new().max_steps(500).run(|| {
    ///     let stop = AtomicBool::new(false);
    ///     while !stop.load(Ordering::SeqCst) {} // nothing sets it
    /// });
    /// assert_eq!(report.expect_failure().kind(), "livelock");
    /// ```
    pub fn max_steps(mut self, steps: usize) -> Self {
        self.options.rules.max_steps = steps;
        self
    }

    /// Sets the real time that a thread may take from one step to the next; ten seconds by default.
    ///
    /// A thread that takes longer is reported as blocked outside the toolkit. On Linux, a thread that blocks there
    /// without a timeout is reported within half a second in any case, and one that waits for a disk, or is given hardly any
    /// processor time although it is ready to run, may take ten times as long.
    ///
    /// # Examples
    /// ```
    /// use raddle_explore::Explorer;
    /// use std::time::Duration;
    ///
    /// let report = Explorer::new().stuck_after(Duration::from_millis(100)).run(|| {
    ///     std::thread::sleep(Duration::from_secs(60)); // not `raddle::time::sleep`
    /// });
    /// assert_eq!(report.expect_failure().kind(), "blocked outside");
    /// ```
    pub fn stuck_after(mut self, time: Duration) -> Self {
        self.options.stuck_after = time;
        self
    }

    /// Selects [`Strategy::Depth`] and runs every schedule with at most `preemptions` preemptions.
    ///
    /// The outcome is [`Outcome::Exhausted`] only if the bound excluded no schedule.
    ///
    /// # Examples
    /// ```
    /// # use raddle::{Shared, Thread};
    /// # use std::sync::Arc;
    /// # fn lost_update() {
    /// #     let value = Arc::new(Shared::new(0));
    /// #     let other = Thread::spawn({ let value = value.clone(); move || value.set(value.get() + 1) });
    /// #     value.set(value.get() + 1);
    /// #     other.join().unwrap();
    /// #     assert_eq!(value.get(), 2, "an update was lost");
    /// # }
    /// use raddle_explore::{Explorer, Outcome};
    ///
    /// let outcome = Explorer::new().preemption_bound(0).run(lost_update);
    /// assert!(matches!(outcome, Outcome::Inconclusive { .. }));
    /// let report = Explorer::new().preemption_bound(1).run(lost_update).expect_failure();
    /// assert_eq!(report.preemptions(), 1);
    /// ```
    pub fn preemption_bound(mut self, preemptions: usize) -> Self {
        self.options.strategy = Strategy::Depth;
        self.options.preemption_bound = Some(preemptions);
        self
    }

    /// Sets what counts as one step.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Event, Thread};
    /// use raddle_explore::{Explorer, Grain};
    /// use std::sync::Arc;
    ///
    /// let outcome = Explorer::new().grain(Grain::Atoms).run(|| {
    ///     let event = Arc::new(Event::new());
    ///     let setter = Thread::spawn({ let event = event.clone(); move || event.set() });
    ///     event.wait(); // the event's own code parks and wakes
    ///     setter.join().unwrap();
    /// });
    /// println!("{}", outcome.assert_no_failure());
    /// ```
    pub fn grain(mut self, grain: Grain) -> Self {
        self.options.rules.grain = grain;
        self.options.rules.spurious = usize::from(grain == Grain::Atoms);
        self
    }

    /// Sets when timeouts expire and sleeps end.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Event, Thread};
    /// use raddle_explore::{Explorer, Time};
    /// use std::{sync::Arc, time::Duration};
    ///
    /// let program = || {
    ///     let event = Arc::new(Event::new());
    ///     let setter = Thread::spawn({ let event = event.clone(); move || event.set() });
    ///     assert!(event.wait_timeout(Duration::from_secs(1)));
    ///     setter.join().unwrap();
    /// };
    /// assert_eq!(Explorer::new().run(program).expect_failure().kind(), "panic");
    /// Explorer::new().time(Time::Quiescent).run(program).assert_exhausted();
    /// ```
    pub fn time(mut self, time: Time) -> Self {
        self.options.rules.time = time;
        self
    }

    /// Sets whether data races on [`Shared`](raddle::Shared) cells are failures; `false` by default.
    ///
    /// A data race is a pair of accesses, at least one of them a write, that are not ordered by synchronization.
    /// [Atomic accesses](raddle::atomic) and fences synchronize by the rules of C++20, so `Relaxed` accesses do not.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Shared, Thread};
    /// use raddle_explore::Explorer;
    /// use std::sync::Arc;
    ///
    /// let report = Explorer::new().races(true).run(|| {
    ///     let seen = Arc::new(Shared::new(false));
    ///     let other = Thread::spawn({ let seen = seen.clone(); move || seen.set(true) });
    ///     seen.set(true); // the same value, but unordered
    ///     other.join().unwrap();
    /// });
    /// assert_eq!(report.expect_failure().kind(), "data race");
    /// ```
    pub fn races(mut self, races: bool) -> Self {
        self.options.rules.races = races;
        self
    }

    /// Sets whether a failure is simplified before it is reported; `true` by default.
    ///
    /// Simplifying minimizes the number of preemptions and finds the two steps whose order decides. It takes at most 80
    /// further executions. Without it, the report shows the schedule as it was found.
    ///
    /// # Examples
    /// ```
    /// # use raddle::{Shared, Thread};
    /// # use std::sync::Arc;
    /// # fn lost_update() {
    /// #     let value = Arc::new(Shared::new(0));
    /// #     let other = Thread::spawn({ let value = value.clone(); move || value.set(value.get() + 1) });
    /// #     value.set(value.get() + 1);
    /// #     other.join().unwrap();
    /// #     assert_eq!(value.get(), 2, "an update was lost");
    /// # }
    /// use raddle_explore::Explorer;
    ///
    /// let report = Explorer::new().run(lost_update).expect_failure();
    /// assert_eq!(report.preemptions(), 1);
    /// assert!(report.to_string().contains("the order of these two steps decides"));
    /// let report = Explorer::new().shrink(false).run(lost_update).expect_failure();
    /// assert!(!report.to_string().contains("decides"));
    /// ```
    pub fn shrink(mut self, shrink: bool) -> Self {
        self.options.shrink = shrink;
        self.options.rules.record = !shrink; // no further execution records what the report shows
        self
    }

    /// Sets whether panics are left to joiners and to the excepthook; `false` by default.
    ///
    /// By default every panic that terminates a thread is a failure, and so is everything that the
    /// [excepthook](raddle::thread::set_excepthook) would receive: the panic of a timer, of a callback, or of a task
    /// whose future was dropped, and a rejected task.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Shared, Thread};
    /// use raddle_explore::Explorer;
    /// use std::sync::Arc;
    ///
    /// let program = || {
    ///     let progress = Arc::new(Shared::new(0));
    ///     let mine = progress.clone();
    ///     let other = Thread::spawn(move || {
    ///         mine.set(1);
    ///         panic!("expected");
    ///     });
    ///     assert!(other.join().is_err());
    ///     assert_eq!(progress.get(), 1);
    /// };
    /// assert_eq!(Explorer::new().run(program).expect_failure().kind(), "panic");
    /// Explorer::new().allow_panics(true).run(program).assert_exhausted();
    /// ```
    pub fn allow_panics(mut self, allow: bool) -> Self {
        self.options.rules.panics_allowed = allow;
        self
    }

    /// Ends the exploration, inconclusive, before the next execution once `cancelled` is true.
    #[doc(hidden)]
    pub fn cancelled_by(mut self, cancelled: Arc<AtomicBool>) -> Self {
        self.options.cancelled = Some(cancelled);
        self
    }

    /// Calls `see` at the end of each execution of a search. Failures are counted, but not explained.
    #[doc(hidden)]
    pub fn observe(mut self, see: impl Fn(Ended) + Send + Sync + 'static) -> Self {
        self.options.observer = Some(Observer::new(see));
        self
    }

    /// Sets whether a program whose threads never access the same object may count as exhausted; `false` by default.
    ///
    /// By default [`Outcome::assert_exhausted`] fails for such a program, since its threads most likely share something
    /// that the explorer does not observe.
    ///
    /// # Examples
    /// ```
    /// use raddle_explore::Explorer;
    ///
    /// let program = || drop(raddle::Thread::spawn(|| raddle::Shared::new(1).set(2)).join());
    /// Explorer::new().allow_independent(true).run(program).assert_exhausted();
    /// ```
    pub fn allow_independent(mut self, allow: bool) -> Self {
        self.options.allow_independent = allow;
        self
    }

    /// Runs `program` under one schedule after the other, until an execution fails, every relevant schedule has been
    /// run, or a limit is reached.
    ///
    /// Two environment variables change what it does:
    ///
    /// | variable | effect |
    /// |---|---|
    /// | `RADDLE_REPLAY=TOKEN` | runs the schedule of that token, or of the token in that file, and no other; a program to which the token does not belong is explored as usual |
    /// | `RADDLE_REPORT=DIRECTORY` | writes the HTML page and the JSON of a failure into that directory |
    ///
    /// # Panics
    /// Panics if `RADDLE_REPLAY` is not a token.
    ///
    /// # Examples
    /// ```
    /// # use raddle::{Shared, Thread};
    /// # use std::sync::Arc;
    /// # fn lost_update() {
    /// #     let value = Arc::new(Shared::new(0));
    /// #     let other = Thread::spawn({ let value = value.clone(); move || value.set(value.get() + 1) });
    /// #     value.set(value.get() + 1);
    /// #     other.join().unwrap();
    /// #     assert_eq!(value.get(), 2, "an update was lost");
    /// # }
    /// use raddle_explore::Explorer;
    ///
    /// let report = Explorer::new().run(lost_update).expect_failure();
    /// assert!(report.title().starts_with("thread \"MainThread\" panicked"));
    /// ```
    #[track_caller]
    pub fn run(self, program: impl Fn() + Send + Sync + 'static) -> Outcome {
        let program: Program = Arc::new(program);
        if let Some(token) = std::env::var("RADDLE_REPLAY").ok().filter(|token| !token.is_empty()) {
            match self.clone().replay_token(&token_of(&token), program.clone()) {
                Ok(outcome) => return outcome,
                // A test may make several explorations, and the token is that of one of them.
                Err(error) => eprintln!("raddle: explored without the token, because {error}"),
            }
        }
        Exploration::new(self.options, program).run()
    }

    /// Explores like [`run`](Explorer::run), but counts failures instead of stopping at the first one.
    ///
    /// # Examples
    /// ```
    /// # use raddle::{Shared, Thread};
    /// # use std::sync::Arc;
    /// # fn lost_update() {
    /// #     let value = Arc::new(Shared::new(0));
    /// #     let other = Thread::spawn({ let value = value.clone(); move || value.set(value.get() + 1) });
    /// #     value.set(value.get() + 1);
    /// #     other.join().unwrap();
    /// #     assert_eq!(value.get(), 2, "an update was lost");
    /// # }
    /// use raddle_explore::{Explorer, Strategy};
    ///
    /// let survey = Explorer::new().strategy(Strategy::Dpor).survey(lost_update);
    /// assert!(survey.exhausted && 0 < survey.failures && survey.failures < survey.executions);
    /// ```
    #[must_use = "failures are only counted"]
    pub fn survey(self, program: impl Fn() + Send + Sync + 'static) -> Survey {
        Exploration::new(self.options, Arc::new(program)).survey()
    }

    /// Runs the schedule that a [report's token](crate::Report::token) encodes, and no other.
    ///
    /// `token` may also be the name of a file that contains the token. The token determines the grain and the time mode;
    /// the other options are those of this exploration.
    ///
    /// # Panics
    /// Panics if `token` is not a token, or if the program does not fail and its steps differ from those that the token
    /// was made for.
    ///
    /// # Examples
    /// ```
    /// # use raddle::{Shared, Thread};
    /// # use std::sync::Arc;
    /// # fn lost_update() {
    /// #     let value = Arc::new(Shared::new(0));
    /// #     let other = Thread::spawn({ let value = value.clone(); move || value.set(value.get() + 1) });
    /// #     value.set(value.get() + 1);
    /// #     other.join().unwrap();
    /// #     assert_eq!(value.get(), 2, "an update was lost");
    /// # }
    /// use raddle_explore::Explorer;
    ///
    /// let token = Explorer::new().run(lost_update).expect_failure().token();
    /// let again = Explorer::new().replay(&token, lost_update).expect_failure();
    /// assert!(again.to_string().contains("replayed from its token"));
    /// ```
    #[track_caller]
    pub fn replay(self, token: &str, program: impl Fn() + Send + Sync + 'static) -> Outcome {
        match self.replay_token(&token_of(token), Arc::new(program)) {
            Ok(outcome) => outcome,
            Err(error) => panic!("{error}"),
        }
    }

    /// Like [`replay`](Explorer::replay), for a caller that reports a token that cannot be replayed by itself.
    ///
    /// # Errors
    /// States why the token cannot be replayed.
    #[doc(hidden)]
    pub fn try_replay(
        self,
        token: &str,
        program: impl Fn() + Send + Sync + 'static,
    ) -> Result<Outcome, String> {
        self.replay_token(&Token::read(token)?, Arc::new(program))
    }

    fn replay_token(self, token: &Token, program: Program) -> Result<Outcome, String> {
        let this = self.grain(token.grain).time(token.time);
        Exploration::new(this.options, program).replay(token)
    }
}

#[track_caller]
fn token_of(text: &str) -> Token {
    match Token::read(text) {
        Ok(token) => token,
        Err(error) => panic!("{error}"),
    }
}
