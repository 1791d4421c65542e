//! What the watch found.

use std::fmt;
use std::sync::Arc;

use super::state::ThreadState;
use crate::rt::place::Place;

/// What kind of thing the watch found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Finding {
    /// Deadlock: a thread waits for a lock that it holds itself, and that nobody else can release.
    OwnLock,
    /// Deadlock: threads wait for each other, in a circle, for locks that nobody else can release, or for ends.
    Cycle,
    /// Deadlock: every thread of the process waits without limit.
    EveryThread,
    /// Deadlock, broken up: all workers of a pool wait for tasks of that pool, and one wait has ended in an error.
    Pool,
    /// Perhaps a deadlock: for a long time, only another thread's release of a [`Lock`](crate::Lock), or a signal
    /// handler, could wake the threads.
    Suspicion,
    /// Not a deadlock yet: locks were taken in one order here and in another one there.
    LockOrder,
}

/// What the watch found, for a [hook](crate::watch::set_hook): in words ([`Display`](fmt::Display)) and in parts.
///
/// ```
/// use raddle::watch::{self, Finding};
///
/// watch::set_hook(|report| {
///     eprint!("{report}");
///     if report.finding == Finding::Cycle {
///         let names: Vec<_> = report.threads.iter().map(|thread| &*thread.name).collect();
///         eprintln!("please restart: {} will not go on", names.join(" and "));
///     }
/// });
/// # watch::reset_hook();
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// What it is.
    pub finding: Finding,
    /// The threads concerned; in a circle, each waits for the next one.
    pub threads: Vec<ThreadState>,
    /// For [`Finding::LockOrder`]: the orders that contradict each other.
    pub orders: Vec<Order>,
    pub(super) headline: String,
}

impl Report {
    pub(super) fn new(finding: Finding, headline: impl Into<String>, threads: Vec<ThreadState>) -> Self {
        Self { finding, threads, orders: Vec::new(), headline: headline.into() }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.headline)?;
        self.threads.iter().try_for_each(|thread| match (self.finding, &thread.waits) {
            (Finding::Pool, None) => writeln!(f, "  thread \"{}\" is about to wait", thread.name),
            _ => thread.write_wait(f),
        })?;
        self.orders.iter().try_for_each(|order| writeln!(f, "  {order}"))
    }
}

/// A lock that was taken while another one was held.
///
/// ```
/// use raddle::{Mutex, watch};
/// use std::sync::mpsc;
///
/// let (found, founds) = mpsc::channel();
/// watch::set_hook(move |report| found.send(report.clone()).unwrap());
/// watch::Watch::new().lock_order(true).start();
/// let (a, b) = (Mutex::new(1), Mutex::new(2));
/// drop((a.lock(), b.lock()));
/// drop((b.lock(), a.lock()));
/// let orders = founds.recv()?.orders;
/// assert_eq!(orders.len(), 2);
/// assert_eq!((&orders[0].held, &orders[0].taken), (&orders[1].taken, &orders[1].held));
/// # watch::reset_hook();
/// # Ok::<(), mpsc::RecvError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Order {
    /// Name of the thread that did so.
    pub thread: Arc<str>,
    /// The lock that it held, and its address.
    pub held: String,
    /// On which line it had taken that.
    pub held_at: Place,
    /// The lock that it took then.
    pub taken: String,
    /// On which line.
    pub taken_at: Place,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { thread, held, held_at, taken, taken_at } = self;
        writeln!(f, "thread \"{thread}\" took {taken}, at {taken_at}")?;
        write!(f, "      while it held {held}, taken at {held_at}")
    }
}
