//! Python's threading toolkit for Rust.
#![deny(unsafe_code)]

mod erase;
mod event;
pub mod host;
mod lock;
mod mutex;
mod raw;
mod reentrant;
mod rlock;
pub mod thread;

pub use event::Event;
pub use lock::{Lock, LockGuard, NotHeld};
pub use mutex::{Mutex, MutexGuard};
pub use reentrant::{ReentrantMutex, ReentrantMutexGuard};
pub use rlock::{NotOwner, RLock, RLockGuard};
pub use thread::{JoinHandle, Thread};
