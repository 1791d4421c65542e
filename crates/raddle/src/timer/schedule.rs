//! Which timers there are and when they are due: a heap of due times over a slab of timers.
//!
//! A timer that is cancelled leaves the slab at once and its entry in the heap behind. That is thrown away when
//! it comes to the top, or when such entries are more than half of the heap. So a cancel costs no search, and a
//! million timers scheduled and cancelled leave nothing.
//!
//! Nothing here runs or drops what a user wrote: what leaves is handed to the caller, who holds a lock.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::task::{Due, Job};

/// Where a timer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// In the heap.
    Waiting,
    /// Due, and in line for a thread.
    Ready,
    Running,
    /// Running for the last time.
    Stopping,
}

struct Slot {
    job: Arc<Job>,
    due: Due,
    phase: Phase,
}

/// Ordered by due time; equal ones by number, which is the order in which they were started.
type Entry = (Due, Key);

/// What a cancel found.
pub(super) enum Cancel {
    /// The function had not started: here is the timer back.
    Removed(Arc<Job>),
    /// The function is running for the last time.
    Stopping,
    /// It has run, is running for the last time, or was cancelled before.
    TooLate,
}

/// A timer that a thread has taken to run.
pub(super) struct Claim {
    pub(super) key: Key,
    pub(super) job: Arc<Job>,
    pub(super) due: Instant,
}

#[derive(Default)]
pub(super) struct Schedule {
    /// How many timers there have been.
    numbers: u64,
    slots: Slab<Slot>,
    heap: BinaryHeap<Reverse<Entry>>,
    /// How many entries of the heap are those of waiting timers.
    waiting: usize,
    /// Timers that are due, first due first; some may be cancelled.
    ready: VecDeque<Key>,
    /// How many of `ready` are not.
    unclaimed: usize,
}

/// Fewer entries or places than this are not worth giving back.
const FEW: usize = 512;

impl Schedule {
    pub(super) fn insert(&mut self, job: Arc<Job>, due: Due) -> Key {
        self.numbers += 1;
        job.gets_number(self.numbers);
        let key = self.slots.insert(self.numbers, Slot { job, due, phase: Phase::Waiting });
        self.enter(key, due);
        key
    }

    /// When the next waiting timer is due.
    pub(super) fn first(&mut self) -> Option<Due> {
        while let Some(Reverse((due, key))) = self.heap.peek() {
            if self.slots.holds(*key) {
                return Some(*due);
            }
            self.heap.pop();
        }
        None
    }

    /// Puts up to `count` timers that are due at `now` in line for a thread.
    pub(super) fn fire(&mut self, now: Instant, count: usize) {
        for _ in 0..count {
            if self.first().is_none_or(|due| due > Due::At(now)) {
                return;
            }
            if let Some(Reverse((_, key))) = self.heap.pop()
                && let Some(slot) = self.slots.get_mut(key)
            {
                slot.phase = Phase::Ready;
                self.waiting -= 1;
                self.unclaimed += 1;
                self.ready.push_back(key);
            }
        }
    }

    /// How many timers are in line for a thread.
    pub(super) fn unclaimed(&self) -> usize {
        self.unclaimed
    }

    /// How many timers have still to run: they wait for their time or for a thread.
    pub(super) fn pending(&self) -> usize {
        self.waiting + self.unclaimed
    }

    /// The timer that is next in line.
    pub(super) fn next(&mut self) -> Option<Arc<Job>> {
        while let Some(key) = self.ready.front() {
            if let Some(slot) = self.slots.get_mut(*key) {
                return Some(slot.job.clone());
            }
            self.ready.pop_front();
        }
        None
    }

