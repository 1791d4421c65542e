//! [`Future`]: taking, reading and awaiting a result, and cancelling a task.
//!
//! # Reading in place
//! [`with_result`](Future::with_result) moves the value out of the lock while user code reads it, so that no lock is held
//! meanwhile. The state is `BORROWED` then, and other threads that request the value block until it is returned.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::callback::Listener;
use super::error::FutureError;
use super::state::{FutureCore, Handle, Taken, UserCode, is_takeable, settled};
use crate::rt::{self, Kind, Op, Place};
use crate::thread::drop_guarded;

/// The result of a task, which may not be available yet.
///
/// [`submit`](crate::ThreadPoolExecutor::submit) and [`Promise::future`](crate::Promise::future) return futures. A clone
/// refers to the same result. The first call that requests the value takes it; [`with_result`](Future::with_result) reads it
/// in place. A future can also be awaited, in any executor.
///
/// Dropping a future does not affect its task. If no thread has observed a failure, by `result`, `exception`,
/// `with_result` or `.await`, it is reported to the [excepthook](crate::thread::set_excepthook) when the last reference is
/// dropped.
///
/// # Deadlocks
/// A worker may wait for tasks of its own pool. If all workers are blocked in such waits without a timeout, one of the waits
/// fails with [`FutureError::Deadlock`].
///
/// # Memory ordering
/// Everything that the task did happens before the return of every method that finds the future done.
///
/// # Examples
/// ```
/// use raddle::ThreadPoolExecutor;
///
/// let pool = ThreadPoolExecutor::new(2);
/// let answer = pool.submit(|| 6 * 7);
/// answer.add_done_callback(|answer| answer.with_result(|result| assert_eq!(*result.unwrap(), 42)));
/// assert_eq!(answer.result()?, 42);
/// assert!(answer.done() && !answer.cancel());
/// # Ok::<(), raddle::future::FutureError>(())
/// ```
pub struct Future<T> {
    pub(super) core: Handle<T>,
    /// The key of the waker that this reference has registered.
    pub(super) waker: Option<u64>,
}

pub(super) const FUTURE: &str = "Future";

impl<T> Future<T> {
    pub(crate) fn of(core: Handle<T>) -> Self {
        Self { core, waker: None }
    }

    pub(crate) fn core(&self) -> &Handle<T> {
        &self.core
    }

    /// Blocks until the future is done and takes its value.
    ///
    /// The first call gets the value.
    ///
    /// # Errors
    /// Returns the [`FutureError`] of a task that failed, and [`FutureError::Taken`] if an earlier call took the value.
    ///
    /// # Examples
    /// ```
    /// use raddle::ThreadPoolExecutor;
    /// use raddle::future::FutureError;
    ///
    /// let answer = ThreadPoolExecutor::new(1).submit(|| 42);
    /// assert_eq!(answer.result(), Ok(42));
    /// assert_eq!(answer.result(), Err(FutureError::Taken));
    /// ```
    #[track_caller]
    pub fn result(&self) -> Result<T, FutureError> {
        self.take_until(Op::new(&*self.core, FUTURE, Kind::Wait), None)
    }

    /// Blocks for at most `timeout` until the future is done, and takes its value.
    ///
    /// # Errors
    /// Returns [`FutureError::TimedOut`] if the future is not done in time; the task is unaffected. Otherwise as
    /// [`result`](Self::result).
    ///
    /// # Examples
    /// ```
    /// use raddle::Promise;
    /// use raddle::future::FutureError;
    /// use std::time::Duration;
    ///
    /// let promise = Promise::new();
    /// let future = promise.future();
    /// assert_eq!(future.result_timeout(Duration::from_millis(1)), Err(FutureError::TimedOut));
    /// promise.set_result(42).unwrap();
    /// assert_eq!(future.result_timeout(Duration::from_millis(1)), Ok(42));
    /// ```
    #[track_caller]
    pub fn result_timeout(&self, timeout: Duration) -> Result<T, FutureError> {
        self.take_until(Op::new(&*self.core, FUTURE, Kind::Wait), rt::deadline(timeout))
    }

