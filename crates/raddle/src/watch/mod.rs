//! Why a program hangs: deadlocks found while it runs, a dump of all threads, and locks taken in the wrong order.
//!
//! The watch is on in debug builds; [`Watch::start`] turns it on in any build, and so does whoever runs the program,
//! with the variable `RADDLE_WATCH`, which has the last word. While it is on, it knows who waits for what and who
//! holds what, and on which lines.
//!
//! # What is certain
//!
//! These are deadlocks. Each is reported once, to standard error or to the [hook](set_hook), as a rule within a second;
//! then the watch does what its [`Action`] says: it ends the program, unless told otherwise.
//!
//! - [`Finding::OwnLock`]: a thread waits without limit for a [`Mutex`](crate::Mutex) that it holds.
//! - [`Finding::Cycle`]: threads wait for each other without limit in a circle, whatever other threads do. Each waits for
//!   a `Mutex`, [`RLock`](crate::RLock) or [`ReentrantMutex`](crate::ReentrantMutex) that the next one holds, which nobody
//!   else can release; or it joins the next one.
//! - [`Finding::EveryThread`]: every thread of the process, raddle's or not, waits without limit, and the program has no
//!   signal handlers. Then no code runs that could wake one. This needs Linux.
//! - [`Finding::Pool`]: all workers of a pool wait for tasks of that pool. The pool itself ends one of the waits with
//!   [`FutureError::Deadlock`](crate::future::FutureError::Deadlock), so the watch says who waited for what, once for the
//!   same lines, and does no more.
//!
//! # What is a suspicion
//!
//! A [`Lock`](crate::Lock) may be released by any thread, of raddle's or not: a circle that goes through one, a `Lock`
//! taken twice by one thread, or a lock whose holder has ended, may still be helped. Such a wait is reported once, as
//! [`Finding::Suspicion`], when it is older than [`suspect_after`](Watch::suspect_after), 10 seconds unless told
//! otherwise; nothing else is done. Where a `Lock` has been released by another thread than its taker before,
//! threads hand over turns with it, and it is not suspected at all.
//!
//! When every thread waits without limit but the program has installed a handler for a signal, the handler may still
//! wake a thread, unless all of them wait for locks that only their holders can release, or for each other's ends. That
//! is reported once, as a suspicion, after the same time. Handlers of the runtime do not count: those for faults such
//! as SIGSEGV, and that of [`dump_on_sigquit`].
//!
//! Nothing is said of a wait with a time limit, of conditions, events, semaphores, barriers and queues while some
//! thread runs, sleeps or waits with a limit: it may be on the way to help.
//!
//! Threads under an explorer are not watched, and nothing here is a step to one: the watch belongs to the process.
//!
//! # The environment
//!
//! | `RADDLE_WATCH=` | |
//! |---|---|
//! | `0` | the watch is off, whatever the program says |
//! | `1` | it is on |
//! | `report`, `panic`, `end` | it is on, with that [`Action`], whatever the program says |
//! | `order` | it is on, and watches the [order of locks](Watch::lock_order) |
//!
//! Words can be joined by commas: `RADDLE_WATCH=report,order`. A value that is none of these is told on standard error
//! and changes nothing.
//!
//! # What it costs
//!
//! Off, each step of a primitive costs a relaxed load and a branch that is predicted, and each lock has four bytes for a
//! number. On, to take and release a free lock takes about ten times as long: some 90 ns instead of 9 on the machine
//! that it was made on, and some 100 ns more for each lock that is held meanwhile if the order is watched. Two threads
//! that fight over one mutex are slower by 20 to 40 times, because they fight over the watch's table as well; a
//! hand-over from thread to thread takes no longer. `cargo run --release --example watch_cost` measures all of this.
//!
//! ```
//! use raddle::{Mutex, Thread, watch};
//! use std::sync::Arc;
//!
//! watch::Watch::new().action(watch::Action::Panic).start();
//! let twice = Thread::spawn(|| {
//!     let mutex = Mutex::new(0);
//!     let _held = mutex.lock();
//!     let _again = mutex.lock(); // never comes
//! });
//! assert!(twice.join().unwrap_err().to_string().contains("a thread waits for a lock that it holds itself"));
//! ```

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
pub use report::{Finding, HoldState, Holder, Order, Report, ThreadState, WaitState, reset_hook, set_hook};
pub use settings::Action;

/// How the program wants to be watched; what it does not say stays as it is.
///
/// ```
/// use raddle::watch::{Action, Watch};
/// use std::time::Duration;
///
/// Watch::new().action(Action::Report).suspect_after(Duration::from_secs(30)).lock_order(true).start();
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "the watch is as it was until this is started"]
pub struct Watch {
    action: Option<Action>,
    suspect_after: Option<Duration>,
    lock_order: Option<bool>,
}

impl Watch {
    /// Says nothing yet.
    pub const fn new() -> Self {
        Self { action: None, suspect_after: None, lock_order: None }
    }

    /// What is done about a deadlock; [`Action::End`] unless told otherwise.
    pub const fn action(mut self, action: Action) -> Self {
        self.action = Some(action);
        self
    }

    /// How long threads must have waited for each other before what may still be helped is reported; 10 seconds unless
    /// told otherwise. [`Duration::MAX`]: never.
    pub const fn suspect_after(mut self, time: Duration) -> Self {
        self.suspect_after = Some(time);
        self
    }

    /// Whether to watch the order in which locks are taken; not unless told otherwise.
    ///
    /// When a thread takes a lock while it holds another, the watch remembers that order. Once it has seen orders
    /// that lead back to where they began, it warns of them ([`Finding::LockOrder`]), though nothing hangs yet: threads
    /// that go these ways at the same time can deadlock. It is silent if all of this happens under one more
    /// lock, for then they cannot. Locks taken by `try_` or with a time limit are not waited for, so they
    /// count as held but not as taken. Orders of up to eight locks are followed, lock by lock and not type by type.
    pub const fn lock_order(mut self, on: bool) -> Self {
        self.lock_order = Some(on);
        self
    }

    /// Turns the watch on, as described, unless the environment has turned it off.
    ///
    /// It stays on: what it did not see would make what it remembers false. What was taken before is not known to it.
    pub fn start(self) {
        if let Some(action) = self.action {
            settings::set_action(action);
        }
        if let Some(time) = self.suspect_after {
            settings::set_suspect_after(time);
        }
        if let Some(on) = self.lock_order {
            settings::set_lock_order(on);
        }
        flags::watch_on();
    }
}

/// Whether the watch is on.
///
/// ```
/// if !raddle::watch::is_on() {
///     println!("a program that hangs will just hang");
/// }
/// ```
pub fn is_on() -> bool {
    flags::watching()
}
