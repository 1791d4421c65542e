//! Results as a table and as JSON.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::case::{Goal, Job, Main};
use super::sample::Sample;
use crate::args::ExploreArgs;
use crate::version::version;

/// Notes below the table.
const NOTES: &str = "\
Main takes part: the main thread is one of the two or three threads. Main joins: it only spawns and joins them; the peers
also cover the orders of the joins. Each measurement runs in its own process, after one warm-up exploration.
Ratio: the time as a multiple of that of raddle. Failing: the number of failing executions.
First bug: executions and time are the mean of all searches, one per seed.
Every schedule, shuttle: the panic of a failing execution is caught, and a new runner continues with the same scheduler.
Every schedule, loom: loom cannot continue after a panic. The program detects its failure itself, counts it, calls
skip_branch and terminates; this may cost loom a few more executions. loom also covers weak memory.
Waiters: shuttle's notify_one wakes any waiter, the others wake the one that has waited longest.
";

/// A line of the table.
pub(crate) struct Row {
    pub(crate) job: Job,
    samples: Vec<Sample>,
    trouble: Option<String>,
}

impl Row {
    pub(crate) fn new(job: Job) -> Self {
        Self { job, samples: Vec::new(), trouble: None }
    }

    pub(crate) fn add(&mut self, sample: Result<Sample, String>) {
        match sample {
            Ok(sample) => self.samples.push(sample),
            Err(trouble) => self.trouble = Some(trouble),
        }
    }

    /// Returns whether a round was incomplete. Then the time is unknown, and further rounds are skipped.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop().is_some()
    }

    /// Returns the reason why the time is unknown.
    fn stop(&self) -> Option<String> {
        let unfinished = || self.samples.iter().find(|sample| !sample.complete);
        self.trouble.clone().or_else(|| unfinished().map(|sample| stopped(self.job.goal, sample)))
    }

    fn times(&self) -> Option<Times> {
        if self.is_stopped() { None } else { Times::of(&self.samples) }
    }

    /// Returns the executions per exploration.
    fn executions(&self) -> Option<f64> {
        let last = self.samples.last().filter(|_| !self.is_stopped())?;
        #[expect(clippy::cast_precision_loss, reason = "far from 2^52")]
        Some(last.executions as f64 / last.tries as f64)
    }
}

fn stopped(goal: Goal, sample: &Sample) -> String {
    let (executions, seconds) = (grouped(sample.executions), sample.seconds);
    match goal {
        Goal::FirstBug => format!(
            "found by {} of {} searches; stopped after {executions} executions, {seconds:.1} s",
            sample.failures, sample.tries
        ),
        _ => format!("not covered; stopped after {executions} executions, {seconds:.1} s"),
    }
}

/// Returns the seconds per exploration.
struct Times {
    median: f64,
    min: f64,
    max: f64,
}

impl Times {
    fn of(samples: &[Sample]) -> Option<Self> {
        #[expect(clippy::cast_precision_loss, reason = "far from 2^52")]
        let mut times: Vec<f64> = samples.iter().map(|sample| sample.seconds / sample.tries as f64).collect();
        times.sort_by(f64::total_cmp);
        let (min, max) = (*times.first()?, *times.last()?);
        let middle = times.len() / 2;
        let median = if times.len() % 2 == 1 {
            times[middle]
        } else {
            f64::midpoint(times[middle - 1], times[middle])
        };
        Some(Self { median, min, max })
    }
}

/// Returns the time as a multiple of the reference in the same case.
fn ratio(row: &Row, rows: &[Row]) -> Option<f64> {
    let reference = rows.iter().find(|it| it.job.tool.is_reference() && it.job.is_same_case(row.job))?;
    Some(row.times()?.median / reference.times()?.median)
}

