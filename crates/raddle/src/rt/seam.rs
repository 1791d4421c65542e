//! The functions that every operation of every primitive passes through.
//!
//! Unobserved, each is a relaxed load, a branch, and the call to the operating system. The cold halves forward to the
//! observers: the scheduler of the calling thread, or else the watch and the recordings.

use std::any::Any;
use std::io;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use super::fork::{ForkSafe, Rank};
use super::lock_id::LockId;
use super::op::{Effect, Kind, Object, Op};
use super::place::Place;
use super::wait::Wait;
use super::{binding, current, flags, scheduler, trace};
use crate::sys::os::{self, WaitOutcome};
use crate::sys::spin;
use crate::watch::lock_order::{self, Acquisition};
use crate::watch::{in_hook, waiting};

/// Returns whether a scheduler, the watch or a recording observes the process.
///
/// If not, no observer receives operations, so a binding need not [intern](Place::intern) their places.
///
/// # Examples
/// ```
/// use raddle::{rt, trace};
///
/// let recording = trace::Recording::start();
/// assert!(rt::is_observed());
/// # drop(recording);
/// ```
#[inline]
pub fn is_observed() -> bool {
    !flags::quiet()
}

/// Parks the calling thread while `word` holds `expected`, until it is [woken](super::wake) or the deadline of `wait` passes.
///
/// As with any futex, a wake-up may be spurious, so the caller checks the word again. Without a deadline, the result is
/// never [`WaitOutcome::TimedOut`], and unless the wait is [interruptible](Wait::interruptible), it is never
/// [`WaitOutcome::Interrupted`].
///
/// # Examples
/// ```
/// use raddle::rt::{self, Kind, Op, Wait, WaitOutcome};
/// use std::sync::atomic::AtomicU32;
/// use std::time::Duration;
///
/// let word = AtomicU32::new(7);
/// let op = Op::new(&word, "Event", Kind::Await);
/// assert_eq!(rt::wait(&word, 6, &Wait::new(&op)), WaitOutcome::Changed); // the word does not hold 6
/// let wait = Wait::new(&op).with_deadline(rt::deadline(Duration::ZERO));
/// assert_eq!(rt::wait(&word, 7, &wait), WaitOutcome::TimedOut);
/// ```
#[inline]
pub fn wait(word: &AtomicU32, expected: u32, wait: &Wait<'_>) -> WaitOutcome {
    spin::parks();
    if flags::quiet() && !wait.is_interruptible() && binding::interruption().is_none() {
        os::wait(word, expected, wait.deadline())
    } else {
        wait_slow(word, expected, wait)
    }
}

/// Reports that the calling thread is about to perform `op`, which other threads can observe.
///
/// A scheduler may run other threads before this returns.
///
/// # Examples
/// ```
/// use raddle::rt::{self, Kind, Op};
/// use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
///
/// let counter = AtomicU32::new(0);
/// rt::point(Op::new(&counter, "Counter", Kind::Write));
/// counter.fetch_add(1, SeqCst);
/// ```
#[inline]
pub fn point(op: Op) {
    if !flags::quiet() {
        observed_point(&op);
    }
}

/// Like [`point`], for an operation that also accesses the objects of `others`, in the same step.
///
/// A binding uses it for an operation of its language that accesses several objects at once.
///
/// # Examples
/// See [`Effect`].
pub fn point_with(op: Op, others: &[(Object, Effect)]) {
    if !flags::quiet() {
        observed_point_with(&op, others);
    }
}

/// Reports that the current operation of the calling thread also accesses `object`. This is not a [`point`].
///
/// # Examples
/// ```
/// use raddle::rt::{self, Effect, Kind, Object, Op};
///
/// let (list, iterator) = (Object::new(0x100, 0, "list"), Object::new(0x200, 0, "iterator"));
/// rt::point(Op::at(list, Kind::Read, rt::Place::caller()));
/// rt::accesses(&iterator, Effect::Write);
/// ```
pub fn accesses(object: &Object, effect: Effect) {
    if !flags::quiet()
        && let Some(scheduler) = scheduler::current()
    {
        scheduler.accesses(object, effect);
    }
}

