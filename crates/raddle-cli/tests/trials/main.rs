//! Trials: kills, outages, signals and reloads under load. No message that was acknowledged or read is lost.
//!
//! In the short form, each trial has a few rounds. The long form has enough rounds for a release:
//!
//! ```text
//! RADDLE_TRIALS=long cargo test --release -p raddle-cli --features postgres --test trials
//! ```
//!
//! A trial with PostgreSQL is skipped, with a message, if PostgreSQL is not installed, unless the variable `CI` is
//! set.

mod kills;
mod outages;
mod senders;
mod signals;
#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::time::Duration;

use raddle::thread::{JoinError, JoinTimeoutError};
use support::number;

/// Returns the number of rounds: `few` in the short form.
fn rounds(few: u32, many: u32) -> u32 {
    if std::env::var("RADDLE_TRIALS").is_ok_and(|form| form == "long") { many } else { few }
}

/// Runs a trial, which must return within half an hour.
fn trial(body: impl FnOnce() + Send + 'static) {
    let handle = raddle::Thread::new(body).daemon(true).start().expect("a thread for the trial");
    match handle.join_timeout(Duration::from_mins(30)) {
        Ok(()) => {}
        Err(JoinTimeoutError::Failed(JoinError::Panicked(panic))) => {
            std::panic::resume_unwind(panic.into_payload())
        }
        Err(error) => panic!("{error}"),
    }
}

/// Returns a random duration, which differs in each run.
fn random_millis(below: u64) -> Duration {
    use std::hash::{BuildHasher as _, Hasher as _};
    let random = std::hash::RandomState::new().build_hasher().finish();
    Duration::from_millis(random % below)
}

/// The database of a trial.
trait Store {
    /// Flags of `raddle ingest`.
    fn flags(&self) -> String;

    /// Returns a number.
    fn number(&self, sql: &str) -> u64;

    /// Returns the texts of all messages, without the JSON of HTTP around them.
    fn texts(&self) -> Vec<String>;

    /// Checks that the database is sound.
    fn check(&self) {}
}

/// A database file.
struct File<'a>(&'a Path);

impl Store for File<'_> {
    fn flags(&self) -> String {
        format!("--database {}", self.0.display())
    }

    fn number(&self, sql: &str) -> u64 {
        number(self.0, sql)
    }

    fn texts(&self) -> Vec<String> {
        let db = rusqlite::Connection::open(self.0).expect("a database");
        let mut statement = db.prepare("SELECT body FROM readable").expect("a statement");
        let rows = statement.query_map([], |row| row.get(0)).expect("rows");
        rows.map(|row| row.expect("a text")).collect()
    }

    fn check(&self) {
        assert_eq!(number(self.0, "SELECT integrity_check = 'ok' FROM pragma_integrity_check"), 1);
    }
}

#[cfg(feature = "postgres")]
impl Store for support::postgres::Server {
    fn flags(&self) -> String {
        format!("--postgres {}", self.url())
    }

    fn number(&self, sql: &str) -> u64 {
        Self::number(self, sql)
    }

    fn texts(&self) -> Vec<String> {
        let texts = self.query("SELECT body FROM readable_messages").expect("texts");
        texts.lines().map(str::to_owned).collect()
    }
}
