//! The same as `single_thread`, but the thread is a daemon.
//!
//! ```text
//! cargo run --example daemon_thread
//! ```
//!
//! Watch for: `Thread 1: finishing` is never printed. The program ends when main returns, and abandons its daemons.
mod support;

use std::error::Error;
use std::time::Duration;

use log::info;
use raddle::{Thread, thread};

fn thread_function(name: usize) {
    info!("Thread {name}: starting");
    thread::sleep(Duration::from_secs(2));
    info!("Thread {name}: finishing");
}

fn main() -> Result<(), Box<dyn Error>> {
    support::log_to_stderr();
    info!("Main    : before creating thread");
    let x = Thread::new(|| thread_function(1)).daemon(true);
    info!("Main    : before running thread");
    let _running = x.start()?;
    info!("Main    : wait for the thread to finish");
    // _running.join()?;
    info!("Main    : all done");
    Ok(())
}
