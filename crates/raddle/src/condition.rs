//! Waiting for a state that other threads establish under a lock.
//!
//! # State
//! A queue of waiters under a lock of its own, and the identity of the lock that the waiters have released.
//!
//! # Why no notification is lost
//! A thread enqueues itself before it releases its lock, and a notifying thread has to show the guard of the same lock. So a thread
//! that changes the data after a waiter has examined it finds that waiter in the queue. A waiter stays in the queue until
//! it has reacquired its lock: a notification that arrives after its deadline, but before that, still counts.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::{Duration, Instant};

use crate::held::Held;
use crate::raw::{Guarded, WaitQueue};
use crate::rt::{self, Kind, Op};

/// Lets threads wait, with a lock released meanwhile, until another thread notifies them.
///
/// A condition works with each lock of this crate: pass the guard to [`wait`](Condition::wait) or, better, to
/// [`wait_for`](Condition::wait_for), which checks a predicate first and after each wakeup. A wait releases and reacquires all
/// levels of a reentrant lock. Both waiting and notifying require the guard, so the lock cannot be forgotten, and no notification
/// is lost between a waiter's check and its wait.
///
/// There are no spurious wakeups.
///
/// # Fairness
/// Waiters are notified in FIFO order, and a notification wakes only threads that wait at that time. A notified thread still has
/// to reacquire its lock. Other threads may barge ahead of it there, within the bounds that the lock guarantees to each waiter.
///
/// # Memory ordering
/// The lock orders the memory accesses: its release by the notifying thread happens before the return of the wait.
///
/// # Examples
/// ```
/// use raddle::{Condition, Mutex, thread};
///
/// let (items, ready) = (Mutex::new(Vec::new()), Condition::new());
/// let got = thread::scope(|s| {
///     let getter = s.spawn(|| {
///         let mut items = items.lock();
///         ready.wait_for(&mut items, |items| !items.is_empty());
///         items.pop()
///     });
///     let mut items = items.lock();
///     items.push("tea");
///     ready.notify_one(&items);
///     drop(items);
///     getter.join().unwrap()
/// });
/// assert_eq!(got, Some("tea"));
/// ```
pub struct Condition {
    state: Guarded<Waiting>,
}

struct Waiting {
    waiters: WaitQueue,
    /// The lock that the waiters have released; meaningless without waiters.
    lock: usize,
}

/// The outcome of a notified waiter.
const NOTIFIED: u32 = 0;

impl Condition {
    /// Creates a condition without waiters.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Condition, Lock};
    ///
    /// static LOCK: Lock = Lock::new();
    /// static CHANGED: Condition = Condition::new();
    /// CHANGED.notify_all(&LOCK.lock());
    /// ```
    pub const fn new() -> Self {
        Self { state: Guarded::new(Waiting { waiters: WaitQueue::new(), lock: 0 }) }
    }

    /// Releases the lock, blocks until notified, and reacquires the lock.
    ///
    /// # Panics
    /// Panics if other threads wait here with the guard of another lock, or if the guard's lock is not held.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Condition, Mutex, thread};
    ///
    /// let (done, changed) = (Mutex::new(false), Condition::new());
    /// thread::scope(|s| {
    ///     let mut guard = done.lock();
    ///     s.spawn(|| {
    ///         let mut guard = done.lock();
    ///         *guard = true;
    ///         changed.notify_one(&guard);
    ///     });
    ///     while !*guard {
    ///         changed.wait(&mut guard);
    ///     }
    /// });
    /// ```
    #[track_caller]
    pub fn wait<G: Held>(&self, held: &mut G) {
        self.wait_until(held, None);
    }

