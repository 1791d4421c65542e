//! The watch: detection of deadlocks in a running program, dumps of all threads, and warnings about lock orders.
//!
//! The watch is on in debug builds. [`Watch::start`] turns it on in any build, and the environment variable `RADDLE_WATCH` overrides the program.
//! While it is on, it records for which object each thread waits, which locks each thread holds, and on which lines.
//!
//! # Deadlocks
//!
//! These findings are certain. Each is reported once, as a rule within a second, on standard error or to the
//! [hook](set_hook). Then the watch takes the [`Action`], which by default ends the program with status 101.
//!
//! | Finding | Detected when |
//! |---|---|
//! | [`OwnLock`](Finding::OwnLock) | a thread waits, without a deadline, for a [`Mutex`](crate::Mutex) that it holds |
//! | [`Cycle`](Finding::Cycle) | threads wait for each other in a cycle, without deadlines: each for a `Mutex`, [`RLock`](crate::RLock) or [`ReentrantMutex`](crate::ReentrantMutex) that the next one holds, or in a join of the next one |
//! | [`EveryThread`](Finding::EveryThread) | every thread of the process waits without a deadline, including threads that raddle did not start, and the program has no signal handlers (Linux only) |
//! | [`Pool`](Finding::Pool) | all workers of a pool wait for tasks of that pool; the pool ends one of the waits with [`FutureError::Deadlock`](crate::future::FutureError::Deadlock), and no further action is taken |
//!
//! # Suspected deadlocks
//!
//! A [`Lock`](crate::Lock) may be released by any thread, so a cycle through a `Lock` may still be resolved. The same holds
//! for a `Lock` that its holder acquires again, and for a lock whose holder has terminated. Such a wait is reported once as
//! a [`Suspicion`](Finding::Suspicion) when it is older than [`suspect_after`](Watch::suspect_after), and no action is
//! taken. A `Lock` that another thread than its holder has released before is never suspected, because the program uses it
//! to hand over turns.
//!
//! If every thread waits without a deadline but the program has a signal handler, the handler may still wake a thread.
//! This too is reported once as a suspicion, unless all threads wait for locks that only their holders can release or for
//! terminations. Handlers of the Rust runtime, of [`dump_on_sigquit`] and of [exempt signals](exempt_signals) do not count.
//!
//! # Limits
//!
//! The watch reports no wait that has a deadline. It reports waits for conditions, events, semaphores, barriers and queues
//! only if every thread of the process is blocked, because any running thread may still wake the waiter. Threads with a
//! [scheduler](crate::rt::Scheduler) are not watched: an explorer detects their deadlocks.
//!
//! # Environment
//!
//! `RADDLE_WATCH` is a list of words, separated by commas, for example `RADDLE_WATCH=report,order`. An invalid value is
//! reported on standard error and ignored.
//!
//! | Word | Effect |
//! |---|---|
//! | `0` | turns the watch off, overriding the program |
//! | `1` | turns it on |
//! | `report`, `panic`, `end` | turns it on with that [`Action`], overriding the program |
//! | `order` | turns it on and checks [lock orders](Watch::lock_order) |
//!
//! # Performance
//!
//! While the watch is off, each operation costs a relaxed load and a predicted branch, and each lock has four bytes for its
//! identifier. While it is on, an operation takes up to about 0.1 µs longer, and more under contention, because all threads share
//! the tables of the watch. `cargo run --release --example watch_cost` measures this on your machine.
//!
//! # Examples
//! ```
//! use raddle::{Mutex, Thread, watch};
//!
//! watch::Watch::new().action(watch::Action::Panic).start();
//! let deadlock = Thread::spawn(|| {
//!     let mutex = Mutex::new(0);
//!     let _first = mutex.lock();
//!     let _second = mutex.lock(); // blocks forever
//! });
//! assert!(deadlock.join().unwrap_err().to_string().contains("a thread waits for a lock that it holds"));
//! ```

// How it works: while the watch is on, each wait has an entry in the table of waits. A wait without a deadline sleeps in
// slices. When a slice runs out, the thread *proves* that it has not been woken, unless another thread has woken its word
// in the meantime. A later wake-up revokes the proof. If all threads of the process are proven at one moment, no code runs
// that could wake one of them, except for signal handlers. A thread that waits with a deadline, sleeps, or waits for
// something outside raddle is never proven, so the watch raises no false alarm. At the end of each slice the thread also
// follows the chain of waits from its own, to detect cycles.

