//! The three threads of `multiple_threads` as a pool, without a list of threads and without joins.
//!
//! ```text
//! cargo run --example executor
//! ```
//!
//! Watch for: three starts, two seconds, three ends, and then `Main    : all done`. A pool waits for its threads when
//! it is dropped, at the end of its block. The results are in order, and contain the panic of a function, if any.
mod support;

use std::time::Duration;

use log::info;
use raddle::future::FutureError;
use raddle::{ThreadPoolExecutor, thread};

fn thread_function(name: usize) {
    info!("Thread {name}: starting");
    thread::sleep(Duration::from_secs(2));
    info!("Thread {name}: finishing");
}

fn main() -> Result<(), FutureError> {
    support::log_to_stderr();
    let results = {
        let executor = ThreadPoolExecutor::new(3);
        executor.map(0..3, thread_function)
    }; // here the pool waits for its threads
    info!("Main    : all done");
    results.collect()
}
