//! Pools of threads that run tasks: [`ThreadPoolExecutor`].
//!
//! The pool's lock is taken once when a task is submitted and once when a worker takes it. A task and its future
//! are one allocation. Workers that find nothing to do sleep, and are woken one at a time.

mod after;
mod builder;
mod closing;
mod error;
mod executor;
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

pub use builder::Builder;
pub use closing::Shutdown;
pub use error::{BuildError, FromOwnWorker, SubmitError, ZeroBuffer};
pub use executor::ThreadPoolExecutor;
pub use lanes::Priority;
pub use map::Map;
pub use scope::{Scope, ScopedFuture};
