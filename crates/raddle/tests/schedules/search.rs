//! Runs a scenario under every schedule that matters.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use super::actors::{Fine, Rules};
use super::course::Course;
use super::crew::Crew;
use super::report::Report;
use super::stage::perform;

/// Every atomic is a step, and one parked thread may wake without a reason.
pub(crate) const FINE: Rules = Rules { fine: Fine::Everywhere, spurious: 1, patient: false };
/// An operation is a step, and a thread whose predicate says no stays where it is.
pub(crate) const COARSE: Rules = Rules { fine: Fine::Nowhere, spurious: 0, patient: false };

/// At the coarse grain the bound rises until a round takes more executions than this.
const ENOUGH: usize = 150;
/// Random executions after the searches in depth.
const THROWS: usize = 100;

/// Runs `scenario` under every schedule with at most `bound` preemptions at the fine grain, under some random
/// ones, and, with more preemptions, at the coarse one; returns all that it returned.
pub(crate) fn every<R: Ord + Debug + Send + 'static>(
    bound: usize,
    scenario: impl Fn() -> R + Send + Sync + 'static,
) -> BTreeSet<R> {
    search(bound, scenario, Fine::InsideObjects, false)
}

/// Like [`every`], in a world where everybody who can go on does so before the clock moves.
pub(crate) fn every_patiently<R: Ord + Debug + Send + 'static>(
    bound: usize,
    scenario: impl Fn() -> R + Send + Sync + 'static,
) -> BTreeSet<R> {
    search(bound, scenario, Fine::InsideObjects, true)
}

/// Like [`every`], with the start and the end of threads seen as closely as all else.
pub(crate) fn every_of_threads<R: Ord + Debug + Send + 'static>(
    bound: usize,
    scenario: impl Fn() -> R + Send + Sync + 'static,
) -> BTreeSet<R> {
    search(bound, scenario, Fine::Everywhere, false)
}

fn search<R: Ord + Debug + Send + 'static>(
    bound: usize,
    scenario: impl Fn() -> R + Send + Sync + 'static,
    fine: Fine,
    patient: bool,
) -> BTreeSet<R> {
    let more = more();
    let tenfold = 10_usize.pow(u32::try_from(more).unwrap_or(u32::MAX));
    let (fine, coarse) = (Rules { fine, patient, ..FINE }, Rules { patient, ..COARSE });
    let mut search = Search::new(scenario);
    let outcome = search.rounds(coarse, usize::MAX, ENOUGH * tenfold).and_then(|()| {
        let seen = std::mem::take(&mut search.seen);
        search.in_depth(fine, bound + more)?;
        search.at_random(fine, THROWS * tenfold)?;
        Ok(seen)
    });
    match outcome {
        // Whatever the program can see at the fine grain it must be able to see at the coarse one: that is what
        // makes an operation a step.
        Ok(coarse) => assert!(search.seen.is_subset(&coarse), "coarse {coarse:?}, fine {:?}", search.seen),
        Err(report) => panic!("{report}"),
    }
    search.seen
}

/// How much to add to the bounds: `RADDLE_SCHEDULES`.
fn more() -> usize {
    std::env::var("RADDLE_SCHEDULES").ok().and_then(|more| more.parse().ok()).unwrap_or(0)
}

/// One scenario, with the threads on which it runs again and again, and what it returned so far.
pub(crate) struct Search<R> {
    scenario: Arc<dyn Fn() -> R + Send + Sync>,
    crew: Arc<Mutex<Crew>>,
    seen: BTreeSet<R>,
}

impl<R: Ord + Debug + Send + 'static> Search<R> {
    pub(crate) fn new(scenario: impl Fn() -> R + Send + Sync + 'static) -> Self {
        Self { scenario: Arc::new(scenario), crew: Arc::new(Mutex::new(Crew::new())), seen: BTreeSet::new() }
    }

    /// Every schedule with no preemption, with one, and so on up to `bound`.
    pub(crate) fn in_depth(&mut self, rules: Rules, bound: usize) -> Result<(), Report> {
        self.rounds(rules, bound, usize::MAX)
    }

    /// Rounds with no preemption, with one, and so on, until a round had `enough` executions or all there are.
    fn rounds(&mut self, rules: Rules, bound: usize, enough: usize) -> Result<(), Report> {
        for bound in 0..=bound {
            let (mut executions, mut course) = (0, Course::depth(bound));
            loop {
                course = self.perform(rules, course)?;
                executions += 1;
                if !course.advance() {
                    break;
                }
            }
            let all = if course.complete() { "all there are" } else { "more with more" };
            println!("{:?}, {bound} preemptions: {executions} executions, {all}", rules.fine);
            if course.complete() || executions >= enough {
                break;
            }
        }
        Ok(())
    }

    /// So many executions whose choices are thrown with dice.
    pub(crate) fn at_random(&mut self, rules: Rules, times: usize) -> Result<(), Report> {
        for seed in 0..times as u64 {
            self.perform(rules, Course::dice(seed))?;
        }
        Ok(())
    }

    /// The execution with these choices.
    pub(crate) fn again(&mut self, rules: Rules, choices: &[usize]) -> Result<(), Report> {
        self.perform(rules, Course::again(choices)).map(drop)
    }

    fn perform(&mut self, rules: Rules, course: Course) -> Result<Course, Report> {
        let value = Arc::new(Mutex::new(None));
        let body = {
            let (scenario, value) = (self.scenario.clone(), value.clone());
            Box::new(move || {
                let outcome = scenario();
                *value.lock().expect("nobody panics with this lock") = Some(outcome);
            })
        };
        let (course, report) = perform(&self.crew, rules, course, body);
        if let Some(report) = report {
            return Err(report);
        }
        let value = value.lock().expect("nobody panics with this lock").take();
        self.seen.extend(value);
        Ok(course)
    }
}
