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

pub use crate::barrier::Barrier;
pub use crate::condition::Condition;
pub use crate::event::Event;
pub use crate::lock::Lock;
pub use crate::mutex::Mutex;
pub use crate::pool::ThreadPoolExecutor;
pub use crate::queue::{LifoQueue, PriorityQueue, Queue, SimpleQueue};
pub use crate::reentrant::ReentrantMutex;
pub use crate::rlock::RLock;
pub use crate::semaphore::{BoundedSemaphore, Semaphore};
pub use crate::thread::{JoinHandle, Thread};
pub use crate::timer::Timer;
