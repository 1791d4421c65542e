//! What the threads did, step by step.
//!
//! A [`Recording`] collects what each thread does with raddle's objects, in the order in which it happened: which
//! thread, which object, which line, and for a [`Shared`] cell the values. While none runs, this
//! costs what the [seam](crate::host) costs in any case, one branch.
//!
//! ```
//! use raddle::{Shared, Thread, trace};
//! use std::sync::Arc;
//!
//! let recording = trace::Recording::start();
//! let value = Arc::new(Shared::new(0));
//! Thread::new({ let value = value.clone(); move || value.set(value.get() + 1) }).name("adder").start()?.join()?;
//! let seen: Vec<_> = recording.finish().into_iter().filter(|step| &*step.thread == "adder").filter_map(|step| step.value).collect();
//! assert_eq!(seen, ["0", "0 → 1"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::atomic;
use crate::barrier::Barrier;
use crate::condition::Condition;
use crate::event::Event;
use crate::lock::Lock;
use crate::mutex::Mutex;
use crate::queue::{BaseQueue, Order, SimpleQueue};
use crate::reentrant::ReentrantMutex;
use crate::rlock::RLock;
use crate::semaphore::{BoundedSemaphore, Semaphore};
use crate::shared::Shared;

pub use crate::host::{Kind, Object, Recording, Step, Visible, name, note};

/// Says which objects can be named.
macro_rules! visible {
    ($($object:ty,)*) => { $(impl Visible for $object {})* };
}

visible! {
    Barrier<'_>, BoundedSemaphore, Condition, Event, Lock, RLock,
    Semaphore, atomic::AtomicBool, atomic::AtomicI8, atomic::AtomicI16,
    atomic::AtomicI32, atomic::AtomicIsize, atomic::AtomicU8, atomic::AtomicU16,
    atomic::AtomicU32, atomic::AtomicUsize,
}

#[cfg(target_has_atomic = "64")]
visible!(atomic::AtomicI64, atomic::AtomicU64,);

impl<T: ?Sized> Visible for Mutex<T> {}
impl<T: ?Sized> Visible for ReentrantMutex<T> {}
impl<T> Visible for Shared<T> {}
impl<T> Visible for atomic::AtomicPtr<T> {}
impl<T> Visible for SimpleQueue<T> {}
impl<T, O: Order<T>> Visible for BaseQueue<T, O> {}
