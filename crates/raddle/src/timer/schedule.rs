//! The timers of a program by their due times: a binary heap of keys into a slab of timers.
//!
//! A cancelled timer leaves the slab at once and its entry in the heap behind. The entry is removed when it reaches the
//! top, or when such entries are more than half of the heap. A cancel therefore needs no search, and cancelled timers
//! do not accumulate.
//!
//! The schedule never runs or drops a timer's function, because its caller holds a lock: timers that leave are returned.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::task::{Due, TimerTask};

/// The phases of a scheduled timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// In the heap.
    Waiting,
    /// Due, and in the ready queue.
    Ready,
    Running,
    /// Running for the last time.
    LastRun,
}

struct ScheduledTimer {
    task: Arc<TimerTask>,
    due: Due,
    phase: Phase,
}

/// Ordered by due time, then by number, which is the order in which the timers were started.
type HeapEntry = (Due, TimerKey);

/// The outcome of a cancellation.
pub(super) enum CancelOutcome {
    /// The function had not started. The timer is returned.
    Removed(Arc<TimerTask>),
    /// The function is running, and will not run again.
    LastRun,
    /// The timer has finished, was cancelled before, or is running for the last time.
    TooLate,
}

/// A timer that a runner has taken.
pub(super) struct ClaimedTimer {
    pub(super) key: TimerKey,
    pub(super) task: Arc<TimerTask>,
    pub(super) due: Instant,
}

#[derive(Default)]
pub(super) struct Schedule {
    /// The number of the last timer.
    last_number: u64,
    timers: Slab<ScheduledTimer>,
    heap: BinaryHeap<Reverse<HeapEntry>>,
    /// The number of entries in the heap whose timers have not been cancelled.
    waiting: usize,
    /// Timers that are due, in the order of due times. Some may have been cancelled.
    ready_queue: VecDeque<TimerKey>,
    /// The number of keys in the ready queue whose timers have not been cancelled.
    ready: usize,
}

/// The capacity up to which memory is not freed.
const MIN_CAPACITY: usize = 512;

impl Schedule {
    pub(super) fn insert(&mut self, task: Arc<TimerTask>, due: Due) -> TimerKey {
        self.last_number += 1;
        task.set_number(self.last_number);
        let key = self.timers.insert(self.last_number, ScheduledTimer { task, due, phase: Phase::Waiting });
        self.push(key, due);
        key
    }

    /// Returns when the next waiting timer is due.
    pub(super) fn first(&mut self) -> Option<Due> {
        while let Some(Reverse((due, key))) = self.heap.peek() {
            if self.timers.contains(*key) {
                return Some(*due);
            }
            self.heap.pop();
        }
        None
    }

    /// Moves up to `limit` timers that are due at `now` to the ready queue.
    pub(super) fn make_ready(&mut self, now: Instant, limit: usize) {
        for _ in 0..limit {
            if self.first().is_none_or(|due| due > Due::At(now)) {
                return;
            }
            if let Some(Reverse((_, key))) = self.heap.pop()
                && let Some(timer) = self.timers.get_mut(key)
            {
                timer.phase = Phase::Ready;
                self.waiting -= 1;
                self.ready += 1;
                self.ready_queue.push_back(key);
            }
        }
    }

    /// Returns the number of timers that are ready.
    pub(super) fn ready(&self) -> usize {
        self.ready
    }

    /// Returns the number of timers that are waiting or ready.
    pub(super) fn pending(&self) -> usize {
        self.waiting + self.ready
    }

    /// Returns the first ready timer.
    pub(super) fn next(&mut self) -> Option<Arc<TimerTask>> {
        while let Some(key) = self.ready_queue.front() {
            if let Some(timer) = self.timers.get_mut(*key) {
                return Some(timer.task.clone());
            }
            self.ready_queue.pop_front();
        }
        None
    }

    /// Takes the first ready timer if it is still `task`.
    pub(super) fn claim(&mut self, task: &Arc<TimerTask>) -> Option<ClaimedTimer> {
        let next = self.next()?;
        if !Arc::ptr_eq(&next, task) {
            return None;
        }
        let key = self.ready_queue.pop_front()?;
        self.ready -= 1;
        let timer = self.timers.get_mut(key)?;
        timer.phase = Phase::Running;
        match timer.due {
            Due::At(due) => Some(ClaimedTimer { key, task: next, due }),
            Due::Never => unreachable!("a timer that is never due does not become ready"),
        }
    }

