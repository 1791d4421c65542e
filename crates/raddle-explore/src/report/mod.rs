//! The report of a failure, as text, JSON and HTML.

mod content;
mod html;
mod json;
mod story;
mod text;
mod token;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::runtime::Trace;
use crate::search::Race;
use content::Content;

pub(crate) use content::Found;
pub(crate) use token::{Token, fingerprint};

/// The report of a failing execution: its steps, its failure, and a token to replay it.
///
/// The [`Display`](fmt::Display) implementation writes the report as text.
///
/// # Examples
/// ```
/// # use raddle::{Shared, Thread};
/// # use std::sync::Arc;
/// # fn lost_update() {
/// #     let value = Arc::new(Shared::new(0));
/// #     let other = Thread::spawn({ let value = value.clone(); move || value.set(value.get() + 1) });
/// #     value.set(value.get() + 1);
/// #     other.join().unwrap();
/// #     assert_eq!(value.get(), 2, "an update was lost");
/// # }
/// use raddle_explore::Explorer;
///
/// let report = Explorer::new().run(lost_update).expect_failure();
/// assert_eq!((report.kind(), report.preemptions()), ("panic", 1));
/// println!("{report}");
/// ```
pub struct Report(Content);

impl Report {
    pub(crate) fn new(trace: Trace, found: Found, pair: Option<Race>, token: Token) -> Self {
        Self(Content {
            trace,
            found,
            pair,
            token,
            program: None,
            warning: None,
            note: None,
            token_file: None,
            page: None,
        })
    }

    pub(crate) fn of_program(mut self, program: Option<String>) -> Self {
        self.0.program = program;
        self
    }

    /// The schedule was replayed from its token.
    pub(crate) fn replayed(mut self) -> Self {
        self.0.found.replayed = true;
        self
    }

    pub(crate) fn warning(mut self, warning: Option<String>) -> Self {
        self.0.warning = warning;
        self
    }

    pub(crate) fn noting(mut self, note: Option<String>) -> Self {
        self.0.note = note;
        self
    }

    /// Returns the number of the execution that failed, counted from one; 1 for a replayed schedule.
    ///
    /// # Examples
    /// ```
    /// let report = raddle_explore::Explorer::new().run(|| panic!("always")).expect_failure();
    /// assert_eq!(report.execution(), 1);
    /// ```
    #[must_use]
    pub fn execution(&self) -> u64 {
        self.0.found.execution.unwrap_or(1)
    }

    /// Returns the number of preemptions in the schedule.
    ///
    /// A preemption is a switch away from a thread that is still enabled.
    ///
    /// # Examples
    /// ```
    /// # use raddle::{Shared, Thread};
    /// # use std::sync::Arc;
    /// # fn lost_update() {
    /// #     let value = Arc::new(Shared::new(0));
    /// #     let other = Thread::spawn({ let value = value.clone(); move || value.set(value.get() + 1) });
    /// #     value.set(value.get() + 1);
    /// #     other.join().unwrap();
    /// #     assert_eq!(value.get(), 2, "an update was lost");
    /// # }
    /// let report = raddle_explore::Explorer::new().run(lost_update).expect_failure();
    /// assert_eq!(report.preemptions(), 1);
    /// ```
    #[must_use]
    pub fn preemptions(&self) -> usize {
        self.0.found.preemptions
    }

    /// Returns the token that encodes the schedule, for [`replay`](crate::replay) and `RADDLE_REPLAY`.
    ///
    /// # Examples
    /// ```
    /// let always = || panic!("always");
    /// let report = raddle_explore::Explorer::new().run(always).expect_failure();
    /// let again = raddle_explore::Explorer::new().replay(&report.token(), always).expect_failure();
    /// assert_eq!(again.token(), report.token());
    /// ```
    #[must_use]
    pub fn token(&self) -> String {
        self.0.token.to_string()
    }

    /// Returns the failure in one sentence.
    ///
    /// # Examples
    /// ```
    /// let report = raddle_explore::Explorer::new().run(|| raddle::Event::new().wait()).expect_failure();
    /// assert_eq!(report.title(), "deadlock: no thread can make progress");
    /// ```
    #[must_use]
    pub fn title(&self) -> String {
        self.0.story().headline().title
    }

    /// Returns the kind of failure, as the table in the [crate documentation](crate#failures) names it.
    ///
    /// # Examples
    /// ```
    /// let report = raddle_explore::Explorer::new().run(|| raddle::Event::new().wait()).expect_failure();
    /// assert_eq!(report.kind(), "deadlock");
    /// ```
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.0.story().headline().kind
    }

    /// Returns the report as JSON: the failure, the threads, the objects, and every step with its values.
    ///
    /// # Examples
    /// ```
    /// let report = raddle_explore::Explorer::new().run(|| panic!("always")).expect_failure();
    /// let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    /// assert_eq!(json["failure"]["message"], "always");
    /// ```
    #[must_use]
    pub fn to_json(&self) -> String {
        json::value(&self.0).to_string()
    }

    /// Returns the report as a self-contained HTML page in which the steps can be replayed.
    ///
    /// # Examples
    /// ```
    /// let report = raddle_explore::Explorer::new().run(|| panic!("always")).expect_failure();
    /// assert!(report.to_html().starts_with("<!doctype html>"));
    /// ```
    #[must_use]
    pub fn to_html(&self) -> String {
        let title = self.title();
        let title = self.0.program.as_ref().map_or(title.clone(), |program| format!("{program}: {title}"));
        html::page(&title, &json::value(&self.0))
    }

    /// Writes the HTML page and the JSON into `directory`, and returns the path of the page.
    ///
    /// # Errors
    /// Returns the error of the operating system if a file cannot be written.
    ///
    /// # Examples
    /// ```
    /// let report = raddle_explore::Explorer::new().run(|| panic!("always")).expect_failure();
    /// let directory = std::env::temp_dir().join(format!("raddle-doc-{}", std::process::id()));
    /// let page = report.write_to(&directory).unwrap();
    /// assert!(page.exists() && page.with_extension("json").exists());
    /// # std::fs::remove_dir_all(directory).unwrap();
    /// ```
    pub fn write_to(&self, directory: impl AsRef<Path>) -> io::Result<PathBuf> {
        let directory = directory.as_ref();
        std::fs::create_dir_all(directory)?;
        let name = self.0.unused_file_name();
        let page = directory.join(format!("{name}.html"));
        std::fs::write(directory.join(format!("{name}.json")), self.to_json())?;
        std::fs::write(&page, self.to_html())?;
        Ok(page)
    }

    /// Writes the page to the directory that `RADDLE_REPORT` names, if it names one, and a long token to a file.
    pub(crate) fn publish(mut self) -> Self {
        let directory = std::env::var_os("RADDLE_REPORT").filter(|directory| !directory.is_empty());
        let token = self.token();
        if Content::needs_token_file(&token) {
            let into = directory.as_ref().map_or_else(std::env::temp_dir, PathBuf::from);
            self.0.token_file = Some(self.0.write_token(&token, &into));
        }
        self.0.page = directory.map(|directory| {
            let directory = Path::new(&directory);
            let into = |error: io::Error| {
                io::Error::new(error.kind(), format!("RADDLE_REPORT={}: {error}", directory.display()))
            };
            self.write_to(directory).map_err(into)
        });
        self
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write(f, &self.0)
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report")
            .field("title", &self.title())
            .field("found", &self.0.found)
            .field("token", &self.token())
            .finish_non_exhaustive()
    }
}

impl std::error::Error for Report {}
