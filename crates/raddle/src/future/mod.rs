//! Results that are not there yet: [`Future`], [`Promise`], and waiting for many of them.
//!
//! A [`ThreadPoolExecutor`](crate::ThreadPoolExecutor) gives a [`Future`] for every task; a [`Promise`] is for
//! those who write executors of their own. [`wait`] and [`as_completed`] wait for several.

mod callback;
mod completed;
mod error;
mod handle;
mod promise;
mod state;
mod wait;

pub(crate) use callback::{DEADLOCK, SETTLED, afresh, shallow};
pub use completed::{AsCompleted, AsCompletedTimeout, UnfinishedError, as_completed, as_completed_timeout};
pub use error::{FutureError, TaskPanic};
pub use handle::Future;
pub use promise::{CancelledError, Promise};
pub(crate) use state::{
    CAN_FAIL, Core, Crew, Handle, NOTHING, ROOM, Work, call_back, crew_of, dead, enlist, home, new_home,
    note_dead, settled,
};
pub use wait::{ReturnWhen, wait, wait_deadline, wait_timeout};
