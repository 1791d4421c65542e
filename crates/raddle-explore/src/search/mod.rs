//! The search: the choice of schedules, and the use of each execution's trace for it.
//!
//! A strategy is a [`Policy`](crate::runtime::Policy), which chooses the task of each step. A [`Runner`](crate::runtime::Runner)
//! runs the program once under a policy and returns the [`Trace`](crate::runtime::Trace); [`Portfolio`] chooses the strategy of each execution;
//! [`Shrinker`] simplifies a failing schedule.
mod depth;
mod dpor;
mod happens_before;
mod pct;
mod portfolio;
mod pos;
mod random;
mod replay;
mod shrink;
mod surw;

pub(crate) use happens_before::Race;
pub(crate) use portfolio::Portfolio;
pub(crate) use replay::Replay;
pub(crate) use shrink::Shrinker;