    /// Releases the lock, blocks until notified or for at most `timeout`, and reacquires the lock.
    ///
    /// Returns whether the thread was notified. The reacquisition of the lock is not limited by the timeout. A notification
    /// that comes after the timeout and before the lock is reacquired counts as well: then this returns true.
    ///
    /// # Panics
    /// Panics as [`wait`](Condition::wait) does.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Condition, Mutex};
    /// use std::time::Duration;
    ///
    /// let (data, changed) = (Mutex::new(0), Condition::new());
    /// assert!(!changed.wait_timeout(&mut data.lock(), Duration::from_millis(1)));
    /// ```
    #[track_caller]
    pub fn wait_timeout<G: Held>(&self, held: &mut G, timeout: Duration) -> bool {
        self.wait_until(held, rt::deadline(timeout))
    }

    /// Releases the lock, blocks until notified or until `deadline`, and reacquires the lock.
    ///
    /// Returns whether the thread was notified. The reacquisition of the lock is not limited by the deadline. A notification
    /// that comes after the deadline and before the lock is reacquired counts as well: then this returns true.
    ///
    /// # Panics
    /// Panics as [`wait`](Condition::wait) does.
    #[track_caller]
    pub fn wait_deadline<G: Held>(&self, held: &mut G, deadline: Instant) -> bool {
        self.wait_until(held, Some(deadline))
    }

    /// Blocks until `ready` returns true for the data.
    ///
    /// The predicate is called with the lock held, first at once and then after each notification.
    ///
    /// # Panics
    /// Panics as [`wait`](Condition::wait) does.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Condition, Mutex, thread};
    ///
    /// let (count, changed) = (Mutex::new(0), Condition::new());
    /// thread::scope(|s| {
    ///     for _ in 0..3 {
    ///         s.spawn(|| {
    ///             let mut count = count.lock();
    ///             *count += 1;
    ///             changed.notify_all(&count);
    ///         });
    ///     }
    ///     changed.wait_for(&mut count.lock(), |count| *count == 3);
    /// });
    /// ```
    #[track_caller]
    pub fn wait_for<G: Held>(&self, held: &mut G, ready: impl FnMut(&mut G::Data) -> bool) {
        self.wait_for_until(held, None, ready);
    }

    /// Blocks until `ready` returns true for the data, for at most `timeout`. Returns the last result of `ready`.
    ///
    /// # Panics
    /// Panics as [`wait`](Condition::wait) does.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Condition, Mutex};
    /// use std::time::Duration;
    ///
    /// let (items, changed) = (Mutex::new(vec![1]), Condition::new());
    /// let timeout = Duration::from_millis(1);
    /// assert!(changed.wait_for_timeout(&mut items.lock(), timeout, |items| !items.is_empty()));
    /// assert!(!changed.wait_for_timeout(&mut items.lock(), timeout, |items| items.len() > 1));
    /// ```
    #[track_caller]
    pub fn wait_for_timeout<G: Held>(
        &self,
        held: &mut G,
        timeout: Duration,
        ready: impl FnMut(&mut G::Data) -> bool,
    ) -> bool {
        self.wait_for_until(held, rt::deadline(timeout), ready)
    }

    /// Blocks until `ready` returns true for the data, until `deadline` at most. Returns the last result of `ready`.
    ///
    /// # Panics
    /// Panics as [`wait`](Condition::wait) does.
    #[track_caller]
    pub fn wait_for_deadline<G: Held>(
        &self,
        held: &mut G,
        deadline: Instant,
        ready: impl FnMut(&mut G::Data) -> bool,
    ) -> bool {
        self.wait_for_until(held, Some(deadline), ready)
    }

    /// Wakes the thread that has waited longest, if any thread waits.
    ///
    /// `held` is the guard of the lock with which threads wait here.
    ///
    /// # Panics
    /// Panics if threads wait here with the guard of another lock, or if the guard's lock is not held.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Condition, Mutex};
    ///
    /// let (items, changed) = (Mutex::new(Vec::new()), Condition::new());
    /// let mut guard = items.lock();
    /// guard.push(1);
    /// changed.notify_one(&guard); // no thread waits, and the notification is not stored
    /// ```
    #[track_caller]
    pub fn notify_one<G: Held>(&self, held: &G) {
        self.notify(held, 1);
    }

