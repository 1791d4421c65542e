//! [`Promise`]: settling a future by hand.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::sync::Arc;

use super::error::{FutureError, TaskPanic};
use super::handle::{FUTURE, Future};
use super::state::{FutureCore, Handle, NO_POOL, run_callbacks, settled};
use crate::rt::{self, Kind, Op};
use crate::thread::drop_guarded;

/// Settles a [`Future`]: the writing end of a result.
///
/// For executors other than [`ThreadPoolExecutor`](crate::ThreadPoolExecutor). Setting the result consumes the promise, so
/// it cannot be set twice. If the promise is dropped unset, the future fails with [`FutureError::Abandoned`].
///
/// # Memory ordering
/// Everything that the thread did before it set the result happens before the return of every method that finds the future
/// done.
///
/// # Examples
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
    /// Creates a promise, whose future is pending.
    ///
    /// # Examples
    /// ```
    /// use raddle::Promise;
    ///
    /// let promise = Promise::<i32>::new();
    /// assert!(!promise.future().done());
    /// ```
    pub fn new() -> Self {
        Self { core: Arc::new(FutureCore::new(NO_POOL, ())) }
    }
}

impl<T> Promise<T> {
    /// Returns the future that this promise will settle.
    ///
    /// # Examples
    /// ```
    /// use raddle::Promise;
    ///
    /// let promise = Promise::new();
    /// let (one, two) = (promise.future(), promise.future());
    /// promise.set_result(42).unwrap();
    /// assert!(one == two && two.done());
    /// ```
    pub fn future(&self) -> Future<T> {
        Future::of(self.core.clone())
    }

    /// Announces that the work starts. Returns `false` if the future was cancelled.
    ///
    /// If it returns `true`, the future can no longer be cancelled. This is Python's `set_running_or_notify_cancel`.
    ///
    /// # Examples
    /// ```
    /// use raddle::Promise;
    ///
    /// let promise = Promise::<u32>::new();
    /// promise.future().cancel();
    /// assert!(!promise.start()); // skip the work
    /// ```
    #[track_caller]
    pub fn start(&self) -> bool {
        rt::point(Op::new(&*self.core, FUTURE, Kind::Write).with_verb("starts"));
        self.core.start() || !self.core.is_cancelled()
    }

    /// Settles the future with a value, and runs its done-callbacks.
    ///
    /// # Errors
    /// Returns a [`CancelledError`], which holds the value, if the future was cancelled.
    ///
    /// # Examples
    /// ```
    /// use raddle::Promise;
    ///
    /// let promise = Promise::new();
    /// promise.future().cancel();
    /// assert_eq!(promise.set_result(42).unwrap_err().into_inner(), 42);
    /// ```
    #[track_caller]
    pub fn set_result(self, value: T) -> Result<(), CancelledError<T>> {
        rt::point(Op::new(&*self.core, FUTURE, Kind::Write).with_verb("settles"));
        match self.core.settle(Ok(value)) {
            Ok(callbacks) => run_callbacks(&self.core, callbacks),
            Err(Ok(value)) => return Err(CancelledError(value)),
            Err(Err(_)) => unreachable!("a value was passed"),
        }
        Ok(())
    }

    /// Settles the future with a panic of the calling thread, and runs its done-callbacks.
    ///
    /// # Errors
    /// Returns a [`CancelledError`], which holds the payload, if the future was cancelled.
    ///
    /// # Examples
    /// ```
    /// use raddle::Promise;
    ///
    /// let promise = Promise::<u32>::new();
    /// let future = promise.future();
    /// promise.set_panic(Box::new("no paper")).unwrap();
    /// assert!(future.result().unwrap_err().to_string().contains("no paper"));
    /// ```
    #[track_caller]
    pub fn set_panic(self, payload: Box<dyn Any + Send>) -> Result<(), CancelledError<Box<dyn Any + Send>>> {
        rt::point(Op::new(&*self.core, FUTURE, Kind::Write).with_verb("settles"));
        let panic = TaskPanic::here(payload);
        match self.core.settle(Err(FutureError::Panicked(panic.clone()))) {
            Ok(callbacks) => run_callbacks(&self.core, callbacks),
            Err(_) => {
                return Err(CancelledError(
                    panic.take_payload().expect("there is no other reference to the panic"),
                ));
            }
        }
        Ok(())
    }

    /// Calls `work`, unless the future was cancelled, and settles the future with its result or panic.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Promise, Thread};
    ///
    /// let promise = Promise::new();
    /// let answer = promise.future();
    /// Thread::spawn(move || promise.run(|| 6 * 7));
    /// assert_eq!(answer.result(), Ok(42));
    /// ```
    #[track_caller]
    pub fn run(self, work: impl FnOnce() -> T) {
        if !self.start() {
            return drop_guarded("the destructor of work that was not run", work);
        }
        // It has started, so it cannot be cancelled any more.
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
        /// Abandons the future even if a scheduler unwinds the step.
        struct Abandon<'a, T>(&'a Handle<T>);
        impl<T> Drop for Abandon<'_, T> {
            fn drop(&mut self) {
                if let Ok(callbacks) = self.0.settle(Err(FutureError::Abandoned)) {
                    run_callbacks(self.0, callbacks);
                }
            }
        }
        if self.core.is(settled) {
            self.core.announce_drop();
        } else {
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

/// A future could not be settled, since it was cancelled.
///
/// Holds the value or the payload; [`into_inner`](CancelledError::into_inner) returns it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CancelledError<T>(T);

impl<T> CancelledError<T> {
    /// Returns the value or the payload.
    ///
    /// # Examples
    /// ```
    /// use raddle::Promise;
    ///
    /// let promise = Promise::new();
    /// promise.future().cancel();
    /// assert_eq!(promise.set_result(42).unwrap_err().into_inner(), 42);
    /// ```
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
        f.write_str("failed to settle a future: it was cancelled; call `start` before the work to find out")
    }
}

impl<T> std::error::Error for CancelledError<T> {}
