//! Helpers of the tests.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part of this")]

use std::time::Duration;

use raddle::thread::{self, JoinTimeoutError};
use raddle::{JoinHandle, Thread};

/// The timeout of a scenario, ample for valgrind on a busy machine.
pub const LIMIT: Duration = Duration::from_mins(10);

/// Runs a scenario `times` times, all within [`LIMIT`]; a hang is a failure, not a hung test run.
pub fn repeat(times: usize, scenario: impl Fn() + Send + 'static) {
    within_limit(move || (0..times).for_each(|_| scenario()));
}

/// Runs `body`, which must return within [`LIMIT`], and returns its result.
pub fn within_limit<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    let handle = Thread::new(body).daemon(true).start().expect("a thread for the test");
    finish(handle)
}

/// Joins a thread, which must terminate within [`LIMIT`]. Its panic is resumed.
pub fn finish<T>(handle: JoinHandle<T>) -> T {
    match handle.join_timeout(LIMIT) {
        Ok(value) => value,
        Err(JoinTimeoutError::TimedOut(handle)) => panic!("still running after {LIMIT:?}: {handle:?}"),
        Err(JoinTimeoutError::Failed(thread::JoinError::Panicked(panic))) => {
            std::panic::resume_unwind(panic.into_payload())
        }
        Err(JoinTimeoutError::Failed(error)) => panic!("{error}"),
    }
}

/// Yields to other threads until `condition` holds, which must happen within [`LIMIT`].
#[track_caller]
pub fn until(condition: impl Fn() -> bool) {
    let deadline = raddle::time::now() + LIMIT;
    while !condition() {
        assert!(raddle::time::now() < deadline, "the awaited state did not come about within {LIMIT:?}");
        thread::yield_now();
    }
}

/// Runs the tests of these modules once more with the watch off. With the watch on, threads park in slices, so that a lost
/// wake-up is only a delay.
pub fn again_without_the_watch(modules: &[&str]) {
    if cfg!(debug_assertions) && std::env::var_os("RADDLE_WATCH").is_none() {
        let mut again = std::process::Command::new(std::env::current_exe().expect("the test binary's path"));
        let output = again.args(modules).env("RADDLE_WATCH", "0").output().expect("it starts again");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

/// Runs `body` in a process of its own, in which no other test runs. `test` is the name of the test that calls this, with its modules.
#[track_caller]
pub fn alone(test: &str, body: impl FnOnce()) {
    const ALONE: &str = "RADDLE_TEST_ALONE";
    if std::env::var(ALONE).is_ok_and(|running| running == test) {
        return body();
    }
    let mut again = std::process::Command::new(std::env::current_exe().expect("the test binary's path"));
    let output = again.args(["--exact", test]).env(ALONE, test).output().expect("it starts again");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{out}{err}");
}