    /// Takes the timer that is next in line, if it is `job` still.
    pub(super) fn claim(&mut self, job: &Arc<Job>) -> Option<Claim> {
        let next = self.next()?;
        if !Arc::ptr_eq(&next, job) {
            return None;
        }
        let key = self.ready.pop_front()?;
        self.unclaimed -= 1;
        let slot = self.slots.get_mut(key)?;
        slot.phase = Phase::Running;
        match slot.due {
            Due::At(due) => Some(Claim { key, job: next, due }),
            Due::Never => unreachable!("never is after every moment"),
        }
    }

    pub(super) fn cancel(&mut self, key: Key) -> Cancel {
        let Some(slot) = self.slots.get_mut(key) else {
            return Cancel::TooLate;
        };
        match slot.phase {
            Phase::Waiting => self.waiting -= 1,
            Phase::Ready => self.unclaimed -= 1,
            Phase::Running if slot.job.period().is_some() => {
                slot.phase = Phase::Stopping;
                return Cancel::Stopping;
            }
            Phase::Running | Phase::Stopping => return Cancel::TooLate,
        }
        let found = self.remove(key).map_or(Cancel::TooLate, Cancel::Removed);
        self.compact();
        found
    }

    /// A run is over. True: the timer waits for `next` now; false: it has left.
    pub(super) fn ran(&mut self, key: Key, next: Option<Due>) -> bool {
        if let Some(slot) = self.slots.get_mut(key)
            && slot.phase == Phase::Running
            && let Some(due) = next
        {
            slot.job.leaves_runner();
            slot.phase = Phase::Waiting;
            slot.due = due;
            self.enter(key, due);
            return true;
        }
        // The claim holds the job too, so nothing of the user's is dropped here.
        self.remove(key);
        false
    }

    fn enter(&mut self, key: Key, due: Due) {
        self.waiting += 1;
        self.heap.push(Reverse((due, key)));
    }

    fn remove(&mut self, key: Key) -> Option<Arc<Job>> {
        let slot = self.slots.remove(key)?;
        if self.slots.is_empty() {
            self.clear();
        }
        Some(slot.job)
    }

    /// No timer is left: what remains in the heap and in line are those of cancelled ones.
    fn clear(&mut self) {
        self.slots.shrink(FEW);
        self.heap.clear();
        self.heap.shrink_to(FEW);
        self.ready.clear();
        self.ready.shrink_to(FEW);
    }

    /// Throws the entries of cancelled timers out once they are more than half of the heap.
    fn compact(&mut self) {
        if self.heap.len() > FEW && self.heap.len() > 2 * self.waiting {
            let slots = &self.slots;
            self.heap.retain(|Reverse((_, key))| slots.holds(*key));
            self.heap.shrink_to(2 * self.waiting.max(FEW));
        }
    }
}

/// Which value, and where it is; ordered by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    number: u64,
    index: u32,
}

pub(super) struct Slab<T> {
    places: Vec<Option<(u64, T)>>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    /// Gives `value` a place. No other value has, had or will have the number.
    pub(super) fn insert(&mut self, number: u64, value: T) -> Key {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            u32::try_from(self.places.len() - 1).expect("memory ends before four billion values")
        });
        self.places[index as usize] = Some((number, value));
        Key { number, index }
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let (number, value) = self.places.get_mut(key.index as usize)?.as_mut()?;
        (*number == key.number).then_some(value)
    }

    pub(super) fn holds(&self, key: Key) -> bool {
        let place = self.places.get(key.index as usize).and_then(Option::as_ref);
        place.is_some_and(|(number, _)| *number == key.number)
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        self.get_mut(key)?;
        let (_, value) = self.places[key.index as usize].take()?;
        self.free.push(key.index);
        Some(value)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.free.len() == self.places.len()
    }

    /// Gives back the memory of an empty slab, but for `few` places.
    pub(super) fn shrink(&mut self, few: usize) {
        debug_assert!(self.is_empty(), "the places of values would go to others");
        self.places.clear();
        self.places.shrink_to(few);
        self.free.clear();
        self.free.shrink_to(few);
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.places.capacity().max(self.free.capacity())
    }
}

