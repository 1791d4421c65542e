//! The producer and the consumer with a queue between them, which takes bursts, until an event ends them.
//!
//! ```text
//! cargo run --example prodcom_queue
//! RUST_LOG=debug cargo run --example prodcom_queue
//! ```
//!
//! Watch for: the consumer stores every number that the producer got, in the same order, including those that are
//! still in the queue when main sets the event. The size of the queue never exceeds 10.
//!
//! A consumer that checked the event and then the queue could miss a message, or block forever: between the two checks
//! the producer may put a message, or terminate. So only the producer checks the event. It shuts the pipeline down after its
//! last message, and the consumer stops when the pipeline is shut down and empty.
mod support;

use std::error::Error;
use std::time::Duration;

use log::{debug, info};
use raddle::queue::ShutDownError;
use raddle::{Event, Queue, ThreadPoolExecutor, thread};

struct Pipeline {
    queue: Queue<u32>,
}

impl Pipeline {
    fn new() -> Self {
        Self { queue: Queue::bounded(10) }
    }

    fn get_message(&self, name: &str) -> Result<u32, ShutDownError> {
        debug!("{name}:about to get from queue");
        let value = self.queue.get()?;
        debug!("{name}:got {value} from queue");
        Ok(value)
    }

    fn set_message(&self, value: u32, name: &str) -> Result<(), ShutDownError<u32>> {
        debug!("{name}:about to add {value} to queue");
        self.queue.put(value)?;
        debug!("{name}:added {value} to queue");
        Ok(())
    }
}

/// Pretends that it gets numbers from a network.
fn producer(pipeline: &Pipeline, event: &Event) -> Result<(), ShutDownError<u32>> {
    while !event.is_set() {
        let message = fastrand::u32(1..=101);
        info!("Producer got message: {message}");
        pipeline.set_message(message, "Producer")?;
    }
    info!("Producer received EXIT event. Exiting");
    pipeline.queue.shutdown();
    Ok(())
}

/// Pretends that it saves numbers in a database.
fn consumer(pipeline: &Pipeline) {
    while let Ok(message) = pipeline.get_message("Consumer") {
        info!("Consumer storing message: {message} (queue size={})", pipeline.queue.len());
    }
    info!("Consumer received EXIT event. Exiting");
}

fn main() -> Result<(), Box<dyn Error>> {
    support::log_to_stderr();
    let (pipeline, event) = (Pipeline::new(), Event::new());
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
