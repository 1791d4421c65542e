//! What the tests of the watch have in common: threads with names, threads that raddle does not know, reports.
#![allow(dead_code, unreachable_pub, unused_macros, reason = "each test binary uses its own part of this")]

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use raddle::watch::{self, Report};
use raddle::{JoinHandle, Thread, thread};

/// Longer than the watch takes to be certain of a wait.
pub const LONG: Duration = Duration::from_millis(300);

/// Longer than two slices of a wait, so that what is said twice is heard.
pub const TWO_SLICES: Duration = Duration::from_millis(2300);

/// Longer than anything takes on a busy machine.
pub const LIMIT: Duration = Duration::from_mins(1);

/// A thread with a name.
pub fn named<T: Send + 'static>(name: &str, body: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    Thread::new(body).name(name).start().unwrap()
}

/// A thread with a name that the program does not wait for.
pub fn daemon(name: &str, body: impl FnOnce() + Send + 'static) {
    drop(Thread::new(body).name(name).daemon(true).start().unwrap());
}

/// A thread that never waits, so that not all threads do.
pub fn somebody_works() {
    daemon("works", || {
        loop {
            thread::yield_now();
        }
    });
}

/// A thread that raddle did not start.
#[expect(clippy::disallowed_methods, reason = "the thread must be unknown to raddle")]
pub fn foreign(body: impl FnOnce() + Send + 'static) {
    drop(std::thread::spawn(body));
}

/// A sleep that raddle does not know of.
#[expect(clippy::disallowed_methods, reason = "the sleep must be unknown to raddle")]
pub fn foreign_sleep(time: Duration) {
    std::thread::sleep(time);
}

/// What the watch finds from now on.
pub fn reports() -> Receiver<Report> {
    let (report, reports) = channel();
    watch::set_hook(move |found| report.send(found.clone()).unwrap());
    reports
}

/// Nothing is found while two slices run out.
#[track_caller]
pub fn nothing_more(reports: &Receiver<Report>) {
    if let Ok(report) = reports.recv_timeout(TWO_SLICES) {
        panic!("one report too many: {report}");
    }
}

/// Prints the line that the report must name.
macro_rules! here {
    ($done:expr) => {{
        println!("{}", line!());
        $done
    }};
}
pub(crate) use here;
