//! Systematic concurrency testing: runs a test under every relevant interleaving of its threads, and shows the one that
//! fails.
//!
//! The test is ordinary code that uses [raddle]'s types as they ship. In production these types run on plain OS
//! threads. Under [`check`], the explorer schedules the threads: one runs at a time, and before every operation the explorer
//! chooses which thread takes the next step. It runs the test again and again, with a virtual clock, until it has seen
//! every relevant schedule or one fails.
//!
//! The [guide](_guide) has a first test, step by step, how to read a report, replay and CI, and tables for users of loom and
//! shuttle.
//!
//! # A test
//!
//! ```should_panic
//! use raddle::{Shared, Thread};
//! use std::sync::Arc;
//!
//! # /*
//! #[test]
//! # */
//! fn no_update_is_lost() {
//!     raddle_explore::check(|| {
//!         let count = Arc::new(Shared::new(0));
//!         let other = Thread::spawn({ let count = count.clone(); move || count.set(count.get() + 1) });
//!         count.set(count.get() + 1);
//!         other.join().unwrap();
//!         assert_eq!(count.get(), 2);
//!     })
//!     .assert_exhausted();
//! }
//! # no_update_is_lost();
//! ```
//!
//! # Its failure
//!
//! `check` panics with a report. The report lists the steps of the failing schedule, with values and source lines, and
//! marks the two steps whose order decides:
//!
//! ```text
//! thread "MainThread" panicked, at tests/counter.rs:11:9:
//!   assertion `left == right` failed
//!     left: 1
//!    right: 2
//!
//! found in execution 1 by a portfolio of strategies; 1 preemption (shrunk from 2)
//!
//!      1  MainThread                    starts thread "Thread-1 (no_update_is_lost)"  tests/counter.rs:8
//! *    2                                reads Shared 1: 0                             tests/counter.rs:9
//!        -- preempted: "MainThread" could have continued
//!      3  Thread-1 (no_update_is_lost)  reads Shared 1: 0                             tests/counter.rs:8
//! *    4                                writes Shared 1: 0 → 1                        tests/counter.rs:8
//!      5                                terminates                                    tests/counter.rs:8
//!      6  MainThread                    writes Shared 1: 1 → 1                        tests/counter.rs:9
//!      7                                joins thread "Thread-1 (no_update_is_lost)"   tests/counter.rs:10
//!      8                                reads Shared 1: 1                             tests/counter.rs:11
//!
//! * the order of these two steps decides: in the other order, the program does not fail in this way
//!
//! to replay this schedule: RADDLE_REPLAY=r2oe-9f493846.8-1.1 cargo test no_update_is_lost -- --exact
//! ```
//!
//! The token replays this schedule alone, under a debugger for example. With `RADDLE_REPORT=target/reports`, each failure
//! is also written as an HTML page to step through, and as JSON.
//!
//! With a [`raddle::Mutex`] around the count, the test passes: 2 classes of schedules are all there are.
//!
//! # Failures
//!
//! | kind | cause |
//! |---|---|
//! | panic | a thread terminates by a panic, or a panic reaches the excepthook |
//! | deadlock | no thread can make progress |
//! | threads left | the closure has returned, and the remaining threads can never make progress |
//! | livelock | an execution exceeds [`Explorer::max_steps`] |
//! | data race | two conflicting accesses of a [`raddle::Shared`] cell are unordered, with [`Explorer::races`] |
//! | exit | the closure calls [`std::process::exit`] |
//! | blocked outside | a thread blocks in something that is not raddle's |
//! | foreign thread | a thread that raddle did not spawn accesses an explored object |
//! | not repeatable | the same choices lead to different steps |
//! | too many threads | more threads are alive than the limit below |
//! | incorrect primitive | a primitive written on [`raddle::rt`] announces its state incorrectly |
//!
//! # Exhausted
//!
//! A *step* is one operation of the toolkit on an object, as [`Grain`] says. Two steps *conflict* if they access the same
//! object and at least one of them changes it. Two schedules are *equivalent* if one becomes the other by swapping
//! adjacent steps that do not conflict; equivalent schedules have the same outcome and form a *class*.
//!
//! [`Outcome::Exhausted`] states that at least one schedule of every class was run, and that none failed. It covers:
//!
//! - every choice of the next thread, at every step;
//! - every moment at which a timeout may expire or a sleep may end, as [`Time`] says; a yield that returns at once;
//! - the end of the program before any step of a daemon thread.
//!
//! It does **not** cover:
//!
//! - other inputs, more threads, or code that the test does not reach;
//! - weak memory: executions are sequentially consistent for every `Ordering` of an atomic access;
//! - memory and threads that the explorer does not observe, such as the standard library's atomics, locks and threads, and
//!   the reference counts of an `Arc`;
//! - time that passes while code runs: the clock advances when a sleep ends, when a wait times out, and while a thread
//!   polls it;
//! - preemption inside an operation, unless the grain is [`Grain::Atoms`];
//! - spurious wake-ups beyond those of [`Grain::Atoms`].
//!
//! An exploration in which several threads ran but no two of them accessed the same object sets `independent`, and
//! [`assert_exhausted`](Outcome::assert_exhausted) rejects it.
//!
//! [`Outcome::Inconclusive`] states that a limit was reached first, or that schedules were left out: those in which a
//! thread polls or yields more than eight times while no other thread takes a step, and those in which more than eight
//! waits of one thread time out while other threads are enabled. A polling loop is inconclusive at best.
//!
//! # Time
//!
//! The clock is virtual, so a `sleep` of an hour takes no time. Under [`Time::Explored`], the default, a timeout may
//! expire at any moment, which finds the code that trusts a timeout to be long enough. Under [`Time::Quiescent`], a
//! timeout expires only when nothing else can happen.
//!
//! # Requirements
//!
//! The closure must be deterministic: after the same choices it takes the same steps. It may not depend on the real clock,
//! on unseeded random numbers, or on state that survives an execution. Thread-locals are fresh in every thread, and
//! their destructors run as steps when the thread terminates.
//!
//! # Limits
//!
//! | limit | value |
//! |---|---|
//! | threads alive at the same time | 128 |
//! | executions, steps per execution, time | 20,000, 20,000, one minute; see [`Explorer`] |
//! | OS threads left behind by an exploration | none, except those of a failure `blocked outside`, and those that block for good in a destructor |
//! | detection of blocking outside the toolkit | half a second on Linux; [`Explorer::stuck_after`] elsewhere |
#![forbid(unsafe_code)]

