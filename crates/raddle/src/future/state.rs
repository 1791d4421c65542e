//! The state that all references to a future share.
//!
//! # State
//! A word holds the phase: `PENDING`, then `RUNNING` or `CANCELLED`, then `DONE`; `BORROWED` while the value cannot be taken.
//! A flag in the word indicates that threads may be parked on it. The outcome and the listeners are under a lock.
//!
//! # Invariants
//! - Only one thread leaves `PENDING`: starting and cancelling compete by compare-and-swap.
//! - Only the thread that started a future settles it.
//! - Any other change of the word happens under the lock, the flag included. So settling needs no compare-and-swap.
//!
//! # Memory ordering
//! A future is settled by a `Release` store of the word, and `done` and every wait load it with `Acquire`. So the task
//! happens before every use of its result.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::mem::needs_drop;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::Instant;

use super::callback::{Listener, Listeners, Watcher, notify};
use super::error::FutureError;
use crate::raw::{Guard, Guarded, Waiter};
use crate::rt::{self, Kind, Op, Wait, WaitOutcome};
use crate::sys::spin::SpinBudget;
use crate::thread::{drop_guarded, guarded, run_nested};
use crate::watch::report_own_task;

const PENDING: u32 = 0;
const RUNNING: u32 = 1;
/// Settled, but the value cannot be taken: a thread reads it, or the callbacks have not returned.
const BORROWED: u32 = 2;
const DONE: u32 = 3;
const CANCELLED: u32 = 4;
/// The bits of the phase.
const PHASE: u32 = 7;
/// Threads may be parked on the state.
const HAS_WAITERS: u32 = 8;

/// The closure of a future, until it starts.
pub(crate) trait Work: Send + Sync {
    /// Drops it without running it, when the future is cancelled or refused. A panic of the destructor is caught.
    fn discard(&self);
}

impl Work for () {
    fn discard(&self) {}
}

/// The state that all references to a future share. The work is in the same allocation; a [`Handle`] erases its type.
pub(crate) struct FutureCore<T, W: ?Sized = dyn Work> {
    pub(super) state: AtomicU32,
    /// The pool that runs the task, to detect workers that wait for their own pool.
    pub(super) pool_id: u64,
    pub(super) inner: Guarded<FutureInner<T>>,
    /// Runs user code. A function pointer, since only the creator of the future knows that `T` borrows nothing, so that
    /// the code may be deferred.
    pub(super) run: fn(UserCode<T>),
    work: W,
}

pub(crate) type Handle<T> = Arc<FutureCore<T>>;
pub(super) type Callback<T> = Box<dyn FnOnce(&Handle<T>) + Send>;

/// User code that a future has to run.
pub(super) enum UserCode<T> {
    /// The callbacks of a future that has been settled, in their order.
    Callbacks(Handle<T>, Vec<Callback<T>>),
    /// A callback that was added after the future was settled.
    LateCallback(Handle<T>, Callback<T>),
    /// The destructor of a value that was not taken.
    DropValue(T),
}

/// Runs user code, now or, in a long chain of futures, a little later.
fn run<T: 'static>(code: UserCode<T>) {
    run_nested(move || match code {
        UserCode::Callbacks(future, callbacks) => {
            for callback in callbacks {
                guarded("a done-callback", || callback(&future));
            }
            future.release_value(); // it was reserved for the callbacks
        }
        UserCode::LateCallback(future, callback) => guarded("a done-callback", || callback(&future)),
        UserCode::DropValue(value) => guarded("the destructor of an unused result", || drop(value)),
    });
}

/// Runs the callbacks in order, then releases the value, which was reserved for them.
pub(crate) fn run_callbacks<T>(future: &Handle<T>, callbacks: Vec<Callback<T>>) {
    if !callbacks.is_empty() {
        (future.run)(UserCode::Callbacks(future.clone(), callbacks));
    }
}

/// The part of the state that the lock of a future guards.
pub(super) struct FutureInner<T> {
    pub(super) outcome: FutureOutcome<T>,
    /// Whether the outcome has been observed, so that a failure need not be reported.
    pub(super) observed: bool,
    /// The thread that runs the callbacks, for which the value is reserved; otherwise 0.
    pub(super) callback_thread: u64,
    pub(super) listeners: Listeners<Callback<T>>,
}

