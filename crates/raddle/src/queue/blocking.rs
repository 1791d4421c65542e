//! A flavor, and blocking on it: a put or get spins for a moment, then enqueues its thread and parks.
//!
//! The flavor is chosen when the queue is created. Every verb has two halves here. `put_fast` and its like are inlined into
//! the caller and do nothing if the thread is observed. `put` and its like announce the step to the observer, try the same
//! fast path with the observer attached, and then the full path.
//!
//! # Spinning
//! A thread that may wait spins before it enqueues itself, since waking a parked thread costs as much as thousands of fast
//! puts. While it spins it is in no wait queue, so threads that wait are served first. It does not spin on a single processor,
//! where no other thread runs meanwhile, nor under a scheduler, which decides what runs.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use super::error::{GetError, PutError, TooManyTasksDoneError};
use super::flavors::{Locked, Observed, Ring, TwoLock, Unobserved};
use super::order::{self, Order};
use super::state::{AttemptOutcome, ItemList, QueueState};
use crate::rt::{self, Abandoned, Op, Place, Show};
use crate::sys::spin::SpinBudget;

pub(super) struct Blocking<T, O: Order<T>> {
    flavor: Flavor<T, O>,
    /// The function that shows items to observers.
    pub(super) show: Show<T>,
}

enum Flavor<T, O: Order<T>> {
    Locked(Locked<T, O::Store>),
    TwoLock(TwoLock<T>),
    Ring(Ring<T>),
}

/// Calls a method of the flavor that the queue has. The conditions are constants: for each order, they leave only the
/// flavors that [`Blocking::new`] chooses from.
macro_rules! each {
    ($blocking:expr, $flavor:ident => $call:expr) => {
        match &$blocking.flavor {
            Flavor::Ring($flavor) if O::IN_ORDER => $call,
            Flavor::TwoLock($flavor) if O::IN_ORDER => $call,
            Flavor::Locked($flavor) if !O::IN_ORDER => $call,
            _ => unreachable!("a flavor that does not keep the order was chosen"),
        }
    };
}

/// Fills a batch. If a comparison panics and the batch has items already, these are not lost: the panic is reported to the
/// excepthook instead of raised, and this returns `None`. The next call repeats the comparison.
fn keep_batch<T, R>(batch: &mut Vec<T>, fill: impl FnOnce(&mut Vec<T>) -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(|| fill(batch))) {
        Ok(filled) => Some(filled),
        Err(payload) if batch.is_empty() || payload.is::<Abandoned>() => resume_unwind(payload),
        Err(payload) => {
            order::report_comparison(payload);
            None
        }
    }
}

/// How long a thread may wait.
#[derive(Clone, Copy)]
pub(super) enum Timeout {
    /// Not at all.
    Now,
    /// For this duration, from when it begins to wait.
    After(Duration),
    /// Until this moment; `None`: without a limit.
    At(Option<Instant>),
}

impl Timeout {
    pub(super) const NEVER: Self = Timeout::At(None);

    pub(super) fn after(timeout: Duration) -> Self {
        if timeout.is_zero() { Timeout::Now } else { Timeout::After(timeout) }
    }

    pub(super) fn at(deadline: Instant) -> Self {
        Timeout::At(Some(deadline))
    }

    /// Returns the timeout for several waits together, the first of which may begin now.
    pub(super) fn for_all(self, at: Place) -> Self {
        match self {
            Timeout::After(timeout) => Timeout::At(rt::deadline_at(timeout, at)),
            Timeout::Now | Timeout::At(_) => self,
        }
    }

    fn may_wait(self) -> bool {
        !matches!(self, Timeout::Now)
    }

    fn deadline(self, at: Place) -> Option<Instant> {
        match self {
            Timeout::Now => rt::deadline_at(Duration::ZERO, at),
            Timeout::After(timeout) => rt::deadline_at(timeout, at),
            Timeout::At(deadline) => deadline,
        }
    }
}

/// The object of a spinning thread's wait.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Room,
    Items,
}

/// The path that a put or get tries in one step.
#[derive(Clone, Copy)]
enum Attempt {
    /// The fast path, which succeeds at once or fails.
    Fast,
    /// The full path.
    Full { may_wait: bool },
}

