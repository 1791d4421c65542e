//! Waking, and reports of atomic accesses. Apart from the rest of the seam, because the termination of a thread needs
//! only these.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use super::op::Object;
use super::scheduler::{self, Scheduler};
use super::{binding, flags};
use crate::sys::os;
use crate::watch::wait_table;

/// Wakes up to `count` threads that are parked on `word`, and returns how many.
///
/// A thread that is about to park does not count: it finds the word changed.
///
/// # Examples
/// ```
/// use raddle::rt;
/// use std::sync::atomic::AtomicU32;
///
/// assert_eq!(rt::wake(&AtomicU32::new(0), 1), 0); // no thread is parked
/// ```
#[inline]
pub fn wake(word: &AtomicU32, count: u32) -> u32 {
    if flags::quiet() { os::wake(word, count) } else { observed_wake(word, count) }
}

/// Reports that the calling thread is about to access an atomic inside a primitive.
///
/// It is an operation of its own for a [fine-grained](Scheduler::fine_grained) scheduler only.
///
/// # Examples
/// ```
/// use raddle::rt;
/// use std::sync::atomic::{AtomicU32, Ordering::Release};
///
/// let word = AtomicU32::new(1);
/// rt::atom(&word);
/// word.store(0, Release);
/// ```
#[inline]
pub fn atom(word: &AtomicU32) {
    if !flags::quiet() {
        observed_atom(word);
    }
}

/// Like [`atom`], for a word on which one particular thread waits and that only notifies that thread.
///
/// # Examples
/// ```
/// use raddle::rt;
/// use std::sync::atomic::{AtomicU32, Ordering::Release};
///
/// let permit = AtomicU32::new(0); // of one waiter
/// rt::signal(&permit);
/// permit.store(1, Release);
/// rt::wake(&permit, 1);
/// ```
#[inline]
pub fn signal(word: &AtomicU32) {
    if !flags::quiet() {
        observed_signal(word);
    }
}

/// Reports that the current operation also changes `object`, in a way that commutes with every other such change.
///
/// The registry of threads is such an object: starts and terminations commute with each other, but not with
/// `enumerate`.
///
/// # Examples
/// ```
/// use raddle::rt::{self, Object};
///
/// static REGISTRY: [u8; 1] = [0];
/// rt::commutative_change(Object::of(&REGISTRY, "registry"));
/// ```
pub fn commutative_change(object: Object) {
    if let Some(scheduler) = scheduler::current() {
        scheduler.commutative_change(&object);
    }
}

#[cold]
fn observed_wake(word: &AtomicU32, count: u32) -> u32 {
    if let Some(scheduler) = scheduler::current() {
        return scheduler.wake(word, count);
    }
    if flags::watching() {
        wait_table::waking(word, count);
    }
    os::wake(word, count)
}

#[cold]
fn observed_atom(word: &AtomicU32) {
    let Some(scheduler) = fine_grained_scheduler() else { return };
    if binding::is_unobserved() {
        scheduler.signal(word); // no access of the program's, but a condition may depend on the word
    } else {
        scheduler.atom(word);
    }
}

#[cold]
fn observed_signal(word: &AtomicU32) {
    if let Some(scheduler) = fine_grained_scheduler() {
        scheduler.signal(word);
    }
}

fn fine_grained_scheduler() -> Option<Arc<dyn Scheduler>> {
    // The flag may have been raised by the scheduler of other threads.
    if flags::fine() { scheduler::current().filter(|scheduler| scheduler.fine_grained()) } else { None }
}