/// Like [`point`], for an operation that can succeed only while `ready` returns true, or once `deadline` has passed.
///
/// A scheduler does not run the thread before that. The result of `ready` must depend on `word` alone, and each change of
/// `word` must be reported by [`atom`](super::atom) or [`signal`](super::signal). The operation may still find that it
/// has to wait: outside a scheduler, this returns at once.
///
/// # Examples
/// ```
/// use raddle::rt::{self, Kind, Op};
/// use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
///
/// let flag = AtomicU32::new(1);
/// rt::point_until(Op::new(&flag, "Flag", Kind::Await), None, &flag, || flag.load(SeqCst) == 1);
/// ```
#[inline]
pub fn point_until(op: Op, deadline: Option<Instant>, word: &AtomicU32, ready: impl Fn() -> bool) {
    if !flags::quiet() {
        observed_point_until(&op, deadline, word, &ready);
    }
}

/// Reports that the calling thread has acquired the lock `op.object`, which only this thread can release.
///
/// `deadline` is the one of the acquire: the watch does not add an acquire that could have timed out to the
/// [lock orders](crate::watch::Watch::lock_order).
///
/// # Examples
/// ```
/// use raddle::rt::{self, Kind, LockId, Op};
///
/// let id = LockId::new();
/// let op = Op::new(&id, "Lock", Kind::Acquire);
/// rt::point(op);
/// rt::acquired(op, None, &id);
/// rt::releasing(op.with_kind(Kind::Release), &id);
/// ```
#[inline]
pub fn acquired(op: Op, deadline: Option<Instant>, id: &LockId) {
    if !flags::quiet() {
        // In parts: a whole `Op` would be copied before the branch, which costs as much as the lock itself.
        let Object { address, size, type_name } = op.object;
        let acquisition = Acquisition { owned: true, has_deadline: deadline.is_some() };
        observed_acquired(address, size, type_name, op.kind, op.at, id, acquisition);
    }
}

/// Like [`acquired`], for a lock that any thread may release.
///
/// The watch then treats a cycle through the lock as a suspicion, because another thread may break it.
///
/// # Examples
/// ```
/// use raddle::rt::{self, Kind, LockId, Op};
///
/// let id = LockId::new();
/// rt::acquired_transferable(Op::new(&id, "Lock", Kind::Acquire), None, &id);
/// std::thread::scope(|scope| {
///     scope.spawn(|| rt::releasing(Op::new(&id, "Lock", Kind::Release), &id));
/// });
/// ```
#[inline]
pub fn acquired_transferable(op: Op, deadline: Option<Instant>, id: &LockId) {
    if !flags::quiet() {
        let Object { address, size, type_name } = op.object;
        let acquisition = Acquisition { owned: false, has_deadline: deadline.is_some() };
        observed_acquired(address, size, type_name, op.kind, op.at, id, acquisition);
    }
}

/// Reports whether `op`, a [`TryAcquire`](Kind::TryAcquire), has succeeded, for an object that is not a lock, such as a
/// semaphore.
///
/// For a lock, call [`acquired`] instead.
///
/// # Examples
/// ```
/// use raddle::rt::{self, Kind, Op};
/// use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
///
/// let permits = AtomicU32::new(1);
/// let op = Op::new(&permits, "Permits", Kind::TryAcquire);
/// rt::point(op);
/// let before = permits.fetch_update(SeqCst, SeqCst, |permits| permits.checked_sub(1));
/// rt::tried(op, before.is_ok());
/// ```
#[inline]
pub fn tried(op: Op, acquired: bool) {
    if !flags::quiet() {
        observed_tried(&op, acquired);
    }
}

/// Reports that the calling thread is about to release the lock `op.object`. For a scheduler this is a [`point`].
///
/// # Examples
/// See [`acquired`].
#[inline]
pub fn releasing(op: Op, id: &LockId) {
    if !flags::quiet() {
        let Object { address, size, type_name } = op.object;
        observed_releasing(address, size, type_name, op.kind, op.at, id);
    }
}

