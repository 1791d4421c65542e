//! Waking, apart from the rest of the seam because the end of a thread needs only this.

use std::sync::atomic::AtomicU32;

use super::{flags, os, under, watch};

/// Wakes up to `count` threads parked on `word`.
#[inline]
pub fn wake(word: &AtomicU32, count: u32) {
    if flags::quiet() {
        os::wake(word, count);
    } else {
        observed_wake(word, count);
    }
}

#[cold]
fn observed_wake(word: &AtomicU32, count: u32) {
    if let Some(scheduler) = under::scheduler() {
        return scheduler.wake(word, count);
    }
    if flags::watching() {
        watch::waking(word, count);
    }
    os::wake(word, count);
}
