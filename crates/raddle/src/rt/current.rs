//! Which thread this is, and which host it is under.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use super::fork::{self, ForkSafe, Rank};
use super::op::Op;
use super::program::Program;
use super::scheduler::{self, Scheduler, with_program};
use super::thread_record::ThreadRecord;
use super::{flags, keep_alive};
use crate::sys::{os, spin};

thread_local! {
    /// The calling thread's record. Its destructor is registered before any of the thread's own, so it
    /// runs after them: when it runs, the thread is over.
    static CURRENT: RefCell<Mine> = const { RefCell::new(Mine { record: None, end: None, then: None, leaves: false }) };
    /// The same ident without a destructor, for owner checks on fast paths; 0: not asked yet.
    static IDENT: Cell<u64> = const { Cell::new(0) };
}

/// What the calling thread is. Fields are dropped from first to last.
#[derive(Default)]
struct Mine {
    record: Option<Arc<ThreadRecord>>,
    /// The step that is its end, if raddle started it.
    end: Option<Op>,
    /// What a scheduler wants to be done once the thread has terminated.
    then: Option<Then>,
    /// The thread gives its identity up, and does not terminate with it.
    leaves: bool,
}

impl Mine {
    fn of(record: Arc<ThreadRecord>, end: Option<Op>) -> Self {
        Self { record: Some(record), end, then: None, leaves: false }
    }
}

impl Drop for Mine {
    fn drop(&mut self) {
        if let Some(record) = &self.record {
            if !self.leaves && self.then.is_none() {
                exits(); // the thread's locals are destroyed in the middle of its function
            }
            self.end.iter().for_each(terminates);
            keep_alive::thread_is_over(record);
        }
    }
}

/// The calling thread has called `exit`. Ends the process if it is under a scheduler that wants this.
pub(crate) fn exits() {
    if scheduler::current().is_some_and(|scheduler| scheduler.exit()) {
        os::end_process(101);
    }
}

/// For a scheduler, that a thread terminates is a step.
fn terminates(end: &Op) {
    if let Some(scheduler) = scheduler::current() {
        // A scheduler may throw, but this is a destructor, and the thread terminates in any case.
        let _ = catch_unwind(AssertUnwindSafe(|| scheduler.point(end)));
    }
}

/// What a scheduler wants to be done once the calling thread's locals have been dropped.
struct Then(Option<Box<dyn FnOnce()>>);

