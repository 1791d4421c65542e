//! Which schedules are run.
mod clock;
mod dpor;
mod execution;
mod follow;
mod mix;
mod order;
mod pct;
mod pos;
mod surw;
mod walk;
pub(crate) use dpor::Dpor;
pub(crate) use execution::{Execution, Program};
pub(crate) use follow::Follow;
pub(crate) use mix::Mix;
pub(crate) use pct::Pct;
pub(crate) use pos::Pos;
pub(crate) use surw::Surw;
pub(crate) use walk::Walk;