    /// Blocks until `deadline` at most until the future is done, and takes its value.
    ///
    /// # Errors
    /// As [`result_timeout`](Self::result_timeout).
    ///
    /// # Examples
    /// ```
    /// use raddle::{ThreadPoolExecutor, time};
    /// use std::time::Duration;
    ///
    /// let pool = ThreadPoolExecutor::new(2);
    /// let futures = [pool.submit(|| 1), pool.submit(|| 2)];
    /// let deadline = time::now() + Duration::from_secs(10); // for both
    /// let results = futures.map(|future| future.result_deadline(deadline));
    /// assert_eq!(results, [Ok(1), Ok(2)]);
    /// ```
    #[track_caller]
    pub fn result_deadline(&self, deadline: Instant) -> Result<T, FutureError> {
        self.take_until(Op::new(&*self.core, FUTURE, Kind::Wait), Some(deadline))
    }

    /// Takes the value if the future is done. Never blocks.
    ///
    /// # Errors
    /// Returns [`FutureError::NotDone`] if the future is not done, or while callbacks or another thread read the value.
    /// Otherwise as [`result`](Self::result).
    ///
    /// # Examples
    /// ```
    /// use raddle::Promise;
    /// use raddle::future::FutureError;
    ///
    /// let promise = Promise::new();
    /// let future = promise.future();
    /// assert_eq!(future.try_result(), Err(FutureError::NotDone));
    /// promise.set_result(42).unwrap();
    /// assert_eq!(future.try_result(), Ok(42));
    /// ```
    #[track_caller]
    pub fn try_result(&self) -> Result<T, FutureError> {
        rt::point(Op::new(&*self.core, FUTURE, Kind::Write).with_verb("tries to take the result of"));
        self.core.abandon_if_inherited();
        match self.core.take() {
            Taken::Value(value) => Ok(value),
            Taken::Failed(error) => Err(error),
            Taken::Borrowed(by) if by == rt::ident() => Err(FutureError::Taken),
            Taken::NotDone | Taken::Borrowed(_) => Err(FutureError::NotDone),
        }
    }

    /// Blocks until the future is done and returns its error, if it failed.
    ///
    /// The value stays in the future.
    ///
    /// # Examples
    /// ```
    /// use raddle::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::new(1);
    /// assert_eq!(pool.submit(|| 42).exception(), None);
    /// assert!(pool.submit(|| panic!("no paper")).exception().unwrap().is_panic());
    /// ```
    #[track_caller]
    pub fn exception(&self) -> Option<FutureError> {
        self.exception_until(Op::new(&*self.core, FUTURE, Kind::Wait), None)
    }

    /// Blocks for at most `timeout` until the future is done and returns its error, if it failed.
    ///
    /// Returns [`FutureError::TimedOut`] if the future is not done in time.
    ///
    /// # Examples
    /// ```
    /// use raddle::Promise;
    /// use raddle::future::FutureError;
    /// use std::time::Duration;
    ///
    /// let promise = Promise::<u32>::new();
    /// let error = promise.future().exception_timeout(Duration::from_millis(1));
    /// assert_eq!(error, Some(FutureError::TimedOut));
    /// ```
    #[track_caller]
    pub fn exception_timeout(&self, timeout: Duration) -> Option<FutureError> {
        self.exception_until(Op::new(&*self.core, FUTURE, Kind::Wait), rt::deadline(timeout))
    }

    /// Blocks until `deadline` at most until the future is done and returns its error, if it failed.
    ///
    /// Returns [`FutureError::TimedOut`] if the future is not done in time.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Promise, time};
    /// use raddle::future::FutureError;
    ///
    /// let promise = Promise::<u32>::new();
    /// assert_eq!(promise.future().exception_deadline(time::now()), Some(FutureError::TimedOut));
    /// ```
    #[track_caller]
    pub fn exception_deadline(&self, deadline: Instant) -> Option<FutureError> {
        self.exception_until(Op::new(&*self.core, FUTURE, Kind::Wait), Some(deadline))
    }

