//! What a binding for another language states about the calling thread: the place in that language on behalf of which it
//! acts, that signals can end its waits, and that it carries a panic through frames of that language.
//!
//! Both are read where an observer is notified or a wait might panic, never on a fast path.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::op::Op;
use super::place::Place;
use crate::sys::os;

/// The statements about one thread.
#[derive(Clone, Copy, Default)]
pub(crate) struct Binding {
    place: Option<Place>,
    /// The number of [`Unwinding`]s.
    unwinding: u32,
    interruption: Option<Interruption>,
    /// Whether the thread is in [`unobserved`].
    unobserved: bool,
}

/// The statement that signals can end the waits of a thread.
#[derive(Clone, Copy)]
pub(crate) struct Interruption {
    interrupted: fn() -> bool,
    /// Whether the deadlines of the waits stand for none.
    unlimited: bool,
}

impl Binding {
    const NONE: Self = Self { place: None, unwinding: 0, interruption: None, unobserved: false };
}

// Without a destructor, so that it can be read until the thread has terminated.
thread_local! {
    static BINDING: Cell<Binding> = const { Cell::new(Binding::NONE) };
}

/// Replaces the statements about the calling thread, when it takes on another identity. Returns the previous ones.
pub(crate) fn replace(with: Binding) -> Binding {
    BINDING.replace(with)
}

/// Returns the address range of this module's thread-local.
pub(crate) fn local() -> Range<usize> {
    BINDING.with(|binding| {
        let start = std::ptr::from_ref(binding).addr();
        start..start + size_of_val(binding)
    })
}

/// Runs `f` on behalf of `place`: every operation of the calling thread inside it is reported there instead of at the line
/// of its Rust caller.
///
/// A binding for another language names the lines of that language by it, in the reports and dumps of the watch, recordings
/// and the reports of an explorer. A thread that is started inside `f` is reported as started at `place`, and a panic that an
/// explorer observes inside `f` as raised there. Scopes can be nested, and the innermost one applies. A scope ends with `f`,
/// also if `f` panics. It does not extend to the threads that are started in it.
///
/// The scope is read by observers only, so a binding needs it only while the process [is observed](super::is_observed).
///
/// # Examples
/// ```
/// use raddle::{Event, rt, trace};
///
/// let event = Event::new();
/// let line = rt::Place::intern("worker.py", 42, Some("run"));
/// let recording = trace::Recording::start();
/// rt::on_behalf_of(line, || event.set());
/// assert_eq!(recording.finish()[0].at.to_string(), "worker.py:42, in run");
/// ```
pub fn on_behalf_of<R>(place: Place, f: impl FnOnce() -> R) -> R {
    struct Restore(Option<Place>);
    impl Drop for Restore {
        fn drop(&mut self) {
            set_place(self.0);
        }
    }
    let _restore = Restore(set_place(Some(place)));
    f()
}

/// Returns the place on behalf of which the calling thread acts, or `None` outside [`on_behalf_of`].
///
/// # Examples
/// ```
/// use raddle::rt::{self, Place};
///
/// let line = Place::intern("worker.py", 42, None);
/// assert_eq!(rt::on_behalf_of(line, rt::behalf), Some(line));
/// assert_eq!(rt::behalf(), None);
/// ```
pub fn behalf() -> Option<Place> {
    BINDING.get().place
}

fn set_place(place: Option<Place>) -> Option<Place> {
    let binding = BINDING.get();
    BINDING.set(Binding { place, ..binding });
    binding.place
}

