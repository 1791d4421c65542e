//! The accesses of attributes, and those that Python derives from operands.

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyEllipsis, PyList, PyModule, PyTuple, PyType};
use raddle::rt::Effect;

use super::code::Operation;
use super::frame;
use super::locations::{Access, Part};
use super::names::{self, Name};
use super::state;
use super::tables::{Descriptor, Tables};
use crate::text::Text;

/// The accesses of an attribute of `object`.
pub(super) fn attribute(
    tables: &Tables,
    object: &Bound<'_, PyAny>,
    name: &Name,
    effect: Effect,
    deletes: bool,
) -> Vec<Access> {
    let (number_of_global, number_of_class) = (name.global, name.of_class);
    let Name { hash, text, .. } = name;
    let name = name.key.bind(object.py());
    let part = Part::Item(*hash);
    if let Ok(module) = object.cast::<PyModule>() {
        let variables = module.dict().into_any();
        let mut accesses =
            with_all_attributes(&variables, effect, || variables.contains(name).unwrap_or(false));
        accesses.push(Access { object: variables.unbind(), part, effect, name: number_of_global });
        return accesses;
    }
    // Any class: the attribute may be found in any of its bases, and be hidden by any subclass.
    let of_classes = |effect| Access { object: name.clone().unbind(), part, effect, name: number_of_class };
    if object.is_instance_of::<PyType>() {
        let mut accesses = vec![of_classes(effect)];
        if effect != Effect::Read {
            let all = object.py().get_type::<PyType>().into_any().unbind();
            let name = names::number("class attributes");
            accesses.push(Access { object: all, part: Part::Values, effect: Effect::Commute, name });
        }
        return accesses;
    }
    let class = object.get_type();
    if !tables.is_plain(&class) && tables.is_private_to_thread(object) {
        return Vec::new();
    }
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
            Part::Item(_) => state.locations.attribute(class.as_ptr() as usize, *hash, of),
            _ => names::number(&of()),
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
    let name = names::number(&format!("{class}.*"));
    let access = |part, effect| Access { object: object.clone().unbind(), part, effect, name };
    match effect {
        Effect::Read => vec![access(Part::Whole, Effect::Read)],
        _ if replaces() => vec![access(Part::Whole, Effect::Read), access(Part::Values, Effect::Commute)],
        _ => vec![access(Part::Whole, Effect::Write)],
    }
}

/// Operands to be replaced before the instruction is executed, by their places.
type Replaced<'py> = Vec<(usize, Bound<'py, PyAny>)>;

impl Tables {
    /// What an operation accesses, and the operands to be replaced before it. An operand that is absent is `None`.
    pub(super) fn accesses<'py>(
        &self,
        operation: Operation,
        name: &Bound<'py, PyAny>,
        argument: &Bound<'py, PyAny>,
        operands: &[Option<Bound<'py, PyAny>>],
    ) -> PyResult<(Vec<Access>, Replaced<'py>)> {
        if matches!(operation, Operation::Call | Operation::CallWithNames) {
            let callable = operands.iter().take(2).flatten().next();
            if callable.is_some_and(|callable| self.is_observed_function(callable)) {
                return Ok((Vec::new(), Vec::new()));
            }
        } else if operands.iter().flatten().all(|value| self.is_atomic(value)) {
            return Ok((Vec::new(), Vec::new()));
        }
        match self.by_rules(operation, argument, operands)? {
            Some(found) => Ok((found, Vec::new())),
            None => self.by_table(name, argument, operands),
        }
    }

    /// Like [`accesses`](Tables::accesses), from the table in Python.
    pub(super) fn by_table<'py>(
        &self,
        name: &Bound<'py, PyAny>,
        argument: &Bound<'py, PyAny>,
        operands: &[Option<Bound<'py, PyAny>>],
    ) -> PyResult<(Vec<Access>, Replaced<'py>)> {
        let py = name.py();
        let null = self.null.bind(py);
        let list = PyList::new(py, operands.iter().map(|value| value.as_ref().unwrap_or(null)))?;
        let found = self.classify.bind(py).call1((name, argument, list))?;
        if found.is_none() {
            return Ok((Vec::new(), Vec::new()));
        }
        let (accesses, replaced): (Bound<'_, PyList>, Replaced<'_>) = found.extract()?;
        let mut all = Vec::with_capacity(accesses.len());
        for access in accesses {
            all.extend(accesses_of(access.cast::<PyTuple>()?, self)?);
        }
        Ok((all, replaced))
    }
}

/// The accesses that a tuple from Python states: the object, its part, the effect and the name.
pub(super) fn accesses_of(access: &Bound<'_, PyTuple>, tables: &Tables) -> PyResult<Vec<Access>> {
    let py = access.py();
    let (object, part, effect, text): (Bound<'_, PyAny>, _, char, Option<Text>) = access.extract()?;
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
            return Ok(attribute(tables, &object, &Name::of(part)?, effect, deletes));
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
                (Some(key), _) => names::of_item(&object, &key)?,
                (None, Part::Values) => format!("{} values", class()?),
                (None, _) => class()?,
            },
        };
        names::number(&text)
    };
    let object = owner.unwrap_or_else(|| object.unbind());
    Ok(vec![Access { object, part, effect, name }])
}

/// An access as Python compares it: the address of the object, its part, the effect and the name.
type Described = (usize, String, &'static str, &'static str);

/// Returns what an operation accesses by the rules, if they apply, and by the table. Operands that are absent are `null`.
#[pyfunction]
pub(crate) fn classified(
    operation: &Bound<'_, PyAny>,
    argument: &Bound<'_, PyAny>,
    operands: Vec<Bound<'_, PyAny>>,
    null: &Bound<'_, PyAny>,
) -> PyResult<(Option<Vec<Described>>, Vec<Described>)> {
    let missing = || PyRuntimeError::new_err("the tables are not set: run a check first");
    let tables = super::tables::tables().ok_or_else(missing)?;
    let operands: Vec<_> = operands.into_iter().map(|value| (!value.is(null)).then_some(value)).collect();
    let by_rules = tables.by_rules(Operation::of(operation.extract()?), argument, &operands)?;
    let (by_table, _) = tables.by_table(operation, argument, &operands)?;
    let described = |access: &Access| {
        let Access { object, part, effect, name } = access;
        let effect = match effect {
            Effect::Read => "r",
            Effect::Write => "w",
            Effect::Commute => "c",
        };
        (object.as_ptr() as usize, format!("{part:?}"), effect, names::text(*name))
    };
    let all = |accesses: &Vec<Access>| accesses.iter().map(described).collect();
    Ok((by_rules.as_ref().map(all), all(&by_table)))
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
    state::with(|state| state.locations.access_all_attributes(state::has_started()));
    names::number(&format!("{class}.*"))
}
