//! The seam itself: every step of every primitive passes through one of these functions.
//!
//! Unobserved, each is a relaxed load, a branch, and what the operating system does. The cold halves ask
//! who observes: a scheduler that took the thread, the watch, the trace.

use std::any::Any;
use std::io;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use super::fork::{ForkSafe, Rank};
use super::op::Op;
use super::os::Wait;
use super::{current, doing, flags, os, spin, starting, trace, under, watch};

/// Parks the calling thread while `word` holds `expected`, until [`wake`](super::wake) or the deadline; `None`: no limit.
///
/// As with every futex, [`Wait::Woken`] may be spurious: look at the word again. Without a deadline, no wait is
/// [`Wait::TimedOut`].
#[inline]
pub fn wait(word: &AtomicU32, expected: u32, deadline: Option<Instant>) -> Wait {
    spin::parks();
    if flags::quiet() { os::wait(word, expected, deadline) } else { observed_wait(word, expected, deadline) }
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
pub(crate) fn arrivals() -> bool {
    under::scheduler().is_none_or(|scheduler| scheduler.arrivals())
}

/// Says that the calling thread looks at how many threads wait.
pub(crate) fn sees_arrivals() {
    if let Some(scheduler) = under::scheduler() {
        scheduler.sees_arrivals();
    }
}

/// Says that `op.object` is now held by the calling thread alone. The watch knows the toolkit's own locks only.
#[inline]
pub fn took(op: Op) {
    if !flags::quiet() {
        observed_took(&op);
    }
}

/// Says that `op.object` is about to be let go of, by whichever thread.
#[inline]
pub fn gave(op: Op) {
    if !flags::quiet() {
        observed_gave(&op);
    }
}

/// Like [`gave`], for as long as the wait lasts that the calling thread is about to begin.
#[inline]
pub fn lend(op: Op) {
    if !flags::quiet() {
        observed_lend(&op);
    }
}

/// Says that the calling thread's function has panicked, and that its joiner will get the payload.
pub(crate) fn panicked(payload: &(dyn Any + Send)) {
    if let Some(scheduler) = under::scheduler() {
        scheduler.panicked(payload);
    }
}

/// Says that nobody asks about a panic: the sentence `text` says of what.
pub(crate) fn unhandled(text: &str, payload: &(dyn Any + Send)) {
    if let Some(scheduler) = under::scheduler() {
        scheduler.unhandled(text, payload);
    }
}

/// Says that the calling thread's function has returned. For a scheduler the thread's end is a step only once its
/// locals have been dropped.
pub(crate) fn returned(op: &Op) {
    if !flags::quiet() && under::scheduler().is_none() {
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
    match under::scheduler() {
        Some(scheduler) => scheduler.deadline(timeout),
        None => now().checked_add(timeout),
    }
}

/// The moment `timeout` from now, for a wait of the toolkit's own housekeeping; `None`: without a deadline.
pub fn idle_deadline(timeout: Duration) -> Option<Instant> {
    match under::scheduler() {
        Some(scheduler) => scheduler.idle_deadline(timeout),
        None => now().checked_add(timeout),
    }
}

/// Returns once the clock shows `until`.
pub fn sleep_until(op: Op, until: Instant) {
    point(op);
    match under::scheduler() {
        Some(scheduler) => scheduler.sleep_until(until),
        None if watched() => watch::sleep_until(&current::record(), &op, until),
        None => os::sleep_until(until),
    }
}

/// Lets other threads go first.
pub fn yield_now() {
    match under::scheduler() {
        Some(scheduler) => scheduler.yield_now(),
        None => os::yield_now(),
    }
}

/// Starts a thread under the calling thread's host.
///
/// # Errors
/// What the operating system said, or `InvalidInput` for a name with a NUL in it.
pub fn spawn(name: &str, stack_size: Option<usize>, body: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    match under::scheduler() {
        Some(scheduler) => scheduler.spawn(name, stack_size, body),
        None => starting::spawn(name, stack_size, body),
    }
}

/// Whether the watch judges the calling thread's waits: then a limit that nobody needs any more should not last.
#[inline]
pub(crate) fn watched() -> bool {
    !flags::quiet() && under::scheduler().is_none() && flags::watching()
}

/// Whether the calling thread is under a scheduler.
#[inline]
pub(crate) fn explored() -> bool {
    !flags::quiet() && under::scheduler().is_some()
}

/// The processors this process may run on.
pub(crate) fn processors() -> usize {
    os::processors()
}

/// How late, in nanoseconds, the operating system may end the calling thread's timed waits; threads that it
/// starts inherit this. Returns what it was before, where that can be told.
pub(crate) fn set_timer_slack(nanoseconds: libc::c_ulong) -> Option<libc::c_ulong> {
    os::set_timer_slack(nanoseconds)
}

/// From now on, SIGQUITs are counted in the word that this returns, and wake who waits on it.
pub(crate) fn on_sigquit() -> io::Result<&'static AtomicU32> {
    os::on_sigquit()
}

/// The clock as a number that fits into an atomic, whichever host the calling thread is under.
#[inline]
pub(crate) fn nanoseconds() -> u64 {
    os::nanoseconds()
}

/// Writes to standard error, whoever holds its lock.
pub(crate) fn write_error(text: &str) {
    os::write_error(text);
}

#[cold]
fn observed_wait(word: &AtomicU32, expected: u32, deadline: Option<Instant>) -> Wait {
    if let Some(scheduler) = under::scheduler() {
        return match scheduler.wait(word, expected, deadline) {
            // What waits for ever relies on that, and safe code must not be able to break a lock.
            Wait::TimedOut if deadline.is_none() => Wait::Woken,
            outcome => outcome,
        };
    }
    if flags::watching() {
        return watch::wait(&current::record(), word, expected, deadline);
    }
    os::wait(word, expected, deadline)
}

#[cold]
fn observed_point(op: &Op) {
    if let Some(scheduler) = under::scheduler() {
        return scheduler.point(op);
    }
    note(op, false);
}

#[cold]
fn observed_point_until(op: &Op, deadline: Option<Instant>, word: &AtomicU32, ready: &dyn Fn() -> bool) {
    if let Some(scheduler) = under::scheduler() {
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
        doing::set_doing(*op, limited);
    }
    if flags::tracing() {
        trace::step(&current::record(), op);
    }
}

#[cold]
fn observed_took(op: &Op) {
    if let Some(scheduler) = under::scheduler() {
        scheduler.took(op);
    }
}

#[cold]
fn observed_gave(op: &Op) {
    if let Some(scheduler) = under::scheduler() {
        return scheduler.point(op);
    }
    note(op, false);
}

#[cold]
fn observed_lend(op: &Op) {
    match under::scheduler() {
        Some(scheduler) => scheduler.lend(op),
        None => observed_gave(op),
    }
}

#[cold]
fn observed_now() -> Instant {
    under::scheduler().map_or_else(os::now, |scheduler| scheduler.now())
}
