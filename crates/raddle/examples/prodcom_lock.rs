//! A producer and a consumer with a pipeline between them, made of two locks, that holds one message.
//!
//! ```text
//! cargo run --example prodcom_lock
//! RUST_LOG=debug cargo run --example prodcom_lock
//! ```
//!
//! Watch for: the consumer stores all numbers that the producer got, in the same order. Each thread acquires its own
//! lock and releases the other one: a `Lock` can be released by any thread. `RUST_LOG=debug` shows how they alternate.
mod support;

use std::error::Error;

use log::{debug, info};
use raddle::{Lock, NotHeldError, Shared, thread};

/// A message of the pipeline: a number, or the sentinel `None` after the last one.
type Message = Option<u32>;

struct Pipeline {
    message: Shared<Message>,
    producer_lock: Lock,
    consumer_lock: Lock,
}

impl Pipeline {
    fn new() -> Self {
        let pipeline =
            Self { message: Shared::new(None), producer_lock: Lock::new(), consumer_lock: Lock::new() };
        pipeline.consumer_lock.acquire(); // nothing to consume yet
        pipeline
    }

    fn get_message(&self, name: &str) -> Result<Message, NotHeldError> {
        debug!("{name}:about to acquire getlock");
        self.consumer_lock.acquire();
        debug!("{name}:have getlock");
        let message = self.message.get();
        debug!("{name}:about to release setlock");
        self.producer_lock.release()?;
        debug!("{name}:setlock released");
        Ok(message)
    }

    fn set_message(&self, message: Message, name: &str) -> Result<(), NotHeldError> {
        debug!("{name}:about to acquire setlock");
        self.producer_lock.acquire();
        debug!("{name}:have setlock");
        self.message.set(message);
        debug!("{name}:about to release getlock");
        self.consumer_lock.release()?;
        debug!("{name}:getlock released");
        Ok(())
    }
}

/// Pretends that it gets numbers from a network.
fn producer(pipeline: &Pipeline) -> Result<(), NotHeldError> {
    for _ in 0..10 {
        let number = fastrand::u32(1..=101);
        info!("Producer got message: {number}");
        pipeline.set_message(Some(number), "Producer")?;
    }
    pipeline.set_message(None, "Producer")
}

/// Pretends that it saves numbers in a database.
fn consumer(pipeline: &Pipeline) -> Result<(), NotHeldError> {
    while let Some(number) = pipeline.get_message("Consumer")? {
        info!("Consumer storing message: {number}");
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    support::log_to_stderr();
    let pipeline = Pipeline::new();
    thread::scope(|s| {
        let producer = s.spawn(|| producer(&pipeline));
        let consumer = s.spawn(|| consumer(&pipeline));
        producer.join()??;
        consumer.join()??;
        Ok(())
    })
}