pub(super) enum FutureOutcome<T> {
    None,
    Value(T),
    /// The thread with this ident reads the value and will return it.
    Borrowed(u64),
    Taken,
    Failed(FutureError),
}

/// The result of [`FutureCore::take`].
pub(super) enum Taken<T> {
    Value(T),
    Failed(FutureError),
    NotDone,
    Borrowed(u64),
}

pub(crate) fn settled(state: u32) -> bool {
    state & PHASE >= BORROWED
}

pub(super) fn is_takeable(state: u32) -> bool {
    state & PHASE >= DONE
}

/// Counts the tasks that were cancelled, or run by a scope, while a task queue held them.
///
/// While the count is unchanged, no task queue holds further stale tasks.
static STALE: AtomicU64 = AtomicU64::new(0);

pub(crate) fn stale_tasks() -> u64 {
    STALE.load(Relaxed)
}

pub(crate) fn note_stale() {
    STALE.fetch_add(1, Relaxed);
}

impl<T: 'static, W> FutureCore<T, W> {
    pub(crate) fn new(pool_id: u64, work: W) -> Self {
        let inner = FutureInner {
            outcome: FutureOutcome::None,
            observed: false,
            callback_thread: 0,
            listeners: Listeners::NONE,
        };
        Self { state: AtomicU32::new(PENDING), pool_id, inner: Guarded::new(inner), run, work }
    }
}

impl<T, W: ?Sized> FutureCore<T, W> {
    pub(crate) fn pool_id(&self) -> u64 {
        self.pool_id
    }

    pub(crate) fn work(&self) -> &W {
        &self.work
    }

    pub(crate) fn is(&self, what: impl FnOnce(u32) -> bool) -> bool {
        what(self.state.load(Acquire))
    }

    pub(crate) fn is_pending(&self) -> bool {
        self.is(|state| state & PHASE == PENDING)
    }

    pub(super) fn is_running(&self) -> bool {
        self.is(|state| state & PHASE == RUNNING)
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.is(|state| state & PHASE == CANCELLED)
    }

    /// Changes the phase from `PENDING` to `phase`. Fails if it is not `PENDING`.
    fn leave_pending(&self, phase: u32) -> Result<u32, u32> {
        self.state.fetch_update(AcqRel, Acquire, |state| (state & PHASE == PENDING).then_some(state | phase))
    }

    /// Starts the work. Returns `false` if it has started or is cancelled.
    pub(crate) fn start(&self) -> bool {
        rt::atom(&self.state);
        self.leave_pending(RUNNING).is_ok()
    }

    /// Stores the outcome, wakes the waiting threads, and returns the callbacks. Fails if the future is settled.
    ///
    /// A value is reserved for the callbacks until [`run_callbacks`] has run them.
    pub(crate) fn settle(
        &self,
        result: Result<T, FutureError>,
    ) -> Result<Vec<Callback<T>>, Result<T, FutureError>> {
        let mut inner = self.inner.lock();
        if self.is(settled) {
            return Err(result);
        }
        let failed = result.is_err();
        inner.outcome = result.map_or_else(FutureOutcome::Failed, FutureOutcome::Value);
        if !failed && inner.listeners.all().iter().any(|listener| matches!(listener, Listener::Callback(_))) {
            inner.callback_thread = rt::ident();
        }
        let phase = inner.phase();
        Ok(self.publish(inner, phase, failed))
    }

    /// Allows other threads to take the value, after the callbacks.
    pub(crate) fn release_value(&self) {
        let mut inner = self.inner.lock();
        if std::mem::take(&mut inner.callback_thread) != 0 {
            let _none = self.publish(inner, DONE, false); // a settled future has no callbacks left
        }
    }

    /// Publishes an outcome: changes the phase, releases the lock, and notifies waiting threads and listeners.
    ///
    /// Returns the callbacks.
    fn publish(&self, mut inner: Guard<'_, FutureInner<T>>, phase: u32, failed: bool) -> Vec<Callback<T>> {
        let listeners = inner.listeners.take();
        rt::atom(&self.state);
        let before = self.state.load(Relaxed);
        self.state.store(phase, Release);
        drop(inner);
        if before & HAS_WAITERS != 0 {
            rt::wake(&self.state, u32::MAX);
        }
        listeners.map_or_else(Vec::new, |listeners| notify(listeners, failed))
    }

