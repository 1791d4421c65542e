//! Pools of threads: [`ThreadPoolExecutor`].
//!
//! # Cost
//! A task and its future are one allocation; a small closure without a future needs none. A worker acquires the pool's lock
//! once for each task. A submission acquires it only if a worker may have to be woken or spawned; otherwise the task goes
//! into an injector, which has a lock of its own. Workers without a task spin for a while and then park, and are woken one
//! at a time.
//!
//! # Examples
//! ```
//! use raddle::ThreadPoolExecutor;
//!
//! let pool = ThreadPoolExecutor::new(4);
//! let sum = pool.submit(|| (1..=100).sum::<u32>());
//! assert_eq!(sum.result(), Ok(5050));
//! ```

mod error;
mod executor;
mod map;
mod scope;
mod small_closure;
mod state;
mod task;
mod task_queue;
mod worker;

pub use error::{BuildError, OwnWorkerError, SubmitError, ZeroBufferError};
pub use executor::{ShutdownMode, ThreadPoolBuilder, ThreadPoolExecutor};
pub use map::Map;
pub use scope::{ScopedFuture, TaskScope};
pub use task_queue::Priority;
