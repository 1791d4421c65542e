//! The content of a report, in any of its formats.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::story::Story;
use super::token::{LONGEST_SHOWN, Token, hash};
use crate::options::Strategy;
use crate::runtime::Trace;
use crate::search::Race;

/// How a failure was found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    /// The number of the execution, counted from one; `None` for a schedule that was replayed or not searched for.
    pub(crate) execution: Option<u64>,
    pub(crate) replayed: bool,
    pub(crate) classes: u64,
    pub(crate) strategy: Strategy,
    pub(crate) preemptions: usize,
    pub(crate) shrunk_from: usize,
}

/// The content of a report.
pub(super) struct Content {
    pub(super) trace: Trace,
    pub(super) found: Found,
    /// The two steps whose order decides.
    pub(super) pair: Option<Race>,
    pub(super) token: Token,
    pub(super) program: Option<String>,
    /// Shown before everything else.
    pub(super) warning: Option<String>,
    /// Shown after the steps.
    pub(super) note: Option<String>,
    /// The file with the token, if the token is too long to be shown.
    pub(super) token_file: Option<io::Result<PathBuf>>,
    /// The file with the HTML page, if it was written.
    pub(super) page: Option<io::Result<PathBuf>>,
}

impl Content {
    pub(super) fn story(&self) -> Story<'_> {
        Story::new(&self.trace, self.pair)
    }

    /// Writes the token into a file of its own.
    pub(super) fn write_token(&self, token: &str, directory: &Path) -> io::Result<PathBuf> {
        let file = directory.join(format!("raddle-{}-{:08x}.token", self.file_name(), hash(token.bytes())));
        std::fs::create_dir_all(directory)?;
        std::fs::write(&file, token)?;
        Ok(file)
    }

    /// Whether the token is too long for a line of text.
    pub(super) fn needs_token_file(token: &str) -> bool {
        token.len() > LONGEST_SHOWN
    }

    /// The command that replays the schedule, or the reason why there is none to show.
    pub(super) fn replay_command(&self) -> String {
        let run = match (&self.program, std::env::current_exe()) {
            (Some(program), Ok(exe)) if is_test(&exe) => format!("cargo test {program} -- --exact"),
            (_, Ok(exe)) => quoted(&exe),
            (_, Err(_)) => "the program".to_owned(),
        };
        match &self.token_file {
            None => format!("RADDLE_REPLAY={} {run}", self.token.shown()),
            Some(Ok(file)) => format!("RADDLE_REPLAY={} {run}", quoted(file)),
            Some(Err(error)) => format!(
                "`Report::token` returns the token, which is too long to show and could not be written to a file: {error}"
            ),
        }
    }

    /// A name for files: that of the test, or of the program.
    fn file_name(&self) -> String {
        let exe = || Some(std::env::current_exe().ok()?.file_stem()?.to_str()?.to_owned());
        let name = self.program.clone().or_else(exe).unwrap_or_else(|| "report".to_owned());
        name.replace(|c: char| !c.is_alphanumeric(), "_")
    }

    /// A name for files, numbered if this process has used it before.
    pub(super) fn unused_file_name(&self) -> String {
        static USED: Mutex<BTreeMap<String, usize>> = Mutex::new(BTreeMap::new());
        let name = self.file_name();
        let mut used = USED.lock().unwrap_or_else(PoisonError::into_inner);
        let count = used.entry(name.clone()).or_default();
        *count += 1;
        if *count == 1 { name } else { format!("{name}-{count}") }
    }
}

/// Whether this is a test binary built by Cargo.
fn is_test(exe: &Path) -> bool {
    exe.parent().and_then(Path::file_name).is_some_and(|folder| folder == "deps")
}

/// A path, quoted for a shell.
fn quoted(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let text = path.strip_prefix(here).unwrap_or(path).display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+@:,=".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}