    pub(super) fn cancel(&mut self, key: TimerKey) -> CancelOutcome {
        let Some(timer) = self.timers.get_mut(key) else {
            return CancelOutcome::TooLate;
        };
        match timer.phase {
            Phase::Waiting => self.waiting -= 1,
            Phase::Ready => self.ready -= 1,
            Phase::Running if timer.task.period().is_some() => {
                timer.phase = Phase::LastRun;
                return CancelOutcome::LastRun;
            }
            Phase::Running | Phase::LastRun => return CancelOutcome::TooLate,
        }
        let outcome = self.remove(key).map_or(CancelOutcome::TooLate, CancelOutcome::Removed);
        self.compact();
        outcome
    }

    /// Ends a run, and returns whether the timer is scheduled again, for `next`. Otherwise it has left the schedule.
    pub(super) fn ran(&mut self, key: TimerKey, next: Option<Due>) -> bool {
        if let Some(timer) = self.timers.get_mut(key)
            && timer.phase == Phase::Running
            && let Some(due) = next
        {
            timer.task.clear_runner();
            timer.phase = Phase::Waiting;
            timer.due = due;
            self.push(key, due);
            return true;
        }
        // The runner has a reference to the timer as well, so this does not drop its function.
        self.remove(key);
        false
    }

    fn push(&mut self, key: TimerKey, due: Due) {
        self.waiting += 1;
        self.heap.push(Reverse((due, key)));
    }

    fn remove(&mut self, key: TimerKey) -> Option<Arc<TimerTask>> {
        let timer = self.timers.remove(key)?;
        if self.timers.is_empty() {
            self.clear();
        }
        Some(timer.task)
    }

    /// Clears the heap and the ready queue, in which only entries of cancelled timers are left.
    fn clear(&mut self) {
        self.timers.shrink(MIN_CAPACITY);
        self.heap.clear();
        self.heap.shrink_to(MIN_CAPACITY);
        self.ready_queue.clear();
        self.ready_queue.shrink_to(MIN_CAPACITY);
    }

    /// Removes the entries of cancelled timers once they are more than half of the heap.
    fn compact(&mut self) {
        if self.heap.len() > MIN_CAPACITY && self.heap.len() > 2 * self.waiting {
            let timers = &self.timers;
            self.heap.retain(|Reverse((_, key))| timers.contains(*key));
            self.heap.shrink_to(2 * self.waiting.max(MIN_CAPACITY));
        }
    }
}

/// A key of the slab. The index is reused, the number is not. Keys are ordered by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TimerKey {
    number: u64,
    index: u32,
}

