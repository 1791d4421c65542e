//! raddle: its portfolio of strategies to find, partial-order reduction to cover.

mod programs;

use raddle_explore::{Explorer, Outcome, Strategy};

use super::case::{Goal, Tool};
use super::sample::{Sample, silence_panics, to_the_first_bug};
use crate::args::MeasureArgs;
use crate::clock::Clock;

pub(crate) fn measure(args: &MeasureArgs) -> Sample {
    silence_panics();
    let _ = Explorer::new().run(|| ());
    let program = programs::choose(args.program, args.main, args.goal);
    match args.goal {
        Goal::FirstBug => find(args, program),
        Goal::Cover | Goal::CoverRepaired => cover(program),
    }
}

fn find(args: &MeasureArgs, program: impl Fn() + Copy + Send + Sync + 'static) -> Sample {
    let is_seeded = args.tool != Tool::RaddleDpor;
    let strategy = if is_seeded { Strategy::Portfolio } else { Strategy::Dpor };
    to_the_first_bug(&args.limits, is_seeded, |seed, _| {
        let shrink = args.tool == Tool::RaddleShrunk;
        let explorer = Explorer::new().strategy(strategy).seed(seed).shrink(shrink);
        match explorer.max_executions(args.limits.cap.into()).run(program) {
            Outcome::Failed(report) => (report.execution(), true),
            Outcome::Exhausted { executions, .. } | Outcome::Inconclusive { executions, .. } => {
                (executions, false)
            }
        }
    })
}

fn cover(program: impl Fn() + Send + Sync + 'static) -> Sample {
    let clock = Clock::start();
    let survey = Explorer::new().strategy(Strategy::Dpor).shrink(false).survey(program);
    Sample {
        seconds: clock.elapsed().as_secs_f64(),
        tries: 1,
        executions: survey.executions,
        failures: survey.failures,
        classes: Some(survey.classes),
        complete: survey.exhausted,
    }
}
