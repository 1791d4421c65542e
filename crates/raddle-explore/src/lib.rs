//! Runs a program of raddle's threads under every schedule that matters.
//!
//! ```
//! use raddle::{Mutex, Thread};
//! use std::sync::Arc;
//!
//! raddle_explore::check(|| {
//!     let total = Arc::new(Mutex::new(0));
//!     let other = { let total = total.clone(); Thread::spawn(move || *total.lock() += 1) };
//!     *total.lock() += 1;
//!     other.join().unwrap();
//!     assert_eq!(*total.lock(), 2);
//! });
//! ```
#![forbid(unsafe_code)]
#![allow(dead_code, reason = "executions keep what the picture of a report will need")]
#![allow(clippy::similar_names, reason = "a stage has a state")]

mod crew;
mod explorer;
mod hook;
mod outcome;
mod report;
mod search;
mod stage;

pub use explorer::{Explorer, Strategy};
pub use outcome::{Outcome, Survey};
pub use report::Report;
pub use stage::{Grain, Time};

/// Runs `program` under every schedule that matters; returns what that came to, if none failed.
///
/// # Panics
/// If a schedule breaks the program, with the report.
#[track_caller]
pub fn check(program: impl Fn() + Send + Sync + 'static) -> Outcome {
    match Explorer::new().run(program) {
        Outcome::Failed(report) => panic!("{report}"),
        outcome => outcome,
    }
}
