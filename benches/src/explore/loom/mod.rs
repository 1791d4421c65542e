//! loom, without bounds.

mod programs;
mod watch;

use std::panic::catch_unwind;
use std::time::Duration;

use loom::model::Builder;

use super::case::Goal;
use super::sample::{Counter, Sample, silence_panics, to_the_first_bug};
use crate::args::MeasureArgs;
use crate::clock::Clock;
use watch::OnFailure;

/// The number of executions between checks of the limits.
const INTERVAL: usize = 100;

pub(crate) fn measure(args: &MeasureArgs) -> Sample {
    silence_panics();
    loom::model(|| ());
    match args.goal {
        Goal::FirstBug => find(args),
        Goal::Cover | Goal::CoverRepaired => cover(args),
    }
}

fn find(args: &MeasureArgs) -> Sample {
    let program = programs::choose(args.program, args.main, args.goal);
    to_the_first_bug(&args.limits, false, |_, left| {
        let executions = Counter::default();
        let count = executions.clone();
        let builder = unbounded(left);
        let found = catch_unwind(move || {
            builder.check(move || {
                count.add();
                program(&OnFailure::Panic);
            });
        });
        (executions.get(), found.is_err())
    })
}

/// A failing execution panics out of loom and loses its state. Here, the programs detect their failures themselves, count them and
/// terminate; see [`watch`].
fn cover(args: &MeasureArgs) -> Sample {
    let program = programs::choose(args.program, args.main, args.goal);
    let (executions, failures) = (Counter::default(), Counter::default());
    let (count, on_failure) = (executions.clone(), OnFailure::Count(failures.clone()));
    let clock = Clock::start();
    unbounded(args.limits.time()).check(move || {
        count.add();
        program(&on_failure);
    });
    let seconds = clock.elapsed();
    Sample {
        tries: 1,
        executions: executions.get(),
        failures: failures.get(),
        classes: None,
        seconds: seconds.as_secs_f64(),
        complete: seconds < args.limits.time(),
    }
}

/// Overrides the environment.
fn unbounded(time: Duration) -> Builder {
    let mut builder = Builder::new();
    builder.max_duration = Some(time);
    builder.checkpoint_interval = INTERVAL;
    builder.max_permutations = None;
    builder.preemption_bound = None;
    builder.checkpoint_file = None;
    (builder.location, builder.log) = (false, false);
    builder
}