    /// Calls `look` with a reference to the value or to the error.
    ///
    /// Does not wait for the task: before the future is done, the error is [`FutureError::NotDone`]. Blocks while another
    /// thread reads the value, and other threads that request it block until `look` returns. Inside of `look`, the value
    /// counts as taken.
    ///
    /// # Examples
    /// ```
    /// use raddle::ThreadPoolExecutor;
    ///
    /// let name = ThreadPoolExecutor::new(1).submit(|| String::from("raddle"));
    /// assert!(name.exception().is_none());
    /// assert_eq!(name.with_result(|name| name.map(String::len).unwrap()), 6);
    /// assert_eq!(name.result().unwrap(), "raddle");
    /// ```
    #[track_caller]
    pub fn with_result<R>(&self, look: impl FnOnce(Result<&T, &FutureError>) -> R) -> R {
        let op = Op::new(&*self.core, FUTURE, Kind::Write).with_verb("looks at the result of");
        rt::point(op);
        self.core.look(op, look)
    }

    /// Cancels the future if its task has not started. Returns whether it is cancelled.
    ///
    /// The closure of the task is dropped and the done-callbacks run before this returns, on the calling thread. A task
    /// either starts or is cancelled, never both.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Event, ThreadPoolExecutor};
    /// use std::sync::Arc;
    ///
    /// let (pool, done) = (ThreadPoolExecutor::new(1), Arc::new(Event::new()));
    /// let busy = pool.submit({
    ///     let done = done.clone();
    ///     move || done.wait()
    /// });
    /// let waiting = pool.submit(|| unreachable!());
    /// assert!(waiting.cancel() && waiting.cancelled());
    /// done.set();
    /// ```
    #[track_caller]
    pub fn cancel(&self) -> bool {
        rt::point(Op::new(&*self.core, FUTURE, Kind::Write).with_verb("cancels"));
        self.core.cancel()
    }

    /// Returns whether the future was cancelled.
    ///
    /// # Examples
    /// See [`cancel`](Self::cancel).
    #[track_caller]
    pub fn cancelled(&self) -> bool {
        rt::point(Op::new(&*self.core, FUTURE, Kind::Read));
        self.core.is_cancelled()
    }

    /// Returns whether the task is running, so that the future cannot be cancelled any more.
    ///
    /// # Examples
    /// ```
    /// use raddle::Promise;
    ///
    /// let promise = Promise::<u32>::new();
    /// let future = promise.future();
    /// assert!(!future.running() && promise.start());
    /// assert!(future.running() && !future.cancel());
    /// ```
    #[track_caller]
    pub fn running(&self) -> bool {
        rt::point(Op::new(&*self.core, FUTURE, Kind::Read));
        self.core.abandon_if_inherited();
        self.core.is_running()
    }

    /// Returns whether the future is done: its task has returned, failed, or was cancelled.
    ///
    /// # Examples
    /// ```
    /// use raddle::Promise;
    ///
    /// let promise = Promise::new();
    /// let future = promise.future();
    /// assert!(!future.done());
    /// promise.set_result(42).unwrap();
    /// assert!(future.done());
    /// ```
    #[track_caller]
    pub fn done(&self) -> bool {
        rt::point(Op::new(&*self.core, FUTURE, Kind::Read));
        self.core.abandon_if_inherited();
        self.core.is(settled)
    }

