//! The task queue of a pool, and the injector, by which tasks bypass the pool's lock.
//!
//! # Task queue
//! The tasks that wait, in FIFO order within each priority. Guarded by the pool's lock.
//!
//! # Injector
//! A submission must find out whether to wake or spawn a worker or to block, which takes the pool's lock, and the workers
//! acquire that for each task. While none of these can be necessary, the injector is open, and a task of priority 0 goes
//! there, under the injector's own lock. A worker acquires that one only when the task queue is empty, and takes all tasks
//! at once. This follows the two-lock queue.
//!
//! # Invariants
//! The pool's lock is acquired before the injector's. Whenever the pool's lock is free:
//!
//! 1. If the injector is open, [`may_use_injector`](super::state::PoolState::may_use_injector) holds. So a worker is awake
//!    that parks only after it has closed the injector and found it empty.
//! 2. If the injector is closed, it is empty.
//! 3. The tasks in the injector were submitted later than those of the same priority in the task queue.
//!
//! # Memory ordering
//! The count of the injector is a `Relaxed` hint. A submission that reads a stale count acquires a lock, under which it
//! reads the current state.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::task::QueuedTask;
use crate::raw::{Guard, Guarded};

/// The priority of a task: workers dequeue higher priorities first.
///
/// Tasks of the same priority are dequeued in FIFO order. The default is 0. A priority orders waiting tasks; it does not
/// preempt running ones.
///
/// # Examples
/// ```
/// use raddle::Priority;
///
/// assert!(Priority(1) > Priority::default() && Priority::default() > Priority(-1));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(pub i32);

/// An empty queue of more than this capacity is freed when a worker parks.
const MAX_IDLE_CAPACITY: usize = 4096;

/// The tasks that wait, guarded by the pool's lock.
pub(super) struct TaskQueue {
    /// The tasks of priority 0, which are nearly all.
    normal: VecDeque<QueuedTask>,
    /// The tasks of other priorities. No entry is empty.
    other: BTreeMap<Priority, VecDeque<QueuedTask>>,
    len: usize,
}