impl<T, O: Order<T>> Blocking<T, O> {
    /// Chooses the flavor by the order, the limit and the size of an item.
    pub(super) const fn new(limit: usize) -> Self {
        let flavor = if !O::IN_ORDER {
            Flavor::Locked(Locked::new(limit))
        } else if Ring::<T>::is_for(limit) {
            Flavor::Ring(Ring::new(limit))
        } else {
            Flavor::TwoLock(TwoLock::new(limit))
        };
        Self { flavor, show: Show::new() }
    }

    /// Puts an item if this takes a few instructions and the thread is not observed; otherwise returns it.
    #[inline]
    pub(super) fn put_fast(&self, item: T) -> Result<(), T> {
        if rt::quiet() { each!(self, flavor => flavor.put_fast(item, Unobserved)) } else { Err(item) }
    }

    /// Gets an item if this takes a few instructions and the thread is not observed.
    #[inline]
    pub(super) fn get_fast(&self) -> Option<T> {
        if rt::quiet() { each!(self, flavor => flavor.get_fast(false, Unobserved)) } else { None }
    }

    /// Marks a task done if this takes a few instructions and the thread is not observed.
    #[inline]
    pub(super) fn task_done_fast(&self) -> bool {
        rt::quiet() && each!(self, flavor => flavor.task_done_fast(Unobserved))
    }

    /// Puts the items. The error contains those that were not put.
    pub(super) fn put(
        &self,
        op: Op,
        mut items: ItemList<T>,
        timeout: Timeout,
    ) -> Result<(), PutError<ItemList<T>>> {
        rt::point(op);
        rt::value(&op, || self.show.many(items.iter()));
        let outcome = self.spin_then_enqueue(timeout, Wanted::Room, |attempt| match attempt {
            Attempt::Fast => self.put_first_fast(&mut items),
            Attempt::Full { may_wait } => each!(self, flavor => flavor.put(&mut items, may_wait)),
        });
        let waiter = match outcome {
            AttemptOutcome::Done(()) => return Ok(()),
            AttemptOutcome::NotNow => return Err(PutError::Full(items)),
            AttemptOutcome::ShutDown => return Err(PutError::ShutDown(items)),
            AttemptOutcome::Enqueued(waiter) => waiter,
        };
        let leave = || each!(self, flavor => flavor.update(|state, _| state.putters.remove(&waiter)));
        let outcome = rt::on_unwind(|| waiter.wait(op, timeout.deadline(op.at)), leave);
        let served = outcome.is_some() || !leave();
        let left = waiter.request.take();
        match (left.first().is_some(), served) {
            (false, _) => Ok(()),
            (true, false) => Err(PutError::Full(left)),
            (true, true) => Err(PutError::ShutDown(left)),
        }
    }

    /// Puts a single item by the fast path.
    #[inline]
    fn put_first_fast(&self, items: &mut ItemList<T>) -> AttemptOutcome<T, ()> {
        if let ItemList::One(slot) = items
            && let Some(item) = slot.take()
        {
            match each!(self, flavor => flavor.put_fast(item, Observed)) {
                Ok(()) => return AttemptOutcome::Done(()),
                Err(item) => *slot = Some(item),
            }
        }
        AttemptOutcome::NotNow
    }

    pub(super) fn get(&self, op: Op, timeout: Timeout) -> Result<T, GetError> {
        rt::point(op);
        let got = self.next(op, timeout);
        rt::value(&op, || match &got {
            Ok(item) => self.show.one(item),
            Err(GetError::Empty) => "empty".to_owned(),
            Err(GetError::ShutDown) => "shut down".to_owned(),
        });
        got
    }

