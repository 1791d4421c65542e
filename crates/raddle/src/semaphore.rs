//! Semaphores: a count of permits that threads acquire and release.
//!
//! # State
//! While no thread is queued, the number of free permits is in a word, and a permit is acquired or released by one
//! compare-and-swap. A thread that finds too few permits spins for a moment; then, under the lock of the wait queue, it moves
//! the count from the word into the queue's state and enqueues itself. From then on the count changes under that lock only,
//! until the queue is empty and the word gets the count back.
//!
//! # Invariants
//! - The word is [`IN_STATE`] while the queue has waiters, so no thread can acquire a permit past the queue.
//! - While the lock is free, the front waiter requests more permits than are free: [`Core::serve`] establishes this after
//!   each change.
//! - The permits of a waiter leave the count in the critical section that dequeues it. A waiter that times out therefore
//!   either is in the queue and has no permits, or has its permits.
//!
//! # Why a thread spins before it enqueues
//! A queue outlives the contention that caused it. Permits pass from waiter to waiter, each of which must first be scheduled,
//! until the queue happens to be empty.
//!
//! # Memory ordering
//! Each change of the word is a read-modify-write with acquire and release ordering, and the lock orders the changes of the
//! state. So a release happens before the acquire that it enables.
//!
//! # What is explored
//! The uncontended path and the observed path perform the same attempt, [`Core::try_update`]. It takes the observer as a
//! parameter, which is a no-op on the uncontended path.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::time::{Duration, Instant};

use crate::raw::{Guard, Guarded, WaitQueue, Waiter};
use crate::rt::{self, Kind, Op};
use crate::sys::spin::SpinBudget;

/// A number of permits, acquired and released by any thread.
///
/// [`acquire`](Semaphore::acquire) returns a [`Permit`] that releases itself when it is dropped, also on a panic. A permit can
/// instead be [forgotten](Permit::forget) and paired by hand with [`release`](Semaphore::release), in any thread. A release
/// need not follow an acquire: it may add a permit. Where that would be a mistake, as with a pool of connections, use
/// [`BoundedSemaphore`].
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
///
/// A count of events, signalled by one thread and consumed by another:
///
/// ```
/// use raddle::{Semaphore, thread};
///
/// let jobs = Semaphore::new(0);
/// thread::scope(|s| {
///     s.spawn(|| jobs.acquire().forget());
///     jobs.release();
/// });
/// assert_eq!(jobs.available(), 0);
/// ```
pub struct Semaphore {
    core: Core,
}

impl Semaphore {
    /// Creates a semaphore with `permits` free permits.
    ///
    /// # Examples
    /// ```
    /// use raddle::Semaphore;
    ///
    /// static CONNECTIONS: Semaphore = Semaphore::new(3);
    /// assert_eq!(CONNECTIONS.available(), 3);
    /// ```
    pub const fn new(permits: usize) -> Self {
        Self { core: Core::new(permits, usize::MAX, false) }
    }

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
        self.core.acquire(1)
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
        self.core.try_acquire(1)
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
        self.core.acquire_until(1, rt::deadline(timeout))
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
        self.core.acquire_until(1, Some(deadline))
    }

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
        self.core.acquire(count)
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
        self.core.try_acquire(count)
    }

    /// Acquires `count` permits at once, blocking for at most `timeout`.
    ///
    /// Returns `None` if fewer became available in time.
    ///
    /// # Examples
    /// ```
    /// use raddle::Semaphore;
    /// use std::time::Duration;
    ///
    /// let semaphore = Semaphore::new(2);
    /// assert!(semaphore.acquire_many_timeout(3, Duration::from_millis(1)).is_none());
    /// assert_eq!(semaphore.available(), 2, "a request that times out acquires nothing");
    /// ```
    #[must_use = "the permits are released at once if they are not bound"]
    #[track_caller]
    pub fn acquire_many_timeout(&self, count: usize, timeout: Duration) -> Option<Permit<'_>> {
        self.core.acquire_until(count, rt::deadline(timeout))
    }

    /// Acquires `count` permits at once, blocking until `deadline` at most.
    ///
    /// Returns `None` if fewer became available in time.
    #[must_use = "the permits are released at once if they are not bound"]
    #[track_caller]
    pub fn acquire_many_deadline(&self, count: usize, deadline: Instant) -> Option<Permit<'_>> {
        self.core.acquire_until(count, Some(deadline))
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
        self.core.available()
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
        self.core.n_waiting()
    }

    #[inline]
    #[track_caller]
    fn add(&self, count: usize) {
        assert!(
            self.core.release(count),
            "semaphore overflow: it cannot hold more than {} permits",
            usize::MAX
        );
    }
}