    /// Adds a callback that runs once, when the future is done.
    ///
    /// It runs on the thread that settles the future, or at once, on the calling thread, if the future is done. Callbacks run
    /// in the order in which they were added, before another thread can take the value: each can read it by
    /// [`with_result`](Self::with_result), and threads in [`result`](Self::result) block until the callbacks have returned.
    /// So a callback should be short and must not wait for such a thread. The panic of a callback is reported to the
    /// [excepthook](crate::thread::set_excepthook), and the other callbacks run.
    ///
    /// # Nested callbacks
    /// A callback may settle or cancel further futures, whose callbacks then run inside of it. At a depth of eight calls,
    /// further callbacks are queued and run in order when the callback at that depth returns, so a chain of any length needs
    /// little stack. A callback at that depth must not wait for a thread that waits for a value which the callback has just
    /// set.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Promise, Queue};
    /// use std::sync::Arc;
    ///
    /// let (promise, log) = (Promise::new(), Arc::new(Queue::unbounded()));
    /// let future = promise.future();
    /// let lines = log.clone();
    /// future.add_done_callback(move |done| {
    ///     lines.put(done.with_result(|value| *value.unwrap())).unwrap();
    /// });
    /// promise.set_result(42).unwrap();
    /// assert_eq!(log.get(), Ok(42));
    /// ```
    #[track_caller]
    pub fn add_done_callback(&self, callback: impl FnOnce(&Future<T>) + Send + 'static) {
        rt::point(Op::new(&*self.core, FUTURE, Kind::Write).with_verb("adds a callback to"));
        self.core.abandon_if_inherited();
        let callback =
            Listener::Callback(
                Box::new(move |core: &Handle<T>| callback(&Future::of(core.clone()))) as Box<_>
            );
        if let Err(Listener::Callback(callback)) = self.core.add_listener(callback, settled) {
            (self.core.run)(UserCode::LateCallback(self.core.clone(), callback));
        }
    }

    /// Like [`result_deadline`](Self::result_deadline), reported as called at `at`.
    pub(crate) fn result_at(&self, deadline: Option<Instant>, at: Place) -> Result<T, FutureError> {
        self.take_until(Op { at, ..Op::new(&*self.core, FUTURE, Kind::Wait) }, deadline)
    }

    fn take_until(&self, op: Op, deadline: Option<Instant>) -> Result<T, FutureError> {
        let mut reached: fn(u32) -> bool = settled;
        loop {
            self.core.wait(op, deadline, reached)?;
            match self.core.take() {
                Taken::Value(value) => return Ok(value),
                Taken::Failed(error) => return Err(error),
                Taken::Borrowed(by) if by == rt::ident() => return Err(FutureError::Taken),
                Taken::Borrowed(_) | Taken::NotDone => reached = is_takeable,
            }
        }
    }

    fn exception_until(&self, op: Op, deadline: Option<Instant>) -> Option<FutureError> {
        match self.core.wait(op, deadline, settled) {
            Ok(()) => self.core.failure(),
            Err(error) => Some(error),
        }
    }
}

impl<T> Clone for Future<T> {
    fn clone(&self) -> Self {
        Self::of(self.core.clone())
    }
}

/// Compares by identity: futures are equal if they refer to the same result.
impl<T> PartialEq for Future<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.core, &other.core)
    }
}

impl<T> Eq for Future<T> {}

/// Hashes the identity, so that a future can be the key of a map, as in Python.
impl<T> Hash for Future<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.core).cast::<()>().hash(state);
    }
}

// A panic leaves no future in an inconsistent state.
impl<T> UnwindSafe for Future<T> {}
impl<T> RefUnwindSafe for Future<T> {}

impl<T> fmt::Debug for Future<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        rt::point(Op::new(&*self.core, FUTURE, Kind::Read));
        f.debug_struct("Future").field("state", &phase(&self.core)).finish_non_exhaustive()
    }
}

fn phase<T>(core: &FutureCore<T>) -> &'static str {
    if core.is_cancelled() {
        "cancelled"
    } else if core.is(settled) {
        "done"
    } else if core.is_running() {
        "running"
    } else {
        "pending"
    }
}