/// Values under keys that stay invalid once their value has been removed.
struct Slab<T> {
    values: Vec<Option<(u64, T)>>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { values: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    /// Inserts `value` under a `number` that no other value has had.
    fn insert(&mut self, number: u64, value: T) -> TimerKey {
        let index = self.free.pop().unwrap_or_else(|| {
            self.values.push(None);
            u32::try_from(self.values.len() - 1).expect("memory is exhausted before four billion values")
        });
        self.values[index as usize] = Some((number, value));
        TimerKey { number, index }
    }

    fn get_mut(&mut self, key: TimerKey) -> Option<&mut T> {
        let (number, value) = self.values.get_mut(key.index as usize)?.as_mut()?;
        (*number == key.number).then_some(value)
    }

    fn contains(&self, key: TimerKey) -> bool {
        let value = self.values.get(key.index as usize).and_then(Option::as_ref);
        value.is_some_and(|(number, _)| *number == key.number)
    }

    fn remove(&mut self, key: TimerKey) -> Option<T> {
        self.get_mut(key)?;
        let (_, value) = self.values[key.index as usize].take()?;
        self.free.push(key.index);
        Some(value)
    }

    fn is_empty(&self) -> bool {
        self.free.len() == self.values.len()
    }

    /// Shrinks an empty slab to `capacity`.
    fn shrink(&mut self, capacity: usize) {
        debug_assert!(self.is_empty(), "keys of remaining values would become valid for others");
        self.values.clear();
        self.values.shrink_to(capacity);
        self.free.clear();
        self.free.shrink_to(capacity);
    }

    #[cfg(test)]
    fn capacity(&self) -> usize {
        self.values.capacity().max(self.free.capacity())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use super::super::task::{Due, OnceFn, TimerSettings, TimerTask};
    use super::{CancelOutcome, MIN_CAPACITY, Schedule, TimerKey};
    use crate::rt::Place;

    fn insert(schedule: &mut Schedule, due: Option<Instant>) -> TimerKey {
        let settings =
            TimerSettings { name: None, daemon: true, period: None, keep_alive: None, at: Place::caller() };
        schedule.insert(Arc::new(TimerTask::new(settings, OnceFn::new(|| ()))), due.into())
    }

    fn claim(schedule: &mut Schedule) -> Option<TimerKey> {
        let next = schedule.next()?;
        let claimed = schedule.claim(&next)?;
        assert!(schedule.claim(&next).is_none(), "it was claimed twice");
        Some(claimed.key)
    }

    fn was_pending(schedule: &mut Schedule, key: TimerKey) -> bool {
        matches!(schedule.cancel(key), CancelOutcome::Removed(_))
    }

    #[test]
    fn timers_are_claimed_by_due_time_then_by_start() {
        let (mut schedule, now) = (Schedule::default(), crate::rt::now());
        let later = now + Duration::from_millis(1);
        let keys: Vec<TimerKey> = [later, now, later, now].map(|due| insert(&mut schedule, Some(due))).into();
        insert(&mut schedule, None);
        schedule.make_ready(now, 100);
        assert_eq!(schedule.ready(), 2);
        schedule.make_ready(later, 1);
        schedule.make_ready(later, 100);
        let claimed: Vec<TimerKey> = std::iter::from_fn(|| claim(&mut schedule)).collect();
        assert_eq!(claimed, [keys[1], keys[3], keys[0], keys[2]]);
        assert_eq!((schedule.first(), schedule.pending()), (Some(Due::Never), 1));
    }

    #[test]
    fn cancelled_timer_leaves_every_phase() {
        let (mut schedule, now) = (Schedule::default(), crate::rt::now());
        let keys: Vec<TimerKey> = (0..4).map(|_| insert(&mut schedule, Some(now))).collect();
        assert!(was_pending(&mut schedule, keys[0]));
        schedule.make_ready(now, 100);
        assert!(was_pending(&mut schedule, keys[1]), "it is ready, but not running");
        assert!(!was_pending(&mut schedule, keys[1]));
        assert_eq!(claim(&mut schedule), Some(keys[2]));
        assert!(matches!(schedule.cancel(keys[2]), CancelOutcome::TooLate), "it is running");
        assert!(!schedule.ran(keys[2], None));
        assert_eq!(claim(&mut schedule), Some(keys[3]));
        assert!(!schedule.ran(keys[3], None));
        assert_eq!((schedule.first(), schedule.pending()), (None, 0));
        let again = insert(&mut schedule, Some(now)); // reuses an index
        assert!(keys.iter().all(|key| matches!(schedule.cancel(*key), CancelOutcome::TooLate)));
        assert!(was_pending(&mut schedule, again));
    }

    #[test]
    fn million_cancelled_timers_do_not_accumulate() {
        let (mut schedule, now) = (Schedule::default(), crate::rt::now());
        let due = |number: u64| now + Duration::from_nanos(number % 977);
        let first = insert(&mut schedule, Some(now));
        for number in 1..=1_000_000 {
            let key = insert(&mut schedule, Some(due(number)));
            assert!(was_pending(&mut schedule, key));
            assert!(schedule.heap.len() <= MIN_CAPACITY + 1 && schedule.timers.capacity() <= MIN_CAPACITY);
        }
        let keys: Vec<TimerKey> = (1..100_000).map(|n| insert(&mut schedule, Some(due(n)))).collect();
        assert_eq!(schedule.pending(), 100_000);
        for key in keys {
            assert!(was_pending(&mut schedule, key));
            assert!(schedule.heap.len() <= MIN_CAPACITY.max(2 * schedule.pending()));
        }
        assert!(was_pending(&mut schedule, first));
        assert!(schedule.timers.capacity() <= MIN_CAPACITY && schedule.heap.capacity() <= MIN_CAPACITY);
    }
}