/// Runs `f`, in which a signal can end those waits of the calling thread that have a deadline: a wait ends as if its deadline
/// had passed once `interrupted` returns true.
///
/// The caller knows from `interrupted` that it returned true. An operation that has ended without effect for this reason can
/// be repeated. Everything that holds for [`Wait::interruptible`](super::Wait::interruptible) holds for these waits: when `interrupted` is
/// called, and that under a scheduler it is not.
///
/// `interrupted` may perform operations of its own, whose waits no signal ends unless it says so.
///
/// # Examples
/// ```
/// use raddle::{Queue, rt};
/// use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
/// use std::time::Duration;
///
/// static INTERRUPTED: AtomicBool = AtomicBool::new(false); // set by a signal handler
///
/// let queue = Queue::<u8>::unbounded();
/// INTERRUPTED.store(true, Relaxed);
/// let interrupted = || INTERRUPTED.load(Relaxed);
/// let got = rt::interruptible(interrupted, || queue.get_timeout(Duration::from_secs(3600)));
/// assert!(got.is_err()); // at once, not after an hour
/// ```
pub fn interruptible<R>(interrupted: fn() -> bool, f: impl FnOnce() -> R) -> R {
    within(Some(Interruption { interrupted, unlimited: false }), f)
}

/// Like [`interruptible`], for an operation without a time limit. `f` passes the deadline that it receives to the operation.
///
/// The deadline lies a century ahead. The watch takes a wait until then for one without a deadline, and reports a deadlock in
/// which it takes part.
///
/// # Examples
/// ```
/// use raddle::{Lock, rt};
///
/// let lock = Lock::new();
/// assert!(rt::until_interrupted(|| false, |deadline| lock.acquire_deadline(deadline)));
/// assert!(!rt::until_interrupted(|| true, |deadline| lock.acquire_deadline(deadline)));
/// ```
pub fn until_interrupted<R>(interrupted: fn() -> bool, f: impl FnOnce(Instant) -> R) -> R {
    const CENTURY: Duration = Duration::from_hours(100 * 365 * 24);
    within(Some(Interruption { interrupted, unlimited: true }), || f(os::now() + CENTURY))
}

fn within<R>(interruption: Option<Interruption>, f: impl FnOnce() -> R) -> R {
    struct Restore(Option<Interruption>);
    impl Drop for Restore {
        fn drop(&mut self) {
            BINDING.set(Binding { interruption: self.0, ..BINDING.get() });
        }
    }
    let before = BINDING.get();
    BINDING.set(Binding { interruption, ..before });
    let _restore = Restore(before.interruption);
    f()
}

/// Returns the statement that signals can end the waits of the calling thread.
#[inline]
pub(crate) fn interruption() -> Option<Interruption> {
    BINDING.get().interruption
}

impl Interruption {
    /// Returns whether the waits are interrupted. Runs code of the user, in which the statement does not hold.
    pub(crate) fn is_interrupted(&self) -> bool {
        within(None, self.interrupted)
    }

    /// Returns whether the deadlines of the waits stand for none.
    pub(crate) fn is_unlimited(&self) -> bool {
        self.unlimited
    }
}

/// Runs `f`, whose operations no observer receives: a look at an object that is not part of the program, such as its
/// representation in a debugger or in a report.
///
/// `f` only reads, and does not block. Under a scheduler, no other thread runs meanwhile, so a binding may call this while it
/// holds the lock of its interpreter.
///
/// # Examples
/// ```
/// use raddle::{Lock, rt, trace};
///
/// let lock = Lock::new();
/// let recording = trace::Recording::start();
/// assert!(!rt::unobserved(|| lock.is_locked()));
/// assert!(recording.finish().is_empty());
/// ```
pub fn unobserved<R>(f: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            BINDING.set(Binding { unobserved: self.0, ..BINDING.get() });
        }
    }
    let before = BINDING.get();
    BINDING.set(Binding { unobserved: true, ..before });
    let _restore = Restore(before.unobserved);
    f()
}

/// Returns whether the calling thread is in [`unobserved`].
pub(crate) fn is_unobserved() -> bool {
    BINDING.get().unobserved
}

impl Op {
    /// Returns the operation at the place on behalf of which the calling thread acts, or at its own.
    pub(crate) fn on_behalf(&self) -> Self {
        Self { at: self.at.on_behalf(), ..*self }
    }
}

