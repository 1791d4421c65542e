//! What is measured.

use std::fmt;

use clap::ValueEnum;
use serde::Serialize;

/// A program with a bug that only some schedules show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Program {
    /// Two threads load a cell, add one and store it; in the end it should be 2
    LostUpdate,
    /// Three philosophers take the left fork and then the right one
    Philosophers,
    /// A buffer for one item, a producer of two, two consumers of one, and one condition variable for both
    /// directions with `notify_one`, which may wake the wrong one
    Buffer,
}

/// What the program's main thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Main {
    /// It is one of the threads that take part, and then joins the others
    TakesPart,
    /// It starts all threads that take part, and joins them
    Joins,
}

/// What an explorer is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Goal {
    /// To find the bug
    FirstBug,
    /// To cover every schedule, going on past those that fail
    Cover,
    /// To cover every schedule of the program without its bug: under a mutex; the last philosopher takes the right
    /// fork first; `notify_all`
    CoverRepaired,
}

/// An explorer, and how it chooses schedules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Tool {
    /// raddle: a mix of strategies to find, partial-order reduction to cover; the failure is reported as it was found
    Raddle,
    /// raddle, and the failure is reported with the fewest preemptions and the pair of steps that decides
    RaddleShrunk,
    /// raddle, partial-order reduction alone
    RaddleDpor,
    /// shuttle, a random thread at each step
    ShuttleRandom,
    /// shuttle, random priorities that change at two steps (PCT of depth 3)
    ShuttlePct,
    /// shuttle, depth first
    ShuttleDfs,
    /// loom, its only way: partial-order reduction and what a weak memory may show
    Loom,
}

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Job {
    pub(crate) program: Program,
    pub(crate) main: Main,
    pub(crate) goal: Goal,
    pub(crate) tool: Tool,
}

impl Job {
    /// Whether the two differ in nothing but the tool.
    pub(crate) fn is_same_case(self, other: Job) -> bool {
        Job { tool: self.tool, ..other } == self
    }
}

impl Tool {
    /// The line that the others of its case are compared with.
    pub(crate) fn is_reference(self) -> bool {
        self == Self::Raddle
    }

    /// Only what can tell that nothing is left covers every schedule.
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
