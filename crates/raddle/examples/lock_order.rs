//! Two threads acquire two locks in opposite orders. This time there is no deadlock, but the watch warns of it.
//!
//! ```text
//! RADDLE_WATCH=order cargo run --example lock_order
//! ```
//!
//! Watch for: the program completes, because the second thread starts when the first one has terminated. Nevertheless
//! the watch reports which lines of which threads acquire the locks in inconsistent orders.
use raddle::{Mutex, Thread};
use std::sync::Arc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let accounts = Arc::new((Mutex::new(100), Mutex::new(100)));
    let there = Thread::new({
        let accounts = accounts.clone();
        move || {
            let mut from = accounts.0.lock();
            let mut to = accounts.1.lock();
            *from -= 30;
            *to += 30;
        }
    });
    there.name("there").start()?.join()?;
    let back = Thread::new({
        let accounts = accounts.clone();
        move || {
            let mut from = accounts.1.lock();
            let mut to = accounts.0.lock();
            *from -= 10;
            *to += 10;
        }
    });
    back.name("back").start()?.join()?;
    println!("{} and {}", accounts.0.lock(), accounts.1.lock());
    Ok(())
}
