//! The file of accepted counts: one name and count per line.

use std::collections::BTreeMap;
use std::fs;

pub(crate) const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/counts.txt");

pub(crate) type Counts = BTreeMap<String, f64>;

pub(crate) fn read() -> Result<Counts, String> {
    let text = fs::read_to_string(PATH).map_err(|error| format!("{PATH}: {error}"))?;
    let parse = |line: &str| {
        let (name, count) = line.rsplit_once(' ')?;
        Some((name.trim().to_owned(), count.parse().ok()?))
    };
    text.lines()
        .map(|line| parse(line).ok_or_else(|| format!("{PATH}: {line:?} is not a name with a number")))
        .collect()
}

pub(crate) fn write(counts: &Counts) -> Result<(), String> {
    let lines: Vec<_> = counts.iter().map(|(name, count)| format!("{name} {count:.1}")).collect();
    fs::write(PATH, lines.join("\n") + "\n").map_err(|error| format!("{PATH}: {error}"))
}
