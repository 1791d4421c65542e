//! What went wrong, and how it came to that.

mod html;
mod json;
mod story;
mod text;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::search::{Execution, Race};
use crate::strategy::Strategy;
use crate::token::{self, Token, hash};
use story::Story;

/// How a failure was found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    /// In which execution, counted from one; `None`: a schedule that was asked for by its token.
    pub(crate) execution: Option<u64>,
    pub(crate) replayed: bool,
    pub(crate) classes: u64,
    pub(crate) strategy: Strategy,
    pub(crate) preemptions: usize,
    pub(crate) shrunk_from: usize,
}

/// A schedule that breaks the program: what each thread did, step by step, and how to see it again.
///
/// Its `Display` is the report as text.
pub struct Report {
    execution: Execution,
    found: Found,
    pair: Option<Race>,
    token: Token,
    program: Option<String>,
    /// What the reader has to know before anything else.
    warning: Option<String>,
    /// What else the reader should know.
    note: Option<String>,
    /// The file that the token was written to, if it is too long to be shown.
    token_file: Option<io::Result<PathBuf>>,
    /// Where its page was written to.
    page: Option<io::Result<PathBuf>>,
}

impl Report {
    pub(crate) fn new(execution: Execution, found: Found, pair: Option<Race>, token: Token) -> Self {
        Self {
            execution,
            found,
            pair,
            token,
            program: None,
            warning: None,
            note: None,
            token_file: None,
            page: None,
        }
    }

    pub(crate) fn of_program(mut self, program: Option<String>) -> Self {
        self.program = program;
        self
    }

    /// The schedule was not found, but asked for by its token.
    pub(crate) fn replayed(mut self) -> Self {
        self.found.replayed = true;
        self
    }

    pub(crate) fn warning(mut self, warning: Option<String>) -> Self {
        self.warning = warning;
        self
    }

    pub(crate) fn noting(mut self, note: Option<String>) -> Self {
        self.note = note;
        self
    }

    /// Which execution failed, counted from one. A replayed schedule is run once.
    pub fn execution(&self) -> u64 {
        self.found.execution.unwrap_or(1)
    }

    /// How often the schedule interrupts a thread that could have gone on; as few as were found.
    pub fn preemptions(&self) -> usize {
        self.found.preemptions
    }

    /// The schedule, for [`replay`](crate::replay) and the environment variable `RADDLE_REPLAY`.
    pub fn token(&self) -> String {
        self.token.to_string()
    }

    /// What went wrong, in one sentence.
    pub fn title(&self) -> String {
        self.story().verdict().title
    }

    /// The kind of failure: `panic`, `deadlock`, `livelock`, `data race`, `threads left`, `blocked outside` or
    /// `not repeatable`.
    pub fn kind(&self) -> &'static str {
        self.story().verdict().kind
    }

    /// The report as JSON: failure, threads, objects and every step with its values.
    pub fn to_json(&self) -> String {
        json::value(self).to_string()
    }

    /// The report as one HTML page that needs nothing else and can be stepped through.
    pub fn to_html(&self) -> String {
        let title = self.title();
        html::page(
            &self.program.as_ref().map_or(title.clone(), |program| format!("{program}: {title}")),
            &json::value(self),
        )
    }

    /// Writes the page and the JSON into the directory, and returns the page's path.
    ///
    /// # Errors
    /// What the operating system said.
    pub fn write_to(&self, directory: &Path) -> io::Result<PathBuf> {
        std::fs::create_dir_all(directory)?;
        let name = unused(self.name());
        let page = directory.join(format!("{name}.html"));
        std::fs::write(directory.join(format!("{name}.json")), self.to_json())?;
        std::fs::write(&page, self.to_html())?;
        Ok(page)
    }

    /// Writes the page to where `RADDLE_REPORT` says, if it says so.
    pub(crate) fn publish(mut self) -> Self {
        let directory = std::env::var_os("RADDLE_REPORT").filter(|directory| !directory.is_empty());
        let token = self.token.to_string();
        if token.len() > token::SHOWN {
            let into = directory.as_ref().map_or_else(std::env::temp_dir, PathBuf::from);
            self.token_file = Some(self.write_token(&token, &into));
        }
        self.page = directory.map(|directory| {
            let directory = Path::new(&directory);
            let into = |error: io::Error| {
                io::Error::new(error.kind(), format!("RADDLE_REPORT={}: {error}", directory.display()))
            };
            self.write_to(directory).map_err(into)
        });
        self
    }

    /// Writes the token into a file of its own.
    fn write_token(&self, token: &str, directory: &Path) -> io::Result<PathBuf> {
        let file = directory.join(format!("raddle-{}-{:08x}.token", self.name(), hash(token.bytes())));
        std::fs::create_dir_all(directory)?;
        std::fs::write(&file, token)?;
        Ok(file)
    }

    /// How to run this schedule again, or why that cannot be shown.
    fn replay_command(&self) -> String {
        let run = match (&self.program, std::env::current_exe()) {
            (Some(program), Ok(exe)) if is_test(&exe) => format!("cargo test {program}"),
            (_, Ok(exe)) => quoted(&exe),
            (_, Err(_)) => "the program".to_owned(),
        };
        match &self.token_file {
            None => format!("RADDLE_REPLAY={} {run}", self.token.shown()),
            Some(Ok(file)) => format!("RADDLE_REPLAY={} {run}", quoted(file)),
            Some(Err(error)) => {
                format!(
                    "`Report::token` returns the token, which is long and could not be written to a file: {error}"
                )
            }
        }
    }

    /// A name for files: the test's, or the program's.
    fn name(&self) -> String {
        let exe = || Some(std::env::current_exe().ok()?.file_stem()?.to_str()?.to_owned());
        let name = self.program.clone().or_else(exe).unwrap_or_else(|| "report".to_owned());
        name.replace(|c: char| !c.is_alphanumeric(), "_")
    }

    fn story(&self) -> Story<'_> {
        Story::new(&self.execution, self.pair)
    }
}

/// The name, with a number if this process has written a report of that name already.
fn unused(name: String) -> String {
    static USED: Mutex<BTreeMap<String, usize>> = Mutex::new(BTreeMap::new());
    let mut used = USED.lock().unwrap_or_else(PoisonError::into_inner);
    let count = used.entry(name.clone()).or_default();
    *count += 1;
    if *count == 1 { name } else { format!("{name}-{count}") }
}

/// Whether this is a test binary of Cargo's.
fn is_test(exe: &Path) -> bool {
    exe.parent().and_then(Path::file_name).is_some_and(|folder| folder == "deps")
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let text = path.strip_prefix(here).unwrap_or(path).display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+@:,=".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write(f, self)
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report")
            .field("title", &self.title())
            .field("found", &self.found)
            .field("token", &self.token())
            .finish_non_exhaustive()
    }
}