impl Drop for Then {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(|then| then());
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
pub(crate) fn thread_address() -> usize {
    IDENT.with(|mine| std::ptr::from_ref(mine).addr())
}

/// The calling thread's record; a thread that raddle did not start gets a stand-in.
pub(crate) fn record() -> Arc<ThreadRecord> {
    let known = CURRENT.try_with(|mine| mine.borrow().record.clone());
    match known {
        Ok(Some(record)) => record,
        Ok(None) => {
            let record = stand_in();
            take_on(record.clone(), None);
            record
        }
        // The thread's locals are gone already: it is being taken down, or is inside `exit`.
        Err(_) if is_main() => scheduler::default_program().main(),
        Err(_) => {
            if IDENT.get() == 0 {
                IDENT.set(ThreadRecord::next_ident());
            }
            ThreadRecord::of_ended(IDENT.get())
        }
    }
}

/// Whether what the calling thread starts is a daemon, unless told otherwise.
pub(crate) fn daemon_heirs() -> bool {
    let known = CURRENT
        .try_with(|mine| mine.borrow().record.as_ref().map(|record| record.daemon_heirs.load(Relaxed)));
    known.ok().flatten().unwrap_or_else(|| record().daemon_heirs.load(Relaxed))
}

/// Ends the calling thread for all others, though it goes on to run what the end of the program asks for. It
/// stays who it was, so that it still owns what it held.
pub(crate) fn end_for_others() {
    let known = CURRENT.try_with(|mine| mine.borrow().record.clone());
    match known {
        Ok(Some(record)) => keep_alive::thread_is_over(&record),
        // Other threads may know of main though main itself never asked who it is.
        _ if is_main() => keep_alive::thread_is_over(&scheduler::default_program().main()),
        _ => {} // its end came with that of its locals
    }
}

/// Makes `record` the calling thread's; it ends with the thread, which is the step `end`.
pub(crate) fn adopt(record: Arc<ThreadRecord>, end: Op) {
    take_on(record, Some(end));
}

fn take_on(record: Arc<ThreadRecord>, end: Option<Op>) {
    survives_forks();
    record.set_native_id(os::native_id());
    IDENT.set(record.ident);
    let before = CURRENT.try_with(|mine| mine.replace(Mine::of(record, end)));
    debug_assert!(!before.is_ok_and(|before| before.record.is_some()), "a thread took on a second identity");
}

/// Has every forked child know its only thread and forget the others, from now on.
pub(crate) fn survives_forks() {
    static LISTED: AtomicBool = AtomicBool::new(false);
    if !LISTED.load(Acquire) && !LISTED.swap(true, AcqRel) {
        fork::in_child(inherit);
    }
}

/// The calling thread is the only one of a child that it has just forked, and so the child's main thread, as in Python.
fn inherit() {
    let mine = CURRENT.try_with(|mine| mine.borrow().record.clone()).ok().flatten();
    if let Some(mine) = &mine {
        mine.inherit(os::native_id());
    }
    scheduler::default_program().inherit(mine.filter(|_| scheduler::current().is_none()));
}

/// Gives up the calling thread's record, as its end would.
fn leave() {
    // The step comes first, while the thread knows who it is.
    let end = CURRENT.try_with(|mine| mine.borrow_mut().end.take());
    end.ok().flatten().iter().for_each(terminates);
    let before = CURRENT.try_with(|mine| {
        mine.borrow_mut().leaves = true;
        mine.take()
    });
    IDENT.set(0);
    drop(before);
}

fn stand_in() -> Arc<ThreadRecord> {
    let explored = scheduler::current().is_some();
    with_program(|program| {
        if explored && !program.has_main() {
            let record = ThreadRecord::new("MainThread", false, false);
            program.set_main(record.clone());
            return record;
        }
        if is_main() && !explored {
            return program.main();
        }
        let record = ThreadRecord::new(&foreign_name(program), true, false);
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
pub(crate) struct Identity {
    mine: Mine,
    scheduler: Option<Arc<dyn Scheduler>>,
}

/// Gives the calling thread another identity, with a record to be made when one is needed.
pub(crate) fn become_under(scheduler: Arc<dyn Scheduler>) -> Identity {
    // First the scheduler's local, so that it is dropped after the record's.
    let before = scheduler::replace(Some(scheduler));
    spin::set_enabled(false);
    let mine = CURRENT.try_with(RefCell::take).unwrap_or_default();
    IDENT.set(0);
    Identity { mine, scheduler: before }
}

/// Ends the identity that the calling thread has and takes up an earlier one.
pub(crate) fn become_again(earlier: Identity) {
    leave(); // under the host that it belongs to
    spin::set_enabled(earlier.scheduler.is_none());
    scheduler::replace(earlier.scheduler);
    IDENT.set(earlier.mine.record.as_ref().map_or(0, |record| record.ident));
    let _ = CURRENT.try_with(|mine| mine.replace(earlier.mine));
}

/// Has `then` called when the calling thread has terminated: after its locals have been dropped, and its record, too.
pub(crate) fn when_terminated(then: Box<dyn FnOnce()>) {
    let kept = CURRENT.try_with(|mine| mine.borrow_mut().then = Some(Then(Some(then))));
    debug_assert!(kept.is_ok(), "the thread's locals are gone already");
}

/// Where this module keeps what it knows of the calling thread.
pub(crate) fn locals() -> [Range<usize>; 2] {
    fn of<T>(value: &T) -> Range<usize> {
        let start = std::ptr::from_ref(value).addr();
        start..start + size_of::<T>()
    }
    [CURRENT.with(of), IDENT.with(of)]
}

/// Puts the calling thread under `scheduler` until the returned value is dropped.
#[must_use = "the thread leaves the scheduler when this is dropped"]
pub fn enter(scheduler: Arc<dyn Scheduler>) -> Entered {
    let fine = scheduler.fine_grained();
    notice_exit();
    flags::raise(fine);
    Entered { before: become_under(scheduler), fine, not_send: PhantomData }
}

/// Says that the calling thread is under a [`Scheduler`]; dropping it leaves.
///
/// It stays on its thread, whose identity it gives back.
pub struct Entered {
    before: Identity,
    fine: bool,
    not_send: PhantomData<*const ()>,
}

impl Entered {
    /// Leaves the calling thread under the scheduler until the operating system's thread terminates, which is to be at
    /// once. The thread's locals are dropped under the scheduler, so what their destructors do are steps; then the
    /// thread has terminated for its joiners, too; and then `then` is called.
    ///
    /// The thread has to have come under the scheduler before it did anything else with raddle: what is set up first is
    /// destroyed last.
    pub fn until_terminated(mut self, then: impl FnOnce() + 'static) {
        let (before, fine) = (std::mem::take(&mut self.before), self.fine);
        std::mem::forget(self);
        when_terminated(Box::new(move || {
            drop(before);
            scheduler::replace(None);
            spin::set_enabled(true);
            flags::lower(fine);
            then();
        }));
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        become_again(std::mem::take(&mut self.before));
        flags::lower(self.fine);
    }
}

impl std::fmt::Debug for Entered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entered").field("fine", &self.fine).finish_non_exhaustive()
    }
}

/// What is called when a thread that no scheduler has taken calls `exit`.
static FOREIGN_EXIT: ForkSafe<Option<fn() -> bool>> = ForkSafe::new(Rank::Leaf, None);

/// Registers `hook` to be called when a thread that is not under a scheduler ends the process while other threads are
/// under one. If the hook returns true, the process ends with status 101.
///
/// The calling thread is the one that called [`exit`](std::process::exit) or returned from `main`.
pub fn on_foreign_exit(hook: fn() -> bool) {
    *FOREIGN_EXIT.lock() = Some(hook);
}

fn foreign_exit() -> bool {
    if !flags::exploring() || scheduler::current().is_some() {
        return false;
    }
    let hook = *FOREIGN_EXIT.lock();
    hook.is_some_and(|hook| hook())
}

/// Has the C library call [`exits`] when a thread calls `exit`, where it does not destroy the thread's locals first.
fn notice_exit() {
    extern "C" fn at_exit() {
        exits();
        if foreign_exit() {
            os::end_process(101);
        }
    }
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    if !REGISTERED.load(Relaxed) && !REGISTERED.swap(true, Relaxed) {
        os::at_exit(at_exit);
    }
}
