//! The interpretation of the server's errors: an outage, or a row that it refuses.

use std::error::Error;
use std::fmt;

use postgres::error::{DbError, Severity, SqlState};

/// The reason why an attempt to store failed.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The database refuses a row.
    Refused(Refusal),
    /// The database does not work at present, or must be changed first.
    Outage(String),
    /// A table exists that has another shape. An outage, unless it is found at the start.
    Foreign(String),
}

/// The reason why the database refuses a row.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) reason: String,
    /// The row's position in the COPY, as the server reports it. A hint: it may be absent or wrong.
    pub(super) row: Option<usize>,
}

/// The classes of errors that lie in the server, its load, its rights or its schema. 22, 23, P0 and those of the user's own
/// triggers are not among them.
const OUTAGES: [&str; 29] = [
    "00", "01", "02", "03", "08", "0A", "0B", "0L", "0P", "25", "26", "28", "2B", "2D", "34", "3B", "3D",
    "3F", "40", "42", "53", "54", "55", "57", "58", "72", "F0", "HV", "XX",
];

impl Refusal {
    fn of(error: &DbError) -> Option<Self> {
        let code = error.code().code();
        // The format is wrong if a column was changed to another type: no row fits.
        let is_format = [&SqlState::INVALID_BINARY_REPRESENTATION, &SqlState::BAD_COPY_FILE_FORMAT]
            .contains(&error.code());
        // An index may refuse a row that is too large.
        let is_too_large = *error.code() == SqlState::PROGRAM_LIMIT_EXCEEDED;
        let is_outage = OUTAGES.iter().any(|class| code.starts_with(class)) && !is_too_large;
        let is_fatal = matches!(error.parsed_severity(), Some(Severity::Fatal | Severity::Panic));
        if is_format || is_outage || is_fatal {
            return None;
        }
        let reason = format!("{} (SQLSTATE {code})", error.message());
        Some(Self { reason, row: error.where_().and_then(row_in) })
    }
}

/// Finds the row in a context such as `COPY messages, line 3, column text`. The words are in the server's language.
fn row_in(context: &str) -> Option<usize> {
    let line = context.lines().find_map(|line| line.strip_prefix("COPY "))?;
    let (_table, rest) = line.split_once(", ")?;
    let digits = rest.trim_start_matches(|it: char| !it.is_ascii_digit());
    let digits = &digits[..digits.find(|it: char| !it.is_ascii_digit()).unwrap_or(digits.len())];
    digits.parse::<usize>().ok()?.checked_sub(1)
}

impl From<postgres::Error> for Trouble {
    fn from(error: postgres::Error) -> Self {
        match error.as_db_error() {
            Some(error) => match Refusal::of(error) {
                Some(refusal) => Trouble::Refused(refusal),
                None => Trouble::Outage(shown(error)),
            },
            None => Trouble::Outage(chain(&error)),
        }
    }
}

/// Shows the server's error with all that helps to mend it.
fn shown(error: &DbError) -> String {
    let mut text = format!("{} (SQLSTATE {})", error.message(), error.code().code());
    for more in [error.detail(), error.hint()].into_iter().flatten() {
        text.push_str("; ");
        text.push_str(more.trim_end_matches('.'));
    }
    text
}

/// Shows an error and its causes.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Refused(refusal) => f.write_str(&refusal.reason),
            Trouble::Outage(why) | Trouble::Foreign(why) => f.write_str(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_is_found_in_the_context() {
        assert_eq!(row_in("COPY messages, line 3, column text: \"x\""), Some(2));
        assert_eq!(row_in("PL/pgSQL function f() line 7 at RAISE\nCOPY messages2, line 12"), Some(11));
        assert_eq!(row_in("COPY messages, Zeile 1"), Some(0));
        assert_eq!(row_in("SQL statement \"insert\""), None);
        assert_eq!(row_in("COPY messages, line 0"), None);
    }
}
