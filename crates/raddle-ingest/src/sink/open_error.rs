//! Why a database cannot be used.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a database file cannot be opened for storing messages. Nothing in the file was changed.
#[derive(Debug)]
pub struct OpenError {
    path: PathBuf,
    why: Why,
}

#[derive(Debug)]
pub(super) enum Why {
    File(io::Error),
    Database(rusqlite::Error),
    InUse,
    Foreign,
    OtherLayout { found: i64, known: i64 },
    NotTheDemos,
    NoWal(String),
}

impl OpenError {
    pub(super) fn new(path: impl Into<PathBuf>, why: Why) -> Self {
        Self { path: path.into(), why }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.why {
            Why::File(error) => write!(f, "cannot open {path}: {error}"),
            Why::Database(error) => write!(f, "cannot use {path}: {error}"),
            Why::InUse => write!(f, "{path} is in use by another program"),
            Why::Foreign => write!(f, "{path} is not a database of messages: choose another file"),
            Why::OtherLayout { found, known } => {
                write!(f, "{path} has layout {found}, this program knows layout {known}: choose another file")
            }
            Why::NotTheDemos => {
                write!(f, "{path} holds messages that are not an earlier demo's: choose another file")
            }
            Why::NoWal(mode) => {
                write!(
                    f,
                    "{path} is on a file system without write-ahead log (journal mode {mode}): choose another place"
                )
            }
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
