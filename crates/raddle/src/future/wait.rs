//! Waiting for several futures.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::AcqRel};
use std::time::{Duration, Instant};

use super::callback::{Listener, SETTLED, Watcher};
use super::error::FutureError;
use super::handle::{FUTURE, Future};
use super::state::{MAY_FAIL, NO_POOL, NO_TASK, WorkerContext, pool_id, settled, worker_of};
use crate::raw::Waiter;
use crate::rt::{self, Kind, Object, Op, Place};

/// When a [`wait`] returns.
///
/// # Examples
/// ```
/// use raddle::ReturnWhen;
///
/// assert_eq!(ReturnWhen::default(), ReturnWhen::AllCompleted); // as in Python
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ReturnWhen {
    /// When any future is done; cancelled futures are done.
    FirstCompleted,
    /// When any future has failed, other than by a cancellation, or all are done.
    FirstException,
    /// When all futures are done.
    #[default]
    AllCompleted,
}

/// Blocks until futures are done. Returns those that are done and those that are not.
///
/// A future that is passed twice counts once. Both lists are in the order of the argument.
///
/// # Panics
/// Panics if the calling thread is a worker, all futures are of its own pool, and every worker of that pool is blocked in
/// such a wait.
///
/// # Examples
/// ```
/// use raddle::{ReturnWhen, ThreadPoolExecutor, wait};
///
/// let pool = ThreadPoolExecutor::new(4);
/// let futures: Vec<_> = (0..10).map(|n| pool.submit(move || n * n)).collect();
/// let (done, pending) = wait(&futures, ReturnWhen::AllCompleted);
/// assert_eq!((done.len(), pending.len()), (10, 0));
/// ```
#[track_caller]
pub fn wait<I, T>(futures: I, when: ReturnWhen) -> (Vec<Future<T>>, Vec<Future<T>>)
where
    I: IntoIterator,
    I::Item: Borrow<Future<T>>,
{
    wait_until(&distinct(futures), when, None, Place::caller())
}

/// Like [`wait`], blocking for at most `timeout`.
///
/// # Examples
/// ```
/// use raddle::{Promise, ReturnWhen, wait_timeout};
/// use std::time::Duration;
///
/// let (early, late) = (Promise::new(), Promise::<u32>::new());
/// let futures = [late.future(), early.future()];
/// early.set_result(42).unwrap();
/// let (done, pending) = wait_timeout(&futures, ReturnWhen::AllCompleted, Duration::from_millis(1));
/// assert!(done == [futures[1].clone()] && pending == [futures[0].clone()]);
/// ```
#[track_caller]
pub fn wait_timeout<I, T>(futures: I, when: ReturnWhen, timeout: Duration) -> (Vec<Future<T>>, Vec<Future<T>>)
where
    I: IntoIterator,
    I::Item: Borrow<Future<T>>,
{
    let deadline = rt::deadline(timeout);
    wait_until(&distinct(futures), when, deadline, Place::caller())
}

/// Like [`wait`], blocking until `deadline` at most.
///
/// # Examples
/// ```
/// use raddle::{Promise, ReturnWhen, time, wait_deadline};
///
/// let promise = Promise::<u32>::new();
/// let (done, pending) = wait_deadline([promise.future()], ReturnWhen::FirstCompleted, time::now());
/// assert_eq!((done.len(), pending.len()), (0, 1));
/// ```
#[track_caller]
pub fn wait_deadline<I, T>(
    futures: I,
    when: ReturnWhen,
    deadline: Instant,
) -> (Vec<Future<T>>, Vec<Future<T>>)
where
    I: IntoIterator,
    I::Item: Borrow<Future<T>>,
{
    wait_until(&distinct(futures), when, Some(deadline), Place::caller())
}

