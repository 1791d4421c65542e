//! The semaphore whose count never exceeds where it began.

use std::fmt;
use std::time::{Duration, Instant};

use super::permit::Permit;
use super::permits::Permits;
use crate::rt::{self, Kind, Op};

/// A number of permits that cannot grow: a release too many is an error and changes nothing.
///
/// Fair, panic-safe and ordered as [`Semaphore`](crate::Semaphore).
///
/// ```
/// use raddle::BoundedSemaphore;
///
/// let connections = BoundedSemaphore::new(3);
/// {
///     let _permit = connections.permit(); // a fourth thread would wait here
/// }
/// assert!(connections.release().is_err()); // a release too many
/// assert_eq!(connections.available(), 3);
/// ```
pub struct BoundedSemaphore {
    permits: Permits,
    bound: usize,
}

const WHAT: &str = "BoundedSemaphore";

impl BoundedSemaphore {
    /// A semaphore with `permits` free permits, and never more.
    pub const fn new(permits: usize) -> Self {
        Self { permits: Permits::new(permits), bound: permits }
    }

    /// Takes a permit, waiting for it.
    #[inline]
    #[track_caller]
    pub fn acquire(&self) {
        self.take(1, None);
    }

    /// Takes a permit if one is free and nobody is in line for it; says whether it did.
    #[inline]
    #[must_use = "a permit was taken only if this is true"]
    #[track_caller]
    pub fn try_acquire(&self) -> bool {
        self.permits.try_take(self.op(Kind::TryTake), 1)
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
    ///
    /// # Errors
    /// [`PermitError::TooMany`] if there are never so many.
    #[inline]
    #[track_caller]
    pub fn acquire_many(&self, count: usize) -> Result<(), PermitError> {
        if count > self.bound {
            return Err(PermitError::TooMany { asked: count, bound: self.bound });
        }
        self.take(count, None);
        Ok(())
    }

    /// Takes `count` permits if they are free and nobody is in line; says whether it did.
    #[must_use = "the permits were taken only if this is true"]
    #[track_caller]
    pub fn try_acquire_many(&self, count: usize) -> bool {
        self.permits.try_take(self.op(Kind::TryTake), count)
    }

    /// Takes `count` permits at once, waiting at most `timeout`; says whether it did: at once no, if there are
    /// never so many.
    #[must_use = "the permits were taken only if this is true"]
    #[track_caller]
    pub fn acquire_many_timeout(&self, count: usize, timeout: Duration) -> bool {
        count <= self.bound && self.take(count, rt::deadline(timeout))
    }

    /// Like [`acquire_many_timeout`](BoundedSemaphore::acquire_many_timeout), until `deadline`.
    #[must_use = "the permits were taken only if this is true"]
    #[track_caller]
    pub fn acquire_many_deadline(&self, count: usize, deadline: Instant) -> bool {
        count <= self.bound && self.take(count, Some(deadline))
    }

    /// Gives a permit back.
    ///
    /// # Errors
    /// [`PermitError::Surplus`] if none is out; the count stays as it was.
    #[inline]
    #[track_caller]
    pub fn release(&self) -> Result<(), PermitError> {
        self.release_many(1)
    }

    /// Gives `count` permits back at once.
    ///
    /// # Errors
    /// [`PermitError::None`] if `count` is 0, [`PermitError::Surplus`] if fewer are out; the count stays as it was.
    #[inline]
    #[track_caller]
    pub fn release_many(&self, count: usize) -> Result<(), PermitError> {
        if count == 0 {
            return Err(PermitError::None);
        }
        if self.permits.let_go(count, self.bound) { Ok(()) } else { self.give_slowly(count) }
    }

    /// Takes a permit until the guard is dropped, on a panic too.
    #[inline]
    #[track_caller]
    pub fn permit(&self) -> Permit<'_> {
        self.acquire();
        self.guard(1)
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
    ///
    /// # Errors
    /// As [`acquire_many`](BoundedSemaphore::acquire_many).
    #[track_caller]
    pub fn permit_many(&self, count: usize) -> Result<Permit<'_>, PermitError> {
        self.acquire_many(count)?;
        Ok(self.guard(count))
    }

    /// A guard of `count` permits, if they are free and nobody is in line.
    #[must_use = "the permits are given back when the guard is dropped"]
    #[track_caller]
    pub fn try_permit_many(&self, count: usize) -> Option<Permit<'_>> {
        self.try_acquire_many(count).then(|| self.guard(count))
    }

    /// A guard of `count` permits, if they come free within `timeout`; at once `None` if there are never so many.
    #[must_use = "the permits are given back when the guard is dropped"]
    #[track_caller]
    pub fn permit_many_timeout(&self, count: usize, timeout: Duration) -> Option<Permit<'_>> {
        self.acquire_many_timeout(count, timeout).then(|| self.guard(count))
    }

    /// A guard of `count` permits, if they come free before `deadline`; at once `None` if there are never so many.
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
    fn give_slowly(&self, count: usize) -> Result<(), PermitError> {
        if self.permits.give(self.op(Kind::Give), count, self.bound) {
            Ok(())
        } else {
            Err(PermitError::Surplus { bound: self.bound })
        }
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
    fn guard(&self, count: usize) -> Permit<'_> {
        Permit::new(&self.permits, WHAT, count, self.bound)
    }

    #[track_caller]
    fn op(&self, kind: Kind) -> Op {
        Op::new(&self.permits, WHAT, kind)
    }
}

/// One permit, as in Python.
///
/// ```
/// use raddle::BoundedSemaphore;
/// assert_eq!(BoundedSemaphore::default().available(), 1);
/// ```
impl Default for BoundedSemaphore {
    fn default() -> Self {
        Self::new(1)
    }
}

impl fmt::Debug for BoundedSemaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundedSemaphore")
            .field("available", &self.available())
            .field("bound", &self.bound)
            .finish_non_exhaustive()
    }
}

/// What a [`BoundedSemaphore`] refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PermitError {
    /// A release of more permits than are out.
    Surplus {
        /// How many permits there are in all.
        bound: usize,
    },
    /// A release of no permit at all.
    None,
    /// A request that can never be met.
    TooMany {
        /// How many permits were asked for.
        asked: usize,
        /// How many there are in all.
        bound: usize,
    },
}

impl fmt::Display for PermitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PermitError::Surplus { bound } => {
                write!(
                    f,
                    "released more often than acquired: the semaphore has {bound} permits and never more"
                )
            }
            PermitError::None => super::unbounded::NoPermitsError.fmt(f),
            PermitError::TooMany { asked, bound } => {
                write!(f, "{asked} permits were asked for, but the semaphore has {bound} and never more")
            }
        }
    }
}

impl std::error::Error for PermitError {}
