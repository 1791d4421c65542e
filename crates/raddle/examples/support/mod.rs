//! The log of the examples, as the tutorial's programs print it: `HH:MM:SS: message` on standard error.

use std::io::Write as _;

/// Writes the log from here on; `RUST_LOG=debug` shows the DEBUG lines too.
pub(crate) fn log_to_stderr() {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info"))
        .format(|line, record| {
            writeln!(line, "{}: {}", chrono::Local::now().format("%H:%M:%S"), record.args())
        })
        .init();
}
