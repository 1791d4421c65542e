//! The future as its user sees it.

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
use super::state::{Core, Due, Handle, Take, at_rest, settled};
use crate::rt::{self, Kind, Op, Place};
use crate::thread::drop_guarded;

/// The result of a task, which may not be there yet.
///
/// [`submit`](crate::ThreadPoolExecutor::submit) and [`Promise::future`](crate::Promise::future) give one. A clone
/// refers to the same result, and the first who asks for the value gets it; [`with_result`](Future::with_result)
/// looks without taking. `.await` works too, in any executor.
///
/// Dropping a future changes nothing for its task. But a failure that nobody looked at, by `result`,
/// `exception`, `with_result` or `.await`, is told to the [excepthook](crate::thread::set_excepthook) when the
/// last reference goes.
///
/// A worker may wait for tasks of its own pool. If all of its workers come to wait that way, without a
/// time limit, the wait ends with [`FutureError::Deadlock`].
///
/// # Memory ordering
/// What the task did happens before the return of every method that sees the future done.
///
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
    /// Key of the waker that this reference left with the future.
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

    /// Waits until the future is done and takes its value; the first who asks gets it.
    ///
    /// # Errors
    /// Every [`FutureError`] except `TimedOut` and `NotDone`; `Taken` if somebody asked before.
    #[track_caller]
    pub fn result(&self) -> Result<T, FutureError> {
        self.take_until(Op::new(&*self.core, FUTURE, Kind::Wait), None)
    }

    /// Like [`result`](Self::result), waiting at most `timeout`.
    ///
    /// # Errors
    /// [`FutureError::TimedOut`]: the task goes on and can be asked again; otherwise as [`result`](Self::result).
    #[track_caller]
    pub fn result_timeout(&self, timeout: Duration) -> Result<T, FutureError> {
        self.take_until(Op::new(&*self.core, FUTURE, Kind::Wait), rt::deadline(timeout))
    }

    /// Like [`result`](Self::result), waiting until `deadline` at most.
    ///
    /// # Errors
    /// As for [`result_timeout`](Self::result_timeout).
    #[track_caller]
    pub fn result_deadline(&self, deadline: Instant) -> Result<T, FutureError> {
        self.take_until(Op::new(&*self.core, FUTURE, Kind::Wait), Some(deadline))
    }

    /// Takes the value if it is there to be taken, without waiting.
    ///
    /// # Errors
    /// [`FutureError::NotDone`], also while callbacks or another thread look at the value; otherwise as [`result`](Self::result).
    #[track_caller]
    pub fn try_result(&self) -> Result<T, FutureError> {
        rt::point(Op::new(&*self.core, FUTURE, Kind::Write).with_verb("tries to take the result of"));
        match self.core.take() {
            Take::Value(value) => Ok(value),
            Take::Failed(error) => Err(error),
            Take::Lent(by) if by == rt::ident() => Err(FutureError::Taken),
            Take::NotDone | Take::Lent(_) => Err(FutureError::NotDone),
        }
    }

    /// Waits until the future is done and says why it has no value, if it has none. The value stays.
    #[track_caller]
    pub fn exception(&self) -> Option<FutureError> {
        self.exception_until(Op::new(&*self.core, FUTURE, Kind::Wait), None)
    }

    /// Like [`exception`](Self::exception), waiting at most `timeout`: then the answer is
    /// [`FutureError::TimedOut`].
    #[track_caller]
    pub fn exception_timeout(&self, timeout: Duration) -> Option<FutureError> {
        self.exception_until(Op::new(&*self.core, FUTURE, Kind::Wait), rt::deadline(timeout))
    }

    /// Like [`exception`](Self::exception), waiting until `deadline` at most: then the answer is
    /// [`FutureError::TimedOut`].
    #[track_caller]
    pub fn exception_deadline(&self, deadline: Instant) -> Option<FutureError> {
        self.exception_until(Op::new(&*self.core, FUTURE, Kind::Wait), Some(deadline))
    }

    /// Shows `look` the value, or why there is none, and leaves it where it is.
    ///
    /// It does not wait for the task: before that, the error is [`FutureError::NotDone`]. One thread looks at a
    /// time, others who want the value wait for it meanwhile; inside `look`, the value counts as taken.
    ///
    /// ```
    /// use raddle::ThreadPoolExecutor;
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

    /// Cancels the future if its task has not started; says whether it is cancelled now.
    ///
    /// The task's closure is dropped and the done-callbacks run before this returns, in the calling thread. A
    /// task either starts or is cancelled, never both.
    #[track_caller]
    pub fn cancel(&self) -> bool {
        rt::point(Op::new(&*self.core, FUTURE, Kind::Write).with_verb("cancels"));
        self.core.cancel()
    }

    /// Whether the future was cancelled.
    #[track_caller]
    pub fn cancelled(&self) -> bool {
        rt::point(Op::new(&*self.core, FUTURE, Kind::Read));
        self.core.is_cancelled()
    }

    /// Whether the task runs just now; it cannot be cancelled any more.
    #[track_caller]
    pub fn running(&self) -> bool {
        rt::point(Op::new(&*self.core, FUTURE, Kind::Read));
        self.core.is_running()
    }

    /// Whether the task is over, failed or cancelled: nothing waits for it any more.
    #[track_caller]
    pub fn done(&self) -> bool {
        rt::point(Op::new(&*self.core, FUTURE, Kind::Read));
        self.core.is(settled)
    }

    /// Has `callback` run once when the future is done, in the thread that settles it; at once, in the calling
    /// thread, if it is done already.
    ///
    /// Callbacks run in the order in which they were added, and before the value can be taken by another thread:
    /// they all see it, by [`with_result`](Self::with_result), and whoever waits in [`result`](Self::result) waits for
    /// them. So keep them short, and let them not wait for who asks for the result. One that panics is reported to the
    /// [excepthook](crate::thread::set_excepthook) and the others run.
    ///
    /// A callback may settle or cancel further futures, whose callbacks then run inside it. At a depth of eight such calls within
    /// each other, what becomes due is queued and runs in order when the callback at that depth returns, so a chain of any
    /// length needs little stack. A callback at that depth must not wait for a thread that waits for a value which the
    /// callback itself has just set.
    #[track_caller]
    pub fn add_done_callback(&self, callback: impl FnOnce(&Future<T>) + Send + 'static) {
        rt::point(Op::new(&*self.core, FUTURE, Kind::Write).with_verb("adds a callback to"));
        let callback =
            Listener::Callback(
                Box::new(move |core: &Handle<T>| callback(&Future::of(core.clone()))) as Box<_>
            );
        if let Err(Listener::Callback(callback)) = self.core.listen(callback, settled) {
            (self.core.run)(Due::Late(self.core.clone(), callback));
        }
    }

    /// Like [`result`](Self::result) until `deadline`, told with the line `at`.
    pub(crate) fn result_at(&self, deadline: Option<Instant>, at: Place) -> Result<T, FutureError> {
        self.take_until(Op { at, ..Op::new(&*self.core, FUTURE, Kind::Wait) }, deadline)
    }

    fn take_until(&self, op: Op, deadline: Option<Instant>) -> Result<T, FutureError> {
        let mut reached: fn(u32) -> bool = settled;
        loop {
            self.core.wait(op, deadline, reached)?;
            match self.core.take() {
                Take::Value(value) => return Ok(value),
                Take::Failed(error) => return Err(error),
                Take::Lent(by) if by == rt::ident() => return Err(FutureError::Taken),
                Take::Lent(_) | Take::NotDone => reached = at_rest,
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

/// Two futures are equal if they refer to the same result.
impl<T> PartialEq for Future<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.core, &other.core)
    }
}