/// One free permit, as in Python.
///
/// # Examples
/// ```
/// use raddle::Semaphore;
///
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

/// A semaphore whose count cannot grow: a surplus release is an error and changes nothing.
///
/// [`acquire`](BoundedSemaphore::acquire) returns a [`Permit`], as with [`Semaphore`].
///
/// # Fairness
/// Waiters are served in FIFO order, as with [`Semaphore`].
///
/// # Memory ordering
/// A release happens before the return of the acquire that it enables.
///
/// # Examples
/// ```
/// use raddle::BoundedSemaphore;
///
/// let connections = BoundedSemaphore::new(3);
/// {
///     let _permit = connections.acquire();
///     assert_eq!(connections.available(), 2);
/// }
/// assert!(connections.release().is_err(), "no permit is out");
/// assert_eq!(connections.available(), 3);
/// ```
pub struct BoundedSemaphore {
    core: Core,
}

impl BoundedSemaphore {
    /// Creates a semaphore with `permits` free permits, which is also the bound.
    ///
    /// # Examples
    /// ```
    /// use raddle::BoundedSemaphore;
    ///
    /// static CONNECTIONS: BoundedSemaphore = BoundedSemaphore::new(3);
    /// assert_eq!(CONNECTIONS.available(), 3);
    /// ```
    pub const fn new(permits: usize) -> Self {
        Self { core: Core::new(permits, permits, true) }
    }

