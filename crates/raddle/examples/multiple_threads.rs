//! Three threads in a list, joined in order.
//!
//! ```text
//! cargo run --example multiple_threads
//! ```
//!
//! Watch for: the joins return in the order 0, 1, 2, but the threads finish in any order. Run it a few times. The next
//! program, `executor`, does the same with less code.
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
    let mut threads = Vec::new();
    for index in 0..3 {
        info!("Main    : create and start thread {index}.");
        threads.push(Thread::new(move || thread_function(index)).start()?);
    }
    for (index, thread) in threads.into_iter().enumerate() {
        info!("Main    : before joining thread {index}.");
        thread.join()?;
        info!("Main    : thread {index} done");
    }
    Ok(())
}
