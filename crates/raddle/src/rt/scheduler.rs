//! Schedulers: the trait, the scheduler of the calling thread, and the program that the thread belongs to.

use std::any::Any;
use std::cell::RefCell;
use std::io;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::flags;
use super::op::{Effect, Memory, Object, Op};
use super::place::Place;
use super::program::Program;
use super::wait::Wait;
use crate::sys::os::WaitOutcome;

/// A replacement for the operating system: it decides which thread runs, and it owns the clock.
///
/// It is called for each thread that [entered](super::enter) it or was started by [`spawn`](Scheduler::spawn). Other
/// threads of the process are not affected.
///
/// # Examples
/// A scheduler that counts operations and leaves the rest to the operating system:
/// ```
/// use raddle::rt::{self, Op, Program, Scheduler, Wait, WaitOutcome};
/// use raddle::Mutex;
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
/// use std::time::Instant;
///
/// #[derive(Default)]
/// struct Counting { operations: AtomicUsize, program: Arc<Program> }
///
/// impl Scheduler for Counting {
///     fn point(&self, _: &Op) {
///         self.operations.fetch_add(1, Relaxed);
///     }
///     fn wait(&self, word: &AtomicU32, expected: u32, _: &Wait<'_>) -> WaitOutcome {
///         std::thread::yield_now(); // a spurious wake-up is allowed
///         if word.load(Relaxed) == expected { WaitOutcome::Woken } else { WaitOutcome::Changed }
///     }
///     fn wake(&self, _: &AtomicU32, _: u32) -> u32 {
///         0
///     }
///     fn now(&self) -> Instant {
///         Instant::now()
///     }
///     fn sleep_until(&self, until: Instant) {
///         std::thread::sleep(until.saturating_duration_since(Instant::now()));
///     }
///     fn yield_now(&self) {
///         std::thread::yield_now();
///     }
///     fn spawn(&self, _: &str, _: Option<usize>, _: Box<dyn FnOnce() + Send>) -> std::io::Result<()> {
///         Err(std::io::ErrorKind::Unsupported.into()) // this one runs a single thread
///     }
///     fn program(&self) -> &Arc<Program> {
///         &self.program
///     }
/// }
///
/// let counting = Arc::new(Counting::default());
/// let entered = rt::enter(counting.clone());
/// *Mutex::new(0).lock() += 1;
/// drop(entered);
/// assert_eq!(counting.operations.load(Relaxed), 2); // acquire and release
/// ```
pub trait Scheduler: Send + Sync {
    /// Parks the calling thread while `word` holds `expected`, until it is woken or the deadline of `wait` passes.
    ///
    /// An outcome that `wait` does not allow counts as a spurious wake-up: [`WaitOutcome::TimedOut`] without a deadline, and
    /// [`WaitOutcome::Interrupted`] of a wait that is not [interruptible](Wait::interruptible).
    fn wait(&self, word: &AtomicU32, expected: u32, wait: &Wait<'_>) -> WaitOutcome;

    /// Wakes up to `count` threads that are parked on `word`. The scheduler chooses which.
    ///
    /// Returns how many threads return [`WaitOutcome::Woken`] from [`wait`](Scheduler::wait) because of this call. A lock may
    /// be handed over to such a thread, so the number must not be too high. Zero is always allowed.
    fn wake(&self, word: &AtomicU32, count: u32) -> u32;

    /// Called before the calling thread performs `op`. The scheduler may run other threads before it returns.
    fn point(&self, op: &Op);

    /// Like [`point`](Scheduler::point), for an operation that also accesses the objects of `others`.
    fn point_with(&self, op: &Op, others: &[(Object, Effect)]) {
        let _ = others;
        self.point(op);
    }

    /// Called when the current operation also accesses `object`.
    fn accesses(&self, object: &Object, effect: Effect) {
        let _ = (object, effect);
    }

    /// Like [`point`](Scheduler::point), for an operation that can succeed only while `ready` returns true, or once
    /// `deadline` has passed. The thread need not be scheduled before that.
    ///
    /// The result of `ready` depends on `word` alone, and each change of `word` is reported by
    /// [`atom`](Scheduler::atom) or [`signal`](Scheduler::signal). Returning early is allowed: the primitive then waits.
    fn point_until(&self, op: &Op, deadline: Option<Instant>, word: &AtomicU32, ready: &dyn Fn() -> bool) {
        let _ = (deadline, word, ready);
        self.point(op);
    }

    /// Returns whether a thread that enqueues as a waiter reports this as an operation of its own.
    ///
    /// If no thread ever reads the number of waiters, the moment of enqueueing makes no difference, and fewer operations
    /// mean fewer schedules to explore.
    fn enqueue_is_step(&self) -> bool {
        true
    }

    /// Called when the calling thread reads the number of waiters.
    fn reads_waiters(&self) {}

    /// Called before the calling thread releases `release.object` for the duration of a wait.
    ///
    /// The release is part of the operation that the thread is performing.
    fn releasing_for_wait(&self, release: &Op) {
        self.point(release);
    }

    /// Called when the calling thread has acquired the lock `op.object`.
    fn acquired(&self, op: &Op) {
        let _ = op;
    }

    /// Called when the calling thread has performed `op`, a [`TryAcquire`](super::Kind::TryAcquire) of an object that is not a
    /// lock. `acquired` is whether it succeeded. For a lock, [`acquired`](Scheduler::acquired) is called instead.
    fn tried(&self, op: &Op, acquired: bool) {
        let _ = (op, acquired);
    }

    /// Called before an atomic access inside a primitive, if the scheduler is [fine-grained](Scheduler::fine_grained).
    fn atom(&self, word: &AtomicU32) {
        let _ = word;
    }

    /// Like [`atom`](Scheduler::atom), for a word that only notifies one waiting thread: no other thread depends on it.
    fn signal(&self, word: &AtomicU32) {
        self.atom(word);
    }

    /// Called when the current operation also changes `object`, in a way that commutes with every other such change.
    ///
    /// A thread that starts or terminates changes the [registry](Program::registry) in this way.
    fn commutative_change(&self, object: &Object) {
        let _ = object;
    }

    /// Called with the memory ordering of the current operation, if that is an atomic access or a fence.
    fn ordering(&self, memory: Memory) {
        let _ = memory;
    }

    /// Called with the value that `op` read or stored, or with the text of a note, for reports.
    fn value(&self, op: &Op, value: &dyn Fn() -> String) {
        let _ = (op, value);
    }

    /// Called when the program names `object`, for reports.
    fn named(&self, object: &Object, name: &str) {
        let _ = (object, name);
    }

    /// Called when `object` is created at `at`, for reports of operations that the toolkit performs on it by itself.
    fn created(&self, object: &Object, at: Place) {
        let _ = (object, at);
    }

    /// Called when the function of the calling thread has panicked. Its joiner receives `payload`.
    fn panicked(&self, payload: &(dyn Any + Send)) {
        let _ = payload;
    }

    /// Called for a panic or a refused task whose result is not received; `text` is a sentence that describes it.
    ///
    /// Without a scheduler, the excepthook is called.
    fn unhandled(&self, text: &str, payload: &(dyn Any + Send)) {
        let _ = (text, payload);
    }

    /// Called when the calling thread has called `exit`.
    ///
    /// If the result is true, the process ends at once with status 101 and without further exit handlers.
    fn exit(&self) -> bool {
        false
    }

    /// Returns whether the scheduler receives atomic accesses inside primitives.
    fn fine_grained(&self) -> bool {
        false
    }

    /// Returns the current time.
    fn now(&self) -> Instant;

    /// Called before the calling thread computes a deadline from the current time. `op` is a read of the clock.
    fn computes_deadline(&self, op: &Op) {
        let _ = op;
    }

    /// Returns the time `timeout` from now, or `None` if it is beyond the range of the clock.
    fn deadline(&self, timeout: Duration) -> Option<Instant> {
        self.now().checked_add(timeout)
    }

    /// Like [`deadline`](Scheduler::deadline), for a wait that the program does not depend on, such as that of an idle
    /// worker that is to terminate.
    ///
    /// `None` means that the wait never times out. A scheduler that explores all moments at which a wait can time out
    /// returns that.
    fn idle_deadline(&self, timeout: Duration) -> Option<Instant> {
        self.deadline(timeout)
    }

    /// Blocks the calling thread until the clock shows `until`.
    fn sleep_until(&self, until: Instant);

    /// Yields to other threads.
    fn yield_now(&self);

    /// Starts a thread that [enters](super::enter) this scheduler and runs `body`.
    ///
    /// # Errors
    /// Returns the error of the operating system.
    fn spawn(&self, name: &str, stack_size: Option<usize>, body: Box<dyn FnOnce() + Send>) -> io::Result<()>;

    /// Returns the program of this scheduler: its threads, timers and keep-alive tokens.
    fn program(&self) -> &Arc<Program>;
}

/// The payload with which a scheduler unwinds a thread that it no longer needs.
///
/// It is not a panic of the program: neither the panic hook nor the excepthook reports it.
///
/// A thread is unwound inside the calls by which it reports its operations, that of a release included. A primitive that may
/// outlive the program of the scheduler therefore completes a release also if [`releasing`](super::releasing) unwinds, and removes
/// a thread from its waiters if [`wait`](super::wait) does.
///
/// # Examples
/// ```
/// use raddle::rt::Abandoned;
/// use std::panic::{catch_unwind, resume_unwind};
///
/// let unwound = catch_unwind(|| resume_unwind(Box::new(Abandoned)));
/// assert!(unwound.unwrap_err().is::<Abandoned>());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Abandoned;

/// Runs `run`, and if the scheduler unwinds the thread inside it, also `cleanup`: an object may outlive the program of the
/// scheduler, and must not refer to threads that no longer exist.
pub(crate) fn on_unwind<R, C>(run: impl FnOnce() -> R, cleanup: impl Fn() -> C) -> R {
    struct Cleanup<'a, C>(&'a dyn Fn() -> C);
    impl<C> Drop for Cleanup<'_, C> {
        fn drop(&mut self) {
            (self.0)();
        }
    }
    let unwound = Cleanup(&cleanup);
    let result = run();
    std::mem::forget(unwound);
    result
}