    /// Acquires a permit, blocking until one is available.
    ///
    /// # Examples
    /// ```
    /// use raddle::BoundedSemaphore;
    ///
    /// let connections = BoundedSemaphore::new(1);
    /// let permit = connections.acquire();
    /// assert!(connections.try_acquire().is_none());
    /// drop(permit);
    /// assert!(connections.try_acquire().is_some());
    /// ```
    #[inline]
    #[track_caller]
    pub fn acquire(&self) -> Permit<'_> {
        self.core.acquire(1)
    }

    /// Acquires a permit without blocking.
    ///
    /// Returns `None` if no permit is free or threads are queued for one.
    ///
    /// # Examples
    /// ```
    /// use raddle::BoundedSemaphore;
    ///
    /// let connections = BoundedSemaphore::new(1);
    /// let permit = connections.try_acquire();
    /// assert!(permit.is_some() && connections.try_acquire().is_none());
    /// ```
    #[inline]
    #[must_use = "the permit is released at once if it is not bound"]
    #[track_caller]
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        self.core.try_acquire(1)
    }

    /// Acquires a permit, blocking for at most `timeout`.
    ///
    /// Returns `None` if no permit became available in time.
    ///
    /// # Examples
    /// ```
    /// use raddle::BoundedSemaphore;
    /// use std::time::Duration;
    ///
    /// let connections = BoundedSemaphore::new(1);
    /// let _permit = connections.acquire();
    /// assert!(connections.acquire_timeout(Duration::from_millis(1)).is_none());
    /// ```
    #[must_use = "the permit is released at once if it is not bound"]
    #[track_caller]
    pub fn acquire_timeout(&self, timeout: Duration) -> Option<Permit<'_>> {
        self.core.acquire_until(1, rt::deadline(timeout))
    }

    /// Acquires a permit, blocking until `deadline` at most.
    ///
    /// Returns `None` if no permit became available in time.
    #[must_use = "the permit is released at once if it is not bound"]
    #[track_caller]
    pub fn acquire_deadline(&self, deadline: Instant) -> Option<Permit<'_>> {
        self.core.acquire_until(1, Some(deadline))
    }

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
        let bound = self.core.bound;
        if count > bound {
            return Err(PermitError::TooMany { requested: count, bound });
        }
        Ok(self.core.acquire(count))
    }

    /// Acquires `count` permits at once without blocking.
    ///
    /// Returns `None` if fewer are free or threads are queued for permits.
    ///
    /// # Examples
    /// ```
    /// use raddle::BoundedSemaphore;
    ///
    /// let connections = BoundedSemaphore::new(2);
    /// assert!(connections.try_acquire_many(3).is_none());
    /// assert!(connections.try_acquire_many(2).is_some());
    /// ```
    #[must_use = "the permits are released at once if they are not bound"]
    #[track_caller]
    pub fn try_acquire_many(&self, count: usize) -> Option<Permit<'_>> {
        self.core.try_acquire(count)
    }

    /// Acquires `count` permits at once, blocking for at most `timeout`.
    ///
    /// Returns `None` if fewer became available in time, and at once if `count` exceeds the bound.
    ///
    /// # Examples
    /// ```
    /// use raddle::BoundedSemaphore;
    /// use std::time::Duration;
    ///
    /// let connections = BoundedSemaphore::new(2);
    /// assert!(connections.acquire_many_timeout(3, Duration::MAX).is_none(), "it returns at once");
    /// ```
    #[must_use = "the permits are released at once if they are not bound"]
    #[track_caller]
    pub fn acquire_many_timeout(&self, count: usize, timeout: Duration) -> Option<Permit<'_>> {
        if count > self.core.bound { None } else { self.core.acquire_until(count, rt::deadline(timeout)) }
    }

    /// Acquires `count` permits at once, blocking until `deadline` at most.
    ///
    /// Returns `None` if fewer became available in time, and at once if `count` exceeds the bound.
    #[must_use = "the permits are released at once if they are not bound"]
    #[track_caller]
    pub fn acquire_many_deadline(&self, count: usize, deadline: Instant) -> Option<Permit<'_>> {
        if count > self.core.bound { None } else { self.core.acquire_until(count, Some(deadline)) }
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
        if self.core.release(count) { Ok(()) } else { Err(PermitError::Surplus { bound: self.core.bound }) }
    }

    /// Returns the number of free permits.
    ///
    /// # Examples
    /// ```
    /// use raddle::BoundedSemaphore;
    ///
    /// let connections = BoundedSemaphore::new(3);
    /// let _permit = connections.acquire();
    /// assert_eq!(connections.available(), 2);
    /// ```
    #[track_caller]
    pub fn available(&self) -> usize {
        self.core.available()
    }

    /// Returns the number of threads that are queued for permits.
    #[track_caller]
    pub fn n_waiting(&self) -> usize {
        self.core.n_waiting()
    }
}

/// One permit, as in Python.
///
/// # Examples
/// ```
/// use raddle::BoundedSemaphore;
///
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
            .field("bound", &self.core.bound)
            .finish_non_exhaustive()
    }
}

/// One or more permits of a semaphore, released when this is dropped, also on a panic.
///
/// A permit can be dropped by any thread.
///
/// # Examples
/// ```
/// use raddle::{Semaphore, Thread};
///
/// static SLOTS: Semaphore = Semaphore::new(1);
/// let permit = SLOTS.acquire();
/// let thread = Thread::spawn(move || drop(permit));
/// drop(SLOTS.acquire()); // returns once the other thread has dropped the permit
/// # thread.join()?;
/// # Ok::<(), raddle::thread::JoinError>(())
/// ```
#[must_use = "the permit is released at once if it is not bound"]
pub struct Permit<'a> {
    core: &'a Core,
    count: usize,
}

