//! Output of the program: results on standard output, errors and warnings on standard error.

use std::io::Write as _;

/// Writes a line to standard output. A closed pipe is ignored: the command continues.
pub(crate) fn print_line(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Writes an error as one line to standard error.
pub(crate) fn report_error(message: &str) {
    let _ = writeln!(std::io::stderr().lock(), "raddle: {message}");
}

/// Sends log records to standard error, one line each. `RUST_LOG=debug` shows more.
pub(crate) fn log_to_standard_error() {
    env_logger::Builder::new()
        .filter_level(log::LevelFilter::Info)
        .parse_default_env()
        .format(|out, record| writeln!(out, "raddle: {}", record.args()))
        .init();
}
