//! Ends a test that hangs.
#![expect(clippy::disallowed_methods, reason = "this is below the seam: it must act when nothing else runs")]

use std::io::Write;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// Longer than any test here takes on a busy machine.
const LONG: Duration = Duration::from_mins(10);

/// Aborts the process after a long time. A panic does not suffice: the end of the program waits for the threads that
/// hang.
pub(crate) struct Watchdog(#[expect(dead_code, reason = "its end is what counts")] Sender<()>);

impl Watchdog {
    pub(crate) fn new() -> Self {
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        let (alive, bone) = channel();
        std::thread::spawn(move || {
            if bone.recv_timeout(LONG) == Err(RecvTimeoutError::Timeout) {
                // Written past the harness, which captures the output.
                let _ = writeln!(std::io::stderr(), "{test} hangs");
                std::process::abort();
            }
        });
        Self(alive)
    }
}
