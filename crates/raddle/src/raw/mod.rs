//! What the primitives are made of: a lock without points, a value under it, a place for an item, and
//! lines of waiting threads.

mod guarded;
mod latch;
mod lock;
mod place;
mod waiters;

pub(crate) use guarded::{Guard, Guarded, Outer};
pub(crate) use lock::RawLock;
pub(crate) use place::{Open, Place};
pub(crate) use waiters::{Line, Waiter};
