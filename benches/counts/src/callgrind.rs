//! Runs callgrind.

use std::process::Command;

/// The length of a run. A second run is twice as long; the difference excludes one-time costs.
const TIMES: u64 = 2_000;

/// Returns the instructions per operation.
pub(crate) fn count(name: &str) -> Result<f64, String> {
    let (once, twice) = (instructions(name, TIMES)?, instructions(name, 2 * TIMES)?);
    #[expect(clippy::cast_precision_loss, reason = "these are small numbers")]
    Ok(twice.saturating_sub(once) as f64 / TIMES as f64)
}

/// Returns the instructions of a process that repeats the operation `times` times.
fn instructions(name: &str, times: u64) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
    let output = valgrind
        .args(["run", name, &times.to_string()])
        .env("RADDLE_WATCH", "0")
        .output()
        .map_err(|error| format!("cannot start valgrind: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let collected = text.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    collected.filter(|_| output.status.success()).ok_or_else(|| format!("valgrind failed:\n{text}"))
}
