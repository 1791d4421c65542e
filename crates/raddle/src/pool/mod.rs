//! Pools of threads that run tasks: [`ThreadPoolExecutor`].
//!
//! A worker takes the pool's lock once for each task. Who submits one takes it only when a worker may have to be woken
//! or started; otherwise the task goes into an inbox with a lock of its own. A task and its future are one allocation.
//! Workers that find nothing to do sleep, and are woken one at a time.

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
