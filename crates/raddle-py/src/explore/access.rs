//! The accesses of attributes, and those that Python derives from operands.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyEllipsis, PyModule, PyTuple, PyType};
use raddle::rt::Effect;

use super::frame;
use super::locations::{Access, Part};
use super::state;
use super::tables::{Descriptor, Tables};
use crate::text::Text;

pub(super) fn named(text: &str) -> u32 {
    state::with(|state| state.locations.name(text)).unwrap_or_default()
}

/// The name of an attribute or a variable.
pub(super) struct Name<'a, 'py> {
    pub(super) key: &'a Bound<'py, PyAny>,
    pub(super) hash: isize,
    pub(super) text: &'a str,
}

/// The accesses of an attribute of `object`.
pub(super) fn attribute(
    tables: &Tables,
    object: &Bound<'_, PyAny>,
    Name { key: name, hash, text }: &Name<'_, '_>,
    effect: Effect,
    deletes: bool,
) -> Vec<Access> {
    let (name, hash, text) = (*name, *hash, *text);
    let part = Part::Item(hash);
    if let Ok(module) = object.cast::<PyModule>() {
        let number = named(&format!("global {text}"));
        let variables = module.dict().into_any();
        let mut accesses =
            with_all_attributes(&variables, effect, || variables.contains(name).unwrap_or(false));
        accesses.push(Access { object: variables.unbind(), part, effect, name: number });
        return accesses;
    }
    // Any class: the attribute may be found in any of its bases, and be hidden by any subclass.
    let of_classes = |effect| {
        let number = named(&format!("class attribute {text}"));
        Access { object: name.clone().unbind(), part, effect, name: number }
    };
    if object.is_instance_of::<PyType>() {
        return vec![of_classes(effect)];
    }
    if tables.is_private_to_thread(object) {
        return Vec::new();
    }
    let class = object.get_type();
    let mut part_of_object = part;
    if let Some(found) = frame::found_on_type(object, name) {
        if text == "__dict__" {
            if let Some(dictionary) = frame::dictionary(object) {
                let owner = object.clone().unbind();
                state::with(|state| state.locations.owns(owner, dictionary.unbind()));
            }
            return vec![of_classes(Effect::Read)];
        }
        match tables.kind_of_descriptor(&found) {
            Descriptor::Computed => return vec![of_classes(Effect::Read)],
            Descriptor::OfC if !tables.is_plain(&class) => part_of_object = Part::Whole,
            Descriptor::OfC | Descriptor::Slot | Descriptor::None => {}
        }
    }
    let number = state::with(|state| {
        let of = || {
            format!("{}.{text}", class.name().map_or_else(|_| "object".to_owned(), |name| name.to_string()))
        };
        match part_of_object {
            Part::Item(_) => state.locations.attribute(class.as_ptr() as usize, hash, of),
            _ => state.locations.name(&of()),
        }
    });
    let number = number.unwrap_or_default();
    let of_object = Access { object: object.clone().unbind(), part: part_of_object, effect, name: number };
    let mut accesses = vec![of_object, of_classes(Effect::Read)];
    if part_of_object != Part::Whole {
        let known = || frame::dictionary(object).is_some_and(|known| known.contains(name).unwrap_or(false));
        accesses.extend(with_all_attributes(object, effect, || !deletes && known()));
    }
    accesses
}

/// The accesses of all attributes of an object that an access of one of them is, if the program accesses all of some
/// object: a new one changes their order.
pub(super) fn with_all_attributes(
    object: &Bound<'_, PyAny>,
    effect: Effect,
    replaces: impl FnOnce() -> bool,
) -> Vec<Access> {
    if !state::with(|state| state.locations.all_attributes).unwrap_or_default() {
        return Vec::new();
    }
    let class = object.get_type().name().map_or_else(|_| "object".to_owned(), |name| name.to_string());
    let name = named(&format!("{class}.*"));
    let access = |part, effect| Access { object: object.clone().unbind(), part, effect, name };
    match effect {
        Effect::Read => vec![access(Part::Whole, Effect::Read)],
        _ if replaces() => vec![access(Part::Whole, Effect::Read), access(Part::Values, Effect::Commute)],
        _ => vec![access(Part::Whole, Effect::Write)],
    }
}

/// The accesses that a tuple from Python states: the object, its part, the effect and the name.
pub(super) fn accesses_of(access: &Bound<'_, PyTuple>, tables: &Tables) -> PyResult<Vec<Access>> {
    let py = access.py();
    let (object, part, effect, text): (Bound<'_, PyAny>, Bound<'_, PyAny>, char, Option<Text>) =
        access.extract()?;
    let deletes = effect == 'd';
    let effect = match effect {
        'r' => Effect::Read,
        'w' | 'd' => Effect::Write,
        _ => Effect::Commute,
    };
    let class = || object.get_type().name().map(|name| name.to_string());
    let text = text.map(|Text(text)| text);
    let text = match text.as_deref() {
        Some("@attribute") => {
            let Text(text) = part.extract()?;
            let name = Name { key: &part, hash: part.hash()?, text: &text };
            return Ok(attribute(tables, &object, &name, effect, deletes));
        }
        Some("@attributes") => {
            let name = all_attributes(&class()?);
            let access = |part| Access { object: object.clone().unbind(), part, effect, name };
            let mut accesses = vec![access(Part::Whole)];
            accesses.extend((effect == Effect::Read).then(|| access(Part::Values)));
            return Ok(accesses);
        }
        _ => text,
    };
    let (part, key) = if part.is_none() {
        (Part::Whole, None)
    } else if part.is_instance_of::<PyEllipsis>() {
        (Part::Values, None)
    } else {
        (Part::Item(part.hash()?), Some(part))
    };
    let owner = state::with(|state| state.locations.owner(py, object.as_ptr() as usize)).flatten();
    let of_attributes = owner.is_some()
        || object.is_exact_instance_of::<PyDict>() && object.contains(intern!(py, "__builtins__"))?;
    let name = if of_attributes && !matches!(part, Part::Item(_)) {
        all_attributes(&class()?)
    } else {
        let text = match text {
            Some(text) => text,
            None => match (key, part) {
                (Some(key), _) => format!("{}[{}]", class()?, key.repr()?),
                (None, Part::Values) => format!("{} values", class()?),
                (None, _) => class()?,
            },
        };
        state::with(|state| state.locations.name(&text)).unwrap_or_default()
    };
    let object = owner.unwrap_or_else(|| object.unbind());
    Ok(vec![Access { object, part, effect, name }])
}

/// States that the attributes of an object are the items of its dictionary, which C code returns.
#[pyfunction]
pub(crate) fn own(owner: Bound<'_, PyAny>) {
    if let Some(dictionary) = frame::dictionary(&owner) {
        state::with(|state| state.locations.owns(owner.unbind(), dictionary.unbind()));
    }
}

/// The name of all attributes of an object. From now on, an access of one of them accesses all of them, too.
fn all_attributes(class: &str) -> u32 {
    state::with(|state| {
        let has_started = state.has_started;
        state.locations.access_all_attributes(has_started);
        state.locations.name(&format!("{class}.*"))
    })
    .unwrap_or_default()
}
