//! Reports: the finding, the states of the threads concerned, and the hook that receives them.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::holds::{self, Hold};
use super::wait_table::{Cause, Waiting};
use crate::rt::fork::{ForkSafe, Rank};
use crate::rt::lock_id::NO_LOCK;
use crate::rt::op::{Kind, Op};
use crate::rt::place::Place;
use crate::rt::program::Program;
use crate::rt::scheduler::drop_payload;
use crate::rt::thread_record::ThreadRecord;
use crate::sys::os;

/// The kind of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Finding {
    /// Deadlock: a thread waits for a lock that it holds and that no other thread can release.
    OwnLock,
    /// Deadlock: threads wait for each other in a cycle, for locks that only their holders can release or for
    /// terminations.
    Cycle,
    /// Deadlock: every thread of the process waits without a deadline.
    EveryThread,
    /// Deadlock, already resolved: all workers of a pool waited for tasks of that pool, and one wait returned an error.
    Pool,
    /// Suspected deadlock: for a long time, only the release of a [`Lock`](crate::Lock) by another thread or a signal
    /// handler could have woken the threads.
    Suspicion,
    /// Warning: two locks have been acquired in both orders.
    LockOrder,
}

/// A report of the watch. Its [`Display`](fmt::Display) is the text that is written to standard error without a
/// [hook](set_hook).
///
/// # Examples
/// ```
/// use raddle::watch::{self, Finding};
///
/// watch::set_hook(|report| {
///     eprint!("{report}");
///     if report.finding == Finding::Cycle {
///         let names: Vec<_> = report.threads.iter().map(|thread| &*thread.name).collect();
///         eprintln!("restart required: {} are deadlocked", names.join(" and "));
///     }
/// });
/// # watch::reset_hook();
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The kind of the report.
    pub finding: Finding,
    /// The threads concerned. In a cycle, each waits for the next.
    pub threads: Vec<ThreadState>,
    /// For [`Finding::LockOrder`]: the acquisitions that contradict each other.
    pub orders: Vec<Order>,
    headline: String,
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

/// The acquisition of a lock while another one was held.
///
/// # Examples
/// ```
/// use raddle::{Mutex, watch};
/// use std::sync::mpsc;
///
/// let (sender, receiver) = mpsc::channel();
/// watch::set_hook(move |report| sender.send(report.clone()).unwrap());
/// watch::Watch::new().lock_order(true).start();
/// let (a, b) = (Mutex::new(1), Mutex::new(2));
/// drop((a.lock(), b.lock()));
/// drop((b.lock(), a.lock()));
/// let orders = receiver.recv()?.orders;
/// assert_eq!(orders.len(), 2);
/// assert_eq!((&orders[0].held, &orders[0].acquired), (&orders[1].acquired, &orders[1].held));
/// # watch::reset_hook();
/// # Ok::<(), mpsc::RecvError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Order {
    /// The name of the thread.
    pub thread: Arc<str>,
    /// The lock that it held: type and address.
    pub held: String,
    /// Where it had acquired that lock.
    pub held_at: Place,
    /// The lock that it acquired: type and address.
    pub acquired: String,
    /// Where it acquired that lock.
    pub acquired_at: Place,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { thread, held, held_at, acquired, acquired_at } = self;
        writeln!(f, "thread \"{thread}\" acquired {acquired}, at {acquired_at}")?;
        write!(f, "      while holding {held}, acquired at {held_at}")
    }
}

/// The state of a thread: its wait, if it waits, and the locks that it holds.
///
/// Its [`Display`](fmt::Display) shows all of it, over several lines.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ThreadState {
    /// The name of the thread.
    pub name: Arc<str>,
    /// Its identifier, unique in this process; see [`ident`](crate::thread::ident).
    pub ident: u64,
    /// Its identifier in the operating system, if it has one.
    pub native_id: Option<u64>,
    /// Whether it is a daemon.
    pub daemon: bool,
    /// Its wait, or `None` if it does not wait for an object of raddle's.
    pub waits: Option<WaitState>,
    /// The locks that it holds.
    pub holds: Vec<HoldState>,
}