    /// Adds a listener. Returns it if the phase is `reached`.
    pub(super) fn add_listener(
        &self,
        listener: Listener<Callback<T>>,
        reached: fn(u32) -> bool,
    ) -> Result<(), Listener<Callback<T>>> {
        let mut inner = self.inner.lock();
        if self.is(reached) {
            return Err(listener);
        }
        inner.listeners.push(listener);
        Ok(())
    }

    /// Removes a watcher that has not been notified.
    pub(super) fn remove_watcher(&self, gone: &Arc<dyn Watcher>) {
        let same = |listener: &Listener<_>| match listener {
            Listener::Watcher(watcher, _) => Arc::ptr_eq(watcher, gone),
            _ => false,
        };
        let mut inner = self.inner.lock();
        let listener = inner.listeners.remove(same);
        drop(inner);
        drop(listener); // after the release of the lock
    }

    /// Takes the value, if it is available. Counts as an observation.
    pub(super) fn take(&self) -> Taken<T> {
        self.inner.lock().take(FutureOutcome::Taken)
    }

    /// Borrows the value, which the caller returns by [`return_value`](FutureCore::return_value).
    pub(super) fn borrow(&self) -> Taken<T> {
        let mut inner = self.inner.lock();
        let found = inner.take(FutureOutcome::Borrowed(rt::ident()));
        if matches!(found, Taken::Value(_)) && inner.callback_thread == 0 {
            rt::atom(&self.state);
            self.state.fetch_sub(DONE - BORROWED, AcqRel);
        }
        found
    }

    /// Returns a borrowed value.
    pub(super) fn return_value(&self, value: T) {
        let mut inner = self.inner.lock();
        inner.outcome = FutureOutcome::Value(value);
        let phase = inner.phase();
        // A settled future has no callbacks left, only watchers and wakers.
        let _none = self.publish(inner, phase, false);
    }
}

impl<T> FutureCore<T> {
    /// Cancels the future if it has not started. Returns whether it is cancelled.
    pub(crate) fn cancel(self: &Arc<Self>) -> bool {
        let mut inner = self.inner.lock();
        rt::atom(&self.state);
        if let Err(state) = self.leave_pending(CANCELLED) {
            return state & PHASE == CANCELLED;
        }
        inner.outcome = FutureOutcome::Failed(FutureError::Cancelled);
        note_stale();
        let callbacks = self.publish(inner, CANCELLED, false);
        self.work.discard();
        run_callbacks(self, callbacks);
        true
    }
}

impl<T> FutureInner<T> {
    /// The phase of a settled future whose value is not borrowed.
    fn phase(&self) -> u32 {
        if self.callback_thread == 0 { DONE } else { BORROWED }
    }

    fn take(&mut self, leaving: FutureOutcome<T>) -> Taken<T> {
        self.observed |= !matches!(self.outcome, FutureOutcome::None);
        match &self.outcome {
            FutureOutcome::Value(_) if self.callback_thread != 0 && self.callback_thread != rt::ident() => {
                Taken::Borrowed(self.callback_thread)
            }
            FutureOutcome::None => Taken::NotDone,
            FutureOutcome::Borrowed(by) => Taken::Borrowed(*by),
            FutureOutcome::Taken => Taken::Failed(FutureError::Taken),
            FutureOutcome::Failed(error) => Taken::Failed(error.clone()),
            FutureOutcome::Value(_) => match std::mem::replace(&mut self.outcome, leaving) {
                FutureOutcome::Value(value) => Taken::Value(value),
                _ => unreachable!("the outcome was a value"),
            },
        }
    }
}

impl<T, W: ?Sized> FutureCore<T, W> {
    /// Announces that the caller is about to drop its reference.
    ///
    /// The last reference drops a value that was not taken. Which thread runs the destructor, and when, depends on the
    /// order, so this is a step unless there is nothing to drop.
    #[inline]
    pub(crate) fn announce_drop(self: &Arc<Self>) {
        if needs_drop::<T>() && !rt::quiet() {
            self.point_of_last_reference();
        }
    }

    #[cold]
    fn point_of_last_reference(self: &Arc<Self>) {
        // Also for the last reference: in the other order, it is not the last one.
        if !matches!(self.inner.lock().outcome, FutureOutcome::Taken | FutureOutcome::Failed(_)) {
            // An object of its own: it commutes with everything else that concerns the future.
            rt::point(Op::new(&self.pool_id, "result", Kind::Write).with_verb("drops its reference to"));
        }
    }
}