/// Like [`releasing`], for a thread that is about to wait and acquires the lock again after the wait.
///
/// The release is part of the operation that the thread is performing, not a [`point`] of its own: a condition variable
/// uses it.
///
/// # Examples
/// ```
/// use raddle::rt::{self, Kind, LockId, Op};
///
/// let id = LockId::new();
/// let acquire = Op::new(&id, "Lock", Kind::Acquire);
/// rt::acquired(acquire, None, &id);
/// rt::releasing_for_wait(acquire.with_kind(Kind::Release), &id);
/// // release the lock, wait, acquire the lock
/// rt::acquired(acquire, None, &id);
/// # rt::releasing(acquire.with_kind(Kind::Release), &id);
/// ```
#[inline]
pub fn releasing_for_wait(op: Op, id: &LockId) {
    if !flags::quiet() {
        observed_releasing_for_wait(&op, id); // not where speed matters: a wait follows
    }
}

/// Tells the watch that no thread holds the lock with this `id` any longer, which is not an operation of the program.
pub(crate) fn forget_holder(id: &LockId) {
    if watched() {
        lock_order::on_release(id);
    }
}

/// Returns the current time: that of the scheduler, which is virtual, or that of the operating system.
///
/// Programs call [`time::now`](crate::time::now). Reading the clock is no operation; to a scheduler it belongs to the
/// operation before it.
#[inline]
pub fn now() -> Instant {
    if flags::quiet() { os::now() } else { observed_now() }
}

/// Returns the time `timeout` from now, or `None` if it is beyond the range of the clock: then a wait never times out.
///
/// # Examples
/// ```
/// use raddle::rt;
/// use std::time::Duration;
///
/// assert!(rt::deadline(Duration::from_secs(1)).is_some());
/// assert_eq!(rt::deadline(Duration::MAX), None);
/// ```
#[track_caller]
pub fn deadline(timeout: Duration) -> Option<Instant> {
    deadline_at(timeout, Place::caller())
}

/// Like [`deadline`], for a wait of the operation at `at`.
pub(crate) fn deadline_at(timeout: Duration, at: Place) -> Option<Instant> {
    match scheduler::current() {
        Some(scheduler) => {
            let clock = Object::new(0, 0, "clock");
            let op = Op::at(clock, Kind::Clock, at.on_behalf()).with_verb("computes a deadline");
            scheduler.computes_deadline(&op);
            scheduler.deadline(timeout)
        }
        None => now().checked_add(timeout),
    }
}

/// Like [`deadline`], for a wait that the program does not depend on, such as that of an idle worker that is to
/// terminate.
///
/// A scheduler may return `None`, because it would otherwise explore each moment at which the wait can time out.
///
/// # Examples
/// ```
/// use raddle::rt;
/// use std::time::Duration;
///
/// assert!(rt::idle_deadline(Duration::from_secs(1)).is_some());
/// ```
pub fn idle_deadline(timeout: Duration) -> Option<Instant> {
    match scheduler::current() {
        Some(scheduler) => scheduler.idle_deadline(timeout),
        None => now().checked_add(timeout),
    }
}

/// Blocks the calling thread until the clock shows `until`. Programs call [`time::sleep`](crate::time::sleep).
///
/// # Examples
/// ```
/// use raddle::rt::{self, Kind, Op};
///
/// let until = rt::now();
/// rt::sleep_until(Op::new(&until, "clock", Kind::Sleep), until);
/// assert!(rt::now() >= until);
/// ```
pub fn sleep_until(op: Op, until: Instant) {
    point(op);
    match scheduler::current() {
        Some(scheduler) => scheduler.sleep_until(until),
        None if watched() => waiting::sleep_until(&current::record(), &op.on_behalf(), until),
        None => os::sleep_until(until),
    }
}

