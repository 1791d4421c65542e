//! A guard that releases permits.

use std::fmt;

use super::count::PermitCount;

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
    permits: &'a PermitCount,
    count: usize,
}

impl<'a> Permit<'a> {
    /// Returns a guard for `count` acquired permits.
    #[inline]
    pub(super) fn new(permits: &'a PermitCount, count: usize) -> Self {
        Self { permits, count }
    }

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
    /// Use this to pair an acquire by hand with a later [`release`](super::BaseSemaphore::release), or to lower the number of
    /// permits permanently.
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
            let _ = self.permits.release(self.count);
        }
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("count", &self.count).finish_non_exhaustive()
    }
}
