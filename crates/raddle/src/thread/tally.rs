//! How many threads of a scope have not terminated.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::rt::{self, Duty, Object, Op};

/// What a scope and its threads share.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// How many threads run, plus `LOST` and `AWAITED`.
    running: AtomicU32,
    /// The process in which they run, by its forks. A forked child does not have the threads of its parent.
    process: AtomicU32,
    panicked: AtomicBool,
}

/// A thread has called `exit`: it will run no more, but what it borrows must stay as long as the program does.
const LOST: u32 = 1 << 31;
/// A thread sleeps on the word, or is about to.
const AWAITED: u32 = 1 << 30;
const COUNT: u32 = AWAITED - 1;

impl Tally {
    /// Returns when every thread of the scope has terminated.
    pub(super) fn wait(&self, op: Op) {
        if self.process.load(Ordering::Relaxed) != rt::forks() {
            return;
        }
        rt::point_until(op, None, &self.running, || {
            let running = self.running.load(Ordering::Acquire);
            running & COUNT == 0 || running & LOST != 0
        });
        loop {
            rt::atom(&self.running);
            let running = self.running.load(Ordering::Acquire);
            if running & LOST != 0 {
                rt::never_return();
            }
            if running & COUNT == 0 {
                return;
            }
            rt::atom(&self.running);
            let waits = self.running.compare_exchange(
                running,
                running | AWAITED,
                Ordering::Acquire,
                Ordering::Acquire,
            );
            if waits.is_ok() {
                rt::wait(&self.running, running | AWAITED, None);
            }
        }
    }

    /// A thread panicked, and nobody joined it.
    pub(super) fn panicked(&self) {
        self.panicked.store(true, Ordering::Relaxed);
    }

    /// To be asked after the wait.
    pub(super) fn has_panicked(&self) -> bool {
        self.panicked.load(Ordering::Relaxed)
    }
}

/// A thread's place in the tally, which is given up when the thread terminates.
pub(super) struct Place {
    tally: Arc<Tally>,
    taken: AtomicBool,
    /// The thread's function and all that it borrows are gone. What is left of the thread are its thread-locals.
    done: AtomicBool,
    /// The thread has begun to run, and so it will terminate.
    begun: AtomicBool,
    process: u32,
}

impl Place {
    /// Counts a thread that is about to be started as running.
    pub(super) fn take(tally: &Arc<Tally>) -> Arc<Self> {
        let process = rt::forks();
        if tally.process.swap(process, Ordering::Relaxed) != process {
            tally.running.store(0, Ordering::Relaxed);
        }
        tally.running.fetch_add(1, Ordering::Relaxed);
        let (taken, done, begun) = (AtomicBool::new(true), AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Self { tally: tally.clone(), taken, done, begun, process })
    }

    /// The thread has terminated, or never will have run.
    fn give_up(&self) {
        if self.is_left() {
            rt::tally(Object::of(&*self.tally, "thread scope"));
            rt::signal(&self.tally.running); // nobody but the scope waits for it
            // Release: what the thread did happens before the end of the scope.
            let before = self.tally.running.fetch_sub(1, Ordering::Release);
            if before & COUNT == 1 && before & AWAITED != 0 {
                rt::wake(&self.tally.running, u32::MAX);
            }
        }
    }

    fn is_left(&self) -> bool {
        self.taken.swap(false, Ordering::Relaxed) && self.process == rt::forks()
    }
}

impl Duty for Place {
    /// The thread has terminated, or has called `exit`: its function may not have returned then.
    fn abandon(&self) {
        if self.done.load(Ordering::Acquire) {
            self.give_up();
        } else if self.is_left() {
            rt::atom(&self.tally.running);
            self.tally.running.fetch_or(LOST, Ordering::Release);
            rt::wake(&self.tally.running, u32::MAX);
        }
    }
}

/// Dropped when the thread's task and all that it borrows are gone.
pub(super) struct Done(pub(super) Arc<Place>);

impl Done {
    /// To be called by the thread, before its task.
    pub(super) fn begins(&self) {
        self.0.begun.store(true, Ordering::Relaxed);
    }
}

impl Drop for Done {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.tally.panicked();
        }
        self.0.done.store(true, Ordering::Release);
        if !self.0.begun.load(Ordering::Relaxed) {
            self.0.give_up(); // it could not be started
        }
    }
}