/// Yields the processor to another thread.
///
/// # Examples
/// ```
/// raddle::rt::yield_now();
/// ```
pub fn yield_now() {
    match scheduler::current() {
        Some(scheduler) => scheduler.yield_now(),
        None => os::yield_now(),
    }
}

/// Starts a detached thread, under the scheduler of the calling thread if it has one.
///
/// Programs use [`Thread`](crate::Thread), which adds a handle, a name for reports and a place in the registry.
///
/// # Errors
/// Returns the error of the operating system, or `InvalidInput` if `name` contains a NUL.
///
/// # Examples
/// ```
/// use raddle::rt;
/// use std::sync::mpsc;
///
/// let (sender, receiver) = mpsc::channel();
/// rt::spawn("worker", None, Box::new(move || sender.send(42).unwrap()))?;
/// assert_eq!(receiver.recv(), Ok(42));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn spawn(name: &str, stack_size: Option<usize>, body: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    match scheduler::current() {
        Some(scheduler) => scheduler.spawn(name, stack_size, body),
        None => super::spawn::spawn(name, stack_size, body),
    }
}

/// The hook for operations of threads that have no scheduler.
static FOREIGN: ForkSafe<Option<fn(&Op)>> = ForkSafe::new(Rank::Leaf, None);

/// Sets a hook for operations of threads without a scheduler, called while other threads have one.
///
/// A scheduler detects by it that the program under it has started a thread by other means than raddle's. Such a thread
/// runs outside its control.
///
/// # Examples
/// ```
/// use raddle::rt;
///
/// rt::on_foreign_step(|op| eprintln!("a foreign thread {} a {}", op.verb(), op.object.type_name));
/// ```
pub fn on_foreign_step(hook: fn(&Op)) {
    *FOREIGN.lock() = Some(hook);
}

/// Returns whether a thread that enqueues as a waiter must report that as an operation of its own. See
/// [`Scheduler::enqueue_is_step`](super::Scheduler::enqueue_is_step).
pub(crate) fn enqueue_is_step() -> bool {
    scheduler::current().is_none_or(|scheduler| scheduler.enqueue_is_step())
}

/// Reports that the calling thread reads the number of waiters.
pub(crate) fn reads_waiters() {
    if let Some(scheduler) = scheduler::current() {
        scheduler.reads_waiters();
    }
}

/// Reports that the function of the calling thread has panicked. Its joiner receives the payload.
pub(crate) fn panicked(payload: &(dyn Any + Send)) {
    if let Some(scheduler) = scheduler::current() {
        scheduler.panicked(payload);
    }
}

/// Reports a panic whose payload is not received; `text` is a sentence that states where it occurred.
pub(crate) fn unhandled(text: &str, payload: &(dyn Any + Send)) {
    if let Some(scheduler) = scheduler::current() {
        scheduler.unhandled(text, payload);
    }
}

/// Reports that the function of the calling thread has returned. To a scheduler, the termination of the thread is an
/// operation only once its thread-locals are dropped.
pub(crate) fn returned(op: &Op) {
    if !flags::quiet() && scheduler::current().is_none() {
        note(op);
    }
}

/// Returns whether the watch observes the calling thread's waits. A deadline that is no longer needed must then not
/// linger, because it keeps the watch from detecting a deadlock.
#[inline]
pub(crate) fn watched() -> bool {
    !flags::quiet() && scheduler::current().is_none() && flags::watching()
}

/// Returns whether the calling thread has a scheduler.
#[inline]
pub(crate) fn explored() -> bool {
    !flags::quiet() && scheduler::current().is_some()
}

