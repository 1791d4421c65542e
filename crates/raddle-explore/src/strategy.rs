//! Which schedules are run.

use std::fmt;

/// Which schedules are run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Strategy {
    /// First one execution in which all threads take their steps in turn. Then partial-order reduction until every
    /// class of schedules was seen, and between its executions [`Surw`], [`Pos`], [`Random`] and [`Pct`] in turn: half
    /// and half. While what is left to reduction looks far larger than [`Explorer::max_executions`] allows, it gets one
    /// execution in eight, and [`Surw`] every other one.
    ///
    /// [`Explorer::max_executions`]: crate::Explorer::max_executions
    /// [`Surw`]: Strategy::Surw
    /// [`Pos`]: Strategy::Pos
    /// [`Pct`]: Strategy::Pct
    /// [`Random`]: Strategy::Random
    #[default]
    Portfolio,
    /// Dynamic partial-order reduction: of all schedules that differ only in the order of steps which do not touch
    /// the same objects, one is run. Source sets and sleep sets, after Abdulla, Aronis, Jonsson and Sagonas (2014).
    Dpor,
    /// Selectively uniform random walk, after Zhao, Wolff, Mathur and Roychoudhury (2025). Where several threads run the
    /// same lines, every other execution treats them as one when it chooses the next thread.
    Surw,
    /// Partial order sampling, after Yuan, Yang and Gu (2018).
    Pos,
    /// Probabilistic concurrency testing for bugs of depth three, after Burckhardt, Kothari, Musuvathi and
    /// Nagarakatte (2010).
    Pct,
    /// A random walk: whoever can go on is as likely as any other.
    Random,
    /// Plain depth-first search through all schedules, or through those with few preemptions: see
    /// [`Explorer::preemption_bound`](crate::Explorer::preemption_bound).
    Depth,
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Strategy::Portfolio => "a portfolio of strategies",
            Strategy::Dpor => "partial-order reduction",
            Strategy::Surw => "selectively uniform random walk",
            Strategy::Pos => "partial order sampling",
            Strategy::Pct => "probabilistic concurrency testing",
            Strategy::Random => "random walk",
            Strategy::Depth => "depth-first search",
        })
    }
}
