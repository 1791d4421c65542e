//! The files that are written: for messages that the sink failed to store, and for messages that the database
//! refused.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::format::{
    Line, MAX_FILES, absolute, append, append_measured, append_possible, create, files_named, hash, is_at,
    is_own, lock, numbered,
};
use crate::books::Books;
use crate::message::{Parcel, Row};
use crate::writer::Unstored;

/// Keeps the messages that the sink failed to store until the end, in a file beside the database.
///
/// The file is created with the first message: `FILE.unstored`, or `FILE.unstored.2` and so on, never one that exists. If it cannot be written,
/// on a full disk for example, a file in the temporary directory is used. If there is room for some messages only, these are kept.
#[derive(Debug)]
pub struct UnstoredFile {
    books: Books,
    database: PathBuf,
    mode: u32,
    /// The targets that have not failed; the first is in use.
    targets: VecDeque<Target>,
    open: Option<(PathBuf, File)>,
    written: Vec<PathBuf>,
    /// The number of messages of each parcel that the last call kept.
    kept: Vec<usize>,
}

#[derive(Debug)]
struct Target {
    base: PathBuf,
    mode: u32,
}

impl UnstoredFile {
    /// Creates the value without a file. `database` is the path of the database, `books` are those of the pipeline.
    pub fn beside(database: impl AsRef<Path>, books: &Books) -> Self {
        Self {
            books: books.clone(),
            database: absolute(database.as_ref()),
            mode: 0o640,
            targets: VecDeque::new(),
            open: None,
            written: Vec::new(),
            kept: Vec::new(),
        }
    }

    /// Sets the permission bits of the file. 0640. A file in the temporary directory has 0600.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// Returns the files of unstored messages of a database by their numbers, then those in the temporary directory.
    pub fn find(database: impl AsRef<Path>) -> Vec<PathBuf> {
        let database = absolute(database.as_ref());
        // 10 is after 9.
        let in_order = |mut paths: Vec<PathBuf>| {
            paths.sort_by_cached_key(|path| (path.as_os_str().len(), path.clone()));
            paths
        };
        let mut found = in_order(files_named(&beside(&database)).collect());
        let mut others: Vec<PathBuf> = files_named(&elsewhere(&database)).collect();
        others.retain(|path| is_own(path, &database));
        found.extend(in_order(others));
        found
    }

    /// Writes as many of the lines as possible, and removes them from the list.
    fn write(&mut self, lines: &mut Vec<(usize, &[u8])>) -> io::Result<()> {
        if self.targets.is_empty() {
            let beside = Target { base: beside(&self.database), mode: self.mode };
            let elsewhere = Target { base: elsewhere(&self.database), mode: 0o600 };
            self.targets = [beside, elsewhere].into();
        }
        let mut outcome = Err(io::Error::other("no file to write to"));
        while let Some(target) = self.targets.front() {
            let is_new = self.open.is_none();
            let (path, file) = match self.open.take().map_or_else(|| target.create(&self.database), Ok) {
                Ok(open) => open,
                Err(error) => {
                    outcome = Err(error);
                    self.targets.pop_front();
                    continue;
                }
            };
            let count = lines.len();
            outcome = append_possible(lines, |bytes| append_measured(&file, bytes));
            let is_used = lines.len() < count;
            if is_used && self.written.last() != Some(&path) {
                self.written.push(path.clone());
            }
            if outcome.is_ok() {
                self.open = Some((path, file));
                break;
            }
            // The limit may be that of the size of a file: a new one is tried before the next directory.
            if is_new && !is_used {
                let _ = std::fs::remove_file(&path);
                self.targets.pop_front();
            }
        }
        outcome
    }
}

impl Target {
    fn create(&self, database: &Path) -> io::Result<(PathBuf, File)> {
        for number in 1..=MAX_FILES {
            let path = numbered(&self.base, number);
            if let Some(file) = create(&path, self.mode, database)? {
                return Ok((path, file));
            }
        }
        Err(io::Error::other(format!("{} has too many successors: import them", self.base.display())))
    }
}

