//! The result of an exploration.

use std::fmt;

use crate::report::Report;

/// The result of an exploration.
///
/// # Examples
/// ```
/// use raddle_explore::{Explorer, Outcome};
///
/// match Explorer::new().run(|| drop(raddle::Thread::spawn(|| ()).join())) {
///     Outcome::Exhausted { classes, .. } => println!("correct under {classes} classes of schedules"),
///     Outcome::Failed(report) => panic!("{report}"),
///     other => println!("{other}"), // "inconclusive after 20000 executions"
/// }
/// ```
#[derive(Debug)]
#[must_use = "the outcome may be a failure, or inconclusive"]
pub enum Outcome {
    /// Every relevant schedule was run, and none failed. The [crate documentation](crate#exhausted) states exactly what
    /// that means.
    #[non_exhaustive]
    Exhausted {
        /// The number of classes of schedules. Schedules in different classes differ in the order of two conflicting
        /// steps. Depth-first search does not count them; the number is 0 then.
        classes: u64,
        /// The number of executions.
        executions: u64,
        /// Several threads ran, but no two of them accessed the same object, and
        /// [`allow_independent`](crate::Explorer::allow_independent) was not set: nothing was interleaved.
        independent: bool,
    },
    /// A limit was reached, or schedules were left out, and no execution failed.
    #[non_exhaustive]
    Inconclusive {
        /// The number of executions.
        executions: u64,
    },
    /// An execution failed.
    Failed(Box<Report>),
}

impl Outcome {
    /// Returns the outcome unless an execution failed.
    ///
    /// # Panics
    /// Panics with the report if an execution failed.
    ///
    /// # Examples
    /// ```
    /// use raddle_explore::Explorer;
    ///
    /// let outcome = Explorer::new().run(|| drop(raddle::Thread::spawn(|| ()).join()));
    /// println!("{}", outcome.assert_no_failure()); // accepts an inconclusive outcome, too
    /// ```
    #[track_caller]
    pub fn assert_no_failure(self) -> Self {
        match self {
            Outcome::Failed(report) => panic!("{report}"),
            outcome => outcome,
        }
    }

    /// Returns the report of a program that is expected to fail.
    ///
    /// # Panics
    /// Panics if no execution failed.
    ///
    /// # Examples
    /// ```
    /// use raddle_explore::Explorer;
    ///
    /// let report = Explorer::new().run(|| panic!("on purpose")).expect_failure();
    /// assert_eq!(report.kind(), "panic");
    /// ```
    #[track_caller]
    pub fn expect_failure(self) -> Box<Report> {
        match self {
            Outcome::Failed(report) => report,
            outcome => panic!("no execution failed: {outcome}"),
        }
    }

    /// Returns if every relevant schedule was run, and none failed.
    ///
    /// # Panics
    /// Panics with the report if an execution failed, and with the reason if the outcome is inconclusive or nothing was
    /// interleaved.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Event, Thread};
    /// use std::sync::Arc;
    ///
    /// raddle_explore::check(|| {
    ///     let ready = Arc::new(Event::new());
    ///     let setter = Thread::spawn({ let ready = ready.clone(); move || ready.set() });
    ///     ready.wait();
    ///     setter.join().unwrap();
    /// })
    /// .assert_exhausted();
    /// ```
    #[track_caller]
    pub fn assert_exhausted(self) {
        match self {
            Outcome::Exhausted { independent: false, .. } => {}
            Outcome::Exhausted { .. } => panic!("{INDEPENDENT}"),
            Outcome::Inconclusive { executions } => panic!(
                "the exploration is inconclusive after {executions} executions: not every schedule was run; raise \
                 `Explorer::max_executions` or `max_time`, make the program smaller, or use `assert_no_failure`; a loop that polls is never exhausted, \
                 so let it wait for an event or a condition instead"
            ),
            Outcome::Failed(report) => panic!("{report}"),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Exhausted { classes, executions, independent } => {
                f.write_str("exhausted: ")?;
                if *classes > 0 {
                    write!(f, "{}, ", counted(*classes, "class of schedules", "classes of schedules"))?;
                }
                f.write_str(&counted(*executions, "execution", "executions"))?;
                f.write_str(if *independent { "; nothing was interleaved" } else { "" })
            }
            Outcome::Inconclusive { executions } => {
                write!(f, "inconclusive after {}", counted(*executions, "execution", "executions"))
            }
            Outcome::Failed(report) => report.fmt(f),
        }
    }
}

fn counted(number: u64, singular: &str, plural: &str) -> String {
    format!("{number} {}", if number == 1 { singular } else { plural })
}

/// The message for a program in which nothing was interleaved.
pub(crate) const INDEPENDENT: &str = "no two threads accessed the same object, so nothing was interleaved; use raddle's threads, \
                                      locks and atomics instead of the standard library's, or set \
                                      `Explorer::allow_independent`";

/// The result of [`Explorer::survey`](crate::Explorer::survey): counts over all executions, failed ones included.
///
/// # Examples
/// ```
/// use raddle::{Event, Thread};
/// use raddle_explore::{Explorer, Strategy};
/// use std::sync::Arc;
///
/// let survey = Explorer::new().strategy(Strategy::Dpor).survey(|| {
///     let event = Arc::new(Event::new());
///     let setter = Thread::spawn({ let event = event.clone(); move || event.set() });
///     assert!(event.is_set(), "looked too early");
///     setter.join().unwrap();
/// });
/// assert!(survey.exhausted);
/// assert_eq!((survey.classes, survey.failures), (2, 1));
/// ```
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Survey {
    /// The number of classes of schedules that partial-order reduction ran; 0 if it ran none.
    pub classes: u64,
    /// The number of executions.
    pub executions: u64,
    /// The number of executions that failed.
    pub failures: u64,
    /// Whether every relevant schedule was run.
    pub exhausted: bool,
    /// Whether several threads ran, but no two of them accessed the same object.
    pub independent: bool,
    /// The report of the first failure.
    pub first: Option<Box<Report>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_displayed_in_words() {
        let exhausted = |classes, executions, independent| {
            Outcome::Exhausted { classes, executions, independent }.to_string()
        };
        assert_eq!(exhausted(2, 4, false), "exhausted: 2 classes of schedules, 4 executions");
        assert_eq!(
            exhausted(1, 1, true),
            "exhausted: 1 class of schedules, 1 execution; nothing was interleaved"
        );
        assert_eq!(exhausted(0, 6, false), "exhausted: 6 executions", "depth-first search counts no classes");
        assert_eq!(Outcome::Inconclusive { executions: 1 }.to_string(), "inconclusive after 1 execution");
    }
}