impl<T, W: ?Sized> Drop for FutureCore<T, W> {
    fn drop(&mut self) {
        let inner = self.inner.get_mut();
        if needs_drop::<T>()
            && let FutureOutcome::Value(value) = std::mem::replace(&mut inner.outcome, FutureOutcome::Taken)
        {
            (self.run)(UserCode::DropValue(value));
        } else if let FutureOutcome::Failed(error) = &inner.outcome
            && !inner.observed
        {
            error.report_unseen();
        }
        if let Some(listeners) = inner.listeners.take() {
            drop_guarded("the destructor of a done-callback or waker", listeners);
        }
    }
}

impl<T, W: ?Sized> FutureCore<T, W> {
    /// Returns the error, if the future failed. Counts as an observation.
    pub(super) fn failure(&self) -> Option<FutureError> {
        let mut inner = self.inner.lock();
        inner.observed |= !matches!(inner.outcome, FutureOutcome::None);
        match &inner.outcome {
            FutureOutcome::Failed(error) => Some(error.clone()),
            _ => None,
        }
    }

    /// Returns the error, if the future failed. Does not count as an observation.
    pub(crate) fn peek_failure(&self) -> Option<FutureError> {
        match &self.inner.lock().outcome {
            FutureOutcome::Failed(error) => Some(error.clone()),
            _ => None,
        }
    }

    /// Returns the error, if the future failed and that has not been observed. Counts as an observation.
    pub(crate) fn unseen_failure(&self) -> Option<FutureError> {
        let mut inner = self.inner.lock();
        if std::mem::replace(&mut inner.observed, true) {
            return None;
        }
        match &inner.outcome {
            FutureOutcome::Failed(error) => Some(error.clone()),
            _ => None,
        }
    }
}

impl<T, W: ?Sized> FutureCore<T, W> {
    /// Blocks until the phase is `reached`.
    pub(crate) fn wait(
        self: &Arc<Self>,
        op: Op,
        deadline: Option<Instant>,
        reached: fn(u32) -> bool,
    ) -> Result<(), FutureError> {
        self.abandon_if_inherited();
        if deadline.is_none()
            && !self.is(settled)
            && let Some(worker) = worker_of(self.pool_id)
        {
            return self.wait_as_worker(&*worker, op);
        }
        rt::point_until(op, deadline, &self.state, || self.is(reached));
        let wait = Wait::new(&op).with_deadline(deadline);
        if self.park(&wait, reached) { Ok(()) } else { Err(FutureError::TimedOut) }
    }

    /// Abandons a future that only a thread of the parent process would settle.
    pub(super) fn abandon_if_inherited(self: &Arc<Self>) {
        let runs_here = || worker_of(self.pool_id).is_some_and(|worker| worker.runs(self.address()));
        if is_inherited(self.pool_id)
            && !self.is(settled)
            && !runs_here()
            && let Ok(callbacks) = self.settle(Err(FutureError::Abandoned))
        {
            drop_guarded("the destructor of a done-callback", callbacks); // they belong to the parent process as well
        }
    }

    fn address(self: &Arc<Self>) -> usize {
        Arc::as_ptr(self).cast::<()>() as usize
    }

    /// Spins, then parks, until the phase is `reached`. Returns `false` at the deadline.
    fn park(&self, wait: &Wait<'_>, reached: fn(u32) -> bool) -> bool {
        let mut spin = SpinBudget::new();
        loop {
            rt::atom(&self.state);
            let seen = self.state.load(Acquire);
            if reached(seen) {
                return true;
            }
            if spin.spin() {
                continue;
            }
            if seen & HAS_WAITERS == 0 {
                self.announce_waiter(reached);
                continue;
            }
            if rt::wait(&self.state, seen, wait) == WaitOutcome::TimedOut {
                return self.is(reached);
            }
        }
    }

    /// Requests a wake-up from the thread that settles the future, which replaces the state by a plain store under the lock.
    fn announce_waiter(&self, reached: fn(u32) -> bool) {
        let _settling = self.inner.lock();
        if !self.is(reached) {
            self.state.fetch_or(HAS_WAITERS, Relaxed);
        }
    }

