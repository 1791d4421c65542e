//! Files of messages that are not in the database: how they are written, and imported later.
//!
//! A file has a line of JSON for each message, with all its columns. The first line identifies the file:
//!
//! ```json
//! {"unstored":2,"id":"unstored-18c2f1a90b3e4d00-4711","database":"/var/lib/raddle/messages.db"}
//! {"received":1700000000000000,"source":"tcp","peer":"127.0.0.1:40312","text":"a message"}
//! {"received":1700000000000000,"source":"tcp","peer":"127.0.0.1:40312","reason":"not UTF-8","length":2,"bytes":"fffe"}
//! ```
//!
//! An import numbers the messages of a file, with the id of the file as the sender's name. The sink stores each number once, so an import
//! that was interrupted continues where it ended.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs::{File, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::books::Books;
use crate::message::{Content, Parcel, Row};
use crate::writer::Unstored;

pub(crate) mod import;

/// The version of the format.
const VERSION: u32 = 2;

/// The largest number of files beside a database.
const MAX_FILES: usize = 1000;

/// The first line of a file.
#[derive(Debug, Deserialize, Serialize)]
struct Heading<'a> {
    unstored: u32,
    id: Cow<'a, str>,
    database: Cow<'a, str>,
}

/// A message as a line of JSON.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Line<'a> {
    received: i64,
    /// Absent in files of the first version.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<Cow<'a, str>>,
    peer: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    facility: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    severity: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Cow<'a, str>>,
    /// Absent if it is the whole text.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    length: Option<u64>,
    /// In hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<Cow<'a, str>>,
    /// The reason why the database refused the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<Cow<'a, str>>,
}

impl<'a> Line<'a> {
    fn of(row: &Row<'a>, source: &'a str) -> Self {
        let mut line =
            Self { received: row.received, source: Some(source.into()), peer: row.peer.into(), ..Self::default() };
        if let Some((sender, number)) = row.sequence {
            line.sender = Some(sender.into());
            line.number = Some(number);
        }
        match row.content {
            Content::Text(text, header) => {
                line.sent = header.sent;
                line.facility = header.facility;
                line.severity = header.severity;
                line.host = header.host.map(Cow::from);
                line.app = header.app.map(Cow::from);
                line.process = header.process.map(Cow::from);
                line.message_id = header.message_id.map(Cow::from);
                line.text = Some(text.into());
                line.body = (header.body.len() != text.len()).then(|| header.body.into());
            }
            Content::Rejected { reason, length, bytes } => {
                let mut digits = String::with_capacity(2 * bytes.len());
                for byte in bytes {
                    let _ = write!(digits, "{byte:02x}");
                }
                line.reason = Some(reason.to_string().into());
                line.length = Some(length);
                line.bytes = Some(digits.into());
            }
        }
        line
    }

    fn append_to(&self, out: &mut Vec<u8>) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self)?;
        out.push(b'\n');
        Ok(())
    }
}

/// Creates a file, and locks it as long as it is open. `None` if there is a file of this name.
fn create(path: &Path, mode: u32, database: &Path) -> io::Result<Option<File>> {
    let file = match File::options().append(true).create_new(true).mode(mode).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
        file => file?,
    };
    let outcome = lock(&file).and_then(|()| {
        let mut lines = Vec::new();
        let heading =
            Heading { unstored: VERSION, id: new_id().into(), database: database.to_string_lossy() };
        serde_json::to_writer(&mut lines, &heading)?;
        lines.push(b'\n');
        (&file).write_all(&lines)?;
        // The name must survive a power failure, too.
        file.sync_all()?;
        sync_directory(path)
    });
    match outcome {
        Ok(()) => Ok(Some(file)),
        Err(error) => {
            let _ = std::fs::remove_file(path);
            Err(error)
        }
    }
}

fn lock(file: &File) -> io::Result<()> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => io::Error::other("it is in use by another program"),
        TryLockError::Error(error) => error,
    })
}

fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

/// Returns a name that no other file has.
fn new_id() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("unstored-{nanos:x}-{}-{count}", std::process::id())
}

/// Appends to a file, all or nothing, and flushes it to disk.
fn append(file: &File, lines: &[u8]) -> io::Result<()> {
    let before = file.metadata()?.len();
    let outcome = (&*file).write_all(lines).and_then(|()| file.sync_data());
    if outcome.is_err() {
        file.set_len(before)?;
    }
    outcome
}

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
        found.extend(files_named(&elsewhere(&database)).filter(|path| import::is_own(path, &database)));
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

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
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

fn numbered(base: &Path, number: usize) -> PathBuf {
    if number == 1 {
        return base.to_owned();
    }
    let mut name = base.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// Returns the existing files with this name, or this name and a number.
fn files_named(base: &Path) -> impl Iterator<Item = PathBuf> {
    let prefix = base.file_name().unwrap_or_default().as_encoded_bytes().to_owned();
    let entries = base.parent().and_then(|directory| std::fs::read_dir(directory).ok());
    entries.into_iter().flatten().flatten().filter_map(move |entry| {
        let name = entry.file_name();
        let rest = name.as_encoded_bytes().strip_prefix(&*prefix)?;
        let is_number = |digits: &[u8]| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
        let is_match = rest.is_empty() || rest.strip_prefix(b".").is_some_and(is_number);
        (is_match && entry.file_type().is_ok_and(|it| it.is_file())).then(|| entry.path())
    })
}

/// Returns the FNV-1a hash, which is the same in every version of the program.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
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
}

impl Aside {
    pub(crate) fn new(database: &Path, mode: u32) -> Self {
        let database = absolute(database);
        let mut path = database.as_os_str().to_owned();
        path.push(".refused");
        Self { database, path: path.into(), mode, lines: Vec::new(), open: None }
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
        let file = match create(&self.path, self.mode, &self.database)? {
            Some(file) => file,
            None => {
                let file = File::options().append(true).open(&self.path)?;
                lock(&file)?;
                file
            }
        };
        let before = file.metadata()?.len();
        append(&file, &lines)?;
        self.open = Some((file, before));
        Ok(())
    }

    /// Keeps what was written: the transaction has been committed.
    pub(crate) fn keep(&mut self) {
        self.open = None;
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