#[cfg(test)]
mod tests {
    use super::super::task::{Due, Job, Once, Start};
    use super::{Cancel, FEW, Key, Schedule};
    use crate::rt::Place;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    fn put(schedule: &mut Schedule, due: Option<Instant>) -> Key {
        let start = Start { name: None, daemon: true, period: None, keep_alive: None, at: Place::caller() };
        schedule.insert(Arc::new(Job::new(start, Once::new(|| ()))), due.into())
    }

    fn claim(schedule: &mut Schedule) -> Option<Key> {
        let next = schedule.next()?;
        let claim = schedule.claim(&next)?;
        assert!(schedule.claim(&next).is_none(), "claimed already");
        Some(claim.key)
    }

    fn was_pending(schedule: &mut Schedule, key: Key) -> bool {
        matches!(schedule.cancel(key), Cancel::Removed(_))
    }

    #[test]
    fn first_due_is_first_claimed_and_equals_keep_their_order() {
        let (mut schedule, now) = (Schedule::default(), crate::rt::now());
        let later = now + Duration::from_millis(1);
        let keys: Vec<Key> = [later, now, later, now].map(|due| put(&mut schedule, Some(due))).into();
        put(&mut schedule, None);
        schedule.fire(now, 100);
        assert_eq!(schedule.unclaimed(), 2);
        schedule.fire(later, 1);
        schedule.fire(later, 100);
        let claims: Vec<Key> = std::iter::from_fn(|| claim(&mut schedule)).collect();
        assert_eq!(claims, [keys[1], keys[3], keys[0], keys[2]]);
        assert_eq!((schedule.first(), schedule.pending()), (Some(Due::Never), 1));
    }

    #[test]
    fn a_cancelled_timer_leaves_from_wherever_it_is() {
        let (mut schedule, now) = (Schedule::default(), crate::rt::now());
        let keys: Vec<Key> = (0..4).map(|_| put(&mut schedule, Some(now))).collect();
        assert!(was_pending(&mut schedule, keys[0]));
        schedule.fire(now, 100);
        assert!(was_pending(&mut schedule, keys[1]), "in line, but not running");
        assert!(!was_pending(&mut schedule, keys[1]));
        assert_eq!(claim(&mut schedule), Some(keys[2]));
        assert!(matches!(schedule.cancel(keys[2]), Cancel::TooLate), "it is running");
        assert!(!schedule.ran(keys[2], None));
        assert_eq!(claim(&mut schedule), Some(keys[3]));
        assert!(!schedule.ran(keys[3], None));
        assert_eq!((schedule.first(), schedule.pending()), (None, 0));
        let again = put(&mut schedule, Some(now)); // in a place that was used before
        assert!(keys.iter().all(|key| matches!(schedule.cancel(*key), Cancel::TooLate)));
        assert!(was_pending(&mut schedule, again));
    }

    #[test]
    fn a_million_cancelled_timers_leave_nothing() {
        let (mut schedule, now) = (Schedule::default(), crate::rt::now());
        let due = |number: u64| now + Duration::from_nanos(number % 977);
        let first = put(&mut schedule, Some(now));
        for number in 1..=1_000_000 {
            let key = put(&mut schedule, Some(due(number)));
            assert!(was_pending(&mut schedule, key));
            assert!(schedule.heap.len() <= FEW + 1 && schedule.slots.capacity() <= FEW);
        }
        let keys: Vec<Key> = (1..100_000).map(|n| put(&mut schedule, Some(due(n)))).collect();
        assert_eq!(schedule.pending(), 100_000);
        for key in keys {
            assert!(was_pending(&mut schedule, key));
            assert!(schedule.heap.len() <= FEW.max(2 * schedule.pending()));
        }
        assert!(was_pending(&mut schedule, first));
        assert!(schedule.slots.capacity() <= FEW && schedule.heap.capacity() <= FEW);
    }
}
