//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, value_parser};

use crate::explore::{Goal, Main, Program, Tool};

/// Measures raddle beside its peers: the toolkit without a command, the explorer with `explore`.
///
/// All contenders of a case are measured one after the other, in a new order in each round. What counts are the
/// ratios within one run.
#[derive(Debug, Parser)]
#[command(name = "raddle-bench", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Bench {
    #[command(flatten)]
    pub(crate) compare: CompareArgs,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// How the toolkit is compared.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct CompareArgs {
    /// Rounds, in each of which every contender has every case once
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Only cases whose name contains this, such as a group; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) case: Vec<String>,
    /// List the cases and their contenders, and measure nothing
    #[arg(long)]
    pub(crate) list: bool,
    /// Write JSON, with every sample, instead of tables
    #[arg(long)]
    pub(crate) json: bool,
    /// Draw the ratios of raddle to the best peer as a chart
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// One round of very little work: it shows that everything works, and nothing about speed
    #[arg(long)]
    pub(crate) short: bool,
    /// So many processes that only use the processors run beside: then, as on a single processor, the goal of all ratios
    /// is 1.5
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = value_parser!(u32).range(..=1024))]
    pub(crate) busy: u32,
    /// Compare with Python, too; this is so if there is a `python3`
    #[arg(long, overrides_with = "no_python")]
    pub(crate) python: bool,
    /// Do not compare with Python
    #[arg(long)]
    pub(crate) no_python: bool,
}

impl CompareArgs {
    /// The number of rounds; one if the run is short.
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
    /// Uses a processor until its standard input ends; what `--busy` starts.
    #[command(hide = true)]
    Burn,
}

/// What the toolkit costs: memory, growth with threads, items and timers, and the watch.
#[derive(Debug, Args)]
pub(crate) struct CostsArgs {
    /// Very little of everything: it shows that everything works, and nothing else
    #[arg(long)]
    pub(crate) short: bool,
    /// Measure some operations in this process and write what they take; what `costs` starts
    #[arg(long, hide = true)]
    pub(crate) operations: bool,
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
