//! Two threads increment the same value, without a lock or with one, under every relevant schedule.
//!
//! ```text
//! cargo run -p raddle-explore --example lost_update [-- fixed]
//! ```

use std::sync::Arc;

use raddle::{Mutex, Shared, Thread, trace};
use raddle_explore::{Explorer, check};

fn main() {
    match std::env::args().nth(1).as_deref() {
        None => println!("{}", Explorer::new().run(broken).expect_failure()),
        Some("fixed") => println!("{}", check(fixed)),
        Some(other) => eprintln!("{other:?} is unknown: try `fixed`"),
    }
}

fn broken() {
    let value = Arc::new(Shared::new(0)); // an unsynchronized cell that is memory-safe
    trace::name(&*value, "value");
    let threads = [0, 1].map(|index| {
        let value = value.clone();
        let update = move || value.set(value.get() + 1);
        Thread::new(update).name(format!("updater {index}")).start().unwrap()
    });
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(value.get(), 2);
}

fn fixed() {
    let value = Arc::new(Mutex::new(0));
    let threads = [0, 1].map(|_| {
        let value = value.clone();
        Thread::spawn(move || *value.lock() += 1)
    });
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(*value.lock(), 2);
}
