//! The identity of the calling thread: its record, and how it enters and leaves a scheduler.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use super::binding::{self, Binding};
use super::fork::{self, ForkSafe, Rank};
use super::op::Op;
use super::program::Program;
use super::scheduler::{self, Scheduler, with_program};
use super::thread_record::ThreadRecord;
use super::{flags, keep_alive};
use crate::sys::{os, spin};

thread_local! {
    /// The record of the calling thread. Its destructor is registered before those of the thread's other locals, so it
    /// runs after them: when it runs, the thread terminates.
    static CURRENT: RefCell<Mine> = const { RefCell::new(Mine { record: None, end: None, then: None, leaves: false }) };
    /// The identifier again, without a destructor, for owner checks on fast paths; 0 if there is no record yet.
    static IDENT: Cell<u64> = const { Cell::new(0) };
}

/// The identity of a thread. Fields are dropped from first to last.
#[derive(Default)]
struct Mine {
    record: Option<Arc<ThreadRecord>>,
    /// The operation that terminates the thread, if raddle started it.
    end: Option<Op>,
    /// A callback of the scheduler for when the thread has terminated.
    then: Option<Then>,
    /// Whether the thread abandons this identity without terminating.
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
                report_exit(); // the locals are destroyed before the function has returned
            }
            self.end.iter().for_each(report_termination);
            keep_alive::terminate(record);
        }
    }
}

/// Reports to the scheduler that the calling thread has called `exit`, and ends the process if the scheduler requests
/// it.
fn report_exit() {
    if scheduler::current().is_some_and(|scheduler| scheduler.exit()) {
        os::end_process(101);
    }
}

/// Reports the termination of the calling thread to its scheduler, as an operation.
fn report_termination(end: &Op) {
    if let Some(scheduler) = scheduler::current() {
        // A scheduler may unwind the thread, but this is a destructor, and the thread terminates in any case.
        let _ = catch_unwind(AssertUnwindSafe(|| scheduler.point(end)));
    }
}

/// A callback that is called when it is dropped, after the calling thread's other locals.
struct Then(Option<Box<dyn FnOnce()>>);

impl Drop for Then {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(|then| then());
    }
}

/// Returns the identifier of the calling thread, which no other thread ever has.
#[inline]
pub(crate) fn ident() -> u64 {
    let known = IDENT.get();
    if known == 0 { record().ident } else { known }
}

/// Returns whether this is the identifier of the calling thread. Cheaper than [`ident`], because no identifier is 0.
#[inline]
pub(crate) fn is_me(ident: u64) -> bool {
    debug_assert_ne!(ident, 0);
    IDENT.get() == ident
}

/// Returns an address that no other running thread has.
#[inline]
pub(crate) fn thread_address() -> usize {
    IDENT.with(|mine| std::ptr::from_ref(mine).addr())
}

/// Returns the record of the calling thread. A thread that raddle did not start gets one.
pub(crate) fn record() -> Arc<ThreadRecord> {
    let known = CURRENT.try_with(|mine| mine.borrow().record.clone());
    match known {
        Ok(Some(record)) => record,
        Ok(None) => {
            let record = new_record(None);
            set_record(record.clone(), None);
            record
        }
        // The locals are dropped already: the thread is terminating, or is inside `exit`.
        Err(_) if is_main() => scheduler::default_program().main(),
        Err(_) => {
            if IDENT.get() == 0 {
                IDENT.set(ThreadRecord::next_ident());
            }
            ThreadRecord::of_terminated(IDENT.get())
        }
    }
}

/// Returns whether a thread that the calling thread starts is a daemon by default.
pub(crate) fn daemon_default() -> bool {
    let known = CURRENT
        .try_with(|mine| mine.borrow().record.as_ref().map(|record| record.daemon_default.load(Relaxed)));
    known.ok().flatten().unwrap_or_else(|| record().daemon_default.load(Relaxed))
}