pub(crate) fn table(out: &mut impl Write, rows: &[Row], args: &ExploreArgs) -> io::Result<()> {
    let mut last = None;
    for row in rows {
        let part = (row.job.goal, row.job.main);
        if last.replace(part) != Some(part) {
            heading(out, part)?;
        }
        line(out, row, rows)?;
    }
    let (rounds, seeds, cap, limit) = (args.rounds, args.limits.seeds, args.limits.cap, args.limits.limit);
    let (shuttle, loom) = (version("shuttle"), version("loom"));
    writeln!(out, "\nshuttle {shuttle}, loom {loom}; {rounds} rounds; median (min–max) of the rounds.")?;
    writeln!(out, "Limits: {seeds} seeds, {cap} executions a search with a seed, {limit} s a measurement.")?;
    write!(out, "{NOTES}")
}

fn heading(out: &mut impl Write, (goal, main): (Goal, Main)) -> io::Result<()> {
    let titles = ["tool", "executions", "failing", "wall time", "ratio"];
    let [tool, executions, failing, time, ratio] = titles;
    writeln!(out, "\n{goal}; {main}")?;
    writeln!(out, "{:18}  {tool:19}  {executions:>11}  {failing:>7}  {time:>32}  {ratio:>7}", "case")
}

fn line(out: &mut impl Write, row: &Row, rows: &[Row]) -> io::Result<()> {
    write!(out, "{:18}  {:19}  ", row.job.program, row.job.tool)?;
    let (Some(executions), Some(times), Some(last)) = (row.executions(), row.times(), row.samples.last())
    else {
        return writeln!(out, "{}", row.stop().unwrap_or_default());
    };
    let executions = match row.job.goal {
        Goal::FirstBug if executions < 1000.0 => format!("{executions:.1}"),
        _ => grouped(last.executions / last.tries),
    };
    let failing = if row.job.goal == Goal::FirstBug { String::new() } else { grouped(last.failures) };
    let time = format!("{} ({}–{})", time(times.median), time(times.min), time(times.max));
    let ratio = ratio(row, rows).map_or("–".to_owned(), |ratio| format!("{ratio:.2}"));
    let classes = last.classes.map_or(String::new(), |classes| format!("  {} classes", grouped(classes)));
    writeln!(out, "{executions:>11}  {failing:>7}  {time:>32}  {ratio:>7}{classes}")
}

pub(crate) fn json(out: &mut impl Write, rows: &[Row], args: &ExploreArgs) -> io::Result<()> {
    let limits = &args.limits;
    let value = json!({
        "rounds": args.rounds,
        "limits": { "seeds": limits.seeds, "cap": limits.cap, "seconds": limits.limit },
        "versions": { "shuttle": version("shuttle"), "loom": version("loom") },
        "notes": NOTES,
        "rows": rows.iter().map(|row| row_as_json(row, rows)).collect::<Vec<_>>(),
    });
    writeln!(out, "{value:#}")
}

fn row_as_json(row: &Row, rows: &[Row]) -> Value {
    let times = row.times();
    json!({
        "program": row.job.program,
        "main": row.job.main,
        "goal": row.job.goal,
        "tool": row.job.tool,
        "executions": row.executions(),
        "seconds": times.map(|it| json!({ "median": it.median, "min": it.min, "max": it.max })),
        "ratio": ratio(row, rows),
        "stopped": row.stop(),
        "samples": row.samples,
    })
}

fn time(seconds: f64) -> String {
    match seconds {
        s if s < 1e-3 => format!("{:.1} µs", s * 1e6),
        s if s < 1.0 => format!("{:.2} ms", s * 1e3),
        s => format!("{s:.2} s"),
    }
}

/// Formats a number with thousands separators.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).unwrap_or_default())
        .collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_commas() {
        let numbers = [0, 999, 1000, 34_643, 1_000_000].map(grouped);
        assert_eq!(numbers, ["0", "999", "1,000", "34,643", "1,000,000"]);
    }

    #[test]
    fn times_are_per_exploration() {
        let sample = |tries, seconds| Sample { tries, seconds, ..Sample::default() };
        let times = Times::of(&[sample(2, 6.0), sample(1, 1.0), sample(4, 8.0)]).unwrap();
        assert_eq!([times.min, times.median, times.max].map(time), ["1.00 s", "2.00 s", "3.00 s"]);
        let times = Times::of(&[sample(1, 1.0), sample(1, 2.0)]).unwrap();
        assert_eq!(time(times.median), "1.50 s");
    }
}
