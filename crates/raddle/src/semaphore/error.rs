//! The errors of semaphores.

use std::fmt;

/// The error of [`Semaphore::release_many`](super::BaseSemaphore::release_many) when the number of permits is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoPermitsError;

impl fmt::Display for NoPermitsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot release 0 permits of a semaphore: release at least one")
    }
}

impl std::error::Error for NoPermitsError {}

/// An error of a [`BoundedSemaphore`](super::BoundedSemaphore).
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