/// Marks the calling thread as terminated for others, although it still runs exit handlers. It keeps its identity, and
/// so the ownership of its locks.
pub(crate) fn terminate_for_others() {
    let known = CURRENT.try_with(|mine| mine.borrow().record.clone());
    match known {
        Ok(Some(record)) => keep_alive::terminate(&record),
        // Other threads may know the record of main although main itself has never used it.
        _ if is_main() => keep_alive::terminate(&scheduler::default_program().main()),
        _ => {} // it terminated when its locals were dropped
    }
}

/// Sets the record of the calling thread, whose termination is the operation `end`.
pub(crate) fn adopt(record: Arc<ThreadRecord>, end: Op) {
    set_record(record, Some(end));
}

fn set_record(record: Arc<ThreadRecord>, end: Option<Op>) {
    survives_forks();
    record.set_native_id(os::native_id());
    IDENT.set(record.ident);
    let before = CURRENT.try_with(|mine| mine.replace(Mine::of(record, end)));
    debug_assert!(!before.is_ok_and(|before| before.record.is_some()), "a thread has a second identity");
}

/// Registers the handler by which a forked child keeps the record of its only thread and drops the others.
pub(crate) fn survives_forks() {
    static LISTED: AtomicBool = AtomicBool::new(false);
    if !LISTED.load(Acquire) && !LISTED.swap(true, AcqRel) {
        fork::in_child(inherit);
    }
}

/// Called in a forked child: the calling thread is its only one, and so its main thread, as in Python.
fn inherit() {
    let mine = CURRENT.try_with(|mine| mine.borrow().record.clone()).ok().flatten();
    if let Some(mine) = &mine {
        mine.inherit(os::native_id());
    }
    scheduler::default_program().inherit(mine.filter(|_| scheduler::current().is_none()));
}

/// Drops the record of the calling thread, as its termination would.
fn leave() {
    // The operation comes first, while the thread still has its identity.
    let end = CURRENT.try_with(|mine| mine.borrow_mut().end.take());
    end.ok().flatten().iter().for_each(report_termination);
    let before = CURRENT.try_with(|mine| {
        mine.borrow_mut().leaves = true;
        mine.take()
    });
    IDENT.set(0);
    drop(before);
}

/// Gives the calling thread, which raddle did not start, a name and a daemon flag in the reports of observers.
///
/// Without them, it is a daemon called `Dummy-1`, `Dummy-2` and so on. The program waits for no such thread. A binding calls this at the start of a thread of its language. It
/// has no effect on the main thread, on a thread that raddle started, and once the thread has performed an operation.
///
/// # Examples
/// ```
/// use raddle::{Event, rt, trace};
///
/// let recording = trace::Recording::start();
/// std::thread::spawn(|| {
///     rt::name_foreign("worker_0", false);
///     Event::new().set();
/// })
/// .join()
/// .unwrap();
/// assert_eq!(&*recording.finish()[0].thread, "worker_0");
/// ```
pub fn name_foreign(name: &str, daemon: bool) {
    if CURRENT.try_with(|mine| mine.borrow().record.is_none()) == Ok(true) {
        set_record(new_record(Some((name, daemon))), None);
    }
}

