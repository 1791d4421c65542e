//! What the threads did, step by step.
//!
//! A [`Recording`] collects what each thread does with raddle's objects, in the order in which it happened: which
//! thread, which object, which line, and for a [`Shared`] cell the values. While none runs, this
//! costs what the [seam](crate::rt) costs in any case, one branch.
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

pub use crate::rt::{Kind, Object, Recording, Step, Visible, name, note};

/// Like [`name`], and has recordings and reports show the object's items by `text`.
///
/// Numbers, texts and a few other types of the standard library are shown anyway, by their `Debug`; of every other type
/// only the name is known, since Rust cannot ask whether it has a `Debug`. The first call for an object counts.
/// To an explorer this is no step.
///
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

/// An object through which items go from thread to thread.
pub trait Items: Visible {
    /// What it holds.
    type Item;

    /// Has observers see the items by `text`.
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
