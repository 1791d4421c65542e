//! Dumps: all threads, with their waits and their held locks, on demand.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

use super::report::{ThreadState, View, call_bindings};
use super::settings;
use super::wait_table::{Waiting, table};
use crate::rt::{self, ForkSafe, Kind, Op, Rank, ThreadRecord, Wait, current, flags, scheduler};
use crate::sys::os;
use crate::thread;

/// A snapshot of all threads. Its [`Display`](fmt::Display) is the whole text.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Dump {
    /// Whether the watch is on. If not, waits and held locks are unknown, and all threads seem to run.
    pub is_watched: bool,
    /// The main thread, then the other registered threads in the order of registration, and then raddle's own threads.
    pub threads: Vec<ThreadState>,
    /// The operating system's identifiers of the threads that are not registered, where available.
    pub unknown: Vec<u64>,
}

/// Returns a snapshot of all threads.
///
/// Waits and held locks are recorded only while the watch is on. A lock that was dropped while it was held is still
/// listed. Threads with a [scheduler](crate::rt::Scheduler) are not included.
///
/// # Examples
/// ```
/// use raddle::{Event, Thread, watch};
/// use std::sync::Arc;
///
/// watch::Watch::new().start();
/// let event = Arc::new(Event::new());
/// let waiter = Thread::new({ let event = event.clone(); move || event.wait() }).name("waiter").start()?;
/// let wait = loop {
///     let dump = watch::dump();
///     let thread = dump.threads.into_iter().find(|thread| &*thread.name == "waiter");
///     if let Some(wait) = thread.and_then(|thread| thread.waits) {
///         break wait;
///     }
/// };
/// assert!(wait.object.starts_with("Event"));
/// event.set();
/// waiter.join()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn dump() -> Dump {
    let _me = current::record(); // so that the calling thread is included
    let program = scheduler::default_program();
    program.main();
    let (mut known, view) = (program.threads(), View::of(program));
    known.sort_by_key(|thread| thread.internal); // stable
    let table = table();
    let listed: BTreeSet<u64> = known.iter().map(|thread| thread.ident).collect();
    let state = |thread: &_| view.thread(thread, table.of_thread(thread.ident).map(|(_, waiting)| waiting));
    // The thread that waits for the end of the program is no longer in the registry.
    let exiting = |waiting: &&Waiting| !listed.contains(&waiting.thread.ident);
    let mut threads: Vec<_> = known.iter().map(|thread| state(thread)).collect();
    threads.extend(table.all().filter(exiting).map(|waiting| view.waiting(waiting)));
    let ids: BTreeSet<u64> = threads.iter().filter_map(|thread| thread.native_id).collect();
    let unknown = os::tasks().into_iter().flatten().filter(|id| !ids.contains(id)).collect();
    Dump { is_watched: flags::watching(), threads, unknown }
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "raddle: {} threads", self.threads.len())?;
        self.threads.iter().try_for_each(|thread| thread.fmt(f))?;
        if !self.unknown.is_empty() {
            let ids: Vec<_> = self.unknown.iter().map(u64::to_string).collect();
            writeln!(f, "  threads unknown to raddle: native id {}", ids.join(", "))?;
        }
        if !self.is_watched {
            f.write_str(
                "The watch is off, so waits and held locks are unknown; RADDLE_WATCH=1 turns it on.\n",
            )?;
        }
        Ok(())
    }
}

/// Installs a handler for SIGQUIT (Ctrl-\, `kill -QUIT`) that writes a [`dump`] to standard error.
///
/// The program continues after the dump. A daemon thread writes it, so it appears even if all other threads are blocked.
/// The handler replaces one that the program had for this signal. Further calls have no effect. A forked child has no
/// such thread: there, SIGQUIT has its default effect until the child calls this function itself.
///
/// # Errors
/// Returns the error of the operating system, or `Unsupported` on other systems than Linux.
///
/// # Examples
/// ```
/// # #[cfg(target_os = "linux")]
/// raddle::watch::dump_on_sigquit()?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn dump_on_sigquit() -> io::Result<()> {
    // The process whose thread writes the dumps, as a number of forks.
    static WRITER_OF: ForkSafe<Option<u32>> = ForkSafe::new(Rank::Start, None);
    let mut writer_of = WRITER_OF.lock();
    if *writer_of != Some(rt::forks()) {
        let count = os::on_sigquit()?;
        let record = ThreadRecord::new("dump on SIGQUIT", true, true);
        thread::launch(&record, None, Box::new(|| write_dumps(count)))?;
        *writer_of = Some(rt::forks());
    }
    Ok(())
}

/// Writes a dump each time `count` has changed. The signal handler only counts and wakes this thread, as more is not
/// allowed in a handler. The thread waits like any other, so that it does not keep the watch from detecting a deadlock.
fn write_dumps(count: &'static AtomicU32) -> ! {
    let mut written = 0;
    loop {
        let received = count.load(Ordering::Acquire);
        if received == written {
            let op = Op::new(count, "SIGQUIT", Kind::Signal);
            rt::point_until(op, None, count, || false);
            rt::wait(count, written, &Wait::new(&op));
        } else {
            os::write_error(&dump().to_string());
            call_bindings(settings::function_after_dump());
            written = received;
        }
    }
}
