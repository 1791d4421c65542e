//! All threads and what they wait for, whenever somebody asks.

use std::collections::BTreeSet;
use std::fmt;

use super::describe::View;
use super::state::ThreadState;
use super::table::{Waiting, table};
use crate::rt::{current, flags, os, under};

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
    let program = under::ordinary();
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