/// Takes the step of a release, and then releases, also if the scheduler unwinds the thread in the step.
pub(crate) fn step_then_release<R>(step: impl FnOnce(), release: impl Fn() -> R) -> R {
    on_unwind(step, &release);
    release()
}

static DEFAULT_PROGRAM: Program = Program::new();

thread_local! {
    static SCHEDULER: RefCell<Option<Arc<dyn Scheduler>>> = const { RefCell::new(None) };
}

/// Returns the scheduler of the calling thread.
pub(crate) fn current() -> Option<Arc<dyn Scheduler>> {
    if !flags::exploring() {
        return None;
    }
    SCHEDULER.try_with(|scheduler| scheduler.borrow().clone()).ok().flatten()
}

/// Replaces the scheduler of the calling thread and returns the previous one.
pub(crate) fn replace(with: Option<Arc<dyn Scheduler>>) -> Option<Arc<dyn Scheduler>> {
    SCHEDULER.try_with(|scheduler| scheduler.replace(with)).ok().flatten()
}

/// Calls `f` with the program of the calling thread.
pub(crate) fn with_program<R>(f: impl FnOnce(&Program) -> R) -> R {
    match current() {
        Some(scheduler) => f(scheduler.program()),
        None => f(default_program()),
    }
}

/// Returns the program of the calling thread, or `None` for the default one.
pub(crate) fn program() -> Option<Weak<Program>> {
    current().map(|scheduler| Arc::downgrade(scheduler.program()))
}

/// Returns the program of all threads without a scheduler.
pub(crate) fn default_program() -> &'static Program {
    DEFAULT_PROGRAM.survives_forks();
    &DEFAULT_PROGRAM
}

/// Returns the address range of the thread-local in which the scheduler is stored.
pub(crate) fn local() -> Range<usize> {
    SCHEDULER.with(|scheduler| {
        let start = std::ptr::from_ref(scheduler).addr();
        start..start + size_of_val(scheduler)
    })
}

/// How many destructors of payloads may panic in a row before the last payload is leaked.
const MAX_PAYLOADS: usize = 8;

/// Drops the payload of a panic.
///
/// If its destructor panics, `report` is called with the new payload, which is then dropped in the same way.
pub(crate) fn drop_payload(payload: Box<dyn Any + Send>, report: impl Fn(&(dyn Any + Send))) {
    let mut payload = payload;
    for _ in 0..MAX_PAYLOADS {
        match catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            Ok(()) => return,
            Err(next) => payload = next,
        }
        report(&*payload);
    }
    std::mem::forget(payload);
}
