//! The command line.

use std::time::Duration;

use clap::{Args, Parser, Subcommand, value_parser};

use crate::explore::{Goal, Main, Program, Tool};

/// Measures raddle beside its peers.
#[derive(Debug, Parser)]
#[command(name = "raddle-bench", version)]
pub(crate) struct Bench {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Explore(ExploreArgs),
    #[command(hide = true)]
    Measure(MeasureArgs),
}

/// Compares the explorer with shuttle and loom: to the first bug, and to cover every schedule.
///
/// Each measurement is a process of its own, and the tools take turns, round by round.
#[derive(Debug, Args)]
pub(crate) struct ExploreArgs {
    /// Rounds, in each of which every tool has every case once
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Write JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    /// Only this program; may be repeated
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) program: Vec<Program>,
    /// Only with this part for the main thread; may be repeated
    #[arg(long, value_name = "PART")]
    pub(crate) main: Vec<Main>,
    /// Only this goal; may be repeated
    #[arg(long, value_name = "GOAL")]
    pub(crate) goal: Vec<Goal>,
    /// Only this tool; may be repeated
    #[arg(long, value_name = "TOOL")]
    pub(crate) tool: Vec<Tool>,
    #[command(flatten)]
    pub(crate) limits: Limits,
}

/// When to give up.
#[derive(Clone, Debug, Args)]
pub(crate) struct Limits {
    /// Searches for a first bug in a round, each with a seed of its own
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = value_parser!(u64).range(1..))]
    pub(crate) seeds: u64,
    /// Executions after which a search with a seed is given up
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = value_parser!(u32).range(1..))]
    pub(crate) cap: u32,
    /// Seconds after which a measurement is stopped
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = value_parser!(u64).range(1..))]
    pub(crate) limit: u64,
}

impl Limits {
    /// How long a measurement may take.
    pub(crate) fn time(&self) -> Duration {
        Duration::from_secs(self.limit)
    }
}

/// Takes one measurement and writes it as JSON; this is what `explore` starts.
#[derive(Debug, Args)]
pub(crate) struct MeasureArgs {
    #[arg(long)]
    pub(crate) program: Program,
    #[arg(long)]
    pub(crate) main: Main,
    #[arg(long)]
    pub(crate) goal: Goal,
    #[arg(long)]
    pub(crate) tool: Tool,
    #[command(flatten)]
    pub(crate) limits: Limits,
}
