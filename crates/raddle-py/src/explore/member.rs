//! Which threads take part in the program that is being explored.

use std::cell::Cell;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use crate::ending::Protection;

thread_local! {
    /// The number of the calling thread in its execution, from 1, or 0 if it takes part in none.
    pub(super) static ME: Cell<u32> = const { Cell::new(0) };
}

/// The thread that ran last.
pub(super) static RUNNER: AtomicU32 = AtomicU32::new(0);

/// The number of the main thread.
pub(super) const MAIN: u32 = 1;

/// Returns whether the calling thread belongs to a program that is being explored.
pub(crate) fn is_explored() -> bool {
    ME.get() != 0
}

/// Marks the calling thread as a thread of the program, until it is dropped.
pub(super) struct Member(#[expect(dead_code, reason = "is dropped with it")] Protection);

impl Member {
    pub(super) fn new(number: u32) -> Self {
        let protection = Protection::new();
        ME.set(number);
        RUNNER.store(number, Relaxed);
        Self(protection)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        ME.set(0);
    }
}
