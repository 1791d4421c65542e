//! Futures that are set by hand, for those who write executors.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::sync::Arc;

use super::error::{FutureError, TaskPanic};
use super::handle::{FUTURE, Future};
use super::state::{Core, Handle, NOWHERE, call_back, settled};
use crate::rt::{self, Kind, Op};
use crate::thread::drop_guarded;

/// The duty to settle a [`Future`].
///
/// Setting it uses it up, so that a result cannot be set twice. Dropped without that, the future ends with
/// [`FutureError::Abandoned`].
///
/// ```
/// use raddle::{Promise, Thread};
///
/// let promise = Promise::new();
/// let answer = promise.future();
/// Thread::spawn(move || {
///     if promise.start() {
///         promise.set_result(42).unwrap();
///     }
/// });
/// assert_eq!(answer.result()?, 42);
/// # Ok::<(), raddle::future::FutureError>(())
/// ```
#[must_use = "dropping it abandons the future"]
pub struct Promise<T> {
    core: Handle<T>,
}

impl<T: 'static> Promise<T> {
    /// A promise whose future is pending.
    pub fn new() -> Self {
        Self { core: Arc::new(Core::new(NOWHERE, ())) }
    }
}

impl<T> Promise<T> {
    /// The future that this will settle.
    pub fn future(&self) -> Future<T> {
        Future::of(self.core.clone())
    }

    /// Says that the work begins; false: the future was cancelled, so that the work is not wanted.
    ///
    /// After a yes the future can no longer be cancelled. Python calls it `set_running_or_notify_cancel`.
    #[track_caller]
    pub fn start(&self) -> bool {
        rt::point(Op::new(&*self.core, FUTURE, Kind::Write).with_verb("starts"));
        self.core.start() || !self.core.is_cancelled()
    }

    /// Settles the future with a value, and runs its done-callbacks.
    ///
    /// # Errors
    /// [`CancelledError`] gives the value back if the future was cancelled.
    #[track_caller]
    pub fn set_result(self, value: T) -> Result<(), CancelledError<T>> {
        rt::point(Op::new(&*self.core, FUTURE, Kind::Write).with_verb("settles"));
        match self.core.settle(Ok(value)) {
            Ok(callbacks) => call_back(&self.core, callbacks),
            Err(Ok(value)) => return Err(CancelledError(value)),
            Err(Err(_)) => unreachable!("what comes back is what was given"),
        }
        Ok(())
    }

    /// Settles the future with a panic, told as one of the calling thread, and runs its done-callbacks.
    ///
    /// # Errors
    /// [`CancelledError`] gives the payload back if the future was cancelled.
    #[track_caller]
    pub fn set_panic(self, payload: Box<dyn Any + Send>) -> Result<(), CancelledError<Box<dyn Any + Send>>> {
        rt::point(Op::new(&*self.core, FUTURE, Kind::Write).with_verb("settles"));
        let panic = TaskPanic::here(payload);
        match self.core.settle(Err(FutureError::Panicked(panic.clone()))) {
            Ok(callbacks) => call_back(&self.core, callbacks),
            Err(_) => return Err(CancelledError(panic.take_payload().expect("nobody has seen it"))),
        }
        Ok(())
    }

    /// Runs `work`, unless the future was cancelled, and settles the future with what it returns or its panic.
    #[track_caller]
    pub fn run(self, work: impl FnOnce() -> T) {
        if !self.start() {
            return drop_guarded("the destructor of work that was not done", work);
        }
        // It has started, so it cannot have been cancelled in between.
        let _ = match catch_unwind(AssertUnwindSafe(work)) {
            Ok(value) => self.set_result(value).map_err(drop),
            Err(payload) => self.set_panic(payload).map_err(drop),
        };
    }
}

impl<T: 'static> Default for Promise<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        /// Abandoned even if a scheduler throws at the point.
        struct Abandon<'a, T>(&'a Handle<T>);
        impl<T> Drop for Abandon<'_, T> {
            fn drop(&mut self) {
                if let Ok(callbacks) = self.0.settle(Err(FutureError::Abandoned)) {
                    call_back(self.0, callbacks);
                }
            }
        }
        if !self.core.is(settled) {
            let _abandon = Abandon(&self.core);
            rt::point(Op::new(&*self.core, FUTURE, Kind::Write).with_verb("abandons"));
        }
    }
}

// A promise is settled in one step.
impl<T> UnwindSafe for Promise<T> {}
impl<T> RefUnwindSafe for Promise<T> {}

impl<T> fmt::Debug for Promise<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Promise").field("future", &self.future()).finish()
    }
}

/// The future had been cancelled; here is what it was to be settled with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CancelledError<T>(T);

impl<T> CancelledError<T> {
    /// Returns what the future was to be settled with.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for CancelledError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CancelledError").finish_non_exhaustive()
    }
}

impl<T> fmt::Display for CancelledError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the future was cancelled, so nobody wants its result; `start` tells before the work")
    }
}

impl<T> std::error::Error for CancelledError<T> {}