impl Permit<'_> {
    /// Returns the number of permits that this holds.
    ///
    /// # Examples
    /// ```
    /// use raddle::Semaphore;
    ///
    /// let semaphore = Semaphore::new(5);
    /// assert_eq!(semaphore.acquire_many(3).count(), 3);
    /// ```
    pub fn count(&self) -> usize {
        self.count
    }

    /// Drops the permit without releasing it.
    ///
    /// Use this to pair an acquire by hand with a later [`Semaphore::release`] or [`BoundedSemaphore::release`], or to lower
    /// the number of permits permanently.
    ///
    /// # Examples
    /// ```
    /// use raddle::Semaphore;
    ///
    /// let semaphore = Semaphore::new(1);
    /// semaphore.acquire().forget();
    /// assert_eq!(semaphore.available(), 0);
    /// semaphore.release();
    /// assert_eq!(semaphore.available(), 1);
    /// ```
    #[inline]
    pub fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.count > 0 {
            // Fails only if a surplus release has returned this permit already.
            let _ = self.core.release(self.count);
        }
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("count", &self.count).finish_non_exhaustive()
    }
}

/// The error of [`Semaphore::release_many`] when the number of permits is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoPermitsError;

impl fmt::Display for NoPermitsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot release 0 permits of a semaphore: release at least one")
    }
}

impl std::error::Error for NoPermitsError {}

/// An error of a [`BoundedSemaphore`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PermitError {
    /// A release of more permits than are acquired.
    Surplus {
        /// The number of permits that the semaphore has.
        bound: usize,
    },
    /// A release of 0 permits.
    NoPermits,
    /// A request that can never be granted.
    TooMany {
        /// The number of permits requested.
        requested: usize,
        /// The number of permits that the semaphore has.
        bound: usize,
    },
}

impl fmt::Display for PermitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PermitError::Surplus { bound } => {
                write!(f, "cannot release more permits than were acquired: the semaphore's bound is {bound}")
            }
            PermitError::NoPermits => NoPermitsError.fmt(f),
            PermitError::TooMany { requested, bound } => {
                write!(f, "cannot acquire {requested} permits: the semaphore's bound is {bound}")
            }
        }
    }
}

impl std::error::Error for PermitError {}

/// The implementation of both kinds of semaphore.
#[derive(Debug)]
struct Core {
    /// The number of free permits, or [`IN_STATE`].
    word: AtomicU32,
    /// Whether this is a [`BoundedSemaphore`]; for reports.
    bounded: bool,
    /// The greatest number of free permits.
    bound: usize,
    state: Guarded<State>,
}

/// The part of a semaphore that changes under its lock.
#[derive(Debug)]
struct State {
    /// The number of free permits while the word is [`IN_STATE`].
    free: usize,
    waiters: WaitQueue,
}

// No user code runs while the state is being changed.
impl UnwindSafe for Core {}
impl RefUnwindSafe for Core {}

/// The value of the word while the count is in the state: threads are queued, or the count does not fit into the word.
const IN_STATE: u32 = u32::MAX;
/// The outcome of a waiter that has its permits.
const GRANTED: u32 = 0;

/// The result of an attempt to change the count in the word.
enum Update {
    Done,
    /// The count does not allow the change.
    Refused,
    /// Another thread changed the word first.
    Contended,
    /// The count is in the state, or would no longer fit into the word.
    InState,
}

impl Core {
    #[expect(clippy::cast_possible_truncation, reason = "the value is compared before")]
    const fn new(free: usize, bound: usize, bounded: bool) -> Self {
        let word = if free < IN_STATE as usize { free as u32 } else { IN_STATE };
        let state = Guarded::new(State { free, waiters: WaitQueue::new() });
        Self { word: AtomicU32::new(word), bounded, bound, state }
    }

