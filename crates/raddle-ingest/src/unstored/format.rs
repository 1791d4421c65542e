//! The format of the files: a heading, and a line for each message.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::fs::{File, TryLockError};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::message::{Content, Row};

/// The version of the format.
pub(super) const VERSION: u32 = 2;

/// The largest number of files beside a database.
pub(super) const MAX_FILES: usize = 1000;

/// The first line of a file.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Heading<'a> {
    pub(super) unstored: u32,
    pub(super) id: Cow<'a, str>,
    pub(super) database: Cow<'a, str>,
}

/// A message as a line of JSON.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct Line<'a> {
    pub(super) received: i64,
    /// Absent in files of the first version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) source: Option<Cow<'a, str>>,
    pub(super) peer: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sender: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) number: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sent: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) facility: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) severity: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) host: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) app: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) process: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<Cow<'a, str>>,
    /// Absent if it is the whole text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) body: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) length: Option<u64>,
    /// In hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bytes: Option<Cow<'a, str>>,
    /// The reason why the database refused the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refused: Option<Cow<'a, str>>,
}

impl<'a> Line<'a> {
    pub(super) fn of(row: &Row<'a>, source: &'a str) -> Self {
        let mut line = Self {
            received: row.received,
            source: Some(source.into()),
            peer: row.peer.into(),
            ..Self::default()
        };
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

    pub(super) fn append_to(&self, out: &mut Vec<u8>) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self)?;
        out.push(b'\n');
        Ok(())
    }
}

/// Creates a file, and locks it as long as it is open. `None` if there is a file of this name.
pub(super) fn create(path: &Path, mode: u32, database: &Path) -> io::Result<Option<File>> {
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

pub(super) fn lock(file: &File) -> io::Result<()> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => io::Error::other("it is in use by another program"),
        TryLockError::Error(error) => error,
    })
}

/// Returns whether the path is a name of the file.
pub(super) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let (file, named) = (file.metadata()?, path.symlink_metadata()?);
    Ok((file.dev(), file.ino()) == (named.dev(), named.ino()))
}

pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

/// Returns a name that no other file has.
pub(super) fn new_id() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("unstored-{nanos:x}-{}-{count}", std::process::id())
}

/// Appends to a file, all or nothing, and flushes it to disk.
pub(super) fn append(file: &File, lines: &[u8]) -> io::Result<()> {
    append_measured(file, lines).map_err(|Full { error, .. }| error)
}

/// The error of an append.
pub(super) struct Full {
    pub(super) error: io::Error,
    /// The number of bytes for which there was room.
    pub(super) room: usize,
}

/// Appends to a file, all or nothing, and flushes it to disk.
pub(super) fn append_measured(file: &File, lines: &[u8]) -> Result<(), Full> {
    let full = |error, room| Full { error, room };
    let before = file.metadata().map_err(|error| full(error, 0))?.len();
    let outcome = (&*file).write_all(lines).and_then(|()| file.sync_data());
    outcome.map_err(|error| {
        let length = file.metadata().map_or(before, |it| it.len());
        match file.set_len(before) {
            Ok(()) => full(error, usize::try_from(length.saturating_sub(before)).unwrap_or(0)),
            // The file ends with a part of the lines: nothing may follow it.
            Err(error) => full(error, 0),
        }
    })
}

/// Appends the lines up to the first for which there is no room, and removes them from the list. `append` appends all or nothing.
///
/// If the first line of all has no room, it is left out, and the others are tried: it may have no room anywhere.
pub(super) fn append_possible<T>(
    lines: &mut Vec<(T, &[u8])>,
    mut append: impl FnMut(&[u8]) -> Result<(), Full>,
) -> io::Result<()> {
    let mut room = usize::MAX;
    let mut failure: Option<io::Error> = None;
    loop {
        let mut chosen = Vec::new();
        let mut is_full = false;
        let mut fits = |line: &[u8]| {
            let fits = !is_full && line.len() <= room - chosen.len();
            is_full |= !fits && !chosen.is_empty();
            if fits {
                chosen.extend_from_slice(line);
            }
            fits
        };
        let is_chosen: Vec<bool> = lines.iter().map(|(_, line)| fits(line)).collect();
        if chosen.is_empty() {
            return failure.map_or(Ok(()), Err);
        }
        match append(&chosen) {
            Ok(()) => {
                let mut is_chosen = is_chosen.into_iter();
                lines.retain(|_| is_chosen.next() != Some(true));
                return failure.map_or(Ok(()), Err);
            }
            Err(full) => {
                // A file system may find out only at the flush that there is no room.
                let is_exact = failure.is_none() && full.room < chosen.len();
                room = if is_exact { full.room } else { full.room.min(chosen.len() / 2) };
                failure.get_or_insert(full.error);
            }
        }
    }
}

pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

pub(super) fn numbered(base: &Path, number: usize) -> PathBuf {
    if number == 1 {
        return base.to_owned();
    }
    let mut name = base.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// Returns the existing files with this name, or this name and a number.
pub(super) fn files_named(base: &Path) -> impl Iterator<Item = PathBuf> {
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
pub(super) fn hash(bytes: &[u8]) -> u64 {
    extend_hash(EMPTY, bytes)
}

/// Returns the number of bytes up to the end, and their hash.
pub(super) fn hash_rest(reader: &mut impl io::BufRead) -> io::Result<(u64, u64)> {
    let (mut length, mut hash) = (0, EMPTY);
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Ok((length, hash));
        }
        let count = bytes.len();
        hash = extend_hash(hash, bytes);
        length += count as u64;
        reader.consume(count);
    }
}

/// The hash of no bytes.
const EMPTY: u64 = 0xcbf2_9ce4_8422_2325;

fn extend_hash(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Returns whether a file in a shared directory was written by this user, for this database.
pub(super) fn is_own(path: &Path, database: &Path) -> bool {
    let read = || -> io::Result<bool> {
        let file = open(path)?;
        let own = nix::unistd::geteuid().as_raw();
        let mut first = Vec::new();
        let is_own = file.metadata()?.uid() == own;
        BufReader::new(file).take(1 << 16).read_until(b'\n', &mut first)?;
        let heading: Heading<'_> = serde_json::from_slice(&first)?;
        Ok(is_own && absolute(Path::new(&*heading.database)) == database)
    };
    read().unwrap_or(false)
}

/// Opens a regular file, and does not follow a symbolic link.
pub(super) fn open(path: &Path) -> io::Result<File> {
    // Without O_NONBLOCK, opening a pipe would block.
    let flags = nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK;
    let file = File::options().read(true).custom_flags(flags.bits()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a regular file")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Appends lines to a file with `room` bytes, of which a flush fails beyond `flushed`.
    fn append_to(room: usize, flushed: usize, lines: &[&'static str]) -> (String, Vec<usize>, bool) {
        let mut left: Vec<(usize, &[u8])> = lines.iter().map(|it| it.as_bytes()).enumerate().collect();
        let mut content = Vec::new();
        let outcome = append_possible(&mut left, |bytes| {
            if bytes.len() > room.min(flushed) {
                return Err(Full { error: io::ErrorKind::StorageFull.into(), room: room.min(bytes.len()) });
            }
            content.extend_from_slice(bytes);
            Ok(())
        });
        let left = left.into_iter().map(|(index, _)| index).collect();
        (String::from_utf8(content).unwrap(), left, outcome.is_ok())
    }

    #[test]
    fn lines_that_fit_are_appended() {
        let lines = ["one\n", "a long line\n", "two\n", "three\n"];
        let all = lines.concat();
        assert_eq!(append_to(all.len(), 100, &lines), (all, vec![], true));
        assert_eq!(append_to(25, 100, &lines), ("one\na long line\ntwo\n".into(), vec![3], false));
        assert_eq!(append_to(15, 100, &lines), ("one\n".into(), vec![1, 2, 3], false));
        assert_eq!(append_to(10, 100, &lines[1..]), ("two\nthree\n".into(), vec![0], false));
        assert_eq!(append_to(3, 100, &lines), (String::new(), vec![0, 1, 2, 3], false));
        assert_eq!(append_to(0, 100, &lines), (String::new(), vec![0, 1, 2, 3], false));
        assert_eq!(append_to(100, 13, &lines), ("one\n".into(), vec![1, 2, 3], false));
        assert_eq!(append_to(100, 0, &lines), (String::new(), vec![0, 1, 2, 3], false));
        assert_eq!(append_to(0, 0, &[]), (String::new(), vec![], true));
    }
}
