//! Ten threads share three connections.
//!
//! ```text
//! cargo run --example semaphore
//! ```
//!
//! Watch for: the number of connections in use, which never exceeds 3, although ten threads request one at the same time.
//! A permit is released when it is dropped. At the end, the program releases a connection that it does not have, which a
//! bounded semaphore refuses.
mod support;

use std::time::Duration;

use log::info;
use raddle::{BoundedSemaphore, Mutex, thread};

static CONNECTIONS: BoundedSemaphore = BoundedSemaphore::new(3);
static IN_USE: Mutex<usize> = Mutex::new(0);

fn thread_function(name: usize) {
    info!("Thread {name}: wants a connection");
    let _permit = CONNECTIONS.acquire();
    count(name, "connected", 1);
    thread::sleep(Duration::from_millis(100));
    count(name, "leaves", -1);
}

/// Counts and logs under one lock, so that the lines are in the order of the counts.
fn count(name: usize, what: &str, change: isize) {
    let mut in_use = IN_USE.lock();
    *in_use = in_use.saturating_add_signed(change);
    info!("Thread {name}: {what} (connections in use: {in_use})", in_use = *in_use);
}

fn main() {
    support::log_to_stderr();
    thread::scope(|s| {
        for name in 0..10 {
            s.spawn(move || thread_function(name));
        }
    });
    info!("Main    : all threads done (connections in use: {})", *IN_USE.lock());
    if let Err(error) = CONNECTIONS.release() {
        info!("Main    : a release too many: {error}");
    }
    info!("Main    : connections free: {}", CONNECTIONS.available());
}
