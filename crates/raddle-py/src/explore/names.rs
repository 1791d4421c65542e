//! The names of what threads access, such as `Account.balance`.
//!
//! A name has a number for the life of the process. Names are never freed: a program has as many as its text.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyInt;

use crate::text::Text;

#[derive(Debug, Default)]
struct Names {
    texts: Vec<&'static str>,
    numbers: HashMap<&'static str, u32>,
}

static NAMES: Mutex<Option<Names>> = Mutex::new(None);

fn locked() -> MutexGuard<'static, Option<Names>> {
    NAMES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the number of a name.
pub(super) fn number(text: &str) -> u32 {
    let mut names = locked();
    let names = names.get_or_insert_default();
    if let Some(number) = names.numbers.get(text) {
        return *number;
    }
    let number = u32::try_from(names.texts.len()).expect("fewer names than fit into memory");
    let text: &'static str = Box::leak(text.to_owned().into_boxed_str());
    names.texts.push(text);
    names.numbers.insert(text, number);
    number
}

pub(super) fn text(number: u32) -> &'static str {
    texts_from(number as usize).first().copied().unwrap_or_default()
}

/// Returns the names from a number on.
pub(super) fn texts_from(first: usize) -> Vec<&'static str> {
    locked().as_ref().and_then(|names| names.texts.get(first..)).unwrap_or_default().to_vec()
}

/// Returns the name of an item of a container. A large number may be an address, which differs in each execution, so all of
/// them share a name.
pub(super) fn of_item(container: &Bound<'_, PyAny>, key: &Bound<'_, PyAny>) -> PyResult<String> {
    const LARGE: i64 = 1 << 20;
    let class = container.get_type().name()?;
    let is_large = key.is_instance_of::<PyInt>() && !key.extract::<i64>().is_ok_and(|key| key.abs() < LARGE);
    Ok(if is_large { format!("{class}[…]") } else { format!("{class}[{}]", key.repr()?) })
}

/// The name of an attribute or a global variable.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) key: Py<PyAny>,
    pub(super) hash: isize,
    pub(super) text: String,
    /// The number of the name as a global variable.
    pub(super) global: u32,
    /// The number of the name as an attribute of some class.
    pub(super) of_class: u32,
}

impl Name {
    /// `key` is an interned string.
    pub(super) fn of(key: Bound<'_, PyAny>) -> PyResult<Self> {
        let (hash, Text(text)) = (key.hash()?, key.extract()?);
        let global = number(&format!("global {text}"));
        let of_class = number(&format!("class attribute {text}"));
        Ok(Self { key: key.unbind(), hash, text, global, of_class })
    }
}
