//! A flag that threads wait for.

use std::fmt;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, SeqCst};
use std::time::{Duration, Instant};

use crate::rt::{self, Kind, Op, Wait};
use crate::sys::spin::SpinBudget;

/// A flag that one thread raises and any number of threads wait for.
///
/// Waiting returns at once while the flag is up. A waiting thread is let go by [`set`](Event::set) even if
/// [`clear`](Event::clear) follows before it runs. Nobody is served before another: `set` wakes all.
///
/// Like everything in this crate, an event must not be used in a signal handler; see
/// [the crate's documentation](crate#signal-handlers) for what to do instead.
///
/// # Memory ordering
/// What a thread did before `set` happens before the return of every `wait` that it ends, before every
/// `is_set` that sees it, and before the next `clear`: store the work, then `set`; `clear`, then look for work.
///
/// ```
/// use raddle::{Event, Thread};
/// use std::sync::Arc;
///
/// let go = Arc::new(Event::new());
/// let runner = Thread::spawn({ let go = go.clone(); move || { go.wait(); "running" } });
/// go.set();
/// assert_eq!(runner.join()?, "running");
/// # Ok::<(), raddle::thread::JoinError>(())
/// ```
pub struct Event {
    /// The flag in the lowest bit; above it, how often it was raised, so that a waiter sees that it was.
    word: AtomicU32,
    /// How many threads sleep on the word, or are about to.
    sleepers: AtomicU32,
}

const SET: u32 = 1;
const TURN: u32 = 2;

impl Event {
    /// An event whose flag is down.
    pub const fn new() -> Self {
        Self { word: AtomicU32::new(0), sleepers: AtomicU32::new(0) }
    }

    /// Says whether the flag is up.
    #[inline]
    #[track_caller]
    pub fn is_set(&self) -> bool {
        rt::point(Op::new(self, "Event", Kind::Read));
        self.word.load(Acquire) & SET != 0
    }

    /// Raises the flag and lets go every thread that waits. Raising it twice is raising it once.
    #[inline]
    #[track_caller]
    pub fn set(&self) {
        self.writes("sets");
        rt::atom(&self.word);
        let mut seen = self.word.load(Relaxed);
        loop {
            // Stored even if it is up: whoever lowers the flag next must see what was done before this.
            let raised = if seen & SET == 0 { seen.wrapping_add(TURN) | SET } else { seen };
            rt::atom(&self.word);
            // SeqCst here and in `sleep`: either this thread sees the sleeper, or the sleeper sees the flag.
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

    /// Lowers the flag. Threads that `set` has let go already stay let go.
    #[inline]
    #[track_caller]
    pub fn clear(&self) {
        self.writes("clears");
        rt::atom(&self.word);
        self.word.fetch_and(!SET, AcqRel);
    }

    /// Waits until the flag is raised; returns at once while it is up.
    #[inline]
    #[track_caller]
    pub fn wait(&self) {
        self.wait_until(None);
    }

    /// Waits until the flag is raised, `timeout` at most; says whether it was.
    #[track_caller]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.wait_until(rt::deadline(timeout))
    }

    /// Waits until the flag is raised, until `deadline` at most; says whether it was.
    #[track_caller]
    pub fn wait_deadline(&self, deadline: Instant) -> bool {
        self.wait_until(Some(deadline))
    }

    #[inline]
    #[track_caller]
    fn wait_until(&self, deadline: Option<Instant>) -> bool {
        (rt::quiet() && self.word.load(Acquire) & SET != 0) || self.wait_slowly(deadline)
    }

    #[inline]
    #[track_caller]
    fn writes(&self, does: &'static str) {
        if !rt::quiet() {
            self.says(Kind::Write, does);
        }
    }

    #[cold]
    #[track_caller]
    fn says(&self, kind: Kind, does: &'static str) {
        rt::point(Op::new(self, "Event", kind).with_verb(does));
    }

    #[cold]
    #[track_caller]
    fn wait_slowly(&self, deadline: Option<Instant>) -> bool {
        let op = Op::new(self, "Event", Kind::Await);
        rt::point(op);
        let seen = self.word.load(Acquire);
        if seen & SET != 0 {
            return true;
        }
        rt::point_until(op, deadline, &self.word, || self.raised_since(seen));
        self.sleep(seen, deadline)
    }

    /// The flag was up at some moment after the word was `seen`.
    fn raised_since(&self, seen: u32) -> bool {
        self.word.load(Acquire) != seen
    }

    fn sleep(&self, seen: u32, deadline: Option<Instant>) -> bool {
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
            if rt::wait(&self.word, seen, deadline) == Wait::TimedOut {
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
