//! The type behind `Semaphore` and `BoundedSemaphore`, with all its operations.

use std::fmt;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

use super::count::PermitCount;
use super::error::{NoPermitsError, PermitError};
use super::limit::{Bounded, Counting, Limit};
use super::permit::Permit;
use crate::rt;

/// A number of permits, acquired and released by any thread.
///
/// [`Semaphore`](crate::Semaphore) and [`BoundedSemaphore`](crate::BoundedSemaphore) are this type with a limit. They differ in
/// what happens to requests and releases beyond it: [`acquire_many`](Self::acquire_many), [`release`](Self::release) and
/// [`release_many`](Self::release_many) return errors for a bounded semaphore.
///
/// [`acquire`](Self::acquire) returns a [`Permit`] that releases itself when it is dropped, also on a panic. A permit can instead be
/// [forgotten](Permit::forget) and paired by hand with [`release`](Self::release), in any thread.
///
/// # Fairness
/// Waiters are served in FIFO order, and no caller overtakes a queued waiter, even if the waiter requests many permits and the
/// caller few. A thread spins for a moment, usually a few microseconds, before it enqueues. A waiter that times out leaves the
/// queue to the waiters behind it.
///
/// # Memory ordering
/// A release happens before the return of the acquire that it enables.
///
/// # Examples
/// At most two threads use the resource at the same time:
///
/// ```
/// use raddle::{Semaphore, thread};
///
/// let slots = Semaphore::new(2);
/// thread::scope(|s| {
///     for _ in 0..8 {
///         s.spawn(|| {
///             let _permit = slots.acquire();
///             // ... use the resource
///         });
///     }
/// });
/// assert_eq!(slots.available(), 2);
/// ```
pub struct BaseSemaphore<L: Limit> {
    permits: PermitCount,
    limit: PhantomData<L>,
}

/// # Creating a semaphore
impl<L: Limit> BaseSemaphore<L> {
    /// Creates a semaphore with `permits` free permits. For a bounded semaphore, this is also the greatest number.
    ///
    /// # Examples
    /// ```
    /// use raddle::BoundedSemaphore;
    ///
    /// static CONNECTIONS: BoundedSemaphore = BoundedSemaphore::new(3);
    /// assert_eq!(CONNECTIONS.available(), 3);
    /// ```
    pub const fn new(permits: usize) -> Self {
        let bound = if L::BOUNDED { permits } else { usize::MAX };
        Self { permits: PermitCount::new(permits, bound, L::BOUNDED), limit: PhantomData }
    }
}