pub mod _guide;
mod exploration;
mod explorer;
mod options;
mod outcome;
mod report;
mod runtime;
mod search;

pub use explorer::Explorer;
#[doc(hidden)]
pub use options::Ended;
pub use options::{Grain, Strategy, Time};
pub use outcome::{Outcome, Survey};
pub use report::Report;

/// Runs `program` under every relevant schedule, with the defaults of [`Explorer`], and returns the outcome if no
/// execution failed.
///
/// If nothing was interleaved, because no two threads accessed the same object, it writes a warning to standard error.
///
/// # Panics
/// Panics with the report if an execution fails.
///
/// # Examples
/// ```
/// use raddle::{Mutex, Thread};
/// use std::sync::Arc;
///
/// raddle_explore::check(|| {
///     let total = Arc::new(Mutex::new(0));
///     let other = { let total = total.clone(); Thread::spawn(move || *total.lock() += 1) };
///     *total.lock() += 1;
///     other.join().unwrap();
///     assert_eq!(*total.lock(), 2);
/// })
/// .assert_exhausted();
/// ```
#[track_caller]
pub fn check(program: impl Fn() + Send + Sync + 'static) -> Outcome {
    let outcome = Explorer::new().run(program).assert_no_failure();
    if matches!(outcome, Outcome::Exhausted { independent: true, .. }) {
        eprintln!("raddle: {}", outcome::INDEPENDENT);
    }
    outcome
}

/// Runs the schedule that a [report's token](Report::token) encodes, and no other.
///
/// `token` may also be the name of a file that contains the token.
///
/// # Panics
/// Panics with the report if the program fails. Panics if `token` is not a token, or is the token of another program.
///
/// # Examples
/// ```should_panic
/// # use raddle::{Shared, Thread};
/// # use std::sync::Arc;
/// # fn lost_update() {
/// #     let value = Arc::new(Shared::new(0));
/// #     let other = Thread::spawn({ let value = value.clone(); move || value.set(value.get() + 1) });
/// #     value.set(value.get() + 1);
/// #     other.join().unwrap();
/// #     assert_eq!(value.get(), 2, "an update was lost");
/// # }
/// # let token = &raddle_explore::Explorer::new().run(lost_update).expect_failure().token();
/// raddle_explore::replay(token, lost_update); // panics with the report
/// ```
#[track_caller]
pub fn replay(token: &str, program: impl Fn() + Send + Sync + 'static) -> Outcome {
    Explorer::new().replay(token, program).assert_no_failure()
}

/// The programs in the README are tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
