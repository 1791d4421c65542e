//! Imports files of unstored messages.

use std::borrow::Cow;
use std::collections::HashSet;
use std::error::Error;
use std::fmt;
use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::format::{
    Heading, Line, MAX_FILES, VERSION, hash_rest, is_at, lock, new_id, numbered, open, sync_directory,
};
use crate::books::{Books, SourceId};
use crate::message::{Header, Parcel, Reason, Sequence};
use crate::sink::interface::{Batch, RowOutcome, Sink, StoreError};

/// The limits of a batch.
const MESSAGES: usize = 10_000;
const BYTES: usize = 4 << 20;

/// The longest line.
const LONGEST: u64 = 256 << 20;

/// Sources that are named after the file; the rest are named `import`, since each has an account.
const SOURCES: usize = 100;

/// The outcomes of the messages of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Imported {
    /// Messages stored as text.
    pub stored: u64,
    /// Messages stored as rejected.
    pub rejected: u64,
    /// Messages that had been stored before, by an import that was interrupted for example.
    pub duplicates: u64,
    /// Lines that are damaged or cannot be stored, and are kept in a file of their own.
    pub damaged: u64,
    /// The file of damaged lines.
    pub damaged_file: Option<PathBuf>,
}

impl fmt::Display for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} messages stored", self.stored)?;
        if self.rejected > 0 {
            write!(f, ", {} rejected", self.rejected)?;
        }
        if self.duplicates > 0 {
            write!(f, ", {} stored before", self.duplicates)?;
        }
        if let Some(path) = &self.damaged_file {
            write!(f, ", {} damaged lines kept in {}", self.damaged, path.display())?;
        }
        Ok(())
    }
}

/// Stores the messages of a file of unstored or refused messages, and removes the file.
///
/// Each message is stored once, even if an import of the file is interrupted and repeated. Damaged lines are kept unchanged in a file of their own.
///
/// A message that its sender numbered keeps its number, unless the database has refused it: the refusal has consumed the number.
///
/// If the sink fails, the import continues as long as `keep_trying` returns true, which is called after each failure.
///
/// The books are those that the sink was opened with. Imported messages are not counted in them.
///
/// # Errors
/// Returns an error if the file cannot be read or is in use, is not a file of unstored messages, or the sink fails. The file remains unchanged, and can be imported
/// again. A file without a heading, as earlier versions wrote them, counts as such a file only if each of its lines is a message.
///
/// # Examples
/// ```
/// use std::time::SystemTime;
///
/// use raddle_ingest::{Books, MemorySink, Parcel, Unstored, UnstoredFile, import};
///
/// let directory = std::env::temp_dir().join(format!("raddle-import-{}", std::process::id()));
/// std::fs::create_dir_all(&directory)?;
/// let database = directory.join("messages.db");
/// let books = Books::new();
/// let mut parcel = Parcel::new(books.open("tcp"), "peer".into(), SystemTime::now());
/// parcel.push_text("hello");
/// let mut unstored = UnstoredFile::beside(&database, &books);
/// unstored.add(&[&parcel])?;
/// drop(unstored); // the file is in use until it is closed
///
/// let mut sink = MemorySink::new();
/// for file in UnstoredFile::find(&database) {
///     assert_eq!(import(file, &mut sink, &books, &mut |_| false)?.stored, 1);
/// }
/// assert_eq!(sink.messages()[0].text, "hello");
/// # std::fs::remove_dir_all(&directory)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn import(
    path: impl AsRef<Path>,
    sink: &mut dyn Sink,
    books: &Books,
    keep_trying: &mut dyn FnMut(&StoreError) -> bool,
) -> Result<Imported, ImportError> {
    let path = path.as_ref();
    let mut import = Import {
        sink,
        books,
        keep_trying,
        imported: Imported::default(),
        plain: Numbers::default(),
        refused: Numbers::default(),
        seen: HashSet::new(),
        batch: Batch::default(),
        lines: Vec::new(),
        parcel: None,
        damaged: Damaged::new(path),
        sources: Vec::new(),
    };
    match import.run(path) {
        Ok(()) => Ok(import.imported),
        Err(why) => {
            // The next import finds the lines again.
            import.damaged.remove();
            Err(ImportError { path: path.to_owned(), why })
        }
    }
}

struct Import<'a> {
    sink: &'a mut dyn Sink,
    books: &'a Books,
    keep_trying: &'a mut dyn FnMut(&StoreError) -> bool,
    imported: Imported,
    /// The numbers of messages that their senders did not number.
    plain: Numbers,
    /// The numbers of messages that their senders numbered, and the database refused.
    refused: Numbers,
    /// Such messages by sender, number and hash of the content. After a crash before the commit, the file contains a message twice.
    seen: HashSet<(Arc<str>, u64, u64)>,
    batch: Batch,
    /// The lines of the batch.
    lines: Vec<Vec<u8>>,
    /// The parcel that grows.
    parcel: Option<Parcel>,
    damaged: Damaged,
    sources: Vec<(String, SourceId)>,
}

