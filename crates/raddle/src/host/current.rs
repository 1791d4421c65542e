//! Which thread this is, and which host it is under.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::program::Program;
use super::record::Record;
use super::scheduler::Scheduler;
use super::under::{self, with_program};
use super::{ending, os};

thread_local! {
    /// The calling thread's record. Its destructor is registered before any of the thread's own, so it
    /// runs after them: when it runs, the thread is over.
    static CURRENT: RefCell<Option<Mine>> = const { RefCell::new(None) };
    /// The same ident without a destructor, for owner checks on fast paths; 0: not asked yet.
    static IDENT: Cell<u64> = const { Cell::new(0) };
}

struct Mine(Arc<Record>);

impl Drop for Mine {
    fn drop(&mut self) {
        ending::thread_is_over(&self.0);
    }
}

/// The calling thread's number, never used again for another thread.
#[inline]
pub(crate) fn ident() -> u64 {
    let known = IDENT.get();
    if known == 0 { record().ident } else { known }
}

/// Whether this is the calling thread's number. Cheaper than to ask for that, since nobody's number is 0.
#[inline]
pub(crate) fn is_me(ident: u64) -> bool {
    debug_assert_ne!(ident, 0);
    IDENT.get() == ident
}

/// A number that no other living thread has.
#[inline]
pub(crate) fn here() -> usize {
    IDENT.with(|mine| std::ptr::from_ref(mine).addr())
}

/// The calling thread's record; a thread that raddle did not start gets a stand-in.
pub(crate) fn record() -> Arc<Record> {
    let known = CURRENT.try_with(|mine| mine.borrow().as_ref().map(|mine| mine.0.clone()));
    match known {
        Ok(Some(record)) => record,
        Ok(None) => {
            let record = stand_in();
            adopt(record.clone());
            record
        }
        // The thread's locals are gone already: it is being taken down, or is inside `exit`.
        Err(_) if is_main() => under::ordinary().main().clone(),
        Err(_) => {
            if IDENT.get() == 0 {
                IDENT.set(Record::next_ident());
            }
            Record::of_ended(IDENT.get())
        }
    }
}

/// Whether what the calling thread starts is a daemon, unless told otherwise.
pub(crate) fn daemon_heirs() -> bool {
    let known = CURRENT.try_with(|mine| mine.borrow().as_ref().map(|mine| mine.0.daemon_heirs.load(Relaxed)));
    known.ok().flatten().unwrap_or_else(|| record().daemon_heirs.load(Relaxed))
}

/// Ends the calling thread for all others, though it goes on to run what the end of the program asks for. It
/// stays who it was, so that it still owns what it held.
pub(super) fn end_for_others() {
    let known = CURRENT.try_with(|mine| mine.borrow().as_ref().map(|mine| mine.0.clone()));
    match known {
        Ok(Some(record)) => ending::thread_is_over(&record),
        // Other threads may know of main though main itself never asked who it is.
        _ if is_main() => ending::thread_is_over(under::ordinary().main()),
        _ => {} // its end came with that of its locals
    }
}

/// Makes `record` the calling thread's; it ends with the thread.
pub(crate) fn adopt(record: Arc<Record>) {
    if let Some(id) = os::native_id() {
        let _ = record.native_id.set(id);
    }
    IDENT.set(record.ident);
    let before = CURRENT.try_with(|mine| mine.replace(Some(Mine(record))));
    debug_assert!(!matches!(before, Ok(Some(_))), "a thread took on a second identity");
}

/// Gives up the calling thread's record, as its end would.
fn leave() {
    let before = CURRENT.try_with(RefCell::take);
    IDENT.set(0);
    drop(before);
}

fn stand_in() -> Arc<Record> {
    let explored = under::scheduler().is_some();
    with_program(|program| {
        if explored && !program.has_main() {
            let record = Record::new("MainThread", false, false);
            program.set_main(record.clone());
            return record;
        }
        if is_main() && !explored {
            return program.main().clone();
        }
        let record = Record::new(&foreign_name(program), true, false);
        program.add(&record);
        record
    })
}

fn foreign_name(program: &Program) -> String {
    match std::thread::current().name() {
        Some(name) => name.to_owned(),
        None => format!("Dummy-{}", program.next_name()),
    }
}

fn is_main() -> bool {
    match (os::native_id(), os::process_id()) {
        (Some(thread), Some(process)) => thread == process,
        _ => std::thread::current().name() == Some("main"),
    }
}

/// What the calling thread is: its record and its host.
#[derive(Default)]
pub(super) struct Identity {
    mine: Option<Mine>,
    scheduler: Option<Arc<dyn Scheduler>>,
}

/// Gives the calling thread another identity, with a record to be made when one is needed.
pub(super) fn become_under(scheduler: Arc<dyn Scheduler>) -> Identity {
    let mine = CURRENT.try_with(RefCell::take).ok().flatten();
    let before = under::replace(Some(scheduler));
    IDENT.set(0);
    Identity { mine, scheduler: before }
}

/// Ends the identity that the calling thread has and takes up an earlier one.
pub(super) fn become_again(earlier: Identity) {
    leave(); // under the host that it belongs to
    under::replace(earlier.scheduler);
    IDENT.set(earlier.mine.as_ref().map_or(0, |mine| mine.0.ident));
    let _ = CURRENT.try_with(|mine| mine.replace(earlier.mine));
}
