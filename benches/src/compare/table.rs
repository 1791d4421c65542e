//! Results as tables.

use std::io::{self, Write};

use super::case::{Goal, Kind, Unit};
use super::results::Results;
use crate::args::CompareArgs;
use crate::cases::PEERS;
use crate::format::{three_digits, time};
use crate::version::version;

/// Writes a table per case, and a summary.
pub(super) fn write(out: &mut impl Write, results: &[Results], args: &CompareArgs) -> io::Result<()> {
    for result in results {
        case(out, result)?;
    }
    summary(out, results)?;
    let versions: Vec<_> = PEERS.iter().map(|peer| format!("{peer} {}", version(peer))).collect();
    writeln!(
        out,
        "\n{} rounds; median (min–max); CPU: processor time of all threads an operation.",
        args.rounds()
    )?;
    if args.busy > 0 {
        writeln!(out, "Processes that only used the processors meanwhile: {}.", args.busy)?;
    }
    if args.short {
        writeln!(out, "A short run says nothing about speed.")?;
    }
    writeln!(out, "Peers: {}.", versions.join(", "))
}

fn case(out: &mut impl Write, result: &Results) -> io::Result<()> {
    writeln!(out, "\n{}: {}; {}", result.case.name, result.case.what, verdict(result))?;
    for (place, contender) in result.case.contenders.iter().enumerate() {
        let spread = result.spread(place);
        let [median, min, max] = [spread.median, spread.min, spread.max].map(|it| value(result, it));
        let cpu = time(result.cpu(place));
        let ratio = result.ratio_to_raddle(place).map_or("–".to_owned(), three_digits);
        let note = match contender.kind {
            Kind::Peer if result.best_peer() == Some(place) => "  best",
            Kind::Raddle | Kind::Peer => "",
            Kind::Spins => "  spins, not counted",
            Kind::Extra => "  not counted",
        };
        let values = format!("{median} ({min}–{max})");
        writeln!(out, "  {:30}  {values:>34}  CPU {cpu:>8}  {ratio:>6} × raddle{note}", contender.name)?;
    }
    Ok(())
}

/// Formats the ratio, the goal, and whether it is reached.
fn verdict(result: &Results) -> String {
    let verdict = match result.is_ok() {
        Some(true) => "ok",
        Some(false) => "missed",
        None => "",
    };
    let ratio = result.ratio().map_or("–".to_owned(), three_digits);
    match result.case.goal {
        Goal::Ratio(goal) => format!("raddle / best peer {ratio}, goal {goal}: {verdict}"),
        Goal::Most(most) => format!("goal at most {}: {verdict}", value(result, most)),
        Goal::Least(least) => format!("goal at least {}: {verdict}", value(result, least)),
    }
}

fn value(result: &Results, value: f64) -> String {
    match result.case.unit {
        Unit::Time => time(value),
        Unit::Share => format!("{value:.2}"),
        Unit::Count => format!("{value:.0}"),
    }
}

fn summary(out: &mut impl Write, results: &[Results]) -> io::Result<()> {
    writeln!(out, "\nSummary")?;
    for result in results {
        let own = result.raddle().map_or("–".to_owned(), |own| value(result, own));
        let best = result.best_peer().map_or("–".to_owned(), |place| {
            format!("{} {}", result.case.contenders[place].name, value(result, result.spread(place).median))
        });
        writeln!(out, "  {:28}  {own:>9}  {best:36}  {}", result.case.name, verdict(result))?;
    }
    let with_goal = results.iter().filter_map(Results::is_ok);
    let reached = with_goal.clone().filter(|is_ok| *is_ok).count();
    writeln!(out, "  {reached} of {} goals reached", with_goal.count())
}