/// The wait of a thread.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WaitState {
    /// The object: type and address, or `thread "name"`.
    pub object: String,
    /// Where it waits. `None` at the end of the program, and for a lock inside a primitive.
    pub at: Option<Place>,
    /// How long it has waited.
    pub waited: Duration,
    /// How long until its deadline, if there is one.
    pub remaining: Option<Duration>,
    /// The thread that holds the lock, if it waits for a lock.
    pub holder: Option<Holder>,
}

/// The thread that holds a lock.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Holder {
    /// The name of the thread.
    pub name: Arc<str>,
    /// Its identifier.
    pub ident: u64,
    /// Where it acquired the lock.
    pub at: Place,
}

/// A lock that a thread holds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HoldState {
    /// The lock: type and address.
    pub object: String,
    /// Where it was acquired.
    pub at: Place,
}

impl ThreadState {
    /// Writes the object of the thread's wait, and the thread that holds it.
    fn write_wait(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(waits) = &self.waits else { return writeln!(f, "  thread \"{}\" runs", self.name) };
        writeln!(f, "  thread \"{}\" waits for {waits}", self.name)?;
        self.write_holder(f, waits)
    }

    fn write_holder(&self, f: &mut fmt::Formatter<'_>, waits: &WaitState) -> fmt::Result {
        let Some(holder) = &waits.holder else { return Ok(()) };
        if holder.ident == self.ident {
            writeln!(f, "      held by itself, acquired at {}", holder.at)
        } else {
            writeln!(f, "      held by thread \"{}\", acquired at {}", holder.name, holder.at)
        }
    }
}

impl fmt::Display for ThreadState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  thread \"{}\" (ident {}", self.name, self.ident)?;
        if let Some(id) = self.native_id {
            write!(f, ", native id {id}")?;
        }
        f.write_str(if self.daemon { ", daemon)" } else { ")" })?;
        match &self.waits {
            None => writeln!(f, " runs")?,
            Some(waits) => {
                write!(f, " waits for {waits}, for {:.1?}", waits.waited)?;
                match waits.remaining {
                    None => writeln!(f)?,
                    Some(remaining) => writeln!(f, ", {remaining:.1?} left")?,
                }
                self.write_holder(f, waits)?;
            }
        }
        self.holds
            .iter()
            .try_for_each(|hold| writeln!(f, "      holds {}, acquired at {}", hold.object, hold.at))
    }
}

impl fmt::Display for WaitState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(at) => write!(f, "{}, at {at}", self.object),
            None => f.write_str(&self.object),
        }
    }
}

/// A snapshot of all held locks, from which the states of threads are made.
pub(super) struct View {
    holds: BTreeMap<u64, Vec<Hold>>,
    /// The names of the threads, by the addresses of their records: these are the objects of joins.
    names: BTreeMap<usize, Arc<str>>,
}

impl View {
    pub(super) fn of(program: &Program) -> Self {
        let threads = program.threads();
        let names = threads.iter().map(|thread| (Arc::as_ptr(thread) as usize, thread.name())).collect();
        Self { holds: holds::by_thread(), names }
    }

    pub(super) fn thread(&self, thread: &ThreadRecord, waiting: Option<&Waiting>) -> ThreadState {
        let holds = self.holds.get(&thread.ident).into_iter().flatten();
        ThreadState {
            name: thread.name(),
            ident: thread.ident,
            native_id: thread.native_id(),
            daemon: thread.daemon.load(Relaxed),
            waits: waiting.map(|waiting| self.wait(waiting)),
            holds: holds.map(|hold| HoldState { object: hold.object.to_string(), at: hold.at }).collect(),
        }
    }

    pub(super) fn waiting(&self, waiting: &Waiting) -> ThreadState {
        self.thread(&waiting.thread, Some(waiting))
    }