/// Outputs what [`result`](Future::result) returns. Dropping a pending future does not cancel its task.
impl<T> std::future::Future for Future<T> {
    type Output = Result<T, FutureError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        rt::point(Op::new(&*self.core, FUTURE, Kind::Write).with_verb("polls"));
        self.core.abandon_if_inherited();
        loop {
            match self.core.take() {
                Taken::Value(value) => return Poll::Ready(Ok(value)),
                Taken::Failed(error) => return Poll::Ready(Err(error)),
                Taken::Borrowed(by) if by == rt::ident() => return Poll::Ready(Err(FutureError::Taken)),
                Taken::Borrowed(_) | Taken::NotDone => {}
            }
            if self.register_waker(context.waker()) {
                return Poll::Pending;
            }
        }
    }
}

impl<T> Future<T> {
    /// Registers a waker, in place of an earlier one. Returns `false` if the result is available.
    fn register_waker(&mut self, waker: &Waker) -> bool {
        static KEYS: AtomicU64 = AtomicU64::new(1);
        let key = *self.waker.get_or_insert_with(|| KEYS.fetch_add(1, Relaxed));
        let new = waker.clone(); // runs code of the executor, as dropping does: not under the lock
        let mut inner = self.core.inner.lock();
        if self.core.is(is_takeable) {
            return false;
        }
        let mine = inner.listeners.all_mut().iter_mut().find(|listener| is_mine(listener, key));
        let old = if let Some(listener) = mine {
            Some(std::mem::replace(listener, Listener::Waker(key, new)))
        } else {
            inner.listeners.push(Listener::Waker(key, new));
            None
        };
        drop(inner);
        drop_guarded("the destructor of a waker", old);
        true
    }
}

fn is_mine<C>(listener: &Listener<C>, key: u64) -> bool {
    matches!(listener, Listener::Waker(other, _) if *other == key)
}

impl<T> Drop for Future<T> {
    fn drop(&mut self) {
        if let Some(key) = self.waker {
            let mut inner = self.core.inner.lock();
            let old = inner.listeners.remove(|listener| is_mine(listener, key));
            drop(inner);
            drop_guarded("the destructor of a waker", old);
        }
        self.core.announce_drop();
    }
}

impl<T> FutureCore<T> {
    /// Calls `look` with the value or with the error.
    pub(super) fn look<R>(self: &Arc<Self>, op: Op, look: impl FnOnce(Result<&T, &FutureError>) -> R) -> R {
        loop {
            match self.borrow() {
                Taken::Value(value) => {
                    let borrowed = Borrowed {
                        core: self,
                        op: Op { kind: Kind::Write, ..op }.with_verb("puts back the result of"),
                        value: Some(value),
                    };
                    return look(borrowed.value.as_ref().ok_or(&FutureError::Taken));
                }
                Taken::Failed(error) => return look(Err(&error)),
                Taken::NotDone => return look(Err(&FutureError::NotDone)),
                Taken::Borrowed(by) if by == rt::ident() => return look(Err(&FutureError::Taken)),
                Taken::Borrowed(_) => {
                    if let Err(error) = self.wait(op, None, is_takeable) {
                        return look(Err(&error));
                    }
                }
            }
        }
    }
}

/// A value that is borrowed from a future. It is returned even if a panic unwinds.
struct Borrowed<'a, T> {
    core: &'a FutureCore<T>,
    op: Op,
    value: Option<T>,
}

impl<T> Drop for Borrowed<'_, T> {
    fn drop(&mut self) {
        /// Returns the value even if a scheduler unwinds the step.
        struct ReturnValue<'a, 'b, T>(&'a mut Borrowed<'b, T>);
        impl<T> Drop for ReturnValue<'_, '_, T> {
            fn drop(&mut self) {
                if let Some(value) = self.0.value.take() {
                    self.0.core.return_value(value);
                }
            }
        }
        let op = self.op;
        let _return = ReturnValue(self);
        rt::point(op);
    }
}
