//! What to explore, how, and how long.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use crate::crew::Crew;
use crate::outcome::{Outcome, Survey};
use crate::report::Report;
use crate::search::{Execution, Follow, Mix, Program};
use crate::stage::{Grain, Rules, Time};

/// Which schedules are run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Strategy {
    /// Partial-order reduction until every class of schedules was seen, and between its executions the others in turn.
    #[default]
    Mix,
    /// Partial-order reduction alone: one schedule of each class.
    Dpor,
    /// Selectively uniform random walk.
    Surw,
    /// Partial order sampling.
    Pos,
    /// Probabilistic concurrency testing, for bugs of depth three.
    Pct,
    /// A random walk.
    Random,
}

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
    strategy: Strategy,
    seed: u64,
    max_executions: u64,
    max_time: Duration,
    rules: Rules,
}

impl Default for Explorer {
    fn default() -> Self {
        Self::new()
    }
}

impl Explorer {
    /// At most 20,000 executions in at most a minute, by [`Strategy::Mix`].
    pub fn new() -> Self {
        Self {
            strategy: Strategy::Mix,
            seed: 0,
            max_executions: 20_000,
            max_time: Duration::from_mins(1),
            rules: Rules::default(),
        }
    }

    /// Which schedules are run.
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// What the random strategies begin with; the same seed, the same schedules.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// After so many executions the outcome is [`Outcome::Inconclusive`].
    pub fn max_executions(mut self, executions: u64) -> Self {
        self.max_executions = executions;
        self
    }

    /// After this time the outcome is [`Outcome::Inconclusive`].
    pub fn max_time(mut self, time: Duration) -> Self {
        self.max_time = time;
        self
    }

    /// An execution with more steps has failed: it goes on for ever, as far as can be told.
    pub fn max_steps(mut self, steps: usize) -> Self {
        self.rules.max_steps = steps;
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

    /// Leaves it to joiners to judge a thread's panic. Otherwise every panic that a thread ends with is a failure.
    pub fn allow_panics(mut self, allow: bool) -> Self {
        self.rules.panics_allowed = allow;
        self
    }

    /// Runs `program` under one schedule after the other, until one fails, all were seen, or a limit is reached.
    pub fn run(self, program: impl Fn() + Send + Sync + 'static) -> Outcome {
        let survey = self.search(Arc::new(program), true);
        match survey.first {
            Some(report) => Outcome::Failed(report),
            None if survey.exhausted => {
                Outcome::Exhausted { classes: survey.classes, executions: survey.executions }
            }
            None => Outcome::Inconclusive { executions: survey.executions },
        }
    }

    /// Like [`run`](Explorer::run), and goes on past failures, which it counts.
    pub fn survey(self, program: impl Fn() + Send + Sync + 'static) -> Survey {
        self.search(Arc::new(program), false)
    }

    fn search(self, program: Program, stop: bool) -> Survey {
        let crew = Crew::new();
        let (sender, receiver) = channel();
        let own = crew.clone();
        let job = move || drop(sender.send(self.search_here(&program, &own, stop)));
        crew.run(Box::new(job), None).expect("a thread for the explorer");
        receiver.recv().expect("the exploring thread comes to its end")
    }

    /// The same execution once more, with all that a report shows; the first one, if the program does something else.
    fn again(&self, program: &Program, crew: &Crew, pulse: &Arc<AtomicU64>, failed: Execution) -> Execution {
        let rules = Rules { record: true, ..self.rules };
        let follow = Follow::new(failed.choices.clone());
        let (again, _) = Execution::perform(program, rules, follow, crew, pulse);
        let same = again.failure.as_ref().zip(failed.failure.as_ref()).is_some_and(|(a, b)| a.is_like(b));
        if same { again } else { failed }
    }

    #[expect(clippy::disallowed_methods, reason = "the time that the search takes is real")]
    fn search_here(&self, program: &Program, crew: &Crew, stop: bool) -> Survey {
        let (mut mix, pulse, began) = (Mix::new(self.strategy, self.seed), Arc::default(), Instant::now());
        let mut survey = Survey::default();
        let mut bounded = false;
        while !mix.is_exhausted()
            && survey.executions < self.max_executions
            && began.elapsed() < self.max_time
        {
            let (execution, _) = mix.perform(program, self.rules, crew, &pulse);
            survey.executions += 1;
            bounded |= execution.bounded;
            if execution.failure.is_some() {
                survey.failures += 1;
                if survey.first.is_none() {
                    let again = self.again(program, crew, &pulse, execution);
                    survey.first = Some(Box::new(Report::new(again, survey.executions)));
                }
                if stop {
                    break;
                }
            }
        }
        survey.classes = mix.classes();
        survey.exhausted = mix.is_exhausted() && !bounded && !mix.diverged();
        survey
    }
}
