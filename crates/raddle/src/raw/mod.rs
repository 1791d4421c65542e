//! The building blocks of the primitives: a mutex without an owner, a spin lock, a value under either of them, a slot for
//! one item, and a queue of waiting threads.

mod guarded;
mod raw_mutex;
mod slot;
mod spin_lock;
mod wait_queue;

pub(crate) use guarded::{Guard, Guarded, MutexLock};
pub(crate) use raw_mutex::{RawMutex, ReleasedBy};
pub(crate) use slot::{Slot, SlotGuard};
pub(crate) use wait_queue::{WaitQueue, Waiter};
