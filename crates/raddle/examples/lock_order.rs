//! Two threads take two locks in opposite orders. This time nothing hangs; the watch warns that it can.
//!
//! ```text
//! RADDLE_WATCH=order cargo run --example lock_order
//! ```
//!
//! Watch for: the program ends well, since the second thread begins when the first one is over. All the same the
//! watch says which two lines of which threads contradict each other.
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
