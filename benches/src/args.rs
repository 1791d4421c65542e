//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, value_parser};

use crate::explore::{Goal, Main, Program, Tool};

/// Compares raddle with other libraries: the toolkit by default, the explorer with `explore`.
///
/// All contenders of a case are measured one after the other, in a new order in each round. Compare ratios within
/// one run, not times of different runs.
#[derive(Debug, Parser)]
#[command(name = "raddle-bench", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Bench {
    #[command(flatten)]
    pub(crate) compare: CompareArgs,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Options of the comparison of the toolkit.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct CompareArgs {
    /// Number of rounds; each measures every contender of every case once
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Only cases whose name contains NAME; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) case: Vec<String>,
    /// List the cases and their contenders without measuring
    #[arg(long)]
    pub(crate) list: bool,
    /// Write JSON with all samples instead of tables
    #[arg(long)]
    pub(crate) json: bool,
    /// Write a chart of the ratios of raddle to the best peer
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// One short round that tests the benchmark itself; its times mean nothing
    #[arg(long)]
    pub(crate) short: bool,
    /// Run N busy processes beside the benchmark; as on a single processor, the goal of all ratios is then 1.5
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = value_parser!(u32).range(..=1024))]
    pub(crate) busy: u32,
    /// Compare with Python; the default if there is a `python3`
    #[arg(long, overrides_with = "no_python")]
    pub(crate) python: bool,
    /// Do not compare with Python
    #[arg(long)]
    pub(crate) no_python: bool,
}

impl CompareArgs {
    /// Returns the number of rounds; one in a short run.
    pub(crate) fn rounds(&self) -> u32 {
        if self.short { 1 } else { self.rounds }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Explore(ExploreArgs),
    Costs(CostsArgs),
    #[command(hide = true)]
    Measure(MeasureArgs),
    /// Uses a processor until its standard input is closed; started by `--busy`.
    #[command(hide = true)]
    Burn,
}

/// Measures other costs of the toolkit: memory, growth with threads, items and timers, and the watch.
#[derive(Debug, Args)]
pub(crate) struct CostsArgs {
    /// A short run that tests the benchmark itself; its values mean nothing
    #[arg(long)]
    pub(crate) short: bool,
    /// Measure some operations in this process; started by `costs`
    #[arg(long, hide = true)]
    pub(crate) operations: bool,
}

/// Compares the explorer with shuttle and loom: to find the first bug, and to cover all schedules.
///
/// Each measurement runs in a process of its own. The tools alternate in each round.
#[derive(Debug, Args)]
pub(crate) struct ExploreArgs {
    /// Number of rounds; each runs every tool on every case once
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Write JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    /// Only this program; may be repeated
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) program: Vec<Program>,
    /// Only with this role of the main thread; may be repeated
    #[arg(long, value_name = "ROLE")]
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

/// Limits of a measurement.
#[derive(Clone, Debug, Args)]
pub(crate) struct Limits {
    /// Number of searches for the first bug per round, each with its own seed
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = value_parser!(u64).range(1..))]
    pub(crate) seeds: u64,
    /// Maximum number of executions per search
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = value_parser!(u32).range(1..))]
    pub(crate) cap: u32,
    /// Timeout of a measurement in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = value_parser!(u64).range(1..))]
    pub(crate) limit: u64,
}

impl Limits {
    /// Returns the timeout of a measurement.
    pub(crate) fn time(&self) -> Duration {
        Duration::from_secs(self.limit)
    }
}

/// Performs one measurement and writes it as JSON; started by `explore`.
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
