//! Which schedules are run.
mod clock;
mod dpor;
mod execution;
mod order;
pub(crate) use dpor::Dpor;
pub(crate) use execution::{Execution, Program};
