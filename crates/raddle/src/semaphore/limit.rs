//! Whether the number of permits of a semaphore can grow.

/// Whether the number of permits of a [`BaseSemaphore`](super::BaseSemaphore) can grow: [`Counting`] or [`Bounded`].
///
/// This trait is sealed: there are no other limits.
///
/// # Examples
/// A function that works with both kinds of semaphore:
///
/// ```
/// use raddle::semaphore::{BaseSemaphore, Limit};
/// use raddle::{BoundedSemaphore, Semaphore};
///
/// fn is_idle<L: Limit>(semaphore: &BaseSemaphore<L>, permits: usize) -> bool {
///     semaphore.available() == permits
/// }
///
/// assert!(is_idle(&Semaphore::new(2), 2) && is_idle(&BoundedSemaphore::new(3), 3));
/// ```
pub trait Limit: sealed::Sealed {
    /// Whether the initial number of permits is also the greatest.
    #[doc(hidden)]
    const BOUNDED: bool;
}

/// The number of permits can grow: the limit of [`Semaphore`](crate::Semaphore).
///
/// # Examples
/// ```
/// use raddle::semaphore::{BaseSemaphore, Counting};
///
/// let semaphore = BaseSemaphore::<Counting>::new(0);
/// semaphore.release();
/// assert_eq!(semaphore.available(), 1);
/// ```
#[derive(Debug)]
pub enum Counting {}

/// The number of permits cannot grow: the limit of [`BoundedSemaphore`](crate::BoundedSemaphore).
///
/// # Examples
/// ```
/// use raddle::semaphore::{BaseSemaphore, Bounded};
///
/// assert!(BaseSemaphore::<Bounded>::new(1).release().is_err());
/// ```
#[derive(Debug)]
pub enum Bounded {}

impl Limit for Counting {
    const BOUNDED: bool = false;
}

impl Limit for Bounded {
    const BOUNDED: bool = true;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Counting {}
    impl Sealed for super::Bounded {}
}
