//! Waiting for several futures at once.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::AcqRel};
use std::time::{Duration, Instant};

use super::callback::{Listener, SETTLED, Watch};
use super::error::FutureError;
use super::handle::Future;
use super::state::{CAN_FAIL, Crew, NOTHING, NOWHERE, crew_of, home, settled};
use crate::raw::Waiter;
use crate::rt::{self, Kind, Object, Op, Place};

/// What a [`wait`] waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ReturnWhen {
    /// Any future is done, cancelled included.
    FirstCompleted,
    /// Any future failed, other than by being cancelled; if none does, all are done.
    FirstException,
    /// All futures are done.
    #[default]
    AllCompleted,
}

/// Waits for futures and returns them apart: those done, and those that are not.
///
/// The same future given twice counts once. The order is the one given.
///
/// # Panics
/// In a worker that waits for its own pool only, if the wait could never end: every worker waits that way.
///
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

/// Like [`wait`], for at most `timeout`: what is not done then is returned as not done.
#[track_caller]
pub fn wait_timeout<I, T>(futures: I, when: ReturnWhen, timeout: Duration) -> (Vec<Future<T>>, Vec<Future<T>>)
where
    I: IntoIterator,
    I::Item: Borrow<Future<T>>,
{
    let deadline = rt::deadline(timeout);
    wait_until(&distinct(futures), when, deadline, Place::caller())
}

/// Like [`wait`], until `deadline` at most: what is not done then is returned as not done.
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

/// Each future once, in the order given.
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

/// The calling thread as a worker, if all of the futures not done are of its own pool.
pub(super) fn own_crew<'a, T: 'a>(futures: impl Iterator<Item = &'a Future<T>>) -> Option<Arc<dyn Crew>> {
    let home = home();
    if home == NOWHERE
        || !futures.into_iter().all(|future| future.core.home() == home || future.core.is(settled))
    {
        return None;
    }
    crew_of(home)
}

/// Sleeps until told; a wait that would never end is a mistake in the program, and a panic.
pub(super) fn sleep(
    waiter: &Arc<Waiter>,
    crew: Option<&Arc<dyn Crew>>,
    op: Op,
    deadline: Option<Instant>,
) -> Option<u32> {
    let Some(crew) = crew else { return waiter.wait(op, deadline) };
    crew.block(waiter, NOTHING);
    let verdict = waiter.wait(op, deadline);
    crew.unblock(waiter);
    verdict
}

fn wait_until<T>(
    futures: &[Future<T>],
    when: ReturnWhen,
    deadline: Option<Instant>,
    at: Place,
) -> (Vec<Future<T>>, Vec<Future<T>>) {
    let tally = Arc::new(Tally::new(futures.len(), when));
    let op = Op::at(Object::of(&*tally, "Futures"), Kind::Wait, at);
    rt::point(op);
    let watch: Arc<dyn Watch> = tally.clone();
    for future in futures {
        future.core.give_up_if_an_ancestors();
        if future.core.listen(Listener::Watch(watch.clone(), 0), settled).is_err() {
            let failed = future.core.peek_failure().is_some_and(|error| !error.is_cancelled());
            watch.settled(0, failed);
        }
    }
    let crew = deadline.is_none().then(|| own_crew(futures.iter())).flatten();
    let verdict =
        if futures.is_empty() { Some(SETTLED) } else { sleep(&tally.waiter, crew.as_ref(), op, deadline) };
    let (done, pending): (Vec<_>, Vec<_>) =
        futures.iter().cloned().partition(|future| future.core.is(settled));
    for future in &pending {
        future.core.deafen(&watch);
    }
    // Told of a deadlock while the last one was being cancelled: then there is none.
    assert!(verdict.is_none_or(|told| told == SETTLED) || pending.is_empty(), "{}", FutureError::Deadlock);
    (done, pending)
}

/// Counts down what a `wait` waits for.
struct Tally {
    left: AtomicUsize,
    any_failure: bool,
    waiter: Arc<Waiter>,
}

impl Tally {
    fn new(futures: usize, when: ReturnWhen) -> Self {
        let left = if when == ReturnWhen::FirstCompleted { 1 } else { futures };
        let any_failure = when == ReturnWhen::FirstException;
        Self { left: AtomicUsize::new(left), any_failure, waiter: Waiter::new(CAN_FAIL) }
    }
}

impl Watch for Tally {
    fn settled(&self, _: usize, failed: bool) {
        // Past the goal the count wraps, far away from one.
        if self.left.fetch_sub(1, AcqRel) == 1 || (failed && self.any_failure) {
            self.waiter.notify(SETTLED);
        }
    }
}
