//! The seam itself: every step of every primitive passes through one of these functions.
//!
//! Unobserved, each is a relaxed load, a branch, and what the operating system does. The cold halves ask
//! who observes: a scheduler that took the thread, the watch, the trace.

use std::any::Any;
use std::io;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use super::fork::{ForkSafe, Rank};
use super::lock_id::LockId;
use super::op::{Kind, Object, Op};
use super::place::Place;
use super::{current, current_op, flags, scheduler, trace};
use crate::sys::os::{self, Wait};
use crate::sys::spin;
use crate::watch::{lock_order, waiting};

/// Parks the calling thread while `word` holds `expected`, until [`wake`](super::wake) or the deadline; `None`: no limit.
///
/// As with every futex, [`Wait::Woken`] may be spurious: look at the word again. Without a deadline, no wait is
/// [`Wait::TimedOut`].
#[inline]
pub fn wait(word: &AtomicU32, expected: u32, deadline: Option<Instant>) -> Wait {
    spin::parks();
    if flags::quiet() {
        os::wait(word, expected, deadline)
    } else {
        observed_wait(word, expected, deadline, None)
    }
}

/// Like [`wait`], on the word of the lock with this `id`.
#[inline]
pub(crate) fn wait_for_lock(word: &AtomicU32, expected: u32, deadline: Option<Instant>, id: &LockId) -> Wait {
    spin::parks();
    if flags::quiet() {
        os::wait(word, expected, deadline)
    } else {
        observed_wait(word, expected, deadline, Some(id))
    }
}

/// Returns whether anything observes the process: a scheduler, the watch or a recording.
///
/// While nothing does, operations are not reported to anyone, and their [`Place`](super::Place)s need not be known.
#[inline]
pub fn is_observed() -> bool {
    !flags::quiet()
}

/// Says that the calling thread is about to take a step that other threads can see.
#[inline]
pub fn point(op: Op) {
    if !flags::quiet() {
        observed_point(&op);
    }
}

/// Like [`point`], for a step that can succeed only when `ready` says yes, or after the deadline.
///
/// What `ready` says must change only with `word`, and whoever changes that must say so by
/// [`atom`](super::atom) or [`signal`](super::signal).
#[inline]
pub fn point_until(op: Op, deadline: Option<Instant>, word: &AtomicU32, ready: impl Fn() -> bool) {
    if !flags::quiet() {
        observed_point_until(&op, deadline, word, &ready);
    }
}

/// Whether a thread that begins to wait has to say so by a step of its own: see [`Scheduler::arrivals`](super::Scheduler).
pub(crate) fn enqueue_is_step() -> bool {
    scheduler::current().is_none_or(|scheduler| scheduler.enqueue_is_step())
}

/// Says that the calling thread looks at how many threads wait.
pub(crate) fn reads_waiters() {
    if let Some(scheduler) = scheduler::current() {
        scheduler.reads_waiters();
    }
}

/// Says that `op.object` is now held by the calling thread alone. The watch knows the toolkit's own locks only.
#[inline]
pub fn acquired(op: Op) {
    if !flags::quiet() {
        observed_acquired(&op);
    }
}

/// Says that `op.object` is about to be let go of, by whichever thread.
#[inline]
pub fn releasing(op: Op) {
    if !flags::quiet() {
        observed_releasing(&op);
    }
}

/// Like [`gave`], for as long as the wait lasts that the calling thread is about to begin.
#[inline]
pub fn releasing_for_wait(op: Op) {
    if !flags::quiet() {
        observed_releasing_for_wait(&op);
    }
}

/// Says that the calling thread's function has panicked, and that its joiner will get the payload.
pub(crate) fn panicked(payload: &(dyn Any + Send)) {
    if let Some(scheduler) = scheduler::current() {
        scheduler.panicked(payload);
    }
}

/// Says that nobody asks about a panic: the sentence `text` says of what.
pub(crate) fn unhandled(text: &str, payload: &(dyn Any + Send)) {
    if let Some(scheduler) = scheduler::current() {
        scheduler.unhandled(text, payload);
    }
}

/// Says that the calling thread's function has returned. For a scheduler the thread's end is a step only once its
/// locals have been dropped.
pub(crate) fn returned(op: &Op) {
    if !flags::quiet() && scheduler::current().is_none() {
        note(op, false);
    }
}

/// The clock: virtual under a scheduler. To an explorer the look belongs to the step before it.
#[inline]
pub fn now() -> Instant {
    if flags::quiet() { os::now() } else { observed_now() }
}

/// The moment `timeout` from now; `None`, that is for ever, if it lies beyond what the clock can tell.
pub fn deadline(timeout: Duration) -> Option<Instant> {
    match scheduler::current() {
        Some(scheduler) => scheduler.deadline(timeout),
        None => now().checked_add(timeout),
    }
}

/// The moment `timeout` from now, for a wait of the toolkit's own housekeeping; `None`: without a deadline.
pub fn idle_deadline(timeout: Duration) -> Option<Instant> {
    match scheduler::current() {
        Some(scheduler) => scheduler.idle_deadline(timeout),
        None => now().checked_add(timeout),
    }
}

/// Returns once the clock shows `until`.
pub fn sleep_until(op: Op, until: Instant) {
    point(op);
    match scheduler::current() {
        Some(scheduler) => scheduler.sleep_until(until),
        None if watched() => waiting::sleep_until(&current::record(), &op, until),
        None => os::sleep_until(until),
    }
}

/// Lets other threads go first.
pub fn yield_now() {
    match scheduler::current() {
        Some(scheduler) => scheduler.yield_now(),
        None => os::yield_now(),
    }
}

