//! Runs a program of raddle's threads under every schedule that matters, and tells the one that breaks it.
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
//! })
//! .assert_exhausted();
//! ```
//!
//! The closure is ordinary code that uses raddle's types, as it ships: threads (daemons and scoped ones too), locks,
//! conditions, semaphores, events, barriers, timers, queues, pools, futures, `sleep`, [`raddle::Shared`] and
//! [`raddle::atomic`]. It is run again and again on real threads, of which one goes at a time, with a virtual clock.
//! A failure is a panic that a thread ends with, a panic that nobody collects, so that the excepthook would hear of it, a
//! call of [`std::process::exit`], a deadlock, threads that are left and wait for ever, a run without end, and, if asked
//! for, a data race. It makes [`check`] panic with a report: what each thread did, with lines and
//! values, which order of two steps decides, and a token with which the same schedule is run again:
//!
//! ```text
//! RADDLE_REPLAY=r2oe-1f0a77c2.9-3.1 cargo test no_update_is_lost
//! RADDLE_REPORT=target/reports      cargo test        # each failure as a page to step through, and as JSON
//! ```
//!
//! # What the closure has to keep to
//!
//! It must do the same after the same choices: no real clock, no random numbers without a seed, no state that outlives
//! an execution. Thread-locals are fresh in every thread, and dropped, as steps, when it terminates. A thread that is
//! blocked for good outside the toolkit, in a lock of the standard library held by another thread for example, is
//! reported within half a second on Linux; one that only does not come to its next step, after ten seconds. Memory is
//! sequentially consistent here: what weaker orders of atomics could do is not seen.
//!
//! A thread that the closure starts past the toolkit, by `std::thread` for example, is not explored. On Linux it is a
//! failure if such a thread touches an object of the toolkit that explored threads use. What it does to other memory, and
//! what explored threads do to memory outside the toolkit's types, is not seen; an exploration in which two threads
//! ran and never touched the same object does not count as exhausted (see [`Explorer::allow_independent`]).
//!
//! # What "every schedule" means
//!
//! [`Outcome::Exhausted`] says that every schedule was run, or one of which it differs only in the order of steps that
//! do not touch the same objects; one operation of the toolkit is one step ([`Grain`]). Every wait with a timeout may
//! time out at any moment, and a sleep may end at any moment, unless [`Time`] says otherwise; a yield may return at
//! once; the program may end before any step of a daemon.
//!
//! [`Outcome::Inconclusive`] says that a limit came first, or that schedules were left out: those in which a thread
//! looks at the same thing, or yields, more than eight times while no other thread takes a step, and those in which a
//! thread's waits time out more than eight times while others could proceed. A loop that polls is therefore
//! inconclusive at best, unless a schedule breaks it.
#![forbid(unsafe_code)]

mod crew;
mod exploration;
mod explorer;
mod hook;
mod observer;
mod outcome;
mod report;
mod search;
mod shrink;
mod stage;
mod strategy;
mod stuck;
mod token;

pub use explorer::Explorer;
#[doc(hidden)]
pub use observer::Ended;
pub use outcome::{Outcome, Survey};
pub use report::Report;
pub use stage::{Grain, Time};
pub use strategy::Strategy;

/// Runs `program` under every schedule that matters, with the defaults of [`Explorer`]; returns what that came to, if
/// none failed.
///
/// # Panics
/// If a schedule breaks the program, with the report.
#[track_caller]
pub fn check(program: impl Fn() + Send + Sync + 'static) -> Outcome {
    let outcome = Explorer::new().run(program).assert_no_failure();
    if matches!(outcome, Outcome::Exhausted { independent: true, .. }) {
        eprintln!("raddle: {}", outcome::INDEPENDENT);
    }
    outcome
}

/// Runs the schedule that a [report's token](Report::token) stands for, and no other; `token` may also be the name of a
/// file that holds it.
///
/// # Panics
/// If the program fails under it, with the report; if that is no token, or one of another program.
#[track_caller]
pub fn replay(token: &str, program: impl Fn() + Send + Sync + 'static) -> Outcome {
    Explorer::new().replay(token, program).assert_no_failure()
}
