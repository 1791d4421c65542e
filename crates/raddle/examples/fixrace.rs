//! The program `racecond` repaired with a lock around reading, sleeping and writing.
//!
//! ```text
//! cargo run --example fixrace
//! RUST_LOG=debug cargo run --example fixrace
//! ```
//!
//! Watch for: the ending value is 2, every time. With `RUST_LOG=debug`, one thread at a time `has lock`, and the other
//! waits for it after `about to lock`.
mod support;

use std::time::Duration;

use log::{debug, info};
use raddle::{Lock, Shared, ThreadPoolExecutor, thread};

struct FakeDatabase {
    value: Shared<u32>,
    lock: Lock,
}

impl FakeDatabase {
    fn locked_update(&self, name: usize) {
        info!("Thread {name}: starting update");
        debug!("Thread {name} about to lock");
        {
            let _held = self.lock.lock();
            debug!("Thread {name} has lock");
            let mut local_copy = self.value.get();
            local_copy += 1;
            thread::sleep(Duration::from_millis(100));
            self.value.set(local_copy);
            debug!("Thread {name} about to release lock");
        }
        debug!("Thread {name} after release");
        info!("Thread {name}: finishing update");
    }
}

fn main() {
    support::log_to_stderr();
    let database = &FakeDatabase { value: Shared::new(0), lock: Lock::new() };
    info!("Testing locked update. Starting value is {}.", database.value.get());
    let executor = ThreadPoolExecutor::new(2);
    executor.scope(|s| {
        for index in 0..2 {
            s.submit(move || database.locked_update(index));
        }
    });
    info!("Testing locked update. Ending value is {}.", database.value.get());
}
