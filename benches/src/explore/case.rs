//! Programs, goals and tools of the comparison.

use std::fmt;

use clap::ValueEnum;
use serde::Serialize;

/// A program with a bug that only some schedules expose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Program {
    /// Two threads load a cell, add one and store it; in the end it should be 2
    LostUpdate,
    /// Three philosophers acquire the left fork and then the right one
    Philosophers,
    /// A buffer for one item, a producer of two, two consumers of one, and one condition variable for both
    /// directions with `notify_one`, which may wake the wrong one
    Buffer,
}

/// The role of the main thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Main {
    /// It is one of the competing threads, and joins the others at the end
    TakesPart,
    /// It only spawns the competing threads, and joins them
    Joins,
}

/// The goal of an exploration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Goal {
    /// Find the bug
    FirstBug,
    /// Cover all schedules, continuing after failures
    Cover,
    /// Cover all schedules of the repaired program: with a mutex; with the last philosopher starting on the right;
    /// with `notify_all`
    CoverRepaired,
}

/// An explorer with its strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Tool {
    /// raddle: a portfolio of strategies to find, partial-order reduction to cover; without shrinking
    Raddle,
    /// raddle with shrinking: the report has the fewest preemptions and the deciding steps
    RaddleShrunk,
    /// raddle, only partial-order reduction
    RaddleDpor,
    /// shuttle, a random thread at each step
    ShuttleRandom,
    /// shuttle, PCT of depth 3
    ShuttlePct,
    /// shuttle, depth first
    ShuttleDfs,
    /// loom: partial-order reduction with weak memory
    Loom,
}

/// A line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Job {
    pub(crate) program: Program,
    pub(crate) main: Main,
    pub(crate) goal: Goal,
    pub(crate) tool: Tool,
}

impl Job {
    /// Returns whether the two differ only in the tool.
    pub(crate) fn is_same_case(self, other: Job) -> bool {
        Job { tool: self.tool, ..other } == self
    }
}

impl Tool {
    /// Returns whether the other lines of the case are compared with this one.
    pub(crate) fn is_reference(self) -> bool {
        self == Self::Raddle
    }

    /// Random strategies never know that all schedules are covered.
    pub(crate) fn is_for(self, goal: Goal) -> bool {
        match self {
            Self::RaddleShrunk | Self::RaddleDpor | Self::ShuttleRandom | Self::ShuttlePct => {
                goal == Goal::FirstBug
            }
            Self::Raddle | Self::ShuttleDfs | Self::Loom => true,
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::LostUpdate => "lost update",
            Self::Philosophers => "three philosophers",
            Self::Buffer => "bounded buffer",
        })
    }
}

impl fmt::Display for Main {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::TakesPart => "main takes part",
            Self::Joins => "main joins",
        })
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::FirstBug => "to the first bug",
            Self::Cover => "to cover every schedule",
            Self::CoverRepaired => "to cover every schedule of the repaired program",
        })
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Raddle => "raddle",
            Self::RaddleShrunk => "raddle, shrunk",
            Self::RaddleDpor => "raddle reduction",
            Self::ShuttleRandom => "shuttle random",
            Self::ShuttlePct => "shuttle PCT",
            Self::ShuttleDfs => "shuttle depth-first",
            Self::Loom => "loom",
        })
    }
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} where {}, {}, {}", self.program, self.main, self.goal, self.tool)
    }
}
