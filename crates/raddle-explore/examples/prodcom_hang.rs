//! The tutorial's last program, translated literally, can hang: the consumer checks the event and the queue, then the
//! producer stops, and the consumer waits for an item that is never put. `check` finds the schedule.
//!
//! ```text
//! cargo run -p raddle-explore --example prodcom_hang [-- fixed]
//! ```

use std::time::Duration;

use raddle::{Event, Queue, ThreadPoolExecutor, thread, trace};
use raddle_explore::{Explorer, check};

fn main() {
    match std::env::args().nth(1).as_deref() {
        None => println!("{}", Explorer::new().run(literal).expect_failure()),
        Some("fixed") => println!("{}", check(fixed)),
        Some(other) => eprintln!("{other:?} is unknown: try `fixed`"),
    }
}

fn producer(queue: &Queue<u32>, event: &Event) {
    let mut message = 0;
    while !event.is_set() {
        message += 1;
        queue.put(message).unwrap();
    }
}

fn consumer(queue: &Queue<u32>, event: &Event) {
    while !event.is_set() || !queue.is_empty() {
        queue.get().unwrap();
    }
}

fn literal() {
    let (pipeline, event) = (Queue::bounded(10), Event::new());
    trace::name(&pipeline, "pipeline");
    trace::name(&event, "event");
    let executor = ThreadPoolExecutor::new(2);
    executor.scope(|s| {
        s.submit(|| producer(&pipeline, &event));
        s.submit(|| consumer(&pipeline, &event));
        thread::sleep(Duration::from_millis(100));
        event.set();
    });
}

/// The producer shuts the queue down, and the consumer needs no event: its loop ends with the queue.
fn fixed() {
    let (pipeline, event) = (Queue::bounded(10), Event::new());
    let executor = ThreadPoolExecutor::new(2);
    executor.scope(|s| {
        s.submit(|| {
            producer(&pipeline, &event);
            pipeline.shutdown();
        });
        s.submit(|| pipeline.iter().for_each(drop));
        thread::sleep(Duration::from_millis(100));
        event.set();
    });
}
