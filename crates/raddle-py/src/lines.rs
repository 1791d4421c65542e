//! The lines of Python that reports name.
//!
//! What this package, and the modules of the standard library that are built on it, do on behalf of a program is shown at the line
//! of the program.

use std::cell::Cell;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use pyo3::prelude::*;
use pyo3::{ffi, intern};
use raddle::rt::Place;

use crate::explore::hashing::WordMap;
use crate::explore::member::is_explored;
use crate::text::Text;

/// The innermost line of Python that is not of the toolkit: the one that a report names.
///
/// In a thread that runs nothing else, it is the line for which the thread [stands](Line), or the outermost line of the standard
/// library, or the innermost of this package.
pub(crate) fn calling_line(py: Python<'_>) -> Option<Place> {
    // SAFETY: the thread is attached, and the returned reference is borrowed from it until its next Python code runs.
    let mut frame = unsafe { Bound::from_borrowed_ptr_or_opt(py, ffi::PyEval_GetFrame().cast()) };
    let mut place = None;
    while let Some(this) = frame {
        let Position { place: here, toolkit_part } = position_of(&this)?;
        match toolkit_part {
            None => return Some(here),
            Some(0) if place.is_some() => {}
            Some(_) => place = Some(here),
        }
        frame = this.getattr(intern!(py, "f_back")).ok().filter(|back| !back.is_none());
    }
    LINE.get().or(place)
}

/// Where a frame is.
#[derive(Clone, Copy)]
struct Position {
    place: Place,
    toolkit_part: Option<usize>,
}

/// The positions that an exploration has asked for, by the address of the code and the place in it, with the code.
static POSITIONS: Mutex<Option<Positions>> = Mutex::new(None);

type Positions = WordMap<(usize, isize), (Position, Py<PyAny>)>;

fn positions() -> MutexGuard<'static, Option<Positions>> {
    POSITIONS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn position_of(frame: &Bound<'_, PyAny>) -> Option<Position> {
    let py = frame.py();
    let code = frame.getattr(intern!(py, "f_code")).ok()?;
    // An exploration asks for the same positions in each execution, and keeps the code that it observes anyway.
    let key = if is_explored() {
        let offset = frame.getattr(intern!(py, "f_lasti")).ok()?.extract().ok()?;
        Some((code.as_ptr() as usize, offset))
    } else {
        None
    };
    let known = key.and_then(|key| positions().as_ref()?.get(&key).map(|(position, _)| *position));
    if known.is_some() {
        return known;
    }
    let Text(file) = code.getattr("co_filename").ok()?.extract().ok()?;
    let line: u32 = frame.getattr("f_lineno").ok()?.extract().ok()?;
    let Text(function) = code.getattr("co_name").ok()?.extract().ok()?;
    let place = Place::intern(&file, line, Some(&function));
    let position = Position { place, toolkit_part: toolkit_part(&file) };
    if let Some(key) = key {
        positions().get_or_insert_default().insert(key, (position, code.unbind()));
    }
    Some(position)
}

thread_local! {
    static LINE: Cell<Option<Place>> = const { Cell::new(None) };
}

/// While it lives, reports name a line of the program for what the calling thread does outside the program: a thread of a pool
/// works for a submission.
pub(crate) struct Line(());

impl Line {
    pub(crate) fn stand_for(line: Option<Place>) -> Self {
        LINE.set(line);
        Self(())
    }

    #[allow(clippy::unused_self)]
    pub(crate) fn set(&self, line: Option<Place>) {
        LINE.set(line);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        LINE.set(None);
    }
}

/// The beginnings of the paths of this package and of the modules of the standard library that are built on it.
static TOOLKIT: OnceLock<Vec<String>> = OnceLock::new();

/// Tells this module which source files belong to the toolkit, by the beginnings of their paths. The first is this package.
#[pyfunction]
pub(crate) fn toolkit_files(beginnings: Vec<Text>) {
    let _ = TOOLKIT.set(beginnings.into_iter().map(|Text(path)| path).collect());
}

/// Whether a source file belongs to this package.
pub(crate) fn is_of_package(file: &str) -> bool {
    toolkit_part(file) == Some(0)
}

/// Returns the part of the toolkit to which a source file belongs: 0 for this package.
fn toolkit_part(file: &str) -> Option<usize> {
    TOOLKIT.get()?.iter().position(|beginning| file.starts_with(beginning))
}
