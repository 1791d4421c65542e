//! What the threads did, step by step.
//!
//! A [`Recording`] collects what each thread does with raddle's objects, in the order in which it happened: which
//! thread, which object, which line, and for a [`Shared`](crate::Shared) cell the values. While none runs, this
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

use crate::queue::{BaseQueue, Order};

pub use crate::host::{Kind, Object, Recording, Step, Visible, name, note};

/// Says which objects can be named.
macro_rules! visible {
    ($($object:ty,)*) => { $(impl Visible for $object {})* };
}

visible! {
    crate::Barrier<'_>, crate::BoundedSemaphore, crate::Condition, crate::Event, crate::Lock, crate::RLock,
    crate::Semaphore, crate::atomic::AtomicBool, crate::atomic::AtomicI8, crate::atomic::AtomicI16,
    crate::atomic::AtomicI32, crate::atomic::AtomicIsize, crate::atomic::AtomicU8, crate::atomic::AtomicU16,
    crate::atomic::AtomicU32, crate::atomic::AtomicUsize,
}

#[cfg(target_has_atomic = "64")]
visible!(crate::atomic::AtomicI64, crate::atomic::AtomicU64,);

impl<T: ?Sized> Visible for crate::Mutex<T> {}
impl<T: ?Sized> Visible for crate::ReentrantMutex<T> {}
impl<T> Visible for crate::Shared<T> {}
impl<T> Visible for crate::SimpleQueue<T> {}
impl<T, O: Order<T>> Visible for BaseQueue<T, O> {}
