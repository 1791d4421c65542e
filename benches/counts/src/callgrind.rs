//! Asks callgrind.

use std::process::Command;

/// A run is so long; a second one twice as long, so that what happens once can be taken away.
const TIMES: u64 = 2_000;

/// Instructions an operation.
pub(crate) fn count(name: &str) -> Result<f64, String> {
    let (once, twice) = (instructions(name, TIMES)?, instructions(name, 2 * TIMES)?);
    #[expect(clippy::cast_precision_loss, reason = "these are small numbers")]
    Ok(twice.saturating_sub(once) as f64 / TIMES as f64)
}

/// All instructions of a process that does the operation so often.
fn instructions(name: &str, times: u64) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
    let output = valgrind
        .args(["run", name, &times.to_string()])
        .env("RADDLE_WATCH", "0")
        .output()
        .map_err(|error| format!("valgrind could not be started: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let collected = text.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    collected.filter(|_| output.status.success()).ok_or_else(|| format!("valgrind failed:\n{text}"))
}
