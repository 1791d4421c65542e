//! A flag that threads wait for.
//!
//! # State
//! A word and the number of threads that are parked on it. The lowest bit of the word is the flag. The bits above count how often the
//! flag was raised, so that a waiter notices a `set` even if a `clear` follows before the waiter runs.
//!
//! # Operations
//! `set` changes the word, then looks at the number of sleepers, and wakes them if there are any. A waiter adds itself to that number,
//! then looks at the word again, and parks. All four accesses are `SeqCst`: either `set` sees the sleeper, or the sleeper sees the
//! change. A `set` with no sleepers makes no system call.
//!
//! # Memory ordering
//! `set` stores to the word even if the flag is already up, so that it happens before the next `clear` and before each look that sees
//! the flag.

use std::fmt;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, SeqCst};
use std::time::{Duration, Instant};

use crate::rt::{self, Kind, Op, Wait, WaitOutcome};
use crate::sys::spin::SpinBudget;

/// A flag that one thread sets and any number of threads wait for.
///
/// A wait returns at once while the flag is set. [`set`](Event::set) releases all threads that wait at that time, even if
/// [`clear`](Event::clear) follows before they run.
///
/// An event must not be used in a signal handler. See [the crate's documentation](crate#signal-handlers) for what to do instead.
///
/// # Memory ordering
/// A `set` happens before the return of each `wait` that it ends, before each `is_set` that returns `true` because of it, and before
/// the next `clear`. So a producer stores its work and then sets the event; a consumer clears the event and then looks for work.
///
/// # Examples
/// ```
/// use raddle::{Event, thread};
///
/// let start = Event::new();
/// let got = thread::scope(|s| {
///     let runner = s.spawn(|| {
///         start.wait();
///         "running"
///     });
///     start.set();
///     runner.join().unwrap()
/// });
/// assert_eq!(got, "running");
/// ```
pub struct Event {
    /// The flag in the lowest bit, and above it the number of times that it was raised.
    word: AtomicU32,
    /// The number of threads that are parked on the word, or about to park.
    sleepers: AtomicU32,
}

const SET: u32 = 1;
/// Added to the word each time the flag is raised.
const RAISED: u32 = 2;

impl Event {
    /// Creates an event that is not set.
    ///
    /// # Examples
    /// ```
    /// use raddle::Event;
    ///
    /// static STOP: Event = Event::new();
    /// assert!(!STOP.is_set());
    /// ```
    pub const fn new() -> Self {
        Self { word: AtomicU32::new(0), sleepers: AtomicU32::new(0) }
    }

    /// Returns whether the event is set.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Event, thread};
    ///
    /// let stop = Event::new();
    /// thread::scope(|s| {
    ///     s.spawn(|| {
    ///         while !stop.is_set() {
    ///             std::thread::yield_now(); // work
    ///         }
    ///     });
    ///     stop.set();
    /// });
    /// ```
    #[inline]
    #[track_caller]
    pub fn is_set(&self) -> bool {
        rt::point(Op::new(self, "Event", Kind::Read));
        self.word.load(Acquire) & SET != 0
    }

    /// Sets the event and releases all threads that wait for it. Does nothing more if it is already set.
    ///
    /// # Examples
    /// ```
    /// use raddle::Event;
    ///
    /// let event = Event::new();
    /// event.set();
    /// event.wait(); // returns at once
    /// ```
    #[inline]
    #[track_caller]
    pub fn set(&self) {
        self.observe_write("sets");
        rt::atom(&self.word);
        let mut seen = self.word.load(Relaxed);
        loop {
            let raised = if seen & SET == 0 { seen.wrapping_add(RAISED) | SET } else { seen };
            rt::atom(&self.word);
            match self.word.compare_exchange_weak(seen, raised, SeqCst, Relaxed) {
                Ok(_) if raised == seen => return,
                Ok(_) => break,
                Err(now) => seen = now,
            }
        }
        rt::atom(&self.sleepers);
        if self.sleepers.load(SeqCst) != 0 {
            rt::wake(&self.word, u32::MAX);
        }
    }

