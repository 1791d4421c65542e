//! Output of the program: results on standard output; errors, warnings and the live line on standard error.

use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use log::kv::{self, VisitSource};
use serde_json::{Map, Value};

/// Output is a JSON object a line.
static JSON: AtomicBool = AtomicBool::new(false);

/// The line at the bottom of the terminal, under the log.
static LIVE: OnceLock<ProgressBar> = OnceLock::new();

/// Writes a line to standard output. A closed pipe is ignored: the command continues.
pub(crate) fn print_line(line: &str) {
    suspended(|| {
        let mut out = io::stdout().lock();
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    });
}

/// Writes a line about the state of the program to standard output: the text or, if so set, an object with the text and the fields.
pub(crate) fn announce(text: &str, fields: Map<String, Value>) {
    if JSON.load(Ordering::Relaxed) {
        print_line(&object("info", text, fields));
    } else {
        print_line(text);
    }
}

/// Writes an error as one line to standard error.
pub(crate) fn report_error(message: &str) {
    let line = if JSON.load(Ordering::Relaxed) {
        object("error", message, Map::new())
    } else {
        format!("raddle: {message}")
    };
    suspended(|| {
        let _ = writeln!(io::stderr().lock(), "{line}");
    });
}

/// Sends log records to standard error, one line each. The variable `RUST_LOG`, if it is set, selects the logged
/// records.
pub(crate) fn log_to_standard_error() {
    env_logger::Builder::new()
        .filter_level(log::LevelFilter::Trace)
        .parse_default_env()
        .target(env_logger::Target::Pipe(Box::new(AboveLive)))
        .format(|out, record| {
            if !JSON.load(Ordering::Relaxed) {
                return writeln!(out, "raddle: {}", record.args());
            }
            let mut fields = Fields(Map::new());
            let _ = record.key_values().visit(&mut fields);
            let level = record.level().as_str().to_lowercase();
            writeln!(out, "{}", object(&level, &record.args().to_string(), fields.0))
        })
        .init();
    set_log(false, log::LevelFilter::Info);
}

/// Sets the form of the output and the logged records.
pub(crate) fn set_log(json: bool, level: log::LevelFilter) {
    JSON.store(json, Ordering::Relaxed);
    if std::env::var_os("RUST_LOG").is_none() {
        log::set_max_level(level);
    }
}

/// Returns an object on one line, with the time.
fn object(level: &str, message: &str, fields: Map<String, Value>) -> String {
    let time = jiff::Timestamp::now();
    let mut object = Map::new();
    object.insert("time".to_owned(), format!("{time:.6}").into());
    object.insert("level".to_owned(), level.into());
    object.insert("message".to_owned(), message.into());
    object.extend(fields);
    Value::Object(object).to_string()
}

/// The fields of a log record as JSON.
struct Fields(Map<String, Value>);

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: kv::Key<'kvs>, value: kv::Value<'kvs>) -> Result<(), kv::Error> {
        let value = value.to_u64().map_or_else(|| value.to_string().into(), Value::from);
        self.0.insert(key.to_string(), value);
        Ok(())
    }
}

/// Shows a line at the bottom of the terminal from now on; an empty one is hidden.
pub(crate) fn show_live(line: String) {
    let bar = LIVE.get_or_init(|| {
        let style =
            ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style)
    });
    bar.set_message(line);
    bar.tick();
}

/// Removes the line at the bottom of the terminal.
pub(crate) fn hide_live() {
    if let Some(bar) = LIVE.get() {
        bar.finish_and_clear();
    }
}

/// Runs `write` while the live line is hidden.
fn suspended(write: impl FnOnce()) {
    match LIVE.get() {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Standard error above the live line. A write is a whole record.
struct AboveLive;

impl Write for AboveLive {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        suspended(|| {
            let _ = io::stderr().lock().write_all(bytes);
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
