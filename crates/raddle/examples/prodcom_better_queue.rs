//! The program `prodcom_queue` on the queue itself: a `Queue` does all that the pipeline did.
//!
//! ```text
//! cargo run --example prodcom_better_queue
//! ```
//!
//! Watch for: the same as in `prodcom_queue`. A `for` loop over a queue gets its messages until the queue is shut down
//! and empty.
mod support;

use std::error::Error;
use std::time::Duration;

use log::info;
use raddle::queue::ShutDownError;
use raddle::{Event, Queue, ThreadPoolExecutor, thread};

/// Pretends that it gets numbers from a network.
fn producer(queue: &Queue<u32>, event: &Event) -> Result<(), ShutDownError<u32>> {
    while !event.is_set() {
        let message = fastrand::u32(1..=101);
        info!("Producer got message: {message}");
        queue.put(message)?;
    }
    info!("Producer received EXIT event. Exiting");
    queue.shutdown();
    Ok(())
}

/// Pretends that it saves numbers in a database.
fn consumer(queue: &Queue<u32>) {
    for message in queue {
        info!("Consumer storing message: {message} (size={})", queue.len());
    }
    info!("Consumer received EXIT event. Exiting");
}

fn main() -> Result<(), Box<dyn Error>> {
    support::log_to_stderr();
    let (pipeline, event) = (Queue::bounded(10), Event::new());
    let executor = ThreadPoolExecutor::new(2);
    executor.scope(|s| {
        let producer = s.submit(|| producer(&pipeline, &event));
        let consumer = s.submit(|| consumer(&pipeline));
        thread::sleep(Duration::from_millis(100));
        info!("Main: about to set event");
        event.set();
        producer.result()??;
        consumer.result()?;
        Ok(())
    })
}
