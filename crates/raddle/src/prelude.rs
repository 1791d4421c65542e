//! The types that most programs use, for a glob import.
//!
//! It leaves out [`Future`](crate::Future), whose name the standard prelude gives to a trait; modules; guards; and errors.
//!
//! # Examples
//! ```
//! use raddle::prelude::*;
//! use std::sync::Arc;
//!
//! let queue = Arc::new(Queue::bounded(10));
//! let consumer = Thread::spawn({
//!     let queue = queue.clone();
//!     move || queue.iter().sum::<i32>()
//! });
//! for item in 1..=4 {
//!     queue.put(item)?;
//! }
//! queue.shutdown();
//! assert_eq!(consumer.join()?, 10);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub use crate::{
    Barrier, BoundedSemaphore, Condition, Event, JoinHandle, LifoQueue, Lock, Mutex, PriorityQueue, Queue,
    RLock, ReentrantMutex, Semaphore, SimpleQueue, Thread, ThreadPoolExecutor, Timer,
};