    /// Gets an item without announcing the step.
    fn next(&self, op: Op, timeout: Timeout) -> Result<T, GetError> {
        let outcome = self.spin_then_enqueue(timeout, Wanted::Items, |attempt| match attempt {
            Attempt::Fast => each!(self, flavor => flavor.get_fast(true, Observed))
                .map_or(AttemptOutcome::NotNow, AttemptOutcome::Done),
            Attempt::Full { may_wait } => each!(self, flavor => flavor.get(may_wait)),
        });
        let waiter = match outcome {
            AttemptOutcome::Done(item) => return Ok(item),
            AttemptOutcome::NotNow => return Err(GetError::Empty),
            AttemptOutcome::ShutDown => return Err(GetError::ShutDown),
            AttemptOutcome::Enqueued(waiter) => waiter,
        };
        let leave = || each!(self, flavor => flavor.update(|state, _| state.getters.remove(&waiter)));
        let outcome = rt::on_unwind(|| waiter.wait(op, timeout.deadline(op.at)), leave);
        if outcome.is_none() && leave() {
            return Err(GetError::Empty);
        }
        waiter.request.take().pop().ok_or(GetError::ShutDown)
    }

    pub(super) fn get_many(
        &self,
        op: Op,
        max: usize,
        linger: Duration,
        timeout: Timeout,
    ) -> Result<Vec<T>, GetError> {
        let mut batch = self.try_get_many(op, max);
        if batch.is_empty() {
            rt::point(op); // other threads may put and get meanwhile
            batch.push(self.next(op, timeout)?);
            rt::value(&op, || self.show.many(batch.iter()));
        }
        if batch.len() < max {
            rt::point(op);
            batch = self.fill(op, batch, max, linger);
            rt::value(&op, || self.show.many(batch.iter()));
        }
        Ok(batch)
    }

    pub(super) fn try_get_many(&self, op: Op, max: usize) -> Vec<T> {
        assert!(max > 0, "cannot get a batch of at most 0 items: `max` must be greater than 0");
        rt::point(op);
        let mut batch = Vec::new();
        keep_batch(&mut batch, |batch| each!(self, flavor => flavor.get_many(batch, max)));
        rt::value(&op, || self.show.many(batch.iter()));
        batch
    }

    /// Waits for at most `linger` until the batch has `max` items.
    fn fill(&self, op: Op, mut batch: Vec<T>, max: usize, linger: Duration) -> Vec<T> {
        if linger.is_zero() {
            keep_batch(&mut batch, |batch| each!(self, flavor => flavor.get_many(batch, max)));
            return batch;
        }
        let filled = keep_batch(&mut batch, |batch| each!(self, flavor => flavor.fill(batch, max)));
        let Some(AttemptOutcome::Enqueued(waiter)) = filled else { return batch };
        let leave = || each!(self, flavor => flavor.update(|state, _| state.fillers.remove(&waiter)));
        if rt::on_unwind(|| waiter.wait(op, rt::deadline_at(linger, op.at)), leave).is_none() {
            leave();
        }
        waiter.request.take().into_vec()
    }

    pub(super) fn tasks_done(&self, op: Op, count: usize) -> Result<(), TooManyTasksDoneError> {
        rt::point(op);
        if count == 1 && !rt::quiet() && each!(self, flavor => flavor.task_done_fast(Observed)) {
            return Ok(());
        }
        each!(self, flavor => flavor.update(|state, wake| state.tasks_done(count, wake)))
    }

    /// Waits until there are no unfinished tasks. Returns whether there were none before the timeout.
    pub(super) fn join(&self, op: Op, timeout: Timeout) -> bool {
        rt::point(op);
        match each!(self, flavor => flavor.update(|state, _| state.join(timeout.may_wait()))) {
            AttemptOutcome::Done(()) => true,
            AttemptOutcome::NotNow | AttemptOutcome::ShutDown => false,
            AttemptOutcome::Enqueued(waiter) => {
                let leave = || each!(self, flavor => flavor.update(|state, _| state.joiners.remove(&waiter)));
                let outcome = rt::on_unwind(|| waiter.wait(op, timeout.deadline(op.at)), leave);
                outcome.is_some() || !leave()
            }
        }
    }

    pub(super) fn shut_down(&self, op: Op) {
        rt::point(op);
        each!(self, flavor => flavor.update(QueueState::shut_down));
    }

    pub(super) fn shut_down_now(&self, op: Op) -> Vec<T> {
        rt::point(op);
        let items = each!(self, flavor => flavor.shut_down_now());
        rt::value(&op, || self.show.many(items.iter()));
        items
    }

