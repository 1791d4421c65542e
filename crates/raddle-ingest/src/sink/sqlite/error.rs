//! Why a database cannot be opened.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// The error of opening a database. The file is unchanged.
#[derive(Debug)]
pub struct OpenError {
    path: PathBuf,
    why: Why,
}

#[derive(Debug)]
pub(crate) enum Why {
    File(io::Error),
    Database(rusqlite::Error),
    InUse,
    Full,
    Foreign,
    OtherLayout { found: i64, known: i64 },
    Altered(String),
    Damaged(String),
    NotADemo,
    NoWal(String),
}

impl OpenError {
    pub(crate) fn new(path: &Path, why: Why) -> Self {
        Self { path: path.to_owned(), why }
    }

    /// Returns whether the reason may go away by itself: another program has locked the database, or the disk is full.
    pub fn is_temporary(&self) -> bool {
        matches!(self.why, Why::InUse | Why::Full)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.why {
            Why::File(error) => write!(f, "cannot open {path}: {error}"),
            Why::Database(error) => write!(f, "cannot use {path}: {error}"),
            Why::InUse => write!(f, "{path} is in use by another program"),
            Why::Full => write!(f, "cannot use {path}: the disk is full"),
            Why::Foreign => write!(f, "{path} is not a database of messages: choose another file"),
            Why::OtherLayout { found, known } => {
                write!(f, "{path} has schema version {found}, expected {known}: choose another file")
            }
            Why::Altered(what) => {
                write!(
                    f,
                    "{path} has other tables than expected: {what}: restore them, or choose another file"
                )
            }
            Why::Damaged(what) => {
                write!(f, "{path} is damaged: {what}: restore it from a backup, or move it away")
            }
            Why::NotADemo => {
                write!(f, "{path} contains messages that are not from a demo: choose another file")
            }
            Why::NoWal(mode) => write!(
                f,
                "{path} is on a file system without support for write-ahead logs (journal mode {mode}): choose another directory"
            ),
        }
    }
}

impl Error for OpenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.why {
            Why::File(error) => Some(error),
            Why::Database(error) => Some(error),
            _ => None,
        }
    }
}

impl From<rusqlite::Error> for Why {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Why::Foreign,
            Some(
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed,
            ) => Why::InUse,
            Some(ErrorCode::DiskFull) => Why::Full,
            Some(ErrorCode::DatabaseCorrupt) => Why::Damaged(error.to_string()),
            _ => Why::Database(error),
        }
    }
}
