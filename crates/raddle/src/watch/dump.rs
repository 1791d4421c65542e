//! All threads and what they wait for, whenever somebody asks.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

use super::report::{ThreadState, View};
use super::wait_table::{Waiting, table};
use crate::rt::{self, ForkSafe, Kind, Op, Rank, ThreadRecord, current, flags, scheduler};
use crate::sys::os;
use crate::thread;

/// Every thread and what it waits for, at one moment: [`Display`](fmt::Display) is the whole text.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Dump {
    /// Whether the watch is on. If not, nobody knows who waits and who holds what: all threads seem to run.
    pub is_watched: bool,
    /// The main thread, and then those that raddle started or met, in the order in which it did.
    pub threads: Vec<ThreadState>,
    /// The operating system's numbers of the threads that raddle does not know, where they can be told.
    pub unknown: Vec<u64>,
}

/// What every thread does now.
///
/// This needs the watch: only while it is on do waits and holds leave a trace, and only those since it was
/// turned on. A lock that was dropped while it was held is still listed. Threads under a [scheduler](crate::rt::Scheduler) are left out.
///
/// ```
/// use raddle::{Event, Thread, watch};
/// use std::sync::Arc;
///
/// watch::Watch::new().start();
/// let go = Arc::new(Event::new());
/// let waits = Thread::new({ let go = go.clone(); move || go.wait() }).name("waits").start()?;
/// let state = loop {
///     let dump = watch::dump();
///     let thread = dump.threads.into_iter().find(|thread| &*thread.name == "waits");
///     if let Some(wait) = thread.and_then(|thread| thread.waits) {
///         break wait;
///     }
/// };
/// assert!(state.object.starts_with("Event"));
/// go.set();
/// waits.join()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn dump() -> Dump {
    let _me = current::record(); // so that the calling thread is among them
    let program = scheduler::default_program();
    program.main();
    let (known, view) = (program.threads(), View::of(program));
    let table = table();
    let listed: BTreeSet<u64> = known.iter().map(|thread| thread.ident).collect();
    let state = |thread: &_| view.thread(thread, table.of_thread(thread.ident).map(|(_, waiting)| waiting));
    // Whoever waits for the end of the program is over for all others.
    let leaving = |waiting: &&Waiting| !listed.contains(&waiting.thread.ident);
    let mut threads: Vec<_> = known.iter().map(|thread| state(thread)).collect();
    threads.extend(table.all().filter(leaving).map(|waiting| view.waiting(waiting)));
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
            writeln!(f, "  threads that raddle does not know: native id {}", ids.join(", "))?;
        }
        if !self.is_watched {
            f.write_str("The watch is off, so who waits and who holds what is not known; RADDLE_WATCH=1 turns it on.\n")?;
        }
        Ok(())
    }
}

/// Has SIGQUIT (Ctrl-\, `kill -QUIT`) write a [`dump`] to standard error, after which the program goes on.
///
/// A daemon thread writes it, so it comes even where all other threads hang. A handler that the program had
/// for this signal is replaced. The first call does it; further ones change nothing. In a forked child, which does not
/// have that thread, SIGQUIT has its default effect until the child calls this, too.
///
/// # Errors
/// What the operating system said; `Unsupported` where it is not Linux.
///
/// ```
/// # #[cfg(target_os = "linux")]
/// raddle::watch::dump_on_sigquit()?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn dump_on_sigquit() -> io::Result<()> {
    // By which process: a forked child has no thread for it yet.
    static ANSWERED: ForkSafe<Option<u32>> = ForkSafe::new(Rank::Start, None);
    let mut answered = ANSWERED.lock();
    if *answered != Some(rt::forks()) {
        let count = os::on_sigquit()?;
        let record = ThreadRecord::new("dump on SIGQUIT", true, true);
        thread::launch(&record, None, Box::new(|| write_dumps(count)))?;
        *answered = Some(rt::forks());
    }
    Ok(())
}

/// Writes a dump each time the count has changed. The handler itself only counts and wakes this thread: more may not be
/// done there. The thread waits like any other, so it does not keep the watch from being certain of a deadlock.
fn write_dumps(count: &'static AtomicU32) -> ! {
    let mut written = 0;
    loop {
        let come = count.load(Ordering::Acquire);
        if come == written {
            rt::point_until(Op::new(count, "SIGQUIT", Kind::Signal), None, count, || false);
            rt::wait(count, written, None);
        } else {
            os::write_error(&dump().to_string());
            written = come;
        }
    }
}
