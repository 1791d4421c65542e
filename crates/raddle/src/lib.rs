//! Python's threading toolkit for Rust.
#![deny(unsafe_code)]

mod barrier;
mod condition;
mod erase;
mod event;
pub mod future;
mod held;
pub mod host;
mod lock;
mod mutex;
pub mod pool;
pub mod queue;
mod raw;
mod reentrant;
mod rlock;
mod semaphore;
mod shared;
pub mod thread;
pub mod timer;
pub mod trace;

pub use barrier::{Barrier, BrokenBarrier};
pub use condition::Condition;
pub use event::Event;
pub use future::{
    Future, FutureError, Promise, ReturnWhen, as_completed, as_completed_timeout, wait, wait_deadline,
    wait_timeout,
};
pub use held::Held;
pub use lock::{Lock, LockGuard, NotHeld};
pub use mutex::{Mutex, MutexGuard};
pub use pool::{Priority, Shutdown, ThreadPoolExecutor};
pub use queue::{
    GetError, LifoQueue, PriorityQueue, PutError, Queue, ShutDown, SimpleQueue, TooManyTasksDone,
};
pub use reentrant::{ReentrantMutex, ReentrantMutexGuard};
pub use rlock::{NotOwner, RLock, RLockGuard};
pub use semaphore::{BoundedSemaphore, NoPermits, Permit, PermitError, Semaphore};
pub use shared::Shared;
pub use thread::{JoinHandle, Thread};
pub use timer::{Timer, TimerBuilder};