    /// Wakes the `count` threads that have waited longest. Returns how many were woken.
    ///
    /// # Panics
    /// Panics as [`notify_one`](Condition::notify_one) does.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Condition, Mutex, thread};
    ///
    /// let (waiting, changed) = (Mutex::new(0), Condition::new());
    /// thread::scope(|s| {
    ///     for _ in 0..3 {
    ///         s.spawn(|| {
    ///             let mut waiting = waiting.lock();
    ///             *waiting += 1;
    ///             changed.wait(&mut waiting);
    ///         });
    ///     }
    ///     while *waiting.lock() < 3 {
    ///         std::thread::yield_now();
    ///     }
    ///     assert_eq!(changed.notify(&waiting.lock(), 2), 2);
    ///     assert_eq!(changed.notify(&waiting.lock(), 2), 1, "one thread was left");
    /// });
    /// ```
    #[track_caller]
    pub fn notify<G: Held>(&self, held: &G, count: usize) -> usize {
        rt::point(self.op(Kind::Notify));
        let notified = {
            let mut state = self.state.lock();
            state.check(held);
            state.waiters.dequeue_many(count)
        };
        for waiter in &notified {
            waiter.notify(NOTIFIED);
        }
        notified.len()
    }

    /// Wakes all waiting threads. Returns how many were woken.
    ///
    /// # Panics
    /// Panics as [`notify_one`](Condition::notify_one) does.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Condition, Mutex};
    ///
    /// let (open, changed) = (Mutex::new(false), Condition::new());
    /// let mut guard = open.lock();
    /// *guard = true;
    /// assert_eq!(changed.notify_all(&guard), 0, "no thread waits");
    /// ```
    #[track_caller]
    pub fn notify_all<G: Held>(&self, held: &G) -> usize {
        self.notify(held, usize::MAX)
    }

    #[track_caller]
    fn wait_for_until<G: Held>(
        &self,
        held: &mut G,
        deadline: Option<Instant>,
        mut ready: impl FnMut(&mut G::Data) -> bool,
    ) -> bool {
        while !ready(held.data()) {
            if !self.wait_until(held, deadline) {
                return ready(held.data());
            }
        }
        true
    }

    #[track_caller]
    fn wait_until<G: Held>(&self, held: &mut G, deadline: Option<Instant>) -> bool {
        let op = self.op(Kind::Wait);
        rt::point(op);
        let waiter = {
            let mut state = self.state.lock();
            state.check(held);
            state.lock = held.key();
            state.waiters.enqueue(0)
        };
        let leave = || self.state.lock().waiters.remove(&waiter);
        let outcome = held.unlocked(|| rt::on_unwind(|| waiter.wait(op, deadline), leave));
        outcome.is_some() || !leave()
    }

    #[track_caller]
    fn op(&self, kind: Kind) -> Op {
        Op::new(self, "Condition", kind)
    }
}

impl Waiting {
    #[track_caller]
    fn check<G: Held>(&self, held: &G) {
        assert!(
            held.is_held(),
            "cannot use a condition with a lock that is not held, or was released by hand while its guard lives: hold the lock"
        );
        let same = self.waiters.is_empty() || self.lock == held.key();
        assert!(
            same,
            "cannot use a condition with two locks: it serves one lock at a time, and other threads wait with another one"
        );
    }
}

impl Default for Condition {
    fn default() -> Self {
        Self::new()
    }
}

// A panic of a waiter leaves the wait queue intact.
impl UnwindSafe for Condition {}
impl RefUnwindSafe for Condition {}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        rt::point(Op::new(self, "Condition", Kind::Read));
        f.debug_struct("Condition").field("waiting", &self.state.lock().waiters.len()).finish()
    }
}