    /// Clears the event. Threads that a `set` has released are not affected.
    ///
    /// # Examples
    /// ```
    /// use raddle::Event;
    ///
    /// let event = Event::new();
    /// event.set();
    /// event.clear();
    /// assert!(!event.is_set());
    /// ```
    #[inline]
    #[track_caller]
    pub fn clear(&self) {
        self.observe_write("clears");
        rt::atom(&self.word);
        self.word.fetch_and(!SET, AcqRel);
    }

    /// Blocks until the event is set.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Event, thread};
    ///
    /// let loaded = Event::new();
    /// thread::scope(|s| {
    ///     s.spawn(|| loaded.set());
    ///     loaded.wait();
    /// });
    /// ```
    #[inline]
    #[track_caller]
    pub fn wait(&self) {
        self.wait_until(None);
    }

    /// Blocks until the event is set, for at most `timeout`. Returns whether it was set.
    ///
    /// # Examples
    /// ```
    /// use raddle::Event;
    /// use std::time::Duration;
    ///
    /// let stop = Event::new();
    /// let mut ticks = 0;
    /// while !stop.wait_timeout(Duration::from_millis(1)) {
    ///     ticks += 1;
    ///     if ticks == 3 {
    ///         stop.set();
    ///     }
    /// }
    /// assert_eq!(ticks, 3);
    /// ```
    #[track_caller]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.wait_until(rt::deadline(timeout))
    }

    /// Blocks until the event is set, until `deadline` at most. Returns whether it was set.
    ///
    /// # Examples
    /// Two waits share one time limit:
    ///
    /// ```
    /// use raddle::{Event, time};
    /// use std::time::Duration;
    ///
    /// let (started, finished) = (Event::new(), Event::new());
    /// started.set();
    /// let deadline = time::now() + Duration::from_millis(1);
    /// assert!(started.wait_deadline(deadline));
    /// assert!(!finished.wait_deadline(deadline));
    /// ```
    #[track_caller]
    pub fn wait_deadline(&self, deadline: Instant) -> bool {
        self.wait_until(Some(deadline))
    }

    #[inline]
    #[track_caller]
    fn wait_until(&self, deadline: Option<Instant>) -> bool {
        (rt::quiet() && self.word.load(Acquire) & SET != 0) || self.wait_slow(deadline)
    }

    #[inline]
    #[track_caller]
    fn observe_write(&self, verb: &'static str) {
        if !rt::quiet() {
            self.observe_write_slow(verb);
        }
    }

    #[cold]
    #[track_caller]
    fn observe_write_slow(&self, verb: &'static str) {
        rt::point(Op::new(self, "Event", Kind::Write).with_verb(verb));
    }

    #[cold]
    #[track_caller]
    fn wait_slow(&self, deadline: Option<Instant>) -> bool {
        let op = Op::new(self, "Event", Kind::Await);
        rt::point(op);
        let seen = self.word.load(Acquire);
        if seen & SET != 0 {
            return true;
        }
        rt::point_until(op, deadline, &self.word, || self.raised_since(seen));
        self.wait_raised(seen, &Wait::new(&op).with_deadline(deadline))
    }

    /// Returns whether the flag has been raised since the word was `seen` without the flag.
    fn raised_since(&self, seen: u32) -> bool {
        self.word.load(Acquire) != seen
    }

    /// Spins, then parks, until the flag is raised.
    fn wait_raised(&self, seen: u32, wait: &Wait<'_>) -> bool {
        let mut spin = SpinBudget::new();
        loop {
            rt::atom(&self.word);
            if self.raised_since(seen) {
                return true;
            }
            if !spin.spin() {
                break;
            }
        }
        rt::atom(&self.sleepers);
        self.sleepers.fetch_add(1, SeqCst);
        let raised = loop {
            rt::atom(&self.word);
            if self.word.load(SeqCst) != seen {
                break true;
            }
            if rt::wait(&self.word, seen, wait) == WaitOutcome::TimedOut {
                break self.raised_since(seen);
            }
        };
        rt::atom(&self.sleepers);
        self.sleepers.fetch_sub(1, Relaxed);
        raised
    }
}

impl Default for Event {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("set", &self.is_set()).finish_non_exhaustive()
    }
}
