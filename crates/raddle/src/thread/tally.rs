//! How many threads of a scope may still use what they borrow.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::host::{self, Duty, Kind, Op};

/// What a scope and its threads share.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// How many threads run, plus `LOST`.
    running: AtomicU32,
    /// The process in which they run, by its forks. A forked child does not have the threads of its parent.
    process: AtomicU32,
    panicked: AtomicBool,
}

/// A thread has called `exit`: it will run no more, but what it borrows must stay as long as the program does.
const LOST: u32 = 1 << 31;

impl Tally {
    /// Returns when no thread of the scope can use what it borrows.
    pub(super) fn wait(&self, op: Op) {
        if self.process.load(Ordering::Relaxed) != host::forks() {
            return;
        }
        host::point_until(op, None, &self.running, || {
            matches!(self.running.load(Ordering::Acquire), 0 | LOST..)
        });
        loop {
            host::atom(&self.running);
            match self.running.load(Ordering::Acquire) {
                0 => return,
                LOST.. => host::never_return(),
                running => host::wait(&self.running, running, None),
            };
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

/// A thread's place in the tally, for the case that the thread calls `exit`.
pub(super) struct Place {
    tally: Arc<Tally>,
    taken: AtomicBool,
    process: u32,
}

impl Place {
    /// Counts a thread as running until the returned value is dropped.
    pub(super) fn take(tally: &Arc<Tally>) -> Over {
        let process = host::forks();
        if tally.process.swap(process, Ordering::Relaxed) != process {
            tally.running.store(0, Ordering::Relaxed);
        }
        tally.running.fetch_add(1, Ordering::Relaxed);
        Over(Arc::new(Self { tally: tally.clone(), taken: AtomicBool::new(true), process }))
    }

    fn is_of_this_process(&self) -> bool {
        self.process == host::forks()
    }

    fn give_up(&self) {
        host::atom(&self.tally.running);
        if self.taken.swap(false, Ordering::Relaxed)
            && self.is_of_this_process()
            && self.tally.running.fetch_sub(1, Ordering::Release) == 1
        {
            host::wake(&self.tally.running, u32::MAX);
        }
    }
}

impl Duty for Place {
    fn abandon(&self) {
        if self.taken.swap(false, Ordering::Relaxed) && self.is_of_this_process() {
            host::atom(&self.tally.running);
            self.tally.running.fetch_or(LOST, Ordering::Release);
            host::wake(&self.tally.running, u32::MAX);
        }
    }
}

/// Dropped by the thread when its task and all that it borrows are gone.
pub(super) struct Over(Arc<Place>);

impl Over {
    pub(super) fn place(&self) -> Arc<Place> {
        self.0.clone()
    }
}

impl Drop for Over {
    fn drop(&mut self) {
        /// Happens even if a scheduler throws at the point.
        struct GiveUp<'a>(&'a Place);
        impl Drop for GiveUp<'_> {
            fn drop(&mut self) {
                self.0.give_up();
            }
        }
        let leaves = GiveUp(&self.0);
        if std::thread::panicking() {
            leaves.0.tally.panicked();
        }
        host::point(Op::new(&*leaves.0.tally, "thread scope", Kind::End).does("leaves"));
    }
}
