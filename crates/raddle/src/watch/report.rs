//! What the watch found.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::holds::{self, Hold};
use super::wait_table::Waiting;
use crate::rt::current_op;
use crate::rt::fork::{ForkSafe, Rank};
use crate::rt::lock_id::NO_LOCK;
use crate::rt::op::{Kind, Op};
use crate::rt::place::Place;
use crate::rt::program::Program;
use crate::rt::scheduler::drop_payload;
use crate::rt::thread_record::ThreadRecord;
use crate::sys::os;

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
    pub(crate) headline: String,
}

impl Report {
    pub(crate) fn new(finding: Finding, headline: impl Into<String>, threads: Vec<ThreadState>) -> Self {
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

/// One thread: what it waits for, and what it holds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ThreadState {
    /// Its name.
    pub name: Arc<str>,
    /// Its number in this process, never used again; see [`ident`](crate::thread::ident).
    pub ident: u64,
    /// The operating system's number for it, where there is one.
    pub native_id: Option<u64>,
    /// Whether the program may end without it.
    pub daemon: bool,
    /// What it waits for; `None`: it waits for nothing of raddle's.
    pub waits: Option<WaitState>,
    /// The locks that it holds.
    pub holds: Vec<HoldState>,
}

/// What a thread waits for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WaitState {
    /// The object and its address, or `thread "name"`.
    pub object: String,
    /// On which line; `None`: at the end of the program.
    pub at: Option<Place>,
    /// For how long already.
    pub waited: Duration,
    /// How long it will wait yet; `None`: without limit.
    pub left: Option<Duration>,
    /// Who holds that lock.
    pub holder: Option<Holder>,
}

/// Who holds a lock that somebody waits for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Holder {
    /// The thread's name.
    pub name: Arc<str>,
    /// Its number.
    pub ident: u64,
    /// On which line it took the lock.
    pub at: Place,
}

/// A lock that a thread holds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HoldState {
    /// The lock and its address.
    pub object: String,
    /// On which line it was taken.
    pub at: Place,
}

impl ThreadState {
    /// For a report: what it waits for, and who holds that.
    pub(crate) fn write_wait(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(waits) = &self.waits else { return writeln!(f, "  thread \"{}\" runs", self.name) };
        writeln!(f, "  thread \"{}\" waits for {waits}", self.name)?;
        self.write_holder(f, waits)
    }

    fn write_holder(&self, f: &mut fmt::Formatter<'_>, waits: &WaitState) -> fmt::Result {
        let Some(holder) = &waits.holder else { return Ok(()) };
        if holder.ident == self.ident {
            writeln!(f, "      which was taken by itself, at {}", holder.at)
        } else {
            writeln!(f, "      which was taken by thread \"{}\", at {}", holder.name, holder.at)
        }
    }
}

/// With all its parts, over several lines.
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
                match waits.left {
                    None => writeln!(f)?,
                    Some(left) => writeln!(f, ", {left:.1?} left")?,
                }
                self.write_holder(f, waits)?;
            }
        }
        self.holds
            .iter()
            .try_for_each(|hold| writeln!(f, "      holds {}, taken at {}", hold.object, hold.at))
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

/// What all threads hold, at one time.
pub(crate) struct View {
    holds: BTreeMap<u64, Vec<Hold>>,
    /// The threads' names, by the addresses that they are waited for under.
    names: BTreeMap<usize, Arc<str>>,
}

impl View {
    pub(crate) fn of(program: &Program) -> Self {
        let threads = program.threads();
        let names = threads.iter().map(|thread| (Arc::as_ptr(thread) as usize, thread.name())).collect();
        Self { holds: holds::by_thread(), names }
    }

    pub(crate) fn thread(&self, thread: &ThreadRecord, waiting: Option<&Waiting>) -> ThreadState {
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

    /// A thread that waits.
    pub(crate) fn waiting(&self, waiting: &Waiting) -> ThreadState {
        self.thread(&waiting.thread, Some(waiting))
    }

    fn wait(&self, waiting: &Waiting) -> WaitState {
        let now = os::now();
        let hold = if waiting.lock == NO_LOCK { None } else { holds::get(waiting.lock) };
        WaitState {
            object: waiting.op.as_ref().map_or_else(the_end, |op| self.object(op)),
            at: waiting.op.map(|op| op.at),
            waited: now.saturating_duration_since(waiting.since),
            left: waiting.until.map(|until| until.saturating_duration_since(now)),
            holder: hold.map(|hold| Holder { name: hold.by.name(), ident: hold.by.ident, at: hold.at }),
        }
    }

    fn object(&self, op: &Op) -> String {
        match self.names.get(&op.object.address) {
            Some(name) => format!("thread \"{name}\""),
            None if op.kind == Kind::Sleep => "its time".to_owned(),
            None => op.object.to_string(),
        }
    }
}

fn the_end() -> String {
    "the threads that are not daemons".to_owned()
}

type Hook = Arc<dyn Fn(&Report) + Send + Sync>;

static HOOK: ForkSafe<Option<Hook>> = ForkSafe::new(Rank::Leaf, None);

/// Has `hook` called for everything that the watch finds, in place of a text on standard error.
///
/// The hook runs in the thread that finds out, which waits or has just taken a lock: it should hand the report to a
/// log or a channel and return, and must not wait for locks that the program's threads hold. What it does itself is
/// not watched. A panic in the hook is caught and written to standard error. After the hook, the watch does
/// what its [`Action`](crate::watch::Action) says; where that ends the program, it does so as soon as the hook returns.
///
/// ```
/// use raddle::watch;
/// watch::set_hook(|report| eprintln!("{:?}\n{report}", report.finding));
/// watch::reset_hook();
/// ```
pub fn set_hook(hook: impl Fn(&Report) + Send + Sync + 'static) {
    replace(Some(Arc::new(hook)));
}

/// Goes back to the default: a text on standard error.
pub fn reset_hook() {
    replace(None);
}

fn replace(hook: Option<Hook>) {
    let before = std::mem::replace(&mut *HOOK.lock(), hook);
    dropped(before); // after the lock is released: it is the user's code
}

/// Drops a hook, or a reference to it.
fn dropped(hook: Option<Hook>) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(hook))) {
        os::write_error("raddle: the destructor of a hook of the watch panicked\n");
        drop_payload(payload, |_| ());
    }
}

/// Tells the hook; says whether there is one.
pub(crate) fn tell(report: &Report) -> bool {
    let hook = HOOK.lock().clone();
    let told = hook.is_some();
    if let Some(hook) = &hook
        && let Err(payload) = catch_unwind(AssertUnwindSafe(|| current_op::run_hook(|| hook(report))))
    {
        os::write_error(&format!("raddle: the hook of the watch itself panicked; it was told:\n{report}"));
        drop_payload(payload, |_| ());
    }
    dropped(hook); // it may have been replaced meanwhile
    told
}

/// Tells the hook or writes to standard error, and says what follows from it.
pub(crate) fn say(report: &Report, what_follows: &str) {
    if !current_op::in_hook() && !tell(report) {
        os::write_error(&format!("{report}{what_follows}\n"));
    }
}