mod deadlock;
mod dump;
mod holds;
pub(crate) mod lock_order;
mod report;
pub(crate) mod settings;
pub(crate) mod wait_table;
pub(crate) mod waiting;

use std::time::Duration;

use crate::rt::flags;

pub(crate) use deadlock::{detect_pool_deadlock, report_own_task, report_pool_deadlock};
pub use dump::{Dump, dump, dump_on_sigquit};
pub(crate) use report::in_hook;
pub use report::{Finding, HoldState, Holder, Order, Report, ThreadState, WaitState, reset_hook, set_hook};
pub use settings::{Action, after_dump, before_end, exempt_signals};

/// The configuration of the watch. Options that are not set keep their current values.
///
/// # Examples
/// ```
/// use raddle::watch::{Action, Watch};
/// use std::time::Duration;
///
/// Watch::new().action(Action::Report).suspect_after(Duration::from_secs(30)).lock_order(true).start();
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "the configuration takes effect when it is started"]
pub struct Watch {
    action: Option<Action>,
    suspect_after: Option<Duration>,
    lock_order: Option<bool>,
}

impl Watch {
    /// Returns a configuration in which no option is set.
    ///
    /// # Examples
    /// ```
    /// use raddle::watch::{self, Watch};
    ///
    /// Watch::new().start();
    /// assert!(watch::is_on());
    /// ```
    pub const fn new() -> Self {
        Self { action: None, suspect_after: None, lock_order: None }
    }

    /// Sets the action that follows the report of a deadlock. The default is [`Action::End`].
    ///
    /// # Examples
    /// ```
    /// use raddle::watch::{Action, Watch};
    ///
    /// Watch::new().action(Action::Report).start();
    /// ```
    pub const fn action(mut self, action: Action) -> Self {
        self.action = Some(action);
        self
    }

    /// Sets how long threads must have waited for each other before a suspected deadlock is reported.
    ///
    /// The default is 10 seconds. With [`Duration::MAX`], none is reported.
    ///
    /// # Examples
    /// ```
    /// use raddle::watch::Watch;
    /// use std::time::Duration;
    ///
    /// Watch::new().suspect_after(Duration::from_secs(60)).start();
    /// ```
    pub const fn suspect_after(mut self, duration: Duration) -> Self {
        self.suspect_after = Some(duration);
        self
    }

    /// Sets whether lock orders are checked. The default is false.
    ///
    /// When a thread acquires a lock while it holds another, the watch records this order. Orders that form a cycle are
    /// reported as [`Finding::LockOrder`], although no thread is blocked yet: threads that acquire the locks in these
    /// orders at the same time can deadlock. There is no report if all of this happens while a common lock is held.
    ///
    /// An acquire with `try_` or with a timeout cannot deadlock, so its lock counts as held but not as acquired. Cycles
    /// of up to eight locks are detected, lock by lock and not type by type.
    ///
    /// # Examples
    /// ```
    /// use raddle::watch::{self, Finding, Watch};
    /// use raddle::Mutex;
    /// use std::sync::mpsc;
    ///
    /// let (sender, receiver) = mpsc::channel();
    /// watch::set_hook(move |report| sender.send(report.finding).unwrap());
    /// Watch::new().lock_order(true).start();
    /// let (a, b) = (Mutex::new(1), Mutex::new(2));
    /// drop((a.lock(), b.lock()));
    /// drop((b.lock(), a.lock())); // no deadlock here, but with two threads there can be one
    /// assert_eq!(receiver.recv(), Ok(Finding::LockOrder));
    /// # watch::reset_hook();
    /// ```
    pub const fn lock_order(mut self, on: bool) -> Self {
        self.lock_order = Some(on);
        self
    }

    /// Turns the watch on with this configuration, unless the environment has turned it off.
    ///
    /// The watch stays on until the process ends, because a gap would make its records wrong. Locks that were acquired
    /// before are not recorded.
    ///
    /// # Examples
    /// ```
    /// raddle::watch::Watch::new().start();
    /// ```
    pub fn start(self) {
        if let Some(action) = self.action {
            settings::set_action(action);
        }
        if let Some(duration) = self.suspect_after {
            settings::set_suspect_after(duration);
        }
        if let Some(on) = self.lock_order {
            settings::set_lock_order(on);
        }
        flags::watch_on();
    }
}

/// Returns whether the watch is on.
///
/// # Examples
/// ```
/// if !raddle::watch::is_on() {
///     eprintln!("deadlocks will not be reported");
/// }
/// ```
pub fn is_on() -> bool {
    flags::watching()
}
