//! Semaphores: a number of permits that threads acquire and release.
//!
//! | semaphore | a release of more permits than were acquired |
//! |---|---|
//! | [`Semaphore`] | adds a permit |
//! | [`BoundedSemaphore`] | is an error, and changes nothing |
//!
//! Both are one type, [`BaseSemaphore`], with a limit. All their methods are on its page.
//!
//! # Examples
//! ```
//! use raddle::{BoundedSemaphore, thread};
//!
//! let connections = BoundedSemaphore::new(3);
//! thread::scope(|s| {
//!     for _ in 0..10 {
//!         s.spawn(|| {
//!             let _permit = connections.acquire();
//!             // ... at most three threads are here at the same time
//!         });
//!     }
//! });
//! assert_eq!(connections.available(), 3);
//! ```

mod base;
mod count;
mod error;
mod limit;
mod permit;

pub use base::BaseSemaphore;
pub use error::{NoPermitsError, PermitError};
pub use limit::{Bounded, Counting, Limit};
pub use permit::Permit;

/// A semaphore whose number of permits can grow: a release need not follow an acquire.
///
/// Its methods are those of [`BaseSemaphore`]. Where a release of a permit that was never acquired would be a mistake, as with
/// a pool of connections, use [`BoundedSemaphore`].
///
/// # Examples
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
pub type Semaphore = BaseSemaphore<Counting>;

/// A semaphore whose number of permits cannot grow: a surplus release is an error and changes nothing.
///
/// Its methods are those of [`BaseSemaphore`].
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
pub type BoundedSemaphore = BaseSemaphore<Bounded>;