/// The numbers that the import gives to messages.
struct Numbers {
    sender: Arc<str>,
    next: u64,
}

impl Numbers {
    fn take(&mut self) -> Sequence {
        let first = self.next;
        self.next += 1;
        Sequence { sender: self.sender.clone(), first }
    }
}

impl Default for Numbers {
    fn default() -> Self {
        Self { sender: Arc::from(""), next: 1 }
    }
}

impl Import<'_> {
    fn run(&mut self, path: &Path) -> Result<(), Why> {
        let mut file = open(path)?;
        lock(&file)?;
        check_name(&file, path)?;
        let mut first = Vec::new();
        BufReader::new(&file).take(1 << 16).read_until(b'\n', &mut first)?;
        file.rewind()?;
        let mut reader = BufReader::with_capacity(1 << 16, &file);
        if let Ok(heading) = serde_json::from_slice::<Heading<'_>>(&first) {
            if heading.unstored != VERSION {
                return Err(Why::Version(heading.unstored));
            }
            self.number_as(&heading.id);
            reader.read_until(b'\n', &mut Vec::new())?;
        } else {
            // The first version has no heading, and is not extended any more: the content identifies it. Nothing else shows that it is such a
            // file, so that no line may be anything else.
            check_lines(&mut reader)?;
            reader.rewind()?;
            let (length, hash) = hash_rest(&mut reader)?;
            self.number_as(&format!("unstored-{length:x}-{hash:016x}"));
            reader.rewind()?;
        }
        let mut line = Vec::new();
        // Whether the line continues one that is longer than the longest.
        let mut is_rest = false;
        let mut length = reader.stream_position()?;
        loop {
            line.clear();
            let count = reader.by_ref().take(LONGEST).read_until(b'\n', &mut line)?;
            if count == 0 {
                break;
            }
            length += count as u64;
            let is_whole = line.ends_with(b"\n");
            if is_rest || !self.add(&line) {
                if !is_whole {
                    // Lines that the sink finds out of sequence must not be appended to this one.
                    self.store()?;
                }
                self.keep_damaged(&line)?;
                is_rest = !is_whole;
            }
            if self.lines.len() >= MESSAGES || self.pending_bytes() >= BYTES {
                self.store()?;
            }
        }
        self.store()?;
        self.imported.damaged_file = self.damaged.finish(&file)?;
        if file.metadata()?.len() != length {
            return Err(io::Error::other("it has been changed by another program").into());
        }
        remove(&file, path)?;
        Ok(())
    }

    /// Sets the names under which the messages of the file are numbered.
    fn number_as(&mut self, id: &str) {
        self.plain.sender = id.into();
        self.refused.sender = format!("{id}-refused").into();
    }

    fn pending_bytes(&self) -> usize {
        self.batch.bytes() + self.parcel.as_ref().map_or(0, Parcel::bytes)
    }

    fn keep_damaged(&mut self, line: &[u8]) -> io::Result<()> {
        self.imported.damaged += 1;
        self.damaged.add(line)
    }

    /// Adds a line to the batch. Returns whether it is a message.
    fn add(&mut self, bytes: &[u8]) -> bool {
        let Ok(line) = serde_json::from_slice::<Line<'_>>(bytes) else { return false };
        let Some((received, content)) = message(&line) else { return false };
        let source = self.source(line.source.as_deref().unwrap_or("tcp"));
        let own = line.sender.as_deref().map(Arc::from).zip(line.number);
        let (sequence, is_own) = match own {
            // It has never been stored, but its number has been consumed.
            Some((sender, number)) if line.refused.is_some() => {
                if !self.seen.insert((sender, number, content.hash())) {
                    self.imported.duplicates += 1;
                    return true;
                }
                (self.refused.take(), false)
            }
            Some((sender, first)) => (Sequence { sender, first }, true),
            None => (self.plain.take(), false),
        };
        let parcel = match &mut self.parcel {
            Some(parcel) if !is_own && continues(parcel, source, &line, &sequence) => parcel,
            parcel => {
                if let Some(parcel) = parcel.take() {
                    self.batch.push(parcel);
                }
                let mut new = Parcel::new(source, Arc::from(&*line.peer), received);
                new.set_sequence(sequence);
                parcel.insert(new)
            }
        };
        match content {
            Content::Text(text) => parcel.push(text, |text| header(&line, text)),
            Content::Rejected(reason, length, bytes) => parcel.push_rejected(reason, length, bytes),
        }
        self.lines.push(bytes.to_owned());
        true
    }

    fn source(&mut self, name: &str) -> SourceId {
        if let Some((_, source)) = self.sources.iter().find(|(known, _)| known == name) {
            return *source;
        }
        if self.sources.len() >= SOURCES {
            return self.books.open("import");
        }
        let source = self.books.open(name);
        self.sources.push((name.to_owned(), source));
        source
    }

    /// Stores the batch.
    fn store(&mut self) -> Result<(), Why> {
        if let Some(parcel) = self.parcel.take() {
            self.batch.push(parcel);
        }
        let batch = std::mem::take(&mut self.batch);
        let lines = std::mem::take(&mut self.lines);
        if batch.is_empty() {
            return Ok(());
        }
        let stored = loop {
            match self.sink.store(&batch) {
                Ok(stored) => break stored,
                Err(error) if (self.keep_trying)(&error) => {
                    raddle::thread::sleep(Duration::from_millis(200));
                }
                Err(error) => return Err(Why::Sink(error)),
            }
        };
        let mut count = Imported { stored: batch.len() as u64, ..Imported::default() };
        for row in batch.rows() {
            if matches!(row.content, crate::message::Content::Rejected { .. }) {
                count.rejected += 1;
            }
        }
        let rows: Vec<_> = batch.rows().collect();
        for (index, outcome) in &stored.exceptions {
            let is_rejected = matches!(rows[*index].content, crate::message::Content::Rejected { .. });
            match outcome {
                RowOutcome::Refused(_) => count.rejected += 1,
                RowOutcome::Duplicate => {
                    count.duplicates += 1;
                    count.rejected -= u64::from(is_rejected);
                }
                RowOutcome::OutOfSequence { .. } => {
                    self.keep_damaged(&lines[*index])?;
                    count.stored -= 1;
                    count.rejected -= u64::from(is_rejected);
                }
            }
        }
        self.imported.stored += count.stored - count.rejected - count.duplicates;
        self.imported.rejected += count.rejected;
        self.imported.duplicates += count.duplicates;
        if let Err(error) = self.sink.maintain() {
            log::warn!("{error}");
        }
        Ok(())
    }
}

