//! A race condition: two threads read a value, add one to what they read, and write it back.
//!
//! ```text
//! cargo run --example racecond
//! ```
//!
//! Watch for: two updates, but the ending value is 1. Both threads read 0 before either of them writes, so both write 1,
//! and one update is lost. `racecond_steps` shows it step by step, and `fixrace` repairs it.
//!
//! The sleep gives the other thread time to read. On a busy machine it may not suffice, so the two threads also meet after
//! the sleep, and an update is lost in every run. Without both, an update is lost now and then.
mod support;

use std::time::Duration;

use log::info;
use raddle::{Barrier, Shared, ThreadPoolExecutor, thread};

struct FakeDatabase {
    value: Shared<u32>,
    both_have_read: Barrier<'static>,
}

impl FakeDatabase {
    fn update(&self, name: usize) {
        info!("Thread {name}: starting update");
        let mut local_copy = self.value.get();
        local_copy += 1;
        thread::sleep(Duration::from_millis(100));
        self.both_have_read.wait().expect("the barrier is never broken");
        self.value.set(local_copy);
        info!("Thread {name}: finishing update");
    }
}

fn main() {
    support::log_to_stderr();
    let database = &FakeDatabase { value: Shared::new(0), both_have_read: Barrier::new(2) };
    info!("Testing update. Starting value is {}.", database.value.get());
    let executor = ThreadPoolExecutor::new(2);
    executor.scope(|s| {
        for index in 0..2 {
            s.submit(move || database.update(index));
        }
    });
    info!("Testing update. Ending value is {}.", database.value.get());
}
