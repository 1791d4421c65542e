//! The tasks that wait: first in, first out, within each priority.
//!
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

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::task::Job;
use crate::raw::{Guard, Guarded};

/// How soon a task is taken: higher ones first, and those of one priority in the order of their submission.
///
/// Tasks submitted without one have priority 0. A priority decides which waiting task is next; it interrupts none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(pub i32);

/// A burst's memory is given back when it is over, if it was larger than this.
const KEPT: usize = 4096;

pub(super) struct Lanes {
    /// Priority 0, as nearly all tasks have it.
    usual: VecDeque<Job>,
    /// The others; no lane is empty.
    other: BTreeMap<Priority, VecDeque<Job>>,
    len: usize,
}

impl Lanes {
    pub(super) fn new() -> Self {
        Self { usual: VecDeque::new(), other: BTreeMap::new(), len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn push(&mut self, task: Job, priority: Priority) {
        self.len += 1;
        if priority == Priority(0) {
            self.usual.push_back(task);
        } else {
            self.other.entry(priority).or_default().push_back(task);
        }
    }

    /// Whether nothing of priority 0 waits.
    pub(super) fn usual_is_empty(&self) -> bool {
        self.usual.is_empty()
    }

    /// Lets `fill` put tasks of priority 0 into their lane, which is empty.
    pub(super) fn refill(&mut self, fill: impl FnOnce(&mut VecDeque<Job>)) {
        fill(&mut self.usual);
        self.len += self.usual.len();
    }

    /// Adds tasks of priority 0, which came later than those in their lane.
    pub(super) fn append(&mut self, mut tasks: VecDeque<Job>) {
        self.len += tasks.len();
        if self.usual.is_empty() {
            self.usual = tasks;
        } else {
            self.usual.append(&mut tasks);
        }
    }

    /// Gives a burst's memory back.
    pub(super) fn tidy(&mut self) {
        if self.usual.is_empty() && self.usual.capacity() > KEPT {
            self.usual = VecDeque::new();
        }
    }

    pub(super) fn pop(&mut self) -> Option<Job> {
        if self.len == 0 {
            return None;
        }
        self.len -= 1;
        if let Some(mut lane) = self.other.last_entry()
            && (*lane.key() > Priority(0) || self.usual.is_empty())
        {
            let task = lane.get_mut().pop_front();
            if lane.get().is_empty() {
                lane.remove();
            }
            return task;
        }
        let task = self.usual.pop_front();
        if let Some(next) = self.usual.front() {
            next.prefetch();
        }
        task
    }

    /// Whether the task at `address` waits.
    pub(super) fn contains(&self, address: usize) -> bool {
        self.usual.iter().chain(self.other.values().flatten()).any(|job| job.is_at(address))
    }

    /// Takes out the tasks that need not be run any more, into `dead`.
    pub(super) fn sweep(&mut self, dead: &mut Vec<Job>) {
        self.take_out(|task| !task.is_pending(), dead);
    }

    /// Takes out everything, into `dead`.
    pub(super) fn clear(&mut self, dead: &mut Vec<Job>) {
        self.take_out(|_| true, dead);
    }

    /// Takes out those that `out` says yes to, into `dead`.
    pub(super) fn take_out(&mut self, out: impl Fn(&Job) -> bool, dead: &mut Vec<Job>) {
        let before = dead.len();
        let mut sift = |lane: &mut VecDeque<Job>| {
            for _ in 0..lane.len() {
                if let Some(task) = lane.pop_front() {
                    // It is not dropped here, under the pool's lock.
                    if out(&task) { dead.push(task) } else { lane.push_back(task) }
                }
            }
            !lane.is_empty()
        };
        sift(&mut self.usual);
        self.other.retain(|_, lane| sift(lane));
        self.len -= dead.len() - before;
    }
}

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