impl Place {
    /// Returns the place on behalf of which the calling thread acts, or `self` if there is none.
    ///
    /// To be used for a place that is kept for operations of other threads: the observers of the calling thread replace the
    /// place of its operations by themselves.
    pub(crate) fn on_behalf(self) -> Self {
        behalf().unwrap_or(self)
    }
}

/// Returns whether the calling thread is unwinding: by a Rust panic, or by a panic that a binding carries as [`Unwinding`].
///
/// The drop of a guard during an unwinding must release what it holds, and must not panic.
///
/// # Examples
/// ```
/// use raddle::rt;
///
/// let unwinding = rt::Unwinding::begin();
/// assert!(rt::is_unwinding() && !std::thread::panicking());
/// drop(unwinding);
/// assert!(!rt::is_unwinding());
/// ```
pub fn is_unwinding() -> bool {
    std::thread::panicking() || BINDING.get().unwinding > 0
}

/// While this lives, the calling thread counts as unwinding although no Rust panic is in progress.
///
/// A binding catches a panic before it returns to the frames of another language, and carries it through them as an exception
/// of that language. The panic may be [`Abandoned`](super::Abandoned), by which an explorer ends a thread, or a panic of the
/// watch. While the exception passes through those frames, code of theirs releases what it holds: `finally`, `__exit__`,
/// finalizers. [`std::thread::panicking`] is false at that time, so without this value an explorer would unwind the thread
/// again in each of these releases, and a lock that outlives the execution would stay held.
///
/// While this lives, an operation of the thread that can succeed takes effect, also after the execution has ended, and is not
/// unwound. An operation that blocks forever is unwound again, and so is a thread that performs operations without an end,
/// because code may catch the exception and continue. The watch does not raise panics in the thread.
///
/// The binding drops the value before it resumes the panic at the root of the thread.
///
/// # Examples
/// A binding's call of raddle, and the root of a thread:
///
/// ```
/// use raddle::rt::{Abandoned, Unwinding};
/// use std::any::Any;
/// use std::cell::RefCell;
/// use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
///
/// thread_local! {
///     /// The panic that the calling thread carries through frames of the other language.
///     static CARRIED: RefCell<Option<(Box<dyn Any + Send>, Unwinding)>> = const { RefCell::new(None) };
/// }
///
/// struct Exception; // of the other language
///
/// fn call<R>(operation: impl FnOnce() -> R) -> Result<R, Exception> {
///     catch_unwind(AssertUnwindSafe(operation)).map_err(|payload| {
///         CARRIED.set(Some((payload, Unwinding::begin())));
///         Exception
///     })
/// }
///
/// fn root(run: impl FnOnce() -> Result<(), Exception>) {
///     let outcome = run();
///     if let (Err(Exception), Some((payload, unwinding))) = (outcome, CARRIED.take()) {
///         drop(unwinding);
///         resume_unwind(payload);
///     }
/// }
///
/// // An explorer unwinds the thread in an operation.
/// let unwound = catch_unwind(|| root(|| call(|| resume_unwind(Box::new(Abandoned)))));
/// assert!(unwound.unwrap_err().is::<Abandoned>());
/// ```
#[must_use = "the unwinding ends when this is dropped"]
pub struct Unwinding {
    /// It belongs to the thread that began it.
    not_send: PhantomData<*const ()>,
}

impl Unwinding {
    /// Begins an unwinding of the calling thread.
    ///
    /// Several can exist at the same time; the thread counts as unwinding until the last one is dropped.
    ///
    /// # Examples
    /// See [`Unwinding`].
    pub fn begin() -> Self {
        let binding = BINDING.get();
        BINDING.set(Binding { unwinding: binding.unwinding + 1, ..binding });
        Self { not_send: PhantomData }
    }
}

impl Drop for Unwinding {
    fn drop(&mut self) {
        let binding = BINDING.get();
        // It is 0 already if the thread has left the scheduler under which the unwinding began.
        BINDING.set(Binding { unwinding: binding.unwinding.saturating_sub(1), ..binding });
    }
}

impl fmt::Debug for Unwinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unwinding").finish_non_exhaustive()
    }
}
