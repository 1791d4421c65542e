//! The semaphore whose count may grow beyond where it began.

use std::fmt;
use std::time::{Duration, Instant};

use super::permit::Permit;
use super::permits::Permits;
use crate::rt::{self, Kind, Op};

/// A number of permits, taken and given back by any thread.
///
/// A release need not follow an acquire: it may add a permit. Where that would be a mistake, as with a pool of
/// connections, use [`BoundedSemaphore`](crate::BoundedSemaphore).
///
/// Fair: a thread that has looked for a permit for a moment, of microseconds as a rule, lines up. Nobody goes before
/// those in line, and permits go to them in their order, also when one asks for many and those behind it for few. A
/// thread that times out leaves the line to those behind it. Prefer [`permit`](Semaphore::permit),
/// whose guard gives the permit back on a panic too.
///
/// # Memory ordering
/// What a thread did before a release happens before the return of the acquire that it enables.
///
/// ```
/// use raddle::Semaphore;
/// let jobs = Semaphore::new(0);
/// assert!(!jobs.try_acquire());
/// jobs.release(); // another thread has made one
/// jobs.acquire();
/// ```
pub struct Semaphore {
    permits: Permits,
}

const WHAT: &str = "Semaphore";

impl Semaphore {
    /// A semaphore with `permits` free permits.
    pub const fn new(permits: usize) -> Self {
        Self { permits: Permits::new(permits) }
    }

    /// Takes a permit, waiting for it.
    #[inline]
    #[track_caller]
    pub fn acquire(&self) {
        self.acquire_many(1);
    }

    /// Takes a permit if one is free and nobody is in line for it; says whether it did.
    #[inline]
    #[must_use = "a permit was taken only if this is true"]
    #[track_caller]
    pub fn try_acquire(&self) -> bool {
        self.try_acquire_many(1)
    }

    /// Takes a permit, waiting at most `timeout`; says whether it did.
    #[must_use = "a permit was taken only if this is true"]
    #[track_caller]
    pub fn acquire_timeout(&self, timeout: Duration) -> bool {
        self.take(1, rt::deadline(timeout))
    }

    /// Takes a permit, waiting until `deadline` at most; says whether it did.
    #[must_use = "a permit was taken only if this is true"]
    #[track_caller]
    pub fn acquire_deadline(&self, deadline: Instant) -> bool {
        self.take(1, Some(deadline))
    }

    /// Takes `count` permits at once, waiting until there are so many.
    #[inline]
    #[track_caller]
    pub fn acquire_many(&self, count: usize) {
        self.take(count, None);
    }

    /// Takes `count` permits if they are free and nobody is in line; says whether it did.
    #[must_use = "the permits were taken only if this is true"]
    #[track_caller]
    pub fn try_acquire_many(&self, count: usize) -> bool {
        self.permits.try_take(self.op(Kind::TryTake), count)
    }

    /// Takes `count` permits at once, waiting at most `timeout`; says whether it did.
    #[must_use = "the permits were taken only if this is true"]
    #[track_caller]
    pub fn acquire_many_timeout(&self, count: usize, timeout: Duration) -> bool {
        self.take(count, rt::deadline(timeout))
    }

    /// Takes `count` permits at once, waiting until `deadline` at most; says whether it did.
    #[must_use = "the permits were taken only if this is true"]
    #[track_caller]
    pub fn acquire_many_deadline(&self, count: usize, deadline: Instant) -> bool {
        self.take(count, Some(deadline))
    }

    /// Adds a permit.
    ///
    /// # Panics
    /// If there are `usize::MAX` permits already.
    #[inline]
    #[track_caller]
    pub fn release(&self) {
        assert!(self.give(1), "a semaphore cannot count more than {} permits", usize::MAX);
    }

    /// Adds `count` permits at once.
    ///
    /// # Errors
    /// [`NoPermitsError`] if `count` is 0, as in Python.
    ///
    /// # Panics
    /// If there would be more than `usize::MAX` permits.
    #[track_caller]
    pub fn release_many(&self, count: usize) -> Result<(), NoPermitsError> {
        if count == 0 {
            return Err(NoPermitsError);
        }
        assert!(self.give(count), "a semaphore cannot count more than {} permits", usize::MAX);
        Ok(())
    }