/// Starts a thread under the calling thread's host.
///
/// # Errors
/// What the operating system said, or `InvalidInput` for a name with a NUL in it.
pub fn spawn(name: &str, stack_size: Option<usize>, body: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    match scheduler::current() {
        Some(scheduler) => scheduler.spawn(name, stack_size, body),
        None => super::spawn::spawn(name, stack_size, body),
    }
}

/// Whether the watch judges the calling thread's waits: then a limit that nobody needs any more should not last.
#[inline]
pub(crate) fn watched() -> bool {
    !flags::quiet() && scheduler::current().is_none() && flags::watching()
}

/// Whether the calling thread is under a scheduler.
#[inline]
pub(crate) fn explored() -> bool {
    !flags::quiet() && scheduler::current().is_some()
}

#[cold]
fn observed_wait(word: &AtomicU32, expected: u32, deadline: Option<Instant>, lock: Option<&LockId>) -> Wait {
    if let Some(scheduler) = scheduler::current() {
        return match scheduler.wait(word, expected, deadline) {
            // What waits for ever relies on that, and safe code must not be able to break a lock.
            Wait::TimedOut if deadline.is_none() => Wait::Woken,
            outcome => outcome,
        };
    }
    if flags::watching() {
        return waiting::wait(&current::record(), word, expected, deadline, lock);
    }
    os::wait(word, expected, deadline)
}

#[cold]
fn observed_point(op: &Op) {
    if let Some(scheduler) = scheduler::current() {
        return scheduler.point(op);
    }
    note(op, false);
}

#[cold]
fn observed_point_until(op: &Op, deadline: Option<Instant>, word: &AtomicU32, ready: &dyn Fn() -> bool) {
    if let Some(scheduler) = scheduler::current() {
        return scheduler.point_until(op, deadline, word, ready);
    }
    note(op, deadline.is_some());
}

/// What is called for each step of a thread that no scheduler has taken.
static FOREIGN: ForkSafe<Option<fn(&Op)>> = ForkSafe::new(Rank::Leaf, None);

/// Has `hook` called before each step of a thread that no scheduler has taken, while other threads are under one: a
/// scheduler can notice by that a thread which the program under it has started past the toolkit.
pub fn on_foreign_step(hook: fn(&Op)) {
    *FOREIGN.lock() = Some(hook);
}

#[cold]
fn foreign_step(op: &Op) {
    let hook = *FOREIGN.lock();
    if let Some(hook) = hook {
        hook(op);
    }
}

fn note(op: &Op, limited: bool) {
    if flags::exploring() {
        foreign_step(op);
    }
    if flags::watching() {
        current_op::set(*op, limited);
    }
    if flags::tracing() {
        trace::step(&current::record(), op);
    }
}

#[cold]
fn observed_acquired(op: &Op) {
    if let Some(scheduler) = scheduler::current() {
        scheduler.acquired(op);
    }
}

#[cold]
fn observed_releasing(op: &Op) {
    if let Some(scheduler) = scheduler::current() {
        return scheduler.point(op);
    }
    note(op, false);
}

#[cold]
fn observed_releasing_for_wait(op: &Op) {
    match scheduler::current() {
        Some(scheduler) => scheduler.releasing_for_wait(op),
        None => observed_releasing(op),
    }
}

#[cold]
fn observed_now() -> Instant {
    scheduler::current().map_or_else(os::now, |scheduler| scheduler.now())
}

/// Like [`took`](seam::took), for a lock that has a id.
#[inline]
pub(crate) fn acquired_lock(op: Op, id: &LockId) {
    if !flags::quiet() {
        // In parts: a whole op would be copied before the branch, which costs as much as the lock itself.
        observed_acquired_lock(
            op.object.address,
            op.object.size,
            op.object.type_name,
            op.kind,
            op.at,
            id,
            true,
        );
    }
}

/// Like [`took_lock`], for a lock that any thread may release.
#[inline]
pub(crate) fn acquired_shared_lock(op: Op, id: &LockId) {
    if !flags::quiet() {
        observed_acquired_lock(
            op.object.address,
            op.object.size,
            op.object.type_name,
            op.kind,
            op.at,
            id,
            false,
        );
    }
}

/// Like [`gave`](seam::gave), for a lock that has a id.
#[inline]
pub(crate) fn releasing_lock(op: Op, id: &LockId) {
    if !flags::quiet() {
        observed_releasing_lock(op.object.address, op.object.size, op.object.type_name, op.kind, op.at, id);
    }
}

/// Like [`lend`](seam::lend), for a lock that has a id.
#[inline]
pub(crate) fn releasing_lock_for_wait(op: Op, id: &LockId) {
    if !flags::quiet() {
        observed_releasing_lock_for_wait(op, id); // not where speed matters: a wait follows
    }
}

#[cold]
fn observed_releasing_lock_for_wait(op: Op, id: &LockId) {
    if watched() {
        lock_order::on_release(id);
    }
    releasing_for_wait(op);
}

#[cold]
fn observed_acquired_lock(
    address: usize,
    size: usize,
    type_name: &'static str,
    kind: Kind,
    at: Place,
    id: &LockId,
    owned: bool,
) {
    let op = Op::at(Object::new(address, size, type_name), kind, at);
    acquired(op);
    if watched() {
        lock_order::on_acquire(&current::record(), &op, id, owned);
    }
}

#[cold]
fn observed_releasing_lock(
    address: usize,
    size: usize,
    type_name: &'static str,
    kind: Kind,
    at: Place,
    id: &LockId,
) {
    if watched() {
        lock_order::on_release(id);
    }
    releasing(Op::at(Object::new(address, size, type_name), kind, at));
}