impl<T> Eq for Future<T> {}

/// By identity, as [`PartialEq`]: a future can be the key of a map from futures to what they are for.
impl<T> Hash for Future<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.core).cast::<()>().hash(state);
    }
}

// What a panic can leave behind in a future is what its documentation says: nothing unfinished.
impl<T> UnwindSafe for Future<T> {}
impl<T> RefUnwindSafe for Future<T> {}

impl<T> fmt::Debug for Future<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        rt::point(Op::new(&*self.core, FUTURE, Kind::Read));
        f.debug_struct("Future").field("state", &phase(&self.core)).finish_non_exhaustive()
    }
}

fn phase<T>(core: &Core<T>) -> &'static str {
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

/// Gives what [`result`](Future::result) gives. Dropping it before it is ready does not cancel the task.
impl<T> std::future::Future for Future<T> {
    type Output = Result<T, FutureError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        rt::point(Op::new(&*self.core, FUTURE, Kind::Write).with_verb("polls"));
        loop {
            match self.core.take() {
                Take::Value(value) => return Poll::Ready(Ok(value)),
                Take::Failed(error) => return Poll::Ready(Err(error)),
                Take::Lent(by) if by == rt::ident() => return Poll::Ready(Err(FutureError::Taken)),
                Take::Lent(_) | Take::NotDone => {}
            }
            if self.leave_waker(context.waker()) {
                return Poll::Pending;
            }
        }
    }
}

impl<T> Future<T> {
    /// Leaves a waker in place of the one left before; false: there is nothing to wait for any more.
    fn leave_waker(&mut self, waker: &Waker) -> bool {
        static KEYS: AtomicU64 = AtomicU64::new(1);
        let key = *self.waker.get_or_insert_with(|| KEYS.fetch_add(1, Relaxed));
        let new = waker.clone(); // the executor's code, as is dropping one: not under the lock
        let mut inner = self.core.inner.lock();
        if self.core.is(at_rest) {
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
        let Some(key) = self.waker else { return };
        let mut inner = self.core.inner.lock();
        let old = inner.listeners.remove(|listener| is_mine(listener, key));
        drop(inner);
        drop_guarded("the destructor of a waker", old);
    }
}

impl<T> Core<T> {
    /// Calls `look` with the value or with the reason why there is none.
    pub(super) fn look<R>(self: &Arc<Self>, op: Op, look: impl FnOnce(Result<&T, &FutureError>) -> R) -> R {
        loop {
            match self.borrow() {
                Take::Value(value) => {
                    let lent = Lent {
                        core: self,
                        op: Op { kind: Kind::Write, ..op }.with_verb("puts back the result of"),
                        value: Some(value),
                    };
                    return look(lent.value.as_ref().ok_or(&FutureError::Taken));
                }
                Take::Failed(error) => return look(Err(&error)),
                Take::NotDone => return look(Err(&FutureError::NotDone)),
                Take::Lent(by) if by == rt::ident() => return look(Err(&FutureError::Taken)),
                Take::Lent(_) => {
                    if let Err(error) = self.wait(op, None, at_rest) {
                        return look(Err(&error));
                    }
                }
            }
        }
    }
}

/// The value on loan; it goes back also if the looking panics.
struct Lent<'a, T> {
    core: &'a Core<T>,
    op: Op,
    value: Option<T>,
}

impl<T> Drop for Lent<'_, T> {
    fn drop(&mut self) {
        /// Goes back even if a scheduler throws at the point.
        struct Back<'a, 'b, T>(&'a mut Lent<'b, T>);
        impl<T> Drop for Back<'_, '_, T> {
            fn drop(&mut self) {
                if let Some(value) = self.0.value.take() {
                    self.0.core.give_back(value);
                }
            }
        }
        let op = self.op;
        let _back = Back(self);
        rt::point(op);
    }
}
