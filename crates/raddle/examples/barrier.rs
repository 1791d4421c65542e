//! Threads that all initialise before any of them starts to work; and two barriers that break.
//!
//! ```text
//! cargo run --example barrier
//! ```
//!
//! Watch for: every `initialised` stands before the first `working`, although some threads take longer. Then two
//! barriers break, one by `abort` and one by a timeout. Their other threads get an error instead of waiting forever.
mod support;

use std::time::Duration;

use log::info;
use raddle::{Barrier, ThreadPoolExecutor, thread};

const THREADS: usize = 4;

fn thread_function(name: usize, start: &Barrier<'_>) {
    thread::sleep(Duration::from_millis(fastrand::u64(0..100)));
    info!("Thread {name}: initialised");
    match start.wait() {
        Ok(turn) => info!("Thread {name}: working (came as number {turn})"),
        Err(broken) => info!("Thread {name}: {broken}"),
    }
}

fn all_come() {
    let start = &Barrier::new(THREADS).action(|| info!("Barrier : all are here"));
    let executor = ThreadPoolExecutor::new(THREADS);
    executor.scope(|s| {
        for name in 0..THREADS {
            s.submit(move || thread_function(name, start));
        }
    });
}

fn one_gives_up() {
    let start = Barrier::new(2);
    thread::scope(|s| {
        s.spawn(|| thread_function(4, &start));
        thread::sleep(Duration::from_millis(150));
        info!("Main    : cannot initialise, aborts");
        start.abort();
    });
}

fn one_is_missing() {
    let start = Barrier::new(2).timeout(Duration::from_millis(100));
    if let Err(broken) = start.wait() {
        info!("Main    : no thread arrived within 0.1 s: {broken}");
    }
    start.reset();
    info!("Main    : broken after reset: {}", start.is_broken());
}

fn main() {
    support::log_to_stderr();
    all_come();
    one_gives_up();
    one_is_missing();
}