    /// Acquires `count` permits, blocking without limit.
    #[inline]
    #[track_caller]
    fn acquire(&self, count: usize) -> Permit<'_> {
        if !self.acquire_fast(count) {
            let acquired = self.acquire_slow(count, None);
            debug_assert!(acquired, "a wait without a deadline has timed out");
        }
        Permit { core: self, count }
    }

    /// Acquires `count` permits, blocking until `deadline`; `None`: without limit.
    #[track_caller]
    fn acquire_until(&self, count: usize, deadline: Option<Instant>) -> Option<Permit<'_>> {
        let acquired = self.acquire_fast(count) || self.acquire_slow(count, deadline);
        acquired.then(|| Permit { core: self, count })
    }

    /// Acquires `count` permits if they are free and no thread is queued.
    #[inline]
    #[track_caller]
    fn try_acquire(&self, count: usize) -> Option<Permit<'_>> {
        let acquired = self.acquire_fast(count) || self.try_acquire_slow(count);
        acquired.then(|| Permit { core: self, count })
    }

    /// Releases `count` permits. Returns false, and changes nothing, if there would be more than the bound.
    #[inline]
    #[track_caller]
    fn release(&self, count: usize) -> bool {
        self.release_fast(count) || self.release_slow(count)
    }

    /// Acquires `count` permits in one attempt while nothing observes the program.
    #[inline]
    fn acquire_fast(&self, count: usize) -> bool {
        rt::quiet() && matches!(self.try_update(|_| (), |free| free.checked_sub(count)), Update::Done)
    }

    /// Releases `count` permits in one attempt while nothing observes the program.
    #[inline]
    fn release_fast(&self, count: usize) -> bool {
        rt::quiet() && matches!(self.try_update(|_| (), |free| self.sum(free, count)), Update::Done)
    }

    #[cold]
    #[track_caller]
    fn try_acquire_slow(&self, count: usize) -> bool {
        let op = self.op(Kind::TryAcquire);
        rt::point(op);
        let acquired = match self.update(|free| free.checked_sub(count)) {
            Update::Done => true,
            Update::InState => {
                let mut state = self.lock();
                let acquired = state.try_acquire(count);
                self.return_count(&state);
                acquired
            }
            Update::Refused | Update::Contended => false,
        };
        rt::tried(op, acquired);
        acquired
    }

    #[cold]
    #[track_caller]
    fn acquire_slow(&self, count: usize, deadline: Option<Instant>) -> bool {
        let op = self.op(Kind::Acquire);
        // A waiter for one permit delays no other thread. Whether it enqueues before or after the release that serves it
        // makes no difference, so a scheduler may treat the wait as one step, enabled by the permit. A request for several
        // permits delays those behind it, so there the arrival is a step of its own.
        let announced = count <= 1 && !rt::enqueue_is_step();
        if announced {
            rt::point_until(op, deadline, &self.word, || self.would_grant(count));
        } else {
            rt::point(op);
        }
        report_count(&op, count);
        let acquire = || matches!(self.update(|free| free.checked_sub(count)), Update::Done);
        let mut spin = SpinBudget::new();
        acquire() || spin.until(acquire) || self.acquire_queued(spin, op, count, deadline, announced)
    }

    /// Enqueues the thread, unless permits have become free, and blocks.
    fn acquire_queued(
        &self,
        spin: SpinBudget,
        op: Op,
        count: usize,
        deadline: Option<Instant>,
        announced: bool,
    ) -> bool {
        let waiter = {
            let mut state = self.lock();
            if state.try_acquire(count) {
                self.return_count(&state);
                return true;
            }
            state.waiters.enqueue(count)
        };
        let outcome =
            if announced { waiter.park(spin, deadline) } else { waiter.wait_spinning(spin, op, deadline) };
        outcome.is_some() || self.cancel(&waiter)
    }

    /// Removes a waiter that timed out. Returns whether it had been granted its permits before.
    fn cancel(&self, waiter: &Arc<Waiter>) -> bool {
        let mut state = self.lock();
        let granted = !state.waiters.remove(waiter);
        // The waiter may have been the front one, requesting more than is free, with smaller requests behind it.
        self.serve(state);
        granted
    }

    #[cold]
    #[track_caller]
    fn release_slow(&self, count: usize) -> bool {
        let op = self.op(Kind::Release);
        rt::point(op);
        report_count(&op, count);
        match self.update(|free| self.sum(free, count)) {
            Update::Done => true,
            Update::InState => {
                let mut state = self.lock();
                let free = self.sum(state.free, count);
                state.free = free.unwrap_or(state.free);
                self.serve(state);
                free.is_some()
            }
            Update::Refused | Update::Contended => false,
        }
    }

    /// Returns the number of free permits after a release, unless it exceeds the bound.
    #[inline]
    fn sum(&self, free: usize, count: usize) -> Option<usize> {
        free.checked_add(count).filter(|free| *free <= self.bound)
    }

    /// Changes the count in the word, retrying while other threads change it. Never returns [`Update::Contended`].
    fn update(&self, change: impl Fn(usize) -> Option<usize>) -> Update {
        loop {
            match self.try_update(rt::atom, &change) {
                Update::Contended => {}
                update => return update,
            }
        }
    }

    /// Makes one attempt to change the count in the word, calling `observe` before each access.
    #[inline]
    fn try_update(&self, observe: impl Fn(&AtomicU32), change: impl Fn(usize) -> Option<usize>) -> Update {
        observe(&self.word);
        let seen = self.word.load(Relaxed);
        if seen == IN_STATE {
            return Update::InState;
        }
        let Some(free) = change(seen as usize) else { return Update::Refused };
        let Some(next) = fit(free) else { return Update::InState };
        observe(&self.word);
        match self.word.compare_exchange(seen, next, AcqRel, Relaxed) {
            Ok(_) => Update::Done,
            Err(_) => Update::Contended,
        }
    }

    /// Locks the state and moves the count into it.
    fn lock(&self) -> Guard<'_, State> {
        let mut state = self.state.lock();
        rt::atom(&self.word);
        match self.word.swap(IN_STATE, Acquire) {
            IN_STATE => {}
            free => state.free = free as usize,
        }
        state
    }

    /// Moves the count back into the word if no thread is queued. `Release`, as for a release of permits.
    fn return_count(&self, state: &State) {
        if state.waiters.is_empty()
            && let Some(free) = fit(state.free)
        {
            rt::atom(&self.word);
            self.word.store(free, Release);
        }
    }

    /// Grants permits to the waiters at the front for as long as they suffice, and wakes those waiters.
    fn serve(&self, mut state: Guard<'_, State>) {
        let granted = state.grant();
        self.return_count(&state);
        drop(state);
        for waiter in &granted {
            waiter.notify(GRANTED);
        }
    }

    /// Returns whether a request for `count` permits can be granted now.
    fn would_grant(&self, count: usize) -> bool {
        match self.word.load(Acquire) {
            IN_STATE => {
                let state = self.state.lock();
                state.waiters.is_empty() && self.count(&state) >= count
            }
            free => free as usize >= count,
        }
    }

    /// Returns the count from the word or from the state.
    fn count(&self, state: &State) -> usize {
        match self.word.load(Acquire) {
            IN_STATE => state.free,
            free => free as usize,
        }
    }

    #[track_caller]
    fn available(&self) -> usize {
        rt::point(self.op(Kind::Read));
        match self.word.load(Acquire) {
            IN_STATE => self.count(&self.state.lock()),
            free => free as usize,
        }
    }

    #[track_caller]
    fn n_waiting(&self) -> usize {
        rt::point(self.op(Kind::Read));
        rt::reads_waiters();
        self.state.lock().waiters.len()
    }

    #[track_caller]
    fn op(&self, kind: Kind) -> Op {
        Op::new(self, if self.bounded { "BoundedSemaphore" } else { "Semaphore" }, kind)
    }
}

impl State {
    fn try_acquire(&mut self, count: usize) -> bool {
        let acquired = self.waiters.is_empty() && self.free >= count;
        if acquired {
            self.free -= count;
        }
        acquired
    }

    /// Dequeues the waiters at the front whose requests can be granted.
    fn grant(&mut self) -> Vec<Arc<Waiter>> {
        let mut granted = Vec::new();
        while let Some(front) = self.waiters.front().filter(|front| front.request <= self.free) {
            self.free -= front.request;
            granted.extend(self.waiters.dequeue());
        }
        granted
    }
}

/// Converts a count into a value of the word, if it fits.
#[inline]
fn fit(free: usize) -> Option<u32> {
    u32::try_from(free).ok().filter(|free| *free != IN_STATE)
}

/// Reports the number of permits of a step, if it is not 1.
fn report_count(op: &Op, count: usize) {
    if count != 1 {
        rt::value(op, || format!("{count} permits"));
    }
}