/// # Acquiring permits
impl<L: Limit> BaseSemaphore<L> {
    /// Acquires a permit, blocking until one is available.
    ///
    /// # Examples
    /// ```
    /// use raddle::Semaphore;
    ///
    /// let semaphore = Semaphore::new(1);
    /// let permit = semaphore.acquire();
    /// assert_eq!(semaphore.available(), 0);
    /// drop(permit);
    /// assert_eq!(semaphore.available(), 1);
    /// ```
    #[inline]
    #[track_caller]
    pub fn acquire(&self) -> Permit<'_> {
        self.permits.acquire(1);
        Permit::new(&self.permits, 1)
    }

    /// Acquires a permit without blocking.
    ///
    /// Returns `None` if no permit is free or threads are queued for one.
    ///
    /// # Examples
    /// ```
    /// use raddle::Semaphore;
    ///
    /// let semaphore = Semaphore::new(1);
    /// let permit = semaphore.try_acquire().expect("a permit is free");
    /// assert!(semaphore.try_acquire().is_none());
    /// drop(permit);
    /// assert!(semaphore.try_acquire().is_some());
    /// ```
    #[inline]
    #[must_use = "the permit is released at once if it is not bound"]
    #[track_caller]
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        self.permits.try_acquire(1).then(|| Permit::new(&self.permits, 1))
    }

    /// Acquires a permit, blocking for at most `timeout`.
    ///
    /// Returns `None` if no permit became available in time.
    ///
    /// # Examples
    /// ```
    /// use raddle::Semaphore;
    /// use std::time::Duration;
    ///
    /// let semaphore = Semaphore::new(1);
    /// let _permit = semaphore.acquire();
    /// assert!(semaphore.acquire_timeout(Duration::from_millis(1)).is_none());
    /// ```
    #[must_use = "the permit is released at once if it is not bound"]
    #[track_caller]
    pub fn acquire_timeout(&self, timeout: Duration) -> Option<Permit<'_>> {
        self.acquire_until(1, rt::deadline(timeout))
    }

    /// Acquires a permit, blocking until `deadline` at most.
    ///
    /// Returns `None` if no permit became available in time.
    ///
    /// # Examples
    /// Two waits share one time limit:
    ///
    /// ```
    /// use raddle::{Semaphore, time};
    /// use std::time::Duration;
    ///
    /// let (input, output) = (Semaphore::new(1), Semaphore::new(1));
    /// let deadline = time::now() + Duration::from_secs(1);
    /// let permits = input.acquire_deadline(deadline).zip(output.acquire_deadline(deadline));
    /// assert!(permits.is_some());
    /// ```
    #[must_use = "the permit is released at once if it is not bound"]
    #[track_caller]
    pub fn acquire_deadline(&self, deadline: Instant) -> Option<Permit<'_>> {
        self.acquire_until(1, Some(deadline))
    }

    /// Acquires `count` permits at once without blocking.
    ///
    /// Returns `None` if fewer are free or threads are queued for permits.
    ///
    /// # Examples
    /// ```
    /// use raddle::Semaphore;
    ///
    /// let semaphore = Semaphore::new(2);
    /// assert!(semaphore.try_acquire_many(3).is_none());
    /// assert_eq!(semaphore.try_acquire_many(2).map(|permit| permit.count()), Some(2));
    /// ```
    #[must_use = "the permits are released at once if they are not bound"]
    #[track_caller]
    pub fn try_acquire_many(&self, count: usize) -> Option<Permit<'_>> {
        self.permits.try_acquire(count).then(|| Permit::new(&self.permits, count))
    }

    /// Acquires `count` permits at once, blocking for at most `timeout`.
    ///
    /// Returns `None` if fewer became available in time, and at once if `count` exceeds the bound.
    ///
    /// # Examples
    /// ```
    /// use raddle::{BoundedSemaphore, Semaphore};
    /// use std::time::Duration;
    ///
    /// let semaphore = Semaphore::new(2);
    /// assert!(semaphore.acquire_many_timeout(3, Duration::from_millis(1)).is_none());
    /// assert_eq!(semaphore.available(), 2, "a request that times out acquires nothing");
    ///
    /// let bounded = BoundedSemaphore::new(2);
    /// assert!(bounded.acquire_many_timeout(3, Duration::MAX).is_none(), "it returns at once");
    /// ```
    #[must_use = "the permits are released at once if they are not bound"]
    #[track_caller]
    pub fn acquire_many_timeout(&self, count: usize, timeout: Duration) -> Option<Permit<'_>> {
        self.acquire_until(count, rt::deadline(timeout))
    }

    /// Acquires `count` permits at once, blocking until `deadline` at most.
    ///
    /// Returns `None` if fewer became available in time, and at once if `count` exceeds the bound.
    #[must_use = "the permits are released at once if they are not bound"]
    #[track_caller]
    pub fn acquire_many_deadline(&self, count: usize, deadline: Instant) -> Option<Permit<'_>> {
        self.acquire_until(count, Some(deadline))
    }

    #[track_caller]
    fn acquire_until(&self, count: usize, deadline: Option<Instant>) -> Option<Permit<'_>> {
        let can_succeed = count <= self.permits.bound();
        (can_succeed && self.permits.acquire_until(count, deadline))
            .then(|| Permit::new(&self.permits, count))
    }
}

/// # Inspecting a semaphore
///
/// Other threads may change what these methods return at any time.
impl<L: Limit> BaseSemaphore<L> {
    /// Returns the number of free permits.
    ///
    /// # Examples
    /// ```
    /// use raddle::Semaphore;
    ///
    /// let semaphore = Semaphore::new(3);
    /// let _permit = semaphore.acquire();
    /// assert_eq!(semaphore.available(), 2);
    /// ```
    #[track_caller]
    pub fn available(&self) -> usize {
        self.permits.available()
    }

    /// Returns the number of threads that are queued for permits.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Semaphore, rt, thread};
    ///
    /// let semaphore = Semaphore::new(0);
    /// thread::scope(|s| {
    ///     s.spawn(|| semaphore.acquire().forget());
    ///     while semaphore.n_waiting() == 0 {
    ///         rt::yield_now();
    ///     }
    ///     semaphore.release();
    /// });
    /// ```
    #[track_caller]
    pub fn n_waiting(&self) -> usize {
        self.permits.n_waiting()
    }
}