impl Unstored for UnstoredFile {
    fn add(&mut self, parcels: &[&Parcel]) -> io::Result<()> {
        self.kept.clear();
        let (mut bytes, mut ranges) = (Vec::new(), Vec::new());
        for (index, parcel) in parcels.iter().enumerate() {
            let source = self.books.name(parcel.source());
            for row in parcel.rows() {
                let begin = bytes.len();
                Line::of(&row, &source).append_to(&mut bytes)?;
                ranges.push((index, begin..bytes.len()));
            }
        }
        let mut left: Vec<(usize, &[u8])> =
            ranges.into_iter().map(|(index, range)| (index, &bytes[range])).collect();
        let outcome = self.write(&mut left);
        self.kept.extend(parcels.iter().map(|parcel| parcel.len()));
        for (index, _) in left {
            self.kept[index] -= 1;
        }
        outcome
    }

    fn kept_in_part(&self) -> Vec<usize> {
        self.kept.clone()
    }

    fn place(&self) -> String {
        let names: Vec<String> = self.written.iter().map(|path| path.display().to_string()).collect();
        names.join(" and ")
    }
}

/// Returns the name of the first file beside the database.
fn beside(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".unstored");
    name.into()
}

/// Returns the name of the first file in the temporary directory, which differs for databases of the same name.
fn elsewhere(database: &Path) -> PathBuf {
    let name = database.file_name().unwrap_or_default().to_string_lossy();
    let hash = hash(database.as_os_str().as_encoded_bytes());
    std::env::temp_dir().join(format!("{name}-{hash:016x}.unstored"))
}

/// Keeps messages that the database refuses even as rejected, in `FILE.refused`.
///
/// They are written before the commit of their transaction, and removed again if it fails.
#[derive(Debug)]
pub(crate) struct Aside {
    database: PathBuf,
    path: PathBuf,
    mode: u32,
    lines: Vec<u8>,
    /// The file and its length before the lines were appended, until the commit.
    open: Option<(File, u64)>,
    /// Whether it has been logged that there are such messages.
    is_logged: bool,
}

impl Aside {
    pub(crate) fn new(database: &Path, mode: u32) -> Self {
        let database = absolute(database);
        let mut path = database.as_os_str().to_owned();
        path.push(".refused");
        Self { database, path: path.into(), mode, lines: Vec::new(), open: None, is_logged: false }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a message, to be written by the next flush.
    pub(crate) fn add(&mut self, row: &Row<'_>, source: &str, reason: &str) -> io::Result<()> {
        let line = Line { refused: Some(reason.into()), ..Line::of(row, source) };
        line.append_to(&mut self.lines)
    }

    /// Writes the added messages durably.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let lines = std::mem::take(&mut self.lines);
        if lines.is_empty() {
            return Ok(());
        }
        let file = if let Some(file) = create(&self.path, self.mode, &self.database)? {
            file
        } else {
            let file = File::options().append(true).open(&self.path)?;
            lock(&file)?;
            // An import may have removed it before the lock was acquired.
            if !is_at(&file, &self.path)? {
                return Err(io::Error::other("it has been replaced by another file"));
            }
            file
        };
        let before = file.metadata()?.len();
        append(&file, &lines)?;
        self.open = Some((file, before));
        Ok(())
    }

    /// Keeps the written messages: the transaction has been committed.
    pub(crate) fn keep(&mut self) {
        if self.open.take().is_some() && !std::mem::replace(&mut self.is_logged, true) {
            log::warn!(
                "the table `rejected` refuses messages, which are kept in {}: import it once the table accepts them",
                self.path.display()
            );
        }
    }

    /// Removes the written messages: the transaction has failed.
    pub(crate) fn undo(&mut self) {
        if let Some((file, before)) = self.open.take()
            && let Err(error) = file.set_len(before)
        {
            log::warn!("messages are twice in {}: {error}", self.path.display());
        }
    }
}
