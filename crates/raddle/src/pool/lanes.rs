//! The tasks that wait: first in, first out, within each priority.

use std::collections::{BTreeMap, VecDeque};

use super::job::Job;

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