    /// Takes a permit until the guard is dropped, on a panic too.
    #[inline]
    #[track_caller]
    pub fn permit(&self) -> Permit<'_> {
        self.permit_many(1)
    }

    /// A guard, if a permit is free and nobody is in line for it.
    #[must_use = "the permits are given back when the guard is dropped"]
    #[track_caller]
    pub fn try_permit(&self) -> Option<Permit<'_>> {
        self.try_acquire().then(|| self.guard(1))
    }

    /// A guard, if a permit comes free within `timeout`.
    #[must_use = "the permits are given back when the guard is dropped"]
    #[track_caller]
    pub fn permit_timeout(&self, timeout: Duration) -> Option<Permit<'_>> {
        self.acquire_timeout(timeout).then(|| self.guard(1))
    }

    /// A guard, if a permit comes free before `deadline`.
    #[must_use = "the permits are given back when the guard is dropped"]
    #[track_caller]
    pub fn permit_deadline(&self, deadline: Instant) -> Option<Permit<'_>> {
        self.acquire_deadline(deadline).then(|| self.guard(1))
    }

    /// Takes `count` permits at once until the guard is dropped.
    #[track_caller]
    pub fn permit_many(&self, count: usize) -> Permit<'_> {
        self.take(count, None);
        self.guard(count)
    }

    /// A guard of `count` permits, if they are free and nobody is in line.
    #[must_use = "the permits are given back when the guard is dropped"]
    #[track_caller]
    pub fn try_permit_many(&self, count: usize) -> Option<Permit<'_>> {
        self.try_acquire_many(count).then(|| self.guard(count))
    }

    /// A guard of `count` permits, if they come free within `timeout`.
    #[must_use = "the permits are given back when the guard is dropped"]
    #[track_caller]
    pub fn permit_many_timeout(&self, count: usize, timeout: Duration) -> Option<Permit<'_>> {
        self.acquire_many_timeout(count, timeout).then(|| self.guard(count))
    }

    /// A guard of `count` permits, if they come free before `deadline`.
    #[must_use = "the permits are given back when the guard is dropped"]
    #[track_caller]
    pub fn permit_many_deadline(&self, count: usize, deadline: Instant) -> Option<Permit<'_>> {
        self.acquire_many_deadline(count, deadline).then(|| self.guard(count))
    }

    /// How many permits are free.
    #[track_caller]
    pub fn available(&self) -> usize {
        rt::point(self.op(Kind::Read));
        self.permits.free()
    }

    /// How many threads wait for permits.
    #[track_caller]
    pub fn n_waiting(&self) -> usize {
        rt::point(self.op(Kind::Read));
        self.permits.waiting()
    }

    #[cold]
    #[track_caller]
    fn take_slowly(&self, count: usize, deadline: Option<Instant>) -> bool {
        self.permits.take(self.op(Kind::Take), count, deadline)
    }

    #[inline]
    #[track_caller]
    fn take(&self, count: usize, deadline: Option<Instant>) -> bool {
        self.permits.grab(count) || self.take_slowly(count, deadline)
    }

    #[inline]
    #[track_caller]
    fn give(&self, count: usize) -> bool {
        self.permits.let_go(count, usize::MAX) || self.give_slowly(count)
    }

    #[cold]
    #[track_caller]
    fn give_slowly(&self, count: usize) -> bool {
        self.permits.give(self.op(Kind::Give), count, usize::MAX)
    }

    #[inline]
    fn guard(&self, count: usize) -> Permit<'_> {
        Permit::new(&self.permits, WHAT, count, usize::MAX)
    }

    #[track_caller]
    fn op(&self, kind: Kind) -> Op {
        Op::new(&self.permits, WHAT, kind)
    }
}

/// One free permit, as in Python.
///
/// ```
/// use raddle::Semaphore;
/// assert_eq!(Semaphore::default().available(), 1);
/// ```
impl Default for Semaphore {
    fn default() -> Self {
        Self::new(1)
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore").field("available", &self.available()).finish_non_exhaustive()
    }
}

/// A release of no permit at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoPermitsError;

impl fmt::Display for NoPermitsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0 permits cannot be released; at least one must be")
    }
}

impl std::error::Error for NoPermitsError {}
