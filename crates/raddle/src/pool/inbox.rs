//! Where tasks come in while a worker is sure to look for them anyway.
//!
//! Who submits a task must otherwise find out whether somebody is to be woken, hired or waited for, which takes the
//! lock that the workers need for each task they take. While none of that can be, the inbox is open, and a task is
//! put there, under a lock that workers take only when they have nothing else to do: all that has come in is then
//! theirs. See `queue/sides.rs` for the same idea.
//!
//! The state's lock is taken before the inbox's. Whenever the state's lock is free:
//!
//! 1. If the inbox is open, [`State::looks_after_inbox`](super::state::State::looks_after_inbox) says yes. So a worker
//!    is awake that goes idle only after it has closed the inbox and found it empty.
//! 2. If the inbox is closed, it is empty.
//! 3. What is in the inbox came later than what waits in the lane of the same priority.

use std::collections::VecDeque;
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::job::Job;
use crate::raw::{Guard, Guarded};

/// In cache lines of its own, so that submitters and workers do not slow each other down.
#[repr(align(128))]
pub(super) struct Inbox {
    /// How many tasks are in it, or `CLOSED`. A hint: what counts is under the lock.
    count: AtomicUsize,
    inner: Guarded<Inner>,
}

const CLOSED: usize = usize::MAX;

struct Inner {
    open: bool,
    tasks: VecDeque<Job>,
}

/// The way in for one task, which is held open.
pub(super) struct Entry<'a> {
    count: &'a AtomicUsize,
    inner: Guard<'a, Inner>,
}

impl Entry<'_> {
    #[inline]
    pub(super) fn put(mut self, job: Job) {
        self.inner.tasks.push_back(job);
        self.count.store(self.inner.tasks.len(), Relaxed);
    }
}

impl Inbox {
    pub(super) fn closed() -> Self {
        let inner = Inner { open: false, tasks: VecDeque::new() };
        Self { count: AtomicUsize::new(CLOSED), inner: Guarded::new(inner) }
    }

    /// Lets a task in, unless the inbox is closed.
    #[inline]
    pub(super) fn enter(&self) -> Option<Entry<'_>> {
        if self.count.load(Relaxed) == CLOSED {
            return None; // what closed it can be undone by way of the state only
        }
        let inner = self.inner.lock();
        inner.open.then_some(Entry { count: &self.count, inner })
    }

    /// Whether there may be something in it, as a hint.
    pub(super) fn may_have_tasks(&self) -> bool {
        !matches!(self.count.load(Relaxed), 0 | CLOSED)
    }

    /// Exchanges all that has come in for `empty`, which is.
    pub(super) fn swap(&self, empty: &mut VecDeque<Job>) {
        let mut inner = self.inner.lock();
        mem::swap(&mut inner.tasks, empty);
        self.count.store(inner.tasks.len(), Relaxed);
    }

    /// Lets tasks come in from now on. To be called by the holder of the state's lock.
    pub(super) fn open(&self) {
        let mut inner = self.inner.lock();
        inner.open = true;
        self.count.store(0, Relaxed);
    }

    /// Lets no more tasks come in, and returns those that have.
    pub(super) fn close(&self) -> VecDeque<Job> {
        let mut inner = self.inner.lock();
        inner.open = false;
        self.count.store(CLOSED, Relaxed);
        mem::take(&mut inner.tasks)
    }
}
