//! Results that are not available yet: [`Future`] and [`Promise`].
//!
//! A [`ThreadPoolExecutor`](crate::ThreadPoolExecutor) returns a [`Future`] for each task. A [`Promise`] is the writing end
//! of a future, for other executors. [`wait()`] and [`as_completed`] wait for several futures.
//!
//! # Examples
//! ```
//! use raddle::{ReturnWhen, ThreadPoolExecutor, wait};
//!
//! let pool = ThreadPoolExecutor::new(2);
//! let futures = [pool.submit(|| 1), pool.submit(|| 2)];
//! let (done, pending) = wait(&futures, ReturnWhen::AllCompleted);
//! assert_eq!((done.len(), pending.len()), (2, 0));
//! ```

mod callback;
mod completed;
mod error;
mod handle;
mod promise;
mod state;
mod wait;

pub(crate) use callback::{DEADLOCK, SETTLED};
pub use completed::{AsCompleted, AsCompletedTimeout, UnfinishedError, as_completed, as_completed_timeout};
pub use error::{FutureError, TaskPanic};
pub use handle::Future;
pub use promise::{CancelledError, Promise};
pub(crate) use state::{
    FutureCore, Handle, MAY_FAIL, NO_TASK, QUEUE_SPACE, Work, WorkerContext, enter_worker, new_pool_id,
    note_stale, pool_id, run_callbacks, settled, stale_tasks, worker_of,
};
pub use wait::{ReturnWhen, wait, wait_deadline, wait_timeout};
