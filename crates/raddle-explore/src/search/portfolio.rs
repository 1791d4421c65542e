//! The portfolio: chooses the strategy of each execution, and keeps the strategies between executions.
//!
//! The first execution runs in [`Lockstep`]. After that partial-order reduction and the random strategies take turns;
//! the module documentation of each names its source. The search is exhausted when partial-order reduction or
//! depth-first search is.

use std::any::Any;

use fastrand::Rng;
use raddle::rt::Kind;

use super::depth::Depth;
use super::dpor::Dpor;
use super::pct::Pct;
use super::pos::Pos;
use super::random::RandomWalk;
use super::surw::Surw;
use crate::options::{Rules, Strategy};
use crate::runtime::{Policy, Runner, Trace, View};

/// The strategies of one search.
pub(crate) struct Portfolio {
    strategy: Strategy,
    turn: usize,
    /// The size of a search tree that partial-order reduction will not finish, as a power of two.
    large: f64,
    dpor: Option<Dpor>,
    depth: Option<Depth>,
    random: Option<RandomWalk>,
    pos: Option<Pos>,
    pct: Option<Pct>,
    surw: Option<Surw>,
}

/// How much larger, as a power of two, a search tree has to look than the executions allow before it counts as too
/// large. The size is an estimate.
const SPARE: f64 = 4.0;

#[expect(clippy::cast_precision_loss, reason = "it is an estimate")]
fn log2(number: u64) -> f64 {
    (number.max(1) as f64).log2()
}

impl Portfolio {
    pub(crate) fn new(strategy: Strategy, seed: u64, bound: usize, executions: u64) -> Self {
        // Seeds are small and close to each other; spread out, they lead to unrelated random numbers.
        let mut seeds = Rng::with_seed(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut rng = || seeds.fork();
        Self {
            strategy,
            turn: 0,
            large: log2(executions) + SPARE,
            dpor: Some(Dpor::default()),
            depth: Some(Depth::new(bound)),
            random: Some(RandomWalk(rng())),
            pos: Some(Pos::new(rng())),
            pct: Some(Pct::new(rng())),
            surw: Some(Surw::new(rng())),
        }
    }

    pub(crate) fn classes(&self) -> u64 {
        self.dpor.as_ref().map_or(0, Dpor::classes)
    }

    /// Every class of schedules has been run.
    pub(crate) fn is_exhausted(&self) -> bool {
        match self.strategy {
            Strategy::Depth => self.depth.as_ref().is_some_and(Depth::is_exhausted),
            _ => self.dpor.as_ref().is_some_and(Dpor::is_exhausted),
        }
    }

    /// No schedule was excluded by the preemption bound.
    pub(crate) fn is_complete(&self) -> bool {
        self.strategy != Strategy::Depth || self.depth.as_ref().is_some_and(Depth::is_complete)
    }

    /// The program took different steps after the same choices.
    pub(crate) fn diverged(&self) -> bool {
        self.dpor.as_ref().is_some_and(|dpor| dpor.diverged)
            || self.depth.as_ref().is_some_and(|depth| depth.diverged)
    }

    /// Whether partial-order reduction is unlikely to finish within the allowed executions.
    fn is_too_large(&self) -> bool {
        self.dpor.as_ref().is_some_and(|dpor| dpor.log2_size() > self.large)
    }

    /// The strategy of the next execution. For a search tree that is too large for reduction, this is mostly the
    /// random strategy that finds the most bugs.
    fn next(&mut self) -> Strategy {
        use Strategy::{Dpor, Pct, Portfolio, Pos, Random, Surw};
        if self.strategy != Portfolio {
            return self.strategy;
        }
        let (turn, large) = (self.turn, self.turn > 1 && self.is_too_large());
        self.turn += 1;
        match turn.checked_sub(1) {
            None => Portfolio,
            Some(turn) if large => [Dpor, Surw, Pos, Surw, Pct, Surw, Random, Surw][turn % 8],
            Some(turn) if turn.is_multiple_of(2) => Dpor,
            Some(turn) => [Surw, Pos, Random, Pct][turn / 2 % 4],
        }
    }

    /// Runs the program once more.
    pub(crate) fn run(&mut self, runner: &Runner, rules: Rules) -> (Trace, Strategy) {
        macro_rules! run {
            ($policy:expr) => {{
                let policy = $policy.take().expect("every execution returns its policy");
                let (trace, policy) = runner.run(rules, policy);
                *$policy = Some(policy);
                trace
            }};
        }
        let strategy = self.next();
        let trace = match strategy {
            Strategy::Random => run!(&mut self.random),
            Strategy::Pos => run!(&mut self.pos),
            Strategy::Pct => run!(&mut self.pct),
            Strategy::Surw => run!(&mut self.surw),
            Strategy::Depth => run!(&mut self.depth),
            Strategy::Dpor => run!(&mut self.dpor),
            Strategy::Portfolio => runner.run(rules, Lockstep::default()).0,
        };
        self.learn(strategy, &trace);
        (trace, strategy)
    }

    fn learn(&mut self, strategy: Strategy, trace: &Trace) {
        match strategy {
            Strategy::Dpor => self.dpor.iter_mut().for_each(|dpor| dpor.learn(trace)),
            Strategy::Depth => self.depth.iter_mut().for_each(Depth::advance),
            _ => {}
        }
        if !trace.redundant
            && let Some(surw) = &mut self.surw
        {
            surw.learn(&trace.events, &trace.objects, &trace.parents());
        }
    }
}

/// Runs the tasks in lockstep: the task that has taken the fewest steps is next. This schedule shows classic mistakes
/// most often.
///
/// Steps that start tasks do not count, so that all tasks begin together. A task that sleeps, or would have to time
/// out, lags behind by a few rounds.
#[derive(Debug, Default)]
pub(crate) struct Lockstep {
    steps: Vec<usize>,
}

/// How many steps the other tasks are ahead of a task with a deadline.
const ROUNDS: usize = 8;

impl Policy for Lockstep {
    fn pick(&mut self, view: &View<'_>) -> Option<usize> {
        self.steps.resize(view.tasks.len(), 0);
        let steps = |thread: usize| {
            let waits = view.tasks[thread].deadline().is_some();
            (self.steps[thread] + if waits { ROUNDS } else { 0 }, waits, thread)
        };
        let place = (0..view.options.len()).min_by_key(|&place| steps(view.options[place]))?;
        let next = view.options[place];
        let starts = view.tasks[next].op.is_some_and(|op| op.kind == Kind::Start);
        self.steps[next] += usize::from(!starts);
        Some(place)
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}
