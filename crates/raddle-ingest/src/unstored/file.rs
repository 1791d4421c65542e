//! The files that are written: for what the sink failed to store, and for what the database refused.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::format::{
    Line, MAX_FILES, absolute, append, create, files_named, hash, is_at, is_own, lock, numbered,
};
use crate::books::Books;
use crate::message::{Parcel, Row};
use crate::writer::Unstored;

/// Keeps what the sink failed to store until the end, in a file beside the database.
///
/// The file is created with the first message: `FILE.unstored`, or `FILE.unstored.2` and so on, never one that exists. If it cannot be written,
/// on a full disk for example, a file in the temporary directory is used.
#[derive(Debug)]
pub struct UnstoredFile {
    books: Books,
    database: PathBuf,
    mode: u32,
    /// The targets that have not failed; the first is in use.
    targets: VecDeque<Target>,
    open: Option<(PathBuf, File)>,
    written: Vec<PathBuf>,
}

#[derive(Debug)]
struct Target {
    base: PathBuf,
    mode: u32,
}

impl UnstoredFile {
    /// Creates nothing yet. `database` is the path of the database, `books` are those of the pipeline.
    pub fn beside(database: impl AsRef<Path>, books: &Books) -> Self {
        Self {
            books: books.clone(),
            database: absolute(database.as_ref()),
            mode: 0o640,
            targets: VecDeque::new(),
            open: None,
            written: Vec::new(),
        }
    }

    /// Sets the permission bits of the file. 0640. A file in the temporary directory has 0600.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// Returns the files of unstored messages of a database, those in the temporary directory included.
    pub fn find(database: impl AsRef<Path>) -> Vec<PathBuf> {
        let database = absolute(database.as_ref());
        let mut found: Vec<PathBuf> = files_named(&beside(&database)).collect();
        found.extend(files_named(&elsewhere(&database)).filter(|path| is_own(path, &database)));
        found.sort();
        found
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.targets.is_empty() {
            let beside = Target { base: beside(&self.database), mode: self.mode };
            let elsewhere = Target { base: elsewhere(&self.database), mode: 0o600 };
            self.targets = [beside, elsewhere].into();
        }
        let mut outcome = Err(io::Error::other("no file to write to"));
        while let Some(target) = self.targets.front() {
            outcome = match &self.open {
                Some((_, file)) => append(file, lines),
                None => target.create(&self.database).and_then(|(path, file)| {
                    let outcome = append(&file, lines);
                    match &outcome {
                        Ok(()) => self.open = Some((path, file)),
                        Err(_) => drop(std::fs::remove_file(&path)),
                    }
                    outcome
                }),
            };
            if outcome.is_ok() {
                break;
            }
            self.targets.pop_front();
            self.open = None;
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
        let mut lines = Vec::new();
        for parcel in parcels {
            let source = self.books.name(parcel.source());
            parcel.rows().try_for_each(|row| Line::of(&row, &source).append_to(&mut lines))?;
        }
        self.write(&lines)?;
        if let Some((path, _)) = &self.open
            && self.written.last() != Some(path)
        {
            self.written.push(path.clone());
        }
        Ok(())
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

    /// Writes what was added, durably.
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

    /// Keeps what was written: the transaction has been committed.
    pub(crate) fn keep(&mut self) {
        if self.open.take().is_some() && !std::mem::replace(&mut self.is_logged, true) {
            log::warn!(
                "the table `rejected` refuses messages, which are kept in {}: import it once the table accepts them",
                self.path.display()
            );
        }
    }

    /// Removes what was written: the transaction has failed.
    pub(crate) fn undo(&mut self) {
        if let Some((file, before)) = self.open.take()
            && let Err(error) = file.set_len(before)
        {
            log::warn!("messages are twice in {}: {error}", self.path.display());
        }
    }
}