#[cold]
fn wait_slow(word: &AtomicU32, expected: u32, wait: &Wait<'_>) -> WaitOutcome {
    if let Some(scheduler) = scheduler::current() {
        return match scheduler.wait(word, expected, wait) {
            // An unlimited acquire relies on never timing out, and a safe `Scheduler` must not be able to break a lock.
            WaitOutcome::TimedOut if wait.deadline().is_none() => WaitOutcome::Woken,
            WaitOutcome::Interrupted if !wait.is_interruptible() => WaitOutcome::Woken,
            outcome => outcome,
        };
    }
    match binding::interruption() {
        Some(interruption) if wait.deadline().is_some() && !wait.is_interruptible() => {
            let interrupted = || interruption.is_interrupted();
            let deadline = wait.deadline().filter(|_| !interruption.is_unlimited());
            let wait = wait.interruptible(&interrupted).with_deadline(deadline);
            match wait_for_os(word, expected, &wait) {
                WaitOutcome::Interrupted => WaitOutcome::TimedOut,
                outcome => outcome,
            }
        }
        _ => wait_for_os(word, expected, wait),
    }
}

fn wait_for_os(word: &AtomicU32, expected: u32, wait: &Wait<'_>) -> WaitOutcome {
    if flags::watching() && !in_hook() {
        waiting::wait(Some(&current::record()), word, expected, wait)
    } else if wait.is_interruptible() {
        waiting::wait(None, word, expected, wait)
    } else {
        os::wait(word, expected, wait.deadline())
    }
}

#[cold]
fn observed_point(op: &Op) {
    if binding::is_unobserved() {
        return;
    }
    let op = &op.on_behalf();
    match scheduler::current() {
        Some(scheduler) => scheduler.point(op),
        None => note(op),
    }
}

#[cold]
fn observed_point_with(op: &Op, others: &[(Object, Effect)]) {
    let op = &op.on_behalf();
    match scheduler::current() {
        Some(scheduler) => scheduler.point_with(op, others),
        None => note(op),
    }
}

#[cold]
fn observed_point_until(op: &Op, deadline: Option<Instant>, word: &AtomicU32, ready: &dyn Fn() -> bool) {
    if binding::is_unobserved() {
        return;
    }
    let op = &op.on_behalf();
    match scheduler::current() {
        Some(scheduler) => scheduler.point_until(op, deadline, word, ready),
        None => note(op),
    }
}

/// Passes an operation of a thread without a scheduler to the other observers.
fn note(op: &Op) {
    flags::settle();
    if flags::exploring() {
        foreign_step(op);
    }
    if flags::tracing() {
        trace::step(&current::record(), op);
    }
}

#[cold]
fn foreign_step(op: &Op) {
    let hook = *FOREIGN.lock();
    if let Some(hook) = hook {
        hook(op);
    }
}

#[cold]
fn observed_acquired(
    address: usize,
    size: usize,
    type_name: &'static str,
    kind: Kind,
    at: Place,
    id: &LockId,
    acquisition: Acquisition,
) {
    let op = Op::at(Object::new(address, size, type_name), kind, at).on_behalf();
    if let Some(scheduler) = scheduler::current() {
        scheduler.acquired(&op);
    } else if flags::watching() {
        let unlimited = binding::interruption().is_some_and(|interruption| interruption.is_unlimited());
        let acquisition = Acquisition { has_deadline: acquisition.has_deadline && !unlimited, ..acquisition };
        lock_order::on_acquire(&current::record(), &op, id, acquisition);
    }
}

#[cold]
fn observed_tried(op: &Op, acquired: bool) {
    let op = &op.on_behalf();
    match scheduler::current() {
        Some(scheduler) => scheduler.tried(op, acquired),
        None => trace::value(op, || if acquired { "acquired" } else { "not acquired" }.to_owned()),
    }
}

#[cold]
fn observed_releasing(
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
    observed_point(&Op::at(Object::new(address, size, type_name), kind, at));
}

#[cold]
fn observed_releasing_for_wait(op: &Op, id: &LockId) {
    let op = &op.on_behalf();
    if let Some(scheduler) = scheduler::current() {
        return scheduler.releasing_for_wait(op);
    }
    if flags::watching() {
        lock_order::on_release(id);
    }
    note(op);
}

#[cold]
fn observed_now() -> Instant {
    scheduler::current().map_or_else(os::now, |scheduler| scheduler.now())
}
