//! What a thread does, in words and in parts that a program can read.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::rt::place::Place;

/// One thread: what it waits for, and what it holds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ThreadState {
    /// Its name.
    pub name: Arc<str>,
    /// Its number in this process, never used again; see [`ident`](crate::thread::ident).
    pub ident: u64,
    /// The operating system's number for it, where there is one.
    pub native_id: Option<u64>,
    /// Whether the program may end without it.
    pub daemon: bool,
    /// What it waits for; `None`: it waits for nothing of raddle's.
    pub waits: Option<WaitState>,
    /// The locks that it holds.
    pub holds: Vec<HoldState>,
}

/// What a thread waits for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WaitState {
    /// The object and its address, or `thread "name"`.
    pub object: String,
    /// On which line; `None`: at the end of the program.
    pub at: Option<Place>,
    /// For how long already.
    pub waited: Duration,
    /// How long it will wait yet; `None`: without limit.
    pub left: Option<Duration>,
    /// Who holds that lock.
    pub holder: Option<Holder>,
}

/// Who holds a lock that somebody waits for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Holder {
    /// The thread's name.
    pub name: Arc<str>,
    /// Its number.
    pub ident: u64,
    /// On which line it took the lock.
    pub at: Place,
}

/// A lock that a thread holds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HoldState {
    /// The lock and its address.
    pub object: String,
    /// On which line it was taken.
    pub at: Place,
}

impl ThreadState {
    /// For a report: what it waits for, and who holds that.
    pub(super) fn write_wait(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(waits) = &self.waits else { return writeln!(f, "  thread \"{}\" runs", self.name) };
        writeln!(f, "  thread \"{}\" waits for {waits}", self.name)?;
        self.write_holder(f, waits)
    }

    fn write_holder(&self, f: &mut fmt::Formatter<'_>, waits: &WaitState) -> fmt::Result {
        let Some(holder) = &waits.holder else { return Ok(()) };
        if holder.ident == self.ident {
            writeln!(f, "      which was taken by itself, at {}", holder.at)
        } else {
            writeln!(f, "      which was taken by thread \"{}\", at {}", holder.name, holder.at)
        }
    }
}

/// With all its parts, over several lines.
impl fmt::Display for ThreadState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  thread \"{}\" (ident {}", self.name, self.ident)?;
        if let Some(id) = self.native_id {
            write!(f, ", native id {id}")?;
        }
        f.write_str(if self.daemon { ", daemon)" } else { ")" })?;
        match &self.waits {
            None => writeln!(f, " runs")?,
            Some(waits) => {
                write!(f, " waits for {waits}, for {:.1?}", waits.waited)?;
                match waits.left {
                    None => writeln!(f)?,
                    Some(left) => writeln!(f, ", {left:.1?} left")?,
                }
                self.write_holder(f, waits)?;
            }
        }
        self.holds
            .iter()
            .try_for_each(|hold| writeln!(f, "      holds {}, taken at {}", hold.object, hold.at))
    }
}

impl fmt::Display for WaitState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(at) => write!(f, "{}, at {at}", self.object),
            None => f.write_str(&self.object),
        }
    }
}
