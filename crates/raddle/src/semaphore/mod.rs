//! Semaphores: a number of permits, taken and given back.

mod bounded;
mod permit;
mod permits;
mod unbounded;

pub use bounded::{BoundedSemaphore, PermitError};
pub use permit::Permit;
pub use unbounded::{NoPermitsError, Semaphore};
