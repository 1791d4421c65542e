//! Main waits for its thread, daemon or not.
//!
//! ```text
//! cargo run --example join_thread
//! cargo run --example join_thread -- daemon
//! ```
//!
//! Watch for: both runs take two seconds, and `Thread 1: finishing` stands before `Main    : all done`. A join waits for
//! either kind of thread.
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
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let daemon = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["daemon"] => true,
        _ => {
            eprintln!("join_thread: the only argument is \"daemon\", or none for an ordinary thread");
            std::process::exit(2);
        }
    };
    support::log_to_stderr();
    info!("Main    : before creating thread");
    let x = Thread::new(|| thread_function(1)).daemon(daemon);
    info!("Main    : before running thread");
    let x = x.start()?;
    info!("Main    : wait for the thread to finish");
    x.join()?;
    info!("Main    : all done");
    Ok(())
}
