//! A thread takes a lock that it holds already, and so waits for ever; raddle says so.
//!
//! ```text
//! cargo run --example deadlock
//! RADDLE_WATCH=1 cargo run --release --example deadlock
//! ```
//!
//! Watch for: the second `acquire` never returns, so `acquired lock twice` never comes. But the program does
//! not hang: the watch reports which lock it is, on which line it was taken and on which it is awaited, and
//! ends the program with status 101. The watch is on in debug builds; `RADDLE_WATCH=1` turns it on in
//! release builds, `RADDLE_WATCH=0` turns it off (then this hangs: press Ctrl-C).
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
