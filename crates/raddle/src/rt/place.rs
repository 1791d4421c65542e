//! Source positions: where in the program an operation is performed.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::panic::Location;

use super::fork::{ForkSafe, Rank};

/// A position in the source of the program: file, line, column and, if known, the function.
///
/// [`Place::caller`] gives the position of a Rust caller and costs nothing at run time. [`Place::intern`] makes one from
/// text, so that a binding for another language can name the lines of that language.
///
/// Two places are equal if all their parts are.
///
/// # Examples
/// ```
/// use raddle::rt::Place;
///
/// let here = Place::caller();
/// assert_eq!((here.line(), here.function()), (line!() - 1, None));
///
/// let python = Place::intern("worker.py", 42, Some("run"));
/// assert_eq!(python.to_string(), "worker.py:42, in run");
/// ```
#[derive(Clone, Copy)]
pub struct Place(Source);

#[derive(Clone, Copy)]
enum Source {
    Rust(&'static Location<'static>),
    Other(&'static Interned),
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Interned {
    file: String,
    line: u32,
    function: Option<String>,
}

/// The places made by [`Place::intern`]. They are never freed; there are as many as lines that use the toolkit.
static INTERNED: ForkSafe<BTreeSet<&'static Interned>> = ForkSafe::new(Rank::Leaf, BTreeSet::new());

impl Place {
    /// Returns the position of the caller, or of the caller's caller in a function with `#[track_caller]`.
    ///
    /// # Examples
    /// ```
    /// use raddle::rt::Place;
    ///
    /// #[track_caller]
    /// fn lock() -> Place {
    ///     Place::caller()
    /// }
    ///
    /// assert_eq!(lock().line(), line!());
    /// ```
    #[inline]
    #[track_caller]
    pub const fn caller() -> Self {
        Self(Source::Rust(Location::caller()))
    }

    /// Returns the place with this file, line and function.
    ///
    /// Each distinct place is stored once, for the lifetime of the process. The call searches a table under a lock, so a
    /// binding caches the result per call site, or calls this only while [something observes](super::is_observed) the
    /// program.
    ///
    /// # Examples
    /// ```
    /// use raddle::rt::Place;
    ///
    /// let place = Place::intern("main.py", 7, None);
    /// assert_eq!((place.file(), place.line(), place.column()), ("main.py", 7, 0));
    /// assert_eq!(place, Place::intern("main.py", 7, None));
    /// ```
    pub fn intern(file: &str, line: u32, function: Option<&str>) -> Self {
        let wanted = Interned { file: file.to_owned(), line, function: function.map(str::to_owned) };
        let mut interned = INTERNED.lock();
        if let Some(known) = interned.get(&wanted) {
            return Self(Source::Other(known));
        }
        let new: &'static Interned = Box::leak(Box::new(wanted));
        interned.insert(new);
        Self(Source::Other(new))
    }

    /// Returns the source file.
    ///
    /// # Examples
    /// ```
    /// assert!(raddle::rt::Place::caller().file().ends_with(".rs"));
    /// ```
    pub const fn file(self) -> &'static str {
        match self.0 {
            Source::Rust(location) => location.file(),
            Source::Other(place) => place.file.as_str(),
        }
    }

    /// Returns the line, counted from 1.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(raddle::rt::Place::caller().line(), line!());
    /// ```
    pub const fn line(self) -> u32 {
        match self.0 {
            Source::Rust(location) => location.line(),
            Source::Other(place) => place.line,
        }
    }

    /// Returns the column, counted from 1, or 0 if it is unknown.
    ///
    /// # Examples
    /// ```
    /// assert_ne!(raddle::rt::Place::caller().column(), 0);
    /// ```
    pub const fn column(self) -> u32 {
        match self.0 {
            Source::Rust(location) => location.column(),
            Source::Other(_) => 0,
        }
    }

    /// Returns the name of the function, if it is known. It is not for a Rust caller.
    ///
    /// # Examples
    /// ```
    /// let place = raddle::rt::Place::intern("worker.py", 42, Some("run"));
    /// assert_eq!(place.function(), Some("run"));
    /// ```
    pub fn function(self) -> Option<&'static str> {
        match self.0 {
            Source::Rust(_) => None,
            Source::Other(place) => place.function.as_deref(),
        }
    }

    /// Returns whether this is a line of the toolkit itself.
    ///
    /// Such a line is reported where Rust passes no caller: in a destructor, for example.
    ///
    /// # Examples
    /// ```
    /// use raddle::rt::Place;
    ///
    /// assert!(!Place::intern("main.py", 1, None).is_internal());
    /// ```
    pub fn is_internal(self) -> bool {
        let sources = file!().trim_end_matches("rt/place.rs");
        matches!(self.0, Source::Rust(location) if location.file().starts_with(sources))
    }

    /// Returns `self`, or `creation` if `self` is a line of the standard library.
    ///
    /// An iterator is often advanced by an adapter of the standard library. Its operations are then reported at the line
    /// that created the iterator.
    pub(crate) fn or_creation(self, creation: Self) -> Self {
        let std = ["/library/core/", "/library/alloc/", "/library/std/"];
        let file = self.file().replace('\\', "/");
        if std.iter().any(|part| file.contains(part)) { creation } else { self }
    }

    fn key(self) -> (&'static str, u32, u32, Option<&'static str>) {
        (self.file(), self.line(), self.column(), self.function())
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Place {}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl Hash for Place {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({self})")
    }
}

/// `file:line:column`, or `file:line, in function`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file(), self.line())?;
        if self.column() != 0 {
            write!(f, ":{}", self.column())?;
        }
        match self.function() {
            Some(function) => write!(f, ", in {function}"),
            None => Ok(()),
        }
    }
}

impl From<&'static Location<'static>> for Place {
    fn from(location: &'static Location<'static>) -> Self {
        Self(Source::Rust(location))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_places_are_interned_once() {
        let (first, second) = (Place::intern("a.py", 1, Some("f")), Place::intern("a.py", 1, Some("f")));
        assert!(std::ptr::eq(first.file(), second.file()));
        assert_ne!(first, Place::intern("a.py", 1, None));
        assert_ne!(first, Place::intern("a.py", 2, Some("f")));
    }

    #[test]
    fn only_lines_of_the_toolkit_are_internal() {
        assert!(Place::caller().is_internal());
        assert!(!Place::intern(file!(), 1, None).is_internal());
    }
}
