//! What the program says: on standard output what it was asked for, on standard error what went wrong.

use std::io::Write as _;

/// Writes a line to standard output. If nobody reads it any more, that is no reason to end.
pub(crate) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Writes the one line that says what is wrong.
pub(crate) fn complain(what: &str) {
    let _ = writeln!(std::io::stderr().lock(), "raddle: {what}");
}

/// What the libraries report goes to standard error, a line each; `RUST_LOG=debug` shows more.
pub(crate) fn log_to_standard_error() {
    env_logger::Builder::new()
        .filter_level(log::LevelFilter::Info)
        .parse_default_env()
        .format(|out, record| writeln!(out, "raddle: {}", record.args()))
        .init();
}
