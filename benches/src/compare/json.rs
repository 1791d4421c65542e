//! Results as JSON.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::results::Results;
use crate::args::CompareArgs;
use crate::cases::PEERS;
use crate::version::version;

/// Writes all results with their samples.
pub(super) fn write(out: &mut impl Write, results: &[Results], args: &CompareArgs) -> io::Result<()> {
    let versions: Map<String, Value> =
        PEERS.iter().map(|peer| ((*peer).to_owned(), Value::from(version(peer)))).collect();
    let value = json!({
        "rounds": args.rounds(),
        "short": args.short,
        "busy": args.busy,
        "versions": versions,
        "cases": results.iter().map(case).collect::<Vec<_>>(),
    });
    writeln!(out, "{value:#}")
}

fn case(result: &Results) -> Value {
    let contenders = 0..result.case.contenders.len();
    json!({
        "name": result.case.name,
        "what": result.case.what,
        "unit": result.case.unit,
        "goal": result.case.goal,
        "ok": result.is_ok(),
        "ratio": result.ratio(),
        "best": result.best_peer().map(|place| result.case.contenders[place].name.as_str()),
        "contenders": contenders.map(|place| contender(result, place)).collect::<Vec<_>>(),
    })
}

fn contender(result: &Results, place: usize) -> Value {
    let contender = &result.case.contenders[place];
    let spread = result.spread(place);
    json!({
        "name": contender.name,
        "kind": contender.kind,
        "median": spread.median,
        "min": spread.min,
        "max": spread.max,
        "cpu": result.cpu(place),
        "ratio_to_raddle": result.ratio_to_raddle(place),
        "samples": result.samples[place],
    })
}
