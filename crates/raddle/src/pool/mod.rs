//! Pools of threads that run tasks: [`ThreadPoolExecutor`].
//!
//! A worker takes the pool's lock once for each task. Who submits one takes it only when a worker may have to be woken
//! or started; otherwise the task goes into an inbox with a lock of its own. A task and its future are one allocation.
//! Workers that find nothing to do sleep, and are woken one at a time.

mod after;
mod builder;
mod chore;
mod closing;
mod error;
mod executor;
mod inbox;
mod job;
mod lanes;
mod map;
mod scope;
mod seat;
mod shared;
mod state;
mod submit;
mod tally;
mod task;
mod worker;

pub use builder::ThreadPoolBuilder;
pub use closing::ShutdownMode;
pub use error::{BuildError, OwnWorkerError, SubmitError, ZeroBufferError};
pub use executor::ThreadPoolExecutor;
pub use lanes::Priority;
pub use map::Map;
pub use scope::{ScopedFuture, TaskScope};
