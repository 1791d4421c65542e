//! The building blocks of the primitives: a mutex without an owner, a value under a spin lock, a slot for one item, and a queue
//! of waiting threads.

mod raw_mutex;
mod slot;
mod spin_lock;
mod wait_queue;

pub(crate) use raw_mutex::{RawMutex, ReleasedBy};
pub(crate) use slot::{Slot, SlotGuard};
pub(crate) use spin_lock::{Guard, Guarded};
pub(crate) use wait_queue::{WaitQueue, Waiter};
