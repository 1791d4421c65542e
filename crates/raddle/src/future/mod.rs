//! Results that are not there yet: [`Future`], [`Promise`], and waiting for many of them.
//!
//! A [`ThreadPoolExecutor`](crate::ThreadPoolExecutor) gives a [`Future`] for every task; a [`Promise`] is for
//! those who write executors of their own. [`wait`] and [`as_completed`] wait for several.

mod after;
mod completed;
mod crew;
mod depth;
mod error;
mod handle;
mod lend;
mod listen;
mod poll;
mod promise;
mod sleep;
mod state;
mod wait;

pub use completed::{AsCompleted, AsCompletedTimeout, UnfinishedError, as_completed, as_completed_timeout};
pub(crate) use crew::{CAN_FAIL, Crew, NOTHING, ROOM, enlist, home, new_home, of as crew_of};
pub(crate) use depth::{afresh, shallow};
pub use error::{FutureError, TaskPanic};
pub use handle::Future;
pub(crate) use listen::{DEADLOCK, SETTLED};
pub use promise::{CancelledError, Promise};
pub(crate) use state::{Core, Handle, Work, call_back, dead, note_dead, settled};
pub use wait::{ReturnWhen, wait, wait_deadline, wait_timeout};