/// Returns each future once, in the order of the argument.
pub(super) fn distinct<I, T>(futures: I) -> Vec<Future<T>>
where
    I: IntoIterator,
    I::Item: Borrow<Future<T>>,
{
    let mut known = HashSet::new();
    let futures = futures.into_iter();
    futures
        .filter(|future| known.insert(Arc::as_ptr(&future.borrow().core).cast::<()>()))
        .map(|future| future.borrow().clone())
        .collect()
}

/// Returns the worker context of the calling thread, if all futures that are not done are of its own pool.
pub(super) fn own_worker<'a, T: 'a>(
    futures: impl Iterator<Item = &'a Future<T>>,
) -> Option<Arc<dyn WorkerContext>> {
    let pool_id = pool_id();
    if pool_id == NO_POOL
        || !futures.into_iter().all(|future| future.core.pool_id() == pool_id || future.core.is(settled))
    {
        return None;
    }
    worker_of(pool_id)
}

/// Blocks until the waiter is notified. A wait of a worker for its own pool is announced to the pool.
pub(super) fn block(
    waiter: &Arc<Waiter>,
    worker: Option<&Arc<dyn WorkerContext>>,
    op: Op,
    deadline: Option<Instant>,
) -> Option<u32> {
    let Some(worker) = worker else { return waiter.wait(op, deadline) };
    worker.block(waiter, op, NO_TASK);
    let outcome = waiter.wait(op, deadline);
    worker.unblock(waiter);
    outcome
}

fn wait_until<T>(
    futures: &[Future<T>],
    when: ReturnWhen,
    deadline: Option<Instant>,
    at: Place,
) -> (Vec<Future<T>>, Vec<Future<T>>) {
    let count = Arc::new(CompletionCount::new(futures.len(), when));
    let op = Op::at(Object::of(&*count, "Futures"), Kind::Wait, at);
    rt::point(op);
    let watcher: Arc<dyn Watcher> = count.clone();
    for future in futures {
        future.core.abandon_if_inherited();
        if future.core.add_listener(Listener::Watcher(watcher.clone(), 0), settled).is_err() {
            let failed = future.core.peek_failure().is_some_and(|error| !error.is_cancelled());
            watcher.settled(0, failed);
        }
    }
    let worker = deadline.is_none().then(|| own_worker(futures.iter())).flatten();
    let outcome =
        if futures.is_empty() { Some(SETTLED) } else { block(&count.waiter, worker.as_ref(), op, deadline) };
    let mut looked_at = 0;
    let (done, pending): (Vec<_>, Vec<_>) = futures.iter().cloned().partition(|future| {
        looked_at += 1;
        if looked_at > 1 && !future.core.is(settled) {
            // Another thread may settle it after those before it were found pending.
            rt::point(Op::at(Object::of(&*future.core, FUTURE), Kind::Read, at));
        }
        future.core.is(settled)
    });
    for future in &pending {
        future.core.remove_watcher(&watcher);
    }
    // If the last future was cancelled while the deadlock was reported, the wait is complete.
    assert!(
        outcome.is_none_or(|outcome| outcome == SETTLED) || pending.is_empty(),
        "{}",
        FutureError::Deadlock
    );
    (done, pending)
}

/// Counts down the futures of a `wait`.
struct CompletionCount {
    left: AtomicUsize,
    any_failure: bool,
    waiter: Arc<Waiter>,
}

impl CompletionCount {
    fn new(futures: usize, when: ReturnWhen) -> Self {
        let left = if when == ReturnWhen::FirstCompleted { 1 } else { futures };
        let any_failure = when == ReturnWhen::FirstException;
        Self { left: AtomicUsize::new(left), any_failure, waiter: Waiter::new(MAY_FAIL) }
    }
}

impl Watcher for CompletionCount {
    fn settled(&self, _: usize, failed: bool) {
        // Beyond zero the count wraps, far away from one.
        if self.left.fetch_sub(1, AcqRel) == 1 || (failed && self.any_failure) {
            self.waiter.notify(SETTLED);
        }
    }
}
