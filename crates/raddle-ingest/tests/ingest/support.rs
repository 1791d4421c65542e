//! Helpers of these tests.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part of this")]

use std::path::{Path, PathBuf};

use rusqlite::Connection;

pub use crate::common::{LIMIT, Nowhere, own_address, until, within_limit};

/// A directory of one test, removed when the test has passed.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(test: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a directory for the test");
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The names of the files in it.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).expect("the test's directory");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// The texts stored in the file, in the order of their ids.
pub fn texts(path: &Path) -> Vec<String> {
    column(path, "SELECT text FROM messages ORDER BY id")
}

/// The reasons, lengths and bytes of the rejected messages, in the order of their ids.
pub fn rejected(path: &Path) -> Vec<(String, u64, Vec<u8>)> {
    let db = open(path);
    let mut statement =
        db.prepare("SELECT reason, length, bytes FROM rejected ORDER BY id").expect("a statement");
    let rows = statement.query_map([], |row| {
        Ok((row.get(0)?, row.get::<_, i64>(1)?.try_into().expect("a length"), row.get(2)?))
    });
    rows.expect("rows").collect::<Result<_, _>>().expect("a row")
}

pub fn number(path: &Path, sql: &str) -> i64 {
    open(path).query_row(sql, [], |row| row.get(0)).expect("a number")
}

fn column(path: &Path, sql: &str) -> Vec<String> {
    let db = open(path);
    let mut statement = db.prepare(sql).expect("a statement");
    let rows = statement.query_map([], |row| row.get(0)).expect("rows");
    rows.collect::<Result<_, _>>().expect("a text")
}

pub fn open(path: &Path) -> Connection {
    Connection::open(path).expect("a database")
}
