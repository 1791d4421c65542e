//! Waking and atoms, apart from the rest of the seam because the end of a thread needs only these.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use super::flags;
use super::op::Object;
use super::scheduler::{self, Scheduler};
use crate::sys::os;
use crate::watch::wait_table;

/// Wakes up to `count` threads parked on `word`; returns how many.
///
/// A thread that is about to park on the word does not count: it finds the word changed.
#[inline]
pub fn wake(word: &AtomicU32, count: u32) -> u32 {
    if flags::quiet() { os::wake(word, count) } else { observed_wake(word, count) }
}

/// Says that an atomic inside a primitive is about to be touched; a step at the fine grain only.
#[inline]
pub fn atom(word: &AtomicU32) {
    if !flags::quiet() {
        observed_atom(word);
    }
}

/// Like [`atom`], on a word by which one waiting thread is told to go on.
#[inline]
pub fn signal(word: &AtomicU32) {
    if !flags::quiet() {
        observed_signal(word);
    }
}

/// Says that the calling thread's step changes `object` in a way that commutes with every other such change.
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
    if let Some(scheduler) = hears_of_atoms() {
        scheduler.atom(word);
    }
}

#[cold]
fn observed_signal(word: &AtomicU32) {
    if let Some(scheduler) = hears_of_atoms() {
        scheduler.signal(word);
    }
}

fn hears_of_atoms() -> Option<Arc<dyn Scheduler>> {
    // The flag may be another scheduler's wish.
    if flags::fine() { scheduler::current().filter(|scheduler| scheduler.fine_grained()) } else { None }
}
