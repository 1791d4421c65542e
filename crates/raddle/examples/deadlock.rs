//! A thread acquires a lock that it already holds. It blocks forever, and raddle reports the deadlock.
//!
//! ```text
//! cargo run --example deadlock
//! RADDLE_WATCH=1 cargo run --release --example deadlock
//! ```
//!
//! Watch for: the second `acquire` never returns, so `acquired lock twice` is never printed. But the program does
//! not hang: the watch reports the lock, the line on which it was acquired and the line on which the thread waits,
//! and ends the program with status 101. The watch is on in debug builds. `RADDLE_WATCH=1` turns it on in release
//! builds, and `RADDLE_WATCH=0` turns it off: then the program hangs until you press Ctrl-C.
mod support;

use log::info;
use raddle::Lock;

fn main() {
    support::log_to_stderr();
    let lock = Lock::new();
    info!("before first acquire");
    lock.acquire();
    info!("before second acquire");
    lock.acquire();
    info!("acquired lock twice");
}