/// # Requests and releases of a `Semaphore`
impl BaseSemaphore<Counting> {
    /// Acquires `count` permits at once, blocking until so many are available.
    ///
    /// The returned [`Permit`] holds all of them. If there are never so many, the call blocks forever.
    ///
    /// # Examples
    /// ```
    /// use raddle::Semaphore;
    ///
    /// // Readers acquire one permit each, and a writer acquires all of them.
    /// let readers = Semaphore::new(8);
    /// let exclusive = readers.acquire_many(8);
    /// assert!(readers.try_acquire().is_none());
    /// drop(exclusive);
    /// assert!(readers.try_acquire().is_some());
    /// ```
    #[inline]
    #[track_caller]
    pub fn acquire_many(&self, count: usize) -> Permit<'_> {
        self.permits.acquire(count);
        Permit::new(&self.permits, count)
    }

    /// Adds a permit and wakes a waiter that can now be served.
    ///
    /// Pairs with a [forgotten](Permit::forget) permit, or makes the count grow.
    ///
    /// # Panics
    /// Panics if there are `usize::MAX` permits.
    ///
    /// # Examples
    /// ```
    /// use raddle::Semaphore;
    ///
    /// let semaphore = Semaphore::new(0);
    /// semaphore.release();
    /// assert_eq!(semaphore.available(), 1);
    /// ```
    #[inline]
    #[track_caller]
    pub fn release(&self) {
        self.add(1);
    }

    /// Adds `count` permits at once and wakes the waiters that can now be served.
    ///
    /// # Errors
    /// Returns [`NoPermitsError`] if `count` is 0, as Python does.
    ///
    /// # Panics
    /// Panics if there would be more than `usize::MAX` permits.
    ///
    /// # Examples
    /// ```
    /// use raddle::Semaphore;
    ///
    /// let semaphore = Semaphore::new(0);
    /// semaphore.release_many(3)?;
    /// assert_eq!(semaphore.available(), 3);
    /// # Ok::<(), raddle::NoPermitsError>(())
    /// ```
    #[track_caller]
    pub fn release_many(&self, count: usize) -> Result<(), NoPermitsError> {
        if count == 0 {
            return Err(NoPermitsError);
        }
        self.add(count);
        Ok(())
    }

    #[inline]
    #[track_caller]
    fn add(&self, count: usize) {
        assert!(
            self.permits.release(count),
            "semaphore overflow: it cannot hold more than {} permits",
            usize::MAX
        );
    }
}

/// # Requests and releases of a `BoundedSemaphore`
impl BaseSemaphore<Bounded> {
    /// Acquires `count` permits at once, blocking until so many are available.
    ///
    /// The returned [`Permit`] holds all of them.
    ///
    /// # Errors
    /// Returns [`PermitError::TooMany`] if `count` exceeds the bound.
    ///
    /// # Examples
    /// ```
    /// use raddle::{BoundedSemaphore, PermitError};
    ///
    /// let connections = BoundedSemaphore::new(3);
    /// assert_eq!(connections.acquire_many(2)?.count(), 2);
    /// let error = connections.acquire_many(4).unwrap_err();
    /// assert_eq!(error, PermitError::TooMany { requested: 4, bound: 3 });
    /// # Ok::<(), PermitError>(())
    /// ```
    #[inline]
    #[track_caller]
    pub fn acquire_many(&self, count: usize) -> Result<Permit<'_>, PermitError> {
        let bound = self.permits.bound();
        if count > bound {
            return Err(PermitError::TooMany { requested: count, bound });
        }
        self.permits.acquire(count);
        Ok(Permit::new(&self.permits, count))
    }

    /// Releases a [forgotten](Permit::forget) permit and wakes a waiter that can now be served.
    ///
    /// # Errors
    /// Returns [`PermitError::Surplus`] if all permits are free. The count is unchanged.
    ///
    /// # Examples
    /// ```
    /// use raddle::BoundedSemaphore;
    ///
    /// let connections = BoundedSemaphore::new(1);
    /// connections.acquire().forget();
    /// assert!(connections.release().is_ok());
    /// assert!(connections.release().is_err());
    /// ```
    #[inline]
    #[track_caller]
    pub fn release(&self) -> Result<(), PermitError> {
        self.release_many(1)
    }

    /// Releases `count` forgotten permits at once and wakes the waiters that can now be served.
    ///
    /// # Errors
    /// Returns [`PermitError::NoPermits`] if `count` is 0, and [`PermitError::Surplus`] if fewer permits are acquired. The
    /// count is unchanged.
    ///
    /// # Examples
    /// ```
    /// use raddle::{BoundedSemaphore, PermitError};
    ///
    /// let connections = BoundedSemaphore::new(3);
    /// connections.acquire_many(2)?.forget();
    /// assert_eq!(connections.release_many(3), Err(PermitError::Surplus { bound: 3 }));
    /// assert_eq!(connections.release_many(2), Ok(()));
    /// # Ok::<(), PermitError>(())
    /// ```
    #[inline]
    #[track_caller]
    pub fn release_many(&self, count: usize) -> Result<(), PermitError> {
        if count == 0 {
            return Err(PermitError::NoPermits);
        }
        if self.permits.release(count) {
            Ok(())
        } else {
            Err(PermitError::Surplus { bound: self.permits.bound() })
        }
    }
}

/// One permit, as in Python.
///
/// # Examples
/// ```
/// use raddle::Semaphore;
///
/// assert_eq!(Semaphore::default().available(), 1);
/// ```
impl<L: Limit> Default for BaseSemaphore<L> {
    fn default() -> Self {
        Self::new(1)
    }
}

impl<L: Limit> fmt::Debug for BaseSemaphore<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut semaphore = f.debug_struct(self.permits.type_name());
        semaphore.field("available", &self.available());
        if L::BOUNDED {
            semaphore.field("bound", &self.permits.bound());
        }
        semaphore.finish_non_exhaustive()
    }
}
