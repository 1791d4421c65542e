//! Starting of threads, so that no fork happens while the standard library prepares or finishes one.
//!
//! The standard library acquires a lock of its own in each thread, before the function of the thread and after it, for its
//! report of stack overflows. A fork at that moment would leave the lock held in the child, which could then start no
//! thread. So a fork waits until no thread is in these sections, and threads wait for the fork before they enter one. This
//! covers the threads that are started here.

use std::cell::Cell;
use std::io;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::{Mutex, MutexGuard};

use super::fork::{Held, Listing, Quiesce, Rank, locked};
use crate::sys::os;

/// Starts a detached thread. The operating system may truncate its name.
pub(crate) fn spawn(name: &str, stack_size: Option<usize>, body: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    GATE.enter();
    let started = os::spawn(
        name,
        stack_size,
        Box::new(move || {
            GATE.leave();
            body();
            // Thread-locals are dropped in the reverse order of their first uses, so this one is dropped first.
            let _ = RETURNING.try_with(Returning::begin);
        }),
    );
    if started.is_err() {
        GATE.leave();
    }
    started
}

thread_local! {
    static RETURNING: Returning = const { Returning(Cell::new(false)) };
}

/// The section between the return of the thread's function and the drop of its first local.
struct Returning(Cell<bool>);

impl Returning {
    fn begin(&self) {
        GATE.enter();
        self.0.set(true);
    }
}

impl Drop for Returning {
    fn drop(&mut self) {
        if self.0.get() {
            GATE.leave();
        }
    }
}

static GATE: Gate = Gate { word: AtomicU32::new(0), forking: Mutex::new(()), listing: Listing::new() };

/// Counts the threads inside the standard library's sections.
struct Gate {
    /// The number of threads, with `CLOSED` while none may enter.
    word: AtomicU32,
    /// One fork at a time.
    forking: Mutex<()>,
    listing: Listing,
}

const CLOSED: u32 = 1 << 31;

impl Gate {
    fn enter(&'static self) {
        self.listing.list(self);
        let mut seen = self.word.load(Relaxed);
        loop {
            if seen & CLOSED != 0 {
                os::wait(&self.word, seen, None);
                seen = self.word.load(Relaxed);
            } else {
                match self.word.compare_exchange_weak(seen, seen + 1, Acquire, Relaxed) {
                    Ok(_) => return,
                    Err(now) => seen = now,
                }
            }
        }
    }

    fn leave(&self) {
        if self.word.fetch_sub(1, Release) - 1 == CLOSED {
            os::wake(&raw const self.word, u32::MAX);
        }
    }

    fn close(&'static self) -> Closed {
        let forking = locked(&self.forking);
        let mut seen = self.word.fetch_or(CLOSED, AcqRel) | CLOSED;
        while seen != CLOSED {
            os::wait(&self.word, seen, None);
            seen = self.word.load(Acquire);
        }
        Closed { gate: self, _forking: forking }
    }
}

impl Quiesce for Gate {
    fn rank(&self) -> Rank {
        Rank::Spawn
    }

    fn hold(&'static self, held: &mut Vec<Box<dyn Held>>) {
        held.push(Box::new(self.close()));
    }
}

/// A closed gate: no thread is inside, and none enters until this is dropped.
struct Closed {
    gate: &'static Gate,
    _forking: MutexGuard<'static, ()>,
}

impl Held for Closed {}

impl Drop for Closed {
    fn drop(&mut self) {
        self.gate.word.store(0, Release);
        os::wake(&raw const self.gate.word, u32::MAX);
    }
}