    fn wait(&self, waiting: &Waiting) -> WaitState {
        let now = os::now();
        let hold = if waiting.lock == NO_LOCK { None } else { holds::get(waiting.lock) };
        WaitState {
            object: match &waiting.cause {
                Cause::Operation(op) => self.object(op),
                Cause::Unreported => "an internal lock".to_owned(),
                Cause::ProgramEnd => "non-daemon threads".to_owned(),
            },
            at: waiting.op().map(|op| op.at),
            waited: now.saturating_duration_since(waiting.since),
            remaining: waiting.until.map(|until| until.saturating_duration_since(now)),
            holder: hold.map(|hold| Holder { name: hold.by.name(), ident: hold.by.ident, at: hold.at }),
        }
    }

    fn object(&self, op: &Op) -> String {
        match self.names.get(&op.object.address) {
            Some(name) => format!("thread \"{name}\""),
            None if matches!(op.kind, Kind::Sleep | Kind::Clock) => "the clock".to_owned(),
            None => op.object.to_string(),
        }
    }
}

type Hook = Arc<dyn Fn(&Report) + Send + Sync>;

static HOOK: ForkSafe<Option<Hook>> = ForkSafe::new(Rank::Leaf, None);

/// Sets the hook that receives the reports of the watch, instead of standard error.
///
/// The hook runs on the thread that detects the problem, which waits or has just acquired a lock. It should pass the
/// report on to a log or a channel and return. It must not wait for locks of the program. Its own waits are not watched.
/// After it returns, the watch takes the [`Action`](super::Action).
///
/// # Panics
/// A panic of the hook is caught and reported on standard error.
///
/// # Examples
/// ```
/// use raddle::watch;
///
/// watch::set_hook(|report| eprintln!("{:?}\n{report}", report.finding));
/// watch::reset_hook();
/// ```
pub fn set_hook(hook: impl Fn(&Report) + Send + Sync + 'static) {
    replace(Some(Arc::new(hook)));
}

/// Removes the [hook](set_hook): reports are written to standard error again.
///
/// # Examples
/// ```
/// use raddle::watch;
///
/// watch::set_hook(|_| ());
/// watch::reset_hook();
/// ```
pub fn reset_hook() {
    replace(None);
}

fn replace(hook: Option<Hook>) {
    let before = std::mem::replace(&mut *HOOK.lock(), hook);
    drop_hook(before); // after the lock is released: this runs user code
}

fn drop_hook(hook: Option<Hook>) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(hook))) {
        os::write_error("raddle: the destructor of the watch hook panicked\n");
        drop_payload(payload, |_| ());
    }
}

thread_local! {
    /// Whether the calling thread runs the hook. It is a property of the thread, and no argument could replace it: between
    /// the watch and the operations of the hook lies code of the user. Without a destructor, so that it can be read until
    /// the thread has terminated.
    static IN_HOOK: Cell<bool> = const { Cell::new(false) };
}

/// Returns whether the calling thread runs the hook, whose waits are not watched and whose locks have no order.
pub(crate) fn in_hook() -> bool {
    IN_HOOK.get()
}

fn run_hook(hook: impl FnOnce()) {
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            IN_HOOK.set(false);
        }
    }
    IN_HOOK.set(true);
    let _reset = Reset;
    hook();
}

/// Calls the hook with `report`. Returns whether there is one.
pub(super) fn call_hook(report: &Report) -> bool {
    let hook = HOOK.lock().clone();
    let called = hook.is_some();
    if let Some(hook) = &hook
        && let Err(payload) = catch_unwind(AssertUnwindSafe(|| run_hook(|| hook(report))))
    {
        os::write_error(&format!("raddle: the watch hook panicked while handling this report:\n{report}"));
        drop_payload(payload, |_| ());
    }
    drop_hook(hook); // this may be the last reference, if it was replaced meanwhile
    called
}

/// Calls a function that a binding has set.
pub(super) fn call_bindings(function: Option<fn()>) {
    if let Some(function) = function
        && let Err(payload) = catch_unwind(AssertUnwindSafe(|| run_hook(function)))
    {
        os::write_error("raddle: a function that a binding has set for the watch panicked\n");
        drop_payload(payload, |_| ());
    }
}

/// Calls the hook with `report`, or writes it to standard error together with the `consequence`.
pub(super) fn emit(report: &Report, consequence: &str) {
    if !in_hook() && !call_hook(report) {
        os::write_error(&format!("{report}{consequence}\n"));
    }
}
