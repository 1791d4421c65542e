//! shuttle: random schedules, PCT, and depth-first search.

mod programs;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use shuttle::scheduler::{DfsScheduler, PctScheduler, RandomScheduler, Schedule, Scheduler, Task, TaskId};
use shuttle::{Config, FailurePersistence, Runner};

use super::case::{Goal, Tool};
use super::sample::{Counter, Sample, silence_panics, to_the_first_bug};
use crate::args::MeasureArgs;
use crate::clock::Clock;

/// The bugs need at most two changes of priority.
const DEPTH: usize = 3;

pub(crate) fn measure(args: &MeasureArgs) -> Sample {
    warm_up();
    let program = programs::choose(args.program, args.main, args.goal);
    match args.goal {
        Goal::FirstBug => find(args, program),
        Goal::Cover | Goal::CoverRepaired => cover(args, program),
    }
}

fn find(args: &MeasureArgs, program: impl Fn() + Copy + Send + Sync + 'static) -> Sample {
    let cap = args.limits.cap as usize;
    to_the_first_bug(&args.limits, args.tool != Tool::ShuttleDfs, |seed, left| {
        let executions = Counter::default();
        let found = match args.tool {
            Tool::ShuttleRandom => run(RandomScheduler::new_from_seed(seed, cap), left, program, &executions),
            Tool::ShuttlePct => {
                run(PctScheduler::new_from_seed(seed, DEPTH, cap), left, program, &executions)
            }
            _ => run(DfsScheduler::new(None, false), left, program, &executions),
        };
        (executions.get(), found.is_err())
    })
}

/// A failing execution panics out of the runner. The panic is caught and counted, and a new runner continues with the same
/// depth-first scheduler.
fn cover(args: &MeasureArgs, program: impl Fn() + Copy + Send + Sync + 'static) -> Sample {
    let clock = Clock::start();
    let scheduler = Going(Rc::new(RefCell::new(DfsScheduler::new(None, false))));
    let (executions, mut failures) = (Counter::default(), 0);
    while run(scheduler.clone(), clock.left(args.limits.time()), program, &executions).is_err() {
        failures += 1;
    }
    let seconds = clock.elapsed();
    let complete = seconds < args.limits.time();
    let (executions, seconds) = (executions.get(), seconds.as_secs_f64());
    Sample { tries: 1, executions, failures, classes: None, seconds, complete }
}

/// Runs the program; an error is a failing execution.
fn run<S: Scheduler + 'static>(
    scheduler: S,
    left: Duration,
    program: impl Fn() + Send + Sync + 'static,
    executions: &Counter,
) -> std::thread::Result<usize> {
    let mut config = Config::new();
    config.failure_persistence = FailurePersistence::None;
    config.max_time = Some(left);
    config.silence_warnings = true;
    let executions = executions.clone();
    let program = move || {
        executions.add();
        program();
    };
    catch_unwind(AssertUnwindSafe(|| Runner::new(scheduler, config).run(program)))
}

/// The first run installs a panic hook, which is then replaced by the silent one.
fn warm_up() {
    let _ = run(RandomScheduler::new_from_seed(0, 1), Duration::MAX, || (), &Counter::default());
    silence_panics();
}

/// Keeps the state of a scheduler when its runner panics.
struct Going<S>(Rc<RefCell<S>>);

impl<S> Clone for Going<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: Scheduler> Scheduler for Going<S> {
    fn new_execution(&mut self) -> Option<Schedule> {
        self.0.borrow_mut().new_execution()
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        current: Option<TaskId>,
        is_yielding: bool,
    ) -> Option<TaskId> {
        self.0.borrow_mut().next_task(runnable, current, is_yielding)
    }

    fn next_u64(&mut self) -> u64 {
        self.0.borrow_mut().next_u64()
    }
}
