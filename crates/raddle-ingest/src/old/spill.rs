//! The spill file, for messages that the sink failed to store.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::old::arrival::{Arrival, micros};

/// A file of JSON lines, one per message, created with the first message.
///
/// If the file cannot be written, on a full disk for example, a file in the temporary directory is used.
#[derive(Debug)]
pub(crate) struct Spill {
    /// The targets that have not failed; the first is in use.
    targets: VecDeque<Target>,
    open: Option<(PathBuf, File)>,
    written: Vec<PathBuf>,
}

#[derive(Debug)]
enum Target {
    /// The configured file, extended if it exists.
    Given(PathBuf),
    /// A file in the shared temporary directory: it must be new.
    Temporary(PathBuf),
}

impl Spill {
    pub(crate) fn at(path: &Path) -> Self {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}", std::process::id()));
        let elsewhere = std::env::temp_dir().join(name);
        let targets = VecDeque::from([Target::Given(path.to_owned()), Target::Temporary(elsewhere)]);
        Self { targets, open: None, written: Vec::new() }
    }

    /// Appends messages to the file, all or none, and flushes it to disk.
    pub(crate) fn add(&mut self, arrivals: &[Arrival]) -> io::Result<()> {
        let mut lines = String::new();
        for arrival in arrivals {
            line(&mut lines, arrival);
        }
        let mut outcome = Err(io::Error::other("no file to write to"));
        while let Some(target) = self.targets.front() {
            outcome = append(&mut self.open, target, lines.as_bytes());
            if outcome.is_ok() {
                break;
            }
            self.targets.pop_front();
            self.open = None;
        }
        if let Some((path, _)) = &self.open
            && self.written.last() != Some(path)
        {
            self.written.push(path.clone());
        }
        outcome
    }

    /// Returns the names of the files that contain messages, as text.
    pub(crate) fn files(&self) -> String {
        let names: Vec<String> = self.written.iter().map(|path| path.display().to_string()).collect();
        names.join(" and ")
    }
}

impl Target {
    fn open(&self) -> io::Result<(PathBuf, File)> {
        let mut options = File::options();
        options.append(true).mode(0o600);
        let (path, file) = match self {
            Target::Given(path) => (path, options.create(true).open(path)?),
            Target::Temporary(path) => (path, options.create_new(true).open(path)?),
        };
        Ok((path.clone(), file))
    }
}

fn append(open: &mut Option<(PathBuf, File)>, target: &Target, lines: &[u8]) -> io::Result<()> {
    let (path, file) = match open {
        Some(open) => open,
        None => open.insert(target.open()?),
    };
    let before = file.metadata()?.len();
    let outcome = file.write_all(lines).and_then(|()| file.sync_all());
    if outcome.is_err() {
        // Remove the part of the batch that was written.
        file.set_len(before)?;
        if before == 0 {
            std::fs::remove_file(path)?;
        }
    }
    outcome
}

/// Appends a message as a line of JSON.
fn line(out: &mut String, arrival: &Arrival) {
    let _ = write!(out, "{{\"received\":{},\"peer\":", micros(arrival.received));
    quote(out, &arrival.peer);
    match &arrival.content {
        Ok(text) => {
            out.push_str(",\"text\":");
            quote(out, text);
        }
        Err(rejected) => {
            let (reason, length) = (rejected.reason, rejected.length);
            let _ = write!(out, ",\"reason\":\"{reason}\",\"length\":{length},\"bytes\":\"");
            rejected.bytes.iter().for_each(|byte| {
                let _ = write!(out, "{byte:02x}");
            });
            out.push('"');
        }
    }
    out.push_str("}\n");
}

fn quote(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
