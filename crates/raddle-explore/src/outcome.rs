//! What an exploration comes to.

use crate::report::Report;

/// What an exploration came to.
#[derive(Debug)]
#[must_use = "an exploration that failed, or did not finish, says so here"]
pub enum Outcome {
    /// Every schedule that matters was run, and none failed. The first one was run again at the end, to see that the
    /// program repeats itself.
    Exhausted {
        /// How many classes of schedules there are, which differ in more than the order of unrelated steps.
        classes: u64,
        /// How often the program was run.
        executions: u64,
        /// Several threads ran, but no two of them ever touched the same object, and
        /// [`allow_independent`](crate::Explorer::allow_independent) was not set: nothing was interleaved.
        independent: bool,
    },
    /// A limit was reached before every schedule was run; none failed so far.
    Inconclusive {
        /// How often the program was run.
        executions: u64,
    },
    /// A schedule broke the program.
    Failed(Box<Report>),
}

impl Outcome {
    /// The outcome, unless a schedule broke the program.
    ///
    /// # Panics
    /// With the report, if one did.
    #[track_caller]
    pub fn assert_no_failure(self) -> Self {
        match self {
            Outcome::Failed(report) => panic!("{report}"),
            outcome => outcome,
        }
    }

    /// The report of a program that is broken on purpose.
    ///
    /// # Panics
    /// If no schedule broke it.
    #[track_caller]
    pub fn expect_failure(self) -> Box<Report> {
        match self {
            Outcome::Failed(report) => report,
            outcome => panic!("no schedule broke the program: {outcome:?}"),
        }
    }

    /// Returns if every schedule that matters was run and none failed.
    ///
    /// # Panics
    /// Otherwise, with the report or with what was not finished.
    #[track_caller]
    pub fn assert_exhausted(self) {
        match self {
            Outcome::Exhausted { independent: false, .. } => {}
            Outcome::Exhausted { .. } => panic!("{INDEPENDENT}"),
            Outcome::Inconclusive { executions } => panic!(
                "not every schedule was run: inconclusive after {executions} executions. Allow more of them or more time \
                 (`Explorer::max_executions`, `max_time`), make the program smaller, or do without `assert_exhausted`"
            ),
            Outcome::Failed(report) => panic!("{report}"),
        }
    }
}

/// Said of a program in which nothing was interleaved.
pub(crate) const INDEPENDENT: &str = "no two threads ever touched the same object, so nothing was interleaved. Does the program \
                                      use the standard library's threads, locks or atomics? Use raddle's, or say \
                                      `Explorer::allow_independent`";

/// What [`survey`](crate::Explorer::survey) saw.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Survey {
    /// How many classes of schedules partial-order reduction met.
    pub classes: u64,
    /// How often the program was run.
    pub executions: u64,
    /// How many executions failed.
    pub failures: u64,
    /// Every schedule that matters was run.
    pub exhausted: bool,
    /// Several threads ran, but no two of them ever touched the same object.
    pub independent: bool,
    /// The first failure.
    pub first: Option<Box<Report>>,
}