    /// Changes the greatest number of items; `usize::MAX`: no limit.
    pub(super) fn set_limit(&self, op: Op, limit: usize) {
        rt::point(op);
        rt::value(&op, || if limit == usize::MAX { "no limit".to_owned() } else { limit.to_string() });
        each!(self, flavor => flavor.set_limit(limit));
    }

    /// Looks at the state and the number of items.
    pub(super) fn look<R>(&self, op: Op, look: impl FnOnce(&QueueState<T>, usize) -> R) -> R {
        rt::point(op);
        each!(self, flavor => flavor.look(look))
    }

    /// Tries the fast path whenever the hint shows that it may succeed, as long as the spin budget lasts. Then tries the
    /// full path, which enqueues the thread if the timeout allows it to wait.
    #[inline]
    fn spin_then_enqueue<R>(
        &self,
        timeout: Timeout,
        wanted: Wanted,
        mut attempt: impl FnMut(Attempt) -> AttemptOutcome<T, R>,
    ) -> AttemptOutcome<T, R> {
        // If nothing observes the thread, the fast path has just failed. A ring is worth another attempt, since the
        // full path blocks the fast paths of all other threads.
        if (!rt::quiet() || matches!(self.flavor, Flavor::Ring(_)))
            && let done @ AttemptOutcome::Done(_) = attempt(Attempt::Fast)
        {
            return done;
        }
        // A ring whose limit has been changed has no fast path, and its hints do not count the items beyond its slots.
        if matches!(&self.flavor, Flavor::Ring(ring) if ring.is_resized()) {
            match attempt(Attempt::Full { may_wait: false }) {
                AttemptOutcome::NotNow => {}
                outcome => return outcome,
            }
        }
        let mut spin = self.spin();
        while timeout.may_wait() && spin.has_pauses() {
            if !self.may_have(wanted) && !spin.until(|| self.may_have(wanted)) {
                break;
            }
            if wanted == Wanted::Items && self.has_plenty() {
                spin.forgive_yields();
            }
            self.gather(wanted);
            // A few attempts with a pause between them: more items or free slots may have arrived by then.
            for _ in 0..3 {
                if let done @ AttemptOutcome::Done(_) = attempt(Attempt::Fast) {
                    return done;
                }
                spin.spin();
            }
            if !self.expects_fast_path() {
                match attempt(Attempt::Full { may_wait: false }) {
                    AttemptOutcome::NotNow => {}
                    outcome => return outcome,
                }
            }
            spin.spin();
        }
        attempt(Attempt::Full { may_wait: timeout.may_wait() })
    }

    fn spin(&self) -> SpinBudget {
        match &self.flavor {
            Flavor::Ring(ring) => SpinBudget::for_ring(ring.capacity()),
            Flavor::Locked(_) | Flavor::TwoLock(_) => SpinBudget::new(),
        }
    }

    /// Returns whether the fast path is likely to succeed soon, so that a spinning thread need not try the full path.
    fn expects_fast_path(&self) -> bool {
        matches!(&self.flavor, Flavor::Ring(ring) if !ring.is_frozen())
    }

    /// Returns whether there may be room, or items, as a hint.
    #[inline]
    fn may_have(&self, wanted: Wanted) -> bool {
        match wanted {
            Wanted::Room => each!(self, flavor => flavor.may_have_room()),
            Wanted::Items => each!(self, flavor => flavor.may_have_items()),
        }
    }

    /// Returns whether many items are available, as a hint.
    fn has_plenty(&self) -> bool {
        matches!(&self.flavor, Flavor::TwoLock(two_lock) if two_lock.has_plenty())
    }

    /// Waits for a moment while items or free slots keep arriving, if the flavor has less contention that way.
    fn gather(&self, wanted: Wanted) {
        match (&self.flavor, wanted) {
            (Flavor::Ring(ring), Wanted::Room) => ring.gather_room(),
            (Flavor::Ring(ring), Wanted::Items) => ring.gather_items(),
            (Flavor::TwoLock(two_lock), Wanted::Items) => two_lock.gather_items(),
            (Flavor::TwoLock(_), Wanted::Room) | (Flavor::Locked(_), _) => {}
        }
    }
}
