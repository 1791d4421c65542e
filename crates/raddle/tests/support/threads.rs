//! Helpers of the tests of the watch: named threads, foreign threads, reports.
#![allow(dead_code, unreachable_pub, unused_macros, reason = "each test binary uses its own part of this")]

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use raddle::watch::{self, Report};
use raddle::{JoinHandle, Thread, thread};

/// Longer than the watch needs to prove a wait.
pub const LONG: Duration = Duration::from_millis(300);

/// Longer than two slices of a wait, so that a second report would arrive.
pub const TWO_SLICES: Duration = Duration::from_millis(2300);

/// Longer than anything takes on a busy machine.
pub const LIMIT: Duration = Duration::from_mins(4);

/// Starts a named thread.
pub fn named<T: Send + 'static>(name: &str, body: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    Thread::new(body).name(name).start().unwrap()
}

/// Starts a named daemon thread.
pub fn daemon(name: &str, body: impl FnOnce() + Send + 'static) {
    drop(Thread::new(body).name(name).daemon(true).start().unwrap());
}

/// Starts a thread that never waits, so that not all threads do.
pub fn busy_thread() {
    daemon("works", || {
        loop {
            thread::yield_now();
        }
    });
}

/// Starts a thread without raddle.
#[expect(clippy::disallowed_methods, reason = "the thread must be unknown to raddle")]
pub fn foreign(body: impl FnOnce() + Send + 'static) {
    drop(std::thread::spawn(body));
}

/// Sleeps without raddle.
#[expect(clippy::disallowed_methods, reason = "the sleep must be unknown to raddle")]
pub fn foreign_sleep(time: Duration) {
    std::thread::sleep(time);
}

/// Returns a channel for reports of the watch.
pub fn reports() -> Receiver<Report> {
    let (report, reports) = channel();
    watch::set_hook(move |found| report.send(found.clone()).unwrap());
    reports
}

/// Asserts that no report arrives during two slices.
#[track_caller]
pub fn nothing_more(reports: &Receiver<Report>) {
    if let Ok(report) = reports.recv_timeout(TWO_SLICES) {
        panic!("one report too many: {report}");
    }
}

/// Prints the line that the report must contain.
macro_rules! here {
    ($done:expr) => {{
        println!("{}", line!());
        $done
    }};
}
pub(crate) use here;