    /// Blocks on behalf of a worker of the pool, which fails the wait if no worker is left to run the task.
    fn wait_as_worker(self: &Arc<Self>, worker: &dyn WorkerContext, op: Op) -> Result<(), FutureError> {
        rt::point(op);
        if worker.runs(self.address()) {
            report_own_task(&op);
            return Err(FutureError::Deadlock);
        }
        let waiter = Waiter::new(MAY_FAIL);
        let watcher: Arc<dyn Watcher> = waiter.clone();
        if self.add_listener(Listener::Watcher(watcher.clone(), 0), settled).is_err() {
            return Ok(());
        }
        worker.block(&waiter, op, self.address());
        waiter.wait(op, None);
        worker.unblock(&waiter);
        if self.is(settled) {
            return Ok(());
        }
        self.remove_watcher(&watcher);
        Err(FutureError::Deadlock)
    }
}

/// As [`Waiter::request`]: the wait accepts the outcome [`DEADLOCK`](super::callback::DEADLOCK).
pub(crate) const MAY_FAIL: usize = 1;

/// In place of the address of a task: a wait for several tasks, or for a scope.
pub(crate) const NO_TASK: usize = 0;
/// In place of the address of a task: a wait for space in the task queue.
pub(crate) const QUEUE_SPACE: usize = 1;

/// The worker context of a thread: how a wait in a worker notifies its pool.
///
/// A worker that waits for a task of its own pool takes a worker away from that task. If all workers do so, none is left to
/// run the tasks. So such a wait is announced to the pool, which detects when the last worker blocks. Futures do not know
/// pools, hence the trait.
pub(crate) trait WorkerContext: Send + Sync {
    /// Announces a wait without a timeout for the own pool, in the operation `op`. The pool notifies the waiter of a deadlock.
    ///
    /// `task` is the address of the task, or one of the constants.
    fn block(&self, waiter: &Arc<Waiter>, op: Op, task: usize);

    /// Ends the announcement.
    fn unblock(&self, waiter: &Arc<Waiter>);

    /// Whether the worker runs the task whose future is at `address`.
    fn runs(&self, address: usize) -> bool;

    /// The worker, for a downcast by its pool.
    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

thread_local! {
    static POOL_ID: Cell<u64> = const { Cell::new(NO_POOL) };
    static WORKER: RefCell<Option<Arc<dyn WorkerContext>>> = const { RefCell::new(None) };
}

/// The pool of futures and threads that belong to no pool.
pub(crate) const NO_POOL: u64 = 0;

/// Returns an id for a new pool. Its upper bits identify the process, as a number of forks.
pub(crate) fn new_pool_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(NO_POOL + 1);
    u64::from(rt::forks()) << PROCESS | NEXT.fetch_add(1, Relaxed)
}

const PROCESS: u32 = 40;

/// Whether the pool belongs to an ancestor of this process. Then its only worker here is the one, if any, that forked.
pub(crate) fn is_inherited(pool_id: u64) -> bool {
    pool_id != NO_POOL && pool_id >> PROCESS != u64::from(rt::forks())
}

/// Makes the calling thread a worker of the pool until the guard is dropped.
///
/// [`pool_id`] remains set until the thread-locals are destroyed: until then, the thread must not wait for its termination.
pub(crate) fn enter_worker(pool_id: u64, worker: Arc<dyn WorkerContext>) -> WorkerGuard {
    POOL_ID.set(pool_id);
    rt::record().group.store(pool_id, Relaxed); // for the watch
    WORKER.set(Some(worker));
    WorkerGuard
}

/// Ends the worker context of a thread when dropped.
pub(crate) struct WorkerGuard;

impl Drop for WorkerGuard {
    fn drop(&mut self) {
        let worker = WORKER.try_with(RefCell::take);
        drop(worker);
    }
}

/// Returns the pool of which the calling thread is or was a worker.
pub(crate) fn pool_id() -> u64 {
    POOL_ID.get()
}

/// Returns the worker context of the calling thread, if it is a worker of the pool.
pub(crate) fn worker_of(pool_id: u64) -> Option<Arc<dyn WorkerContext>> {
    if pool_id == NO_POOL || pool_id != POOL_ID.get() {
        return None;
    }
    WORKER.try_with(|worker| worker.borrow().clone()).ok().flatten()
}
