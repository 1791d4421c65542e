//! Waiting for a state that other threads bring about under a lock.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::{Duration, Instant};

use crate::held::Held;
use crate::raw::{Guarded, WaitQueue};
use crate::rt::{self, Kind, Op};

/// Lets threads wait, with a lock given up meanwhile, until another thread notifies them.
///
/// It serves every lock of this crate: pass the guard to [`wait`](Condition::wait) or, better, to
/// [`wait_for`](Condition::wait_for), which looks at the data again after every wake. Of a re-entrant lock all
/// levels are given up and taken back. That the lock is held cannot be forgotten, since both waiting and
/// notifying ask for its guard; so a notification between a waiter's look at the data and its sleep is impossible.
///
/// Fair: who began to wait first is notified first, and a notification wakes exactly those who wait. There are
/// no spurious wakes. A notified thread still has to acquire the lock again. Other threads may barge ahead of it, within the
/// bounds that the lock gives to every waiter.
///
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
    line: Guarded<Waiting>,
}

struct Waiting {
    line: WaitQueue,
    /// Which lock the threads in line have given up; 0 while nobody waits.
    lock: usize,
}

/// What a waiter is told; there is only one thing to tell.
const NOTIFIED: u32 = 0;

impl Condition {
    /// A condition nobody waits for.
    pub const fn new() -> Self {
        Self { line: Guarded::new(Waiting { line: WaitQueue::new(), lock: 0 }) }
    }

    /// Lets go of the lock, waits to be notified, and takes the lock back.
    ///
    /// # Panics
    /// If other threads wait here with the guard of another lock, or if the guard's lock has been released by hand.
    #[track_caller]
    pub fn wait<G: Held>(&self, held: &mut G) {
        self.wait_until(held, None);
    }

    /// Like [`wait`](Condition::wait), at most for `timeout`; says whether it was notified. Zero polls.
    ///
    /// The lock is taken back in any case, and that may take longer.
    ///
    /// # Panics
    /// As [`wait`](Condition::wait).
    #[track_caller]
    pub fn wait_timeout<G: Held>(&self, held: &mut G, timeout: Duration) -> bool {
        self.wait_until(held, rt::deadline(timeout))
    }

    /// Like [`wait_timeout`](Condition::wait_timeout), until `deadline`.
    ///
    /// # Panics
    /// As [`wait`](Condition::wait).
    #[track_caller]
    pub fn wait_deadline<G: Held>(&self, held: &mut G, deadline: Instant) -> bool {
        self.wait_until(held, Some(deadline))
    }

    /// Waits until `ready` says yes to the data, looking at it first and after every notification.
    ///
    /// # Panics
    /// As [`wait`](Condition::wait).
    #[track_caller]
    pub fn wait_for<G: Held>(&self, held: &mut G, ready: impl FnMut(&mut G::Data) -> bool) {
        self.wait_for_until(held, None, ready);
    }

    /// Like [`wait_for`](Condition::wait_for), at most for `timeout`; returns what `ready` said last.
    ///
    /// # Panics
    /// As [`wait`](Condition::wait).
    #[track_caller]
    pub fn wait_for_timeout<G: Held>(
        &self,
        held: &mut G,
        timeout: Duration,
        ready: impl FnMut(&mut G::Data) -> bool,
    ) -> bool {
        self.wait_for_until(held, rt::deadline(timeout), ready)
    }

    /// Like [`wait_for_timeout`](Condition::wait_for_timeout), until `deadline`.
    ///
    /// # Panics
    /// As [`wait`](Condition::wait).
    #[track_caller]
    pub fn wait_for_deadline<G: Held>(
        &self,
        held: &mut G,
        deadline: Instant,
        ready: impl FnMut(&mut G::Data) -> bool,
    ) -> bool {
        self.wait_for_until(held, Some(deadline), ready)
    }

    /// Wakes the thread that has waited longest, if any waits. `held` is the guard of their lock.
    ///
    /// # Panics
    /// If threads wait here with the guard of another lock, or if the guard's lock has been released by hand.
    #[track_caller]
    pub fn notify_one<G: Held>(&self, held: &G) {
        self.notify(held, 1);
    }

    /// Wakes up to `count` threads, those that have waited longest; returns how many.
    ///
    /// # Panics
    /// As [`notify_one`](Condition::notify_one).
    #[track_caller]
    pub fn notify<G: Held>(&self, held: &G, count: usize) -> usize {
        rt::point(self.op(Kind::Notify));
        let waiters = {
            let mut waiting = self.line.lock();
            waiting.check(held);
            waiting.line.dequeue_many(count)
        };
        for waiter in &waiters {
            waiter.notify(NOTIFIED);
        }
        waiters.len()
    }

    /// Wakes every thread that waits; returns how many.
    ///
    /// # Panics
    /// As [`notify_one`](Condition::notify_one).
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
            let mut waiting = self.line.lock();
            waiting.check(held);
            waiting.lock = held.key();
            waiting.line.enqueue(0)
        };
        // A panic in the middle would leave the waiter in line, and the guard without its lock.
        let _scope = rt::no_panic_scope();
        // In line before the lock is let go: whoever changes the state after that finds this thread there. And in
        // line until it has the lock back: a notification that comes after the deadline is for this thread still.
        held.unlocked(|| waiter.wait(op, deadline)).is_some() || !self.line.lock().line.remove(&waiter)
    }

    #[track_caller]
    fn op(&self, kind: Kind) -> Op {
        Op::new(self, "Condition", kind)
    }
}

impl Waiting {
    #[track_caller]
    fn check<G: Held>(&self, held: &G) {
        assert!(held.is_held(), "the guard's lock has been released by hand; a condition needs it held");
        let same = self.line.is_empty() || self.lock == held.key();
        assert!(same, "a condition serves one lock at a time, and others wait here with another one");
    }
}

impl Default for Condition {
    fn default() -> Self {
        Self::new()
    }
}

// A panic of a waiter leaves the wait queue whole.
impl UnwindSafe for Condition {}
impl RefUnwindSafe for Condition {}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        rt::point(Op::new(self, "Condition", Kind::Read));
        f.debug_struct("Condition").field("waiting", &self.line.lock().line.len()).finish()
    }
}
