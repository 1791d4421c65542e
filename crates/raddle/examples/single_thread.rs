//! One thread besides main, which is never joined.
//!
//! ```text
//! cargo run --example single_thread
//! ```
//!
//! Watch for: main is "all done" at once, but the program ends two seconds later, after `Thread 1: finishing`. A thread
//! that is not a daemon keeps its program alive.
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
    let x = Thread::new(|| thread_function(1));
    info!("Main    : before running thread");
    let _running = x.start()?;
    info!("Main    : wait for the thread to finish");
    // _running.join()?;
    info!("Main    : all done");
    Ok(())
}