/// Checks that the name still belongs to the file: another import may have removed it, and a file with new messages may have its name.
fn check_name(file: &File, path: &Path) -> io::Result<()> {
    if is_at(file, path)? { Ok(()) } else { Err(io::Error::other("it has been replaced by another file")) }
}

/// Removes the file, and no other that has got its name.
fn remove(file: &File, path: &Path) -> io::Result<()> {
    // Between a look at the name and its removal, another program could give it to another file.
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", new_id()));
    let aside = PathBuf::from(name);
    std::fs::rename(path, &aside)?;
    if is_at(file, &aside)? {
        std::fs::remove_file(&aside)?;
        return sync_directory(path);
    }
    // Its name may be in use again.
    let kept = match std::fs::hard_link(&aside, path).and_then(|()| std::fs::remove_file(&aside)) {
        Ok(()) => String::new(),
        Err(_) => format!(", which is now {}", aside.display()),
    };
    sync_directory(path)?;
    Err(io::Error::other(format!("it has been replaced by another file{kept}")))
}

/// Checks that each line is a message.
fn check_lines(reader: &mut impl io::BufRead) -> Result<(), Why> {
    let (mut line, mut number) = (Vec::new(), 0);
    while reader.by_ref().take(LONGEST).read_until(b'\n', &mut line)? > 0 {
        number += 1;
        if !serde_json::from_slice::<Line<'_>>(&line).is_ok_and(|line| message(&line).is_some()) {
            return Err(Why::OtherFile(number));
        }
        line.clear();
    }
    if number == 0 { Err(Why::OtherFile(1)) } else { Ok(()) }
}

/// Returns the time and the content of a line that is a message.
fn message<'a>(line: &'a Line<'_>) -> Option<(SystemTime, Content<'a>)> {
    let is_valid = line.sender.is_some() == line.number.is_some();
    is_valid.then_some(())?;
    Some((time(line.received)?, Content::of(line)?))
}

/// The content of a line.
enum Content<'a> {
    Text(&'a str),
    Rejected(Reason, u64, Vec<u8>),
}

