//! The order of a `queue.PriorityQueue` without Python code.
//!
//! The toolkit's priority queue compares items while it is locked, and Python's `<` may run any code. So an item is put with a
//! *key*: a copy of the numbers and strings that Python would compare. This is possible if all items of a queue have one *shape*,
//! such as a tuple of a number and a string; then no comparison can fail. Any other item makes the queue general.

use std::cmp::Ordering;
use std::sync::OnceLock;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyFloat, PyInt, PyString, PyTuple};

/// What Python would compare.
#[derive(PartialEq)]
enum Key {
    /// Neither NaN nor an integer that a float cannot represent.
    Number(f64),
    Text(String),
    Bytes(Vec<u8>),
    Tuple(Vec<Key>),
}

/// The types of the parts of a key.
#[derive(PartialEq)]
enum Shape {
    Number,
    Text,
    Bytes,
    Tuple(Vec<Shape>),
}

/// Tuples that are nested more deeply are left to Python.
const MAX_DEPTH: u32 = 4;

/// The integers up to this one, and no greater ones, are floats without a loss.
const EXACT: i64 = 1 << 53;

impl Key {
    /// Copies what Python would compare. Returns `None` if that could run code, or is not exact.
    fn of(item: &Bound<'_, PyAny>, depth: u32) -> Option<Self> {
        if let Ok(number) = item.cast_exact::<PyInt>() {
            let number: i64 = number.extract().ok()?;
            #[allow(clippy::cast_precision_loss)] // there is none
            return (-EXACT..=EXACT).contains(&number).then_some(Self::Number(number as f64));
        }
        if let Ok(flag) = item.cast_exact::<PyBool>() {
            return Some(Self::Number(f64::from(u8::from(flag.is_true()))));
        }
        if let Ok(number) = item.cast_exact::<PyFloat>() {
            let number: f64 = number.extract().ok()?;
            return (!number.is_nan()).then_some(Self::Number(number));
        }
        if let Ok(text) = item.cast_exact::<PyString>() {
            // UTF-8 is ordered as Python's characters are. A lone surrogate has none.
            return text.to_cow().ok().map(|text| Self::Text(text.into_owned()));
        }
        if let Ok(bytes) = item.cast_exact::<PyBytes>() {
            return Some(Self::Bytes(bytes.as_bytes().to_vec()));
        }
        let parts = item.cast_exact::<PyTuple>().ok().filter(|_| depth < MAX_DEPTH)?;
        parts.iter().map(|part| Self::of(&part, depth + 1)).collect::<Option<_>>().map(Self::Tuple)
    }

    fn shape(&self) -> Shape {
        match self {
            Self::Number(_) => Shape::Number,
            Self::Text(_) => Shape::Text,
            Self::Bytes(_) => Shape::Bytes,
            Self::Tuple(parts) => Shape::Tuple(parts.iter().map(Self::shape).collect()),
        }
    }

    fn has(&self, shape: &Shape) -> bool {
        match (self, shape) {
            (Self::Number(_), Shape::Number)
            | (Self::Text(_), Shape::Text)
            | (Self::Bytes(_), Shape::Bytes) => true,
            (Self::Tuple(parts), Shape::Tuple(shapes)) => {
                parts.len() == shapes.len() && parts.iter().zip(shapes).all(|(part, shape)| part.has(shape))
            }
            _ => false,
        }
    }

    /// Compares keys of one shape.
    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(one), Self::Number(other)) => one.partial_cmp(other).unwrap_or(Ordering::Equal),
            (Self::Text(one), Self::Text(other)) => one.cmp(other),
            (Self::Bytes(one), Self::Bytes(other)) => one.cmp(other),
            (Self::Tuple(one), Self::Tuple(other)) => {
                let mut pairs = one.iter().zip(other).map(|(one, other)| one.compare(other));
                pairs.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
            }
            _ => Ordering::Equal, // not of one shape
        }
    }
}

/// An item with its key.
pub(crate) struct Ranked {
    key: Key,
    pub(crate) item: Py<PyAny>,
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.compare(&other.key)
    }
}

/// The shape of the items of a queue: that of the first one.
#[derive(Default)]
pub(crate) struct Ranking(OnceLock<Shape>);

impl Ranking {
    /// Returns the item with its key, or the item if Python has to compare it.
    pub(crate) fn rank(&self, py: Python<'_>, item: Py<PyAny>) -> Result<Ranked, Py<PyAny>> {
        match Key::of(item.bind(py), 0) {
            Some(key) if key.has(self.0.get_or_init(|| key.shape())) => Ok(Ranked { key, item }),
            _ => Err(item),
        }
    }
}
