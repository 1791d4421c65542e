//! Recordings: what each thread does, operation by operation.
//!
//! A [`Recording`] collects the operations of all threads on raddle's objects, in order: the thread, the object, the line,
//! and for a [`Shared`] cell the values. While no recording is active, this costs what the [runtime interface](crate::rt)
//! costs in any case, one predicted branch.
//!
//! Names and notes also appear in the reports of an explorer.
//!
//! # Examples
//! ```
//! use raddle::{Shared, Thread, trace};
//! use std::sync::Arc;
//!
//! let recording = trace::Recording::start();
//! let value = Arc::new(Shared::new(0));
//! let adder = Thread::new({ let value = value.clone(); move || value.set(value.get() + 1) }).name("adder");
//! adder.start()?.join()?;
//! let steps = recording.finish();
//! let values: Vec<_> = steps.iter().filter(|step| &*step.thread == "adder").filter_map(|step| step.value.as_deref()).collect();
//! assert_eq!(values, ["0", "0 → 1"]);
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

pub use crate::rt::{Kind, Object, Recording, Step, Visible, name, note};

/// Like [`name`], and sets the function by which recordings and reports show the items of the object.
///
/// Numbers, strings and some other types of the standard library are shown by their `Debug` in any case. Of another type
/// only the name is shown, because a container does not know whether its items implement `Debug`. Only the first call for
/// an object takes effect. It is not an operation of the program.
///
/// # Examples
/// ```
/// use raddle::{Queue, trace};
///
/// #[derive(Debug)]
/// struct Job { page: u32 }
///
/// let recording = trace::Recording::start();
/// let jobs = Queue::unbounded();
/// trace::name_with(&jobs, "jobs", |job: &Job| format!("{job:?}"));
/// jobs.put(Job { page: 7 }).unwrap();
/// let steps = recording.finish();
/// assert!(steps.iter().any(|step| step.value.as_deref() == Some("Job { page: 7 }")));
/// ```
pub fn name_with<C: Items>(
    object: &C,
    called: &str,
    text: impl Fn(&C::Item) -> String + Send + Sync + 'static,
) {
    name(object, called);
    object.show_items(text);
}

/// An object that passes items between threads: a queue.
pub trait Items: Visible {
    /// The type of the items.
    type Item;

    /// Sets the function by which observers show the items.
    #[doc(hidden)]
    fn show_items(&self, text: impl Fn(&Self::Item) -> String + Send + Sync + 'static);
}

impl<T, O: Order<T>> Items for BaseQueue<T, O> {
    type Item = T;

    fn show_items(&self, text: impl Fn(&T) -> String + Send + Sync + 'static) {
        self.show_items(text);
    }
}

impl<T> Items for SimpleQueue<T> {
    type Item = T;

    fn show_items(&self, text: impl Fn(&T) -> String + Send + Sync + 'static) {
        self.show_items(text);
    }
}

/// Implements [`Visible`] for objects that can be named.
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