impl<'a> Content<'a> {
    fn of(line: &'a Line<'_>) -> Option<Self> {
        if let Some(text) = &line.text {
            if text.contains('\0') {
                let bytes = text.as_bytes().to_owned();
                return Some(Self::Rejected(Reason::ContainsNul, bytes.len() as u64, bytes));
            }
            return Some(Self::Text(text));
        }
        let digits = line.bytes.as_deref()?;
        if digits.len() % 2 != 0 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let bytes = (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16));
        let reason = Reason::from_text(line.reason.as_deref()?)?;
        Some(Self::Rejected(reason, line.length?, bytes.collect::<Result<_, _>>().ok()?))
    }

    fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        match self {
            Self::Text(text) => text.hash(&mut hasher),
            Self::Rejected(reason, length, bytes) => (reason, length, bytes).hash(&mut hasher),
        }
        hasher.finish()
    }
}

/// Returns the columns of a line as parts of the text.
fn header<'a>(line: &Line<'_>, text: &'a str) -> Header<'a> {
    let part = |part: &Option<Cow<'_, str>>| {
        let part = part.as_deref()?;
        text.find(part).map(|at| &text[at..at + part.len()])
    };
    let body = match line.body.as_deref() {
        None => text,
        Some(body) => match text.rfind(body) {
            Some(at) => &text[at..at + body.len()],
            None => text,
        },
    };
    Header {
        facility: line.facility,
        severity: line.severity,
        sent: line.sent,
        host: part(&line.host),
        app: part(&line.app),
        process: part(&line.process),
        message_id: part(&line.message_id),
        body,
    }
}

/// Returns whether the message belongs into the same parcel.
fn continues(parcel: &Parcel, source: SourceId, line: &Line<'_>, sequence: &Sequence) -> bool {
    let first = parcel.row(0);
    parcel.source() == source
        && first.received == line.received
        && first.peer == line.peer
        && parcel.sequence().is_some_and(|it| it.sender == sequence.sender)
        && parcel.bytes() < BYTES
}

fn time(micros: i64) -> Option<SystemTime> {
    let distance = Duration::from_micros(micros.unsigned_abs());
    if micros < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) }
}

/// A file for the damaged lines, created with the first.
struct Damaged {
    /// The name of the first such file.
    base: PathBuf,
    open: Option<(PathBuf, BufWriter<File>)>,
}

impl Damaged {
    fn new(imported: &Path) -> Self {
        let mut base = imported.as_os_str().to_owned();
        base.push(".damaged");
        Self { base: base.into(), open: None }
    }

    fn add(&mut self, line: &[u8]) -> io::Result<()> {
        let (_, file) = match &mut self.open {
            Some(open) => open,
            open => open.insert(Self::create(&self.base)?),
        };
        file.write_all(line)
    }

    fn create(base: &Path) -> io::Result<(PathBuf, BufWriter<File>)> {
        for number in 1..=MAX_FILES {
            let path = numbered(base, number);
            match File::options().append(true).create_new(true).mode(0o600).open(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                file => return Ok((path, BufWriter::new(file?))),
            }
        }
        Err(io::Error::other(format!("{} has too many successors: remove them", base.display())))
    }

    /// Makes the file durable, with the permissions of the imported one. Returns its name.
    fn finish(&mut self, imported: &File) -> io::Result<Option<PathBuf>> {
        let Some((path, file)) = &mut self.open else { return Ok(None) };
        file.flush()?;
        file.get_ref().set_permissions(imported.metadata()?.permissions())?;
        file.get_ref().sync_all()?;
        sync_directory(path)?;
        Ok(Some(path.clone()))
    }

    fn remove(&mut self) {
        if let Some((path, _)) = self.open.take()
            && let Err(error) = std::fs::remove_file(&path)
        {
            log::warn!("cannot remove {}: {error}", path.display());
        }
    }
}

/// The error of [`import`]. The file, if there is one, remains unchanged.
#[derive(Debug)]
pub struct ImportError {
    path: PathBuf,
    why: Why,
}

#[derive(Debug)]
enum Why {
    File(io::Error),
    Sink(StoreError),
    Version(u32),
    /// The number of the first line that is no message.
    OtherFile(u64),
}

impl From<io::Error> for Why {
    fn from(error: io::Error) -> Self {
        Why::File(error)
    }
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.why {
            Why::File(error) => write!(f, "cannot import {path}: {error}"),
            Why::OtherFile(line) => {
                write!(
                    f,
                    "cannot import {path}: it is not a file of unstored messages: it has no heading, and its line {line} is no message; if an \
                     earlier version wrote it, remove what is damaged"
                )
            }
            Why::Sink(error) => write!(f, "cannot store the messages of {path}: {error}"),
            Why::Version(version) => {
                write!(
                    f,
                    "cannot import {path}: it has format {version}, expected {VERSION}: use a newer program"
                )
            }
        }
    }
}

impl Error for ImportError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.why {
            Why::File(error) => Some(error),
            Why::Sink(error) => Some(error),
            Why::Version(_) | Why::OtherFile(_) => None,
        }
    }
}
