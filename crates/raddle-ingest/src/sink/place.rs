//! Whether a path still leads to the same file.

use std::fs::{Metadata, metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// A file and the path that led to it.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    file: (u64, u64),
}

impl Place {
    pub(super) fn new(path: &Path, metadata: &Metadata) -> Self {
        Self { path: path.to_owned(), file: number(metadata) }
    }

    /// Says whether the path leads to the file still. It is not opened: closing it would give up its locks.
    pub(super) fn is_kept(&self) -> bool {
        metadata(&self.path).is_ok_and(|metadata| number(&metadata) == self.file)
    }
}

/// The device and the number of a file on it.
fn number(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}