fn new_record(known: Option<(&str, bool)>) -> Arc<ThreadRecord> {
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
        let record = match known {
            Some((name, daemon)) => ThreadRecord::new(name, daemon, false),
            None => ThreadRecord::new(&foreign_name(program), true, false),
        };
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

/// The identity and the scheduler of a thread.
#[derive(Default)]
pub(crate) struct Identity {
    mine: Mine,
    scheduler: Option<Arc<dyn Scheduler>>,
    binding: Binding,
}

/// Replaces the identity of the calling thread by a new one under `scheduler`. Its record is created on demand.
fn replace_identity(scheduler: Arc<dyn Scheduler>) -> Identity {
    // The local of the scheduler first, so that it is dropped after that of the record.
    let before = scheduler::replace(Some(scheduler));
    spin::set_enabled(false);
    let mine = CURRENT.try_with(RefCell::take).unwrap_or_default();
    IDENT.set(0);
    Identity { mine, scheduler: before, binding: binding::replace(Binding::default()) }
}

/// Drops the identity of the calling thread and restores an earlier one.
fn restore_identity(earlier: Identity) {
    leave(); // under the scheduler that it belongs to
    spin::set_enabled(earlier.scheduler.is_none());
    binding::replace(earlier.binding);
    scheduler::replace(earlier.scheduler);
    IDENT.set(earlier.mine.record.as_ref().map_or(0, |record| record.ident));
    let _ = CURRENT.try_with(|mine| mine.replace(earlier.mine));
}

/// Sets a callback for when the calling thread has terminated, after its locals and its record are dropped.
fn when_terminated(then: Box<dyn FnOnce()>) {
    let kept = CURRENT.try_with(|mine| mine.borrow_mut().then = Some(Then(Some(then))));
    debug_assert!(kept.is_ok(), "the locals of the thread are dropped already");
}

/// Returns the address ranges of this module's thread-locals.
pub(crate) fn locals() -> [Range<usize>; 2] {
    fn of<T>(value: &T) -> Range<usize> {
        let start = std::ptr::from_ref(value).addr();
        start..start + size_of::<T>()
    }
    [CURRENT.with(of), IDENT.with(of)]
}

/// Puts the calling thread under `scheduler` until the returned guard is dropped.
///
/// Under the scheduler the thread has a new identity. Threads that it starts with raddle enter the scheduler, too.
///
/// # Examples
/// See [`Scheduler`].
#[must_use = "the thread leaves the scheduler when this is dropped"]
pub fn enter(scheduler: Arc<dyn Scheduler>) -> Entered {
    let fine = scheduler.fine_grained();
    notice_exit();
    flags::raise(fine);
    Entered { before: replace_identity(scheduler), fine, not_send: PhantomData }
}

/// A guard for a thread under a [`Scheduler`]. When it is dropped, the thread leaves and has its previous identity again.
pub struct Entered {
    before: Identity,
    fine: bool,
    not_send: PhantomData<*const ()>,
}

impl Entered {
    /// Keeps the calling thread under the scheduler until it terminates, which must be soon.
    ///
    /// The locals of the thread are dropped under the scheduler, so operations of their destructors are reported to it.
    /// Then the thread has terminated for its joiners, and `then` is called.
    ///
    /// The thread must have entered the scheduler before it used raddle in another way, because thread-locals are dropped
    /// in the reverse order of their first use.
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
        restore_identity(std::mem::take(&mut self.before));
        flags::lower(self.fine);
    }
}

impl std::fmt::Debug for Entered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entered").field("fine", &self.fine).finish_non_exhaustive()
    }
}

/// The hook that is called when a thread without a scheduler calls `exit`.
static FOREIGN_EXIT: ForkSafe<Option<fn() -> bool>> = ForkSafe::new(Rank::Leaf, None);

/// Registers `hook` to be called when a thread that is not under a scheduler ends the process while other threads are
/// under one. If the hook returns true, the process ends with status 101.
///
/// The calling thread is the one that called [`exit`](std::process::exit) or returned from `main`.
///
/// # Examples
/// ```
/// use raddle::rt;
///
/// rt::on_foreign_exit(|| {
///     eprintln!("the process ended during an exploration");
///     true
/// });
/// ```
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

/// Makes the C library call [`report_exit`] when a thread calls `exit`, where it does not destroy the thread's locals first.
fn notice_exit() {
    extern "C" fn at_exit() {
        report_exit();
        if foreign_exit() {
            os::end_process(101);
        }
    }
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    if !REGISTERED.load(Relaxed) && !REGISTERED.swap(true, Relaxed) {
        os::at_exit(at_exit);
    }
}