impl TaskQueue {
    pub(super) fn new() -> Self {
        Self { normal: VecDeque::new(), other: BTreeMap::new(), len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn push(&mut self, task: QueuedTask, priority: Priority) {
        self.len += 1;
        if priority == Priority(0) {
            self.normal.push_back(task);
        } else {
            self.other.entry(priority).or_default().push_back(task);
        }
    }

    /// Whether no task of priority 0 waits.
    pub(super) fn normal_is_empty(&self) -> bool {
        self.normal.is_empty()
    }

    /// Calls `fill` with the empty FIFO of priority 0.
    pub(super) fn refill(&mut self, fill: impl FnOnce(&mut VecDeque<QueuedTask>)) {
        fill(&mut self.normal);
        self.len += self.normal.len();
    }

    /// Appends tasks of priority 0, which were submitted later than those in the queue.
    pub(super) fn append(&mut self, mut tasks: VecDeque<QueuedTask>) {
        self.len += tasks.len();
        if self.normal.is_empty() {
            self.normal = tasks;
        } else {
            self.normal.append(&mut tasks);
        }
    }

    /// Frees memory that a burst of tasks has left.
    pub(super) fn shrink(&mut self) {
        if self.normal.is_empty() && self.normal.capacity() > MAX_IDLE_CAPACITY {
            self.normal = VecDeque::new();
        }
    }

    pub(super) fn pop(&mut self) -> Option<QueuedTask> {
        if self.len == 0 {
            return None;
        }
        self.len -= 1;
        if let Some(mut fifo) = self.other.last_entry()
            && (*fifo.key() > Priority(0) || self.normal.is_empty())
        {
            let task = fifo.get_mut().pop_front();
            if fifo.get().is_empty() {
                fifo.remove();
            }
            return task;
        }
        let task = self.normal.pop_front();
        if let Some(next) = self.normal.front() {
            next.prefetch();
        }
        task
    }

    /// Whether the task at `address` is in the queue.
    pub(super) fn contains(&self, address: usize) -> bool {
        self.normal.iter().chain(self.other.values().flatten()).any(|job| job.is_at(address))
    }

    /// Moves tasks that were cancelled, or run elsewhere, to `removed`.
    pub(super) fn remove_stale(&mut self, removed: &mut Vec<QueuedTask>) {
        self.take_out(|task| !task.is_pending(), removed);
    }

    /// Moves all tasks to `removed`.
    pub(super) fn clear(&mut self, removed: &mut Vec<QueuedTask>) {
        self.take_out(|_| true, removed);
    }

    /// Moves the tasks for which `out` returns `true` to `removed`.
    pub(super) fn take_out(&mut self, out: impl Fn(&QueuedTask) -> bool, removed: &mut Vec<QueuedTask>) {
        let before = removed.len();
        let mut split = |fifo: &mut VecDeque<QueuedTask>| {
            for _ in 0..fifo.len() {
                if let Some(task) = fifo.pop_front() {
                    // Its destructor must not run here, under the pool's lock.
                    if out(&task) { removed.push(task) } else { fifo.push_back(task) }
                }
            }
            !fifo.is_empty()
        };
        split(&mut self.normal);
        self.other.retain(|_, fifo| split(fifo));
        self.len -= removed.len() - before;
    }
}

/// Tasks that were submitted without the pool's lock; see [above](self).
///
/// In cache lines of its own, to avoid false sharing between submitting threads and workers.
#[repr(align(128))]
pub(super) struct Injector {
    /// The number of tasks, or `CLOSED`. A hint; `inner` decides.
    count: AtomicUsize,
    inner: Guarded<InjectorInner>,
}

const CLOSED: usize = usize::MAX;

struct InjectorInner {
    open: bool,
    tasks: VecDeque<QueuedTask>,
}

/// The locked injector, open for one task.
pub(super) struct InjectorGuard<'a> {
    count: &'a AtomicUsize,
    inner: Guard<'a, InjectorInner>,
}

impl InjectorGuard<'_> {
    /// Enqueues a task.
    #[inline]
    pub(super) fn push(mut self, task: QueuedTask) {
        self.inner.tasks.push_back(task);
        self.count.store(self.inner.tasks.len(), Relaxed);
    }
}

impl Injector {
    pub(super) fn closed() -> Self {
        let inner = InjectorInner { open: false, tasks: VecDeque::new() };
        Self { count: AtomicUsize::new(CLOSED), inner: Guarded::new(inner) }
    }

    /// Acquires the injector's lock, unless the injector is closed.
    #[inline]
    pub(super) fn lock_if_open(&self) -> Option<InjectorGuard<'_>> {
        if self.count.load(Relaxed) == CLOSED {
            return None; // only the holder of the pool's lock opens it
        }
        let inner = self.inner.lock();
        inner.open.then_some(InjectorGuard { count: &self.count, inner })
    }

    /// Whether there may be tasks, as a hint.
    pub(super) fn may_have_tasks(&self) -> bool {
        !matches!(self.count.load(Relaxed), 0 | CLOSED)
    }

    /// Exchanges the tasks for an empty queue.
    pub(super) fn swap(&self, empty: &mut VecDeque<QueuedTask>) {
        let mut inner = self.inner.lock();
        mem::swap(&mut inner.tasks, empty);
        self.count.store(inner.tasks.len(), Relaxed);
    }

    /// Opens the injector. Must be called with the pool's lock held.
    pub(super) fn open(&self) {
        let mut inner = self.inner.lock();
        inner.open = true;
        self.count.store(0, Relaxed);
    }

    /// Closes the injector and returns its tasks. Must be called with the pool's lock held, or in the pool's destructor.
    pub(super) fn close(&self) -> VecDeque<QueuedTask> {
        let mut inner = self.inner.lock();
        inner.open = false;
        self.count.store(CLOSED, Relaxed);
        mem::take(&mut inner.tasks)
    }
}
