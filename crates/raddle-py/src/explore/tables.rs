//! What the callbacks know of the interpreter's types, from Python.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyFunction, PyString, PyType};

use super::frame;
use super::hashing::{WordMap, WordSet};
use super::names;
use crate::text::Text;

static TABLES: RwLock<Option<Arc<Tables>>> = RwLock::new(None);

/// What Python tells the callbacks.
#[derive(Debug)]
pub(super) struct Tables {
    /// Finds what operands are accessed by an operation.
    pub(super) classify: Py<PyAny>,
    /// Returns the stand-in of a lock.
    pub(super) shadow: Py<PyAny>,
    /// Stands for an empty slot.
    pub(super) null: Py<PyAny>,
    pub(super) disable: Py<PyAny>,
    /// The type of bound methods.
    pub(super) method: Py<PyAny>,
    local: Py<PyAny>,
    /// Types of values that never change.
    atomic: WordSet<usize>,
    /// Types whose instances have a stand-in.
    pub(super) shadowed: WordSet<usize>,
    /// Callables that are replaced when they are called.
    pub(super) replaced: WordSet<usize>,
    property: WordSet<usize>,
    member: WordSet<usize>,
    getset: WordSet<usize>,
    set_name: Py<PyAny>,
    harmless: Mutex<WordMap<usize, Py<PyAny>>>,
    plain: Mutex<WordMap<usize, (Py<PyAny>, bool)>>,
    is_plain: Py<PyAny>,
    pub(super) rules: Rules,
    /// The beginnings of the paths of files that are not the program's.
    outside: Vec<String>,
}

fn addresses(objects: &Bound<'_, PyAny>) -> PyResult<WordSet<usize>> {
    objects.try_iter()?.map(|object| Ok(object?.as_ptr() as usize)).collect()
}

/// Sets the tables from a dictionary. The objects in it live as long as the process.
#[pyfunction]
pub(crate) fn set_tables(given: &Bound<'_, PyAny>) -> PyResult<()> {
    let get = |name: &str| given.get_item(name);
    let tables = Tables {
        classify: get("classify")?.unbind(),
        shadow: get("shadow")?.unbind(),
        null: get("null")?.unbind(),
        disable: get("disable")?.unbind(),
        method: get("method")?.unbind(),
        local: get("local")?.unbind(),
        is_plain: get("is_plain")?.unbind(),
        outside: get("outside")?.extract::<Vec<Text>>()?.into_iter().map(|Text(path)| path).collect(),
        atomic: addresses(&get("atomic")?)?,
        shadowed: addresses(&get("shadowed")?)?,
        replaced: addresses(&get("replaced")?)?,
        property: addresses(&get("property")?)?,
        member: addresses(&get("member")?)?,
        getset: addresses(&get("getset")?)?,
        set_name: PyString::intern(given.py(), "__set__").into_any().unbind(),
        rules: Rules::new(&get("rules")?)?,
        harmless: Mutex::default(),
        plain: Mutex::default(),
    };
    let before = TABLES.write().unwrap_or_else(PoisonError::into_inner).replace(Arc::new(tables));
    drop(before);
    Ok(())
}

pub(super) fn tables() -> Option<Arc<Tables>> {
    TABLES.read().unwrap_or_else(PoisonError::into_inner).clone()
}

pub(super) fn disable(py: Python<'_>) -> Option<Py<PyAny>> {
    tables().map(|tables| tables.disable.clone_ref(py))
}

/// States that a callable accesses nothing with any arguments, except by observed instructions.
#[pyfunction]
pub(crate) fn set_harmless(callable: Bound<'_, PyAny>) {
    if let Some(tables) = tables() {
        let address = callable.as_ptr() as usize;
        locked(&tables.harmless).insert(address, callable.unbind());
    }
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tables {
    /// Whether a file is part of the program, and not of what it uses.
    pub(super) fn is_of_the_program(&self, file: &str) -> bool {
        !file.starts_with('<') && !self.outside.iter().any(|outside| file.starts_with(outside))
    }

    pub(super) fn harmless(&self, callable: usize) -> bool {
        locked(&self.harmless).contains_key(&callable)
    }

    pub(super) fn is_atomic(&self, object: &Bound<'_, PyAny>) -> bool {
        self.atomic.contains(&(object.get_type().as_ptr() as usize))
    }

    /// Whether each thread sees attributes of its own.
    pub(super) fn is_private_to_thread(&self, object: &Bound<'_, PyAny>) -> bool {
        object.is_instance(self.local.bind(object.py())).unwrap_or(false)
    }

    /// Whether instances have no state but attributes.
    pub(super) fn is_plain(&self, class: &Bound<'_, PyType>) -> bool {
        let address = class.as_ptr() as usize;
        if let Some((_, plain)) = locked(&self.plain).get(&address) {
            return *plain;
        }
        let plain = self.is_plain.bind(class.py()).call1((class,));
        let plain = plain.and_then(|plain| plain.is_truthy()).unwrap_or(false);
        locked(&self.plain).insert(address, (class.clone().into_any().unbind(), plain));
        plain
    }

    pub(super) fn kind_of_descriptor(&self, found: &Bound<'_, PyAny>) -> Descriptor {
        let class = found.get_type().as_ptr() as usize;
        if self.property.contains(&class) {
            Descriptor::Computed
        } else if self.member.contains(&class) {
            Descriptor::Slot
        } else if self.getset.contains(&class) {
            Descriptor::OfC
        } else if frame::found_on_type(found, self.set_name.bind(found.py())).is_some() {
            Descriptor::Computed
        } else {
            Descriptor::None
        }
    }
}

/// How objects of a type are accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    List,
    Dict,
    /// A set, or another collection with a length and an order.
    Collection,
    /// A tuple, or another collection that never changes.
    Constant,
    /// An iterator of C that refers to nothing, such as that of a range.
    Counter,
    /// An iterator of C, which reads what it refers to.
    Iterator,
}

/// A type whose objects have no other state than its kind has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) kind: Kind,
    /// The name of an object's keys, order and length.
    pub(super) whole: u32,
    /// The name of its values.
    pub(super) values: u32,
}

/// The types and callables to which the rules apply, by their addresses. They live as long as the process.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) types: WordMap<usize, Known>,
    /// Types of the toolkit, whose operations are steps of their own.
    pub(super) toolkit: WordSet<usize>,
    /// Functions and types of C that access nothing if all arguments are of atomic types.
    pub(super) quiet: WordSet<usize>,
    /// Methods of the types, by their descriptors, that change all of the object and access nothing else.
    pub(super) changing: WordSet<usize>,
    /// Methods of the toolkit, by their descriptors.
    pub(super) methods: WordSet<usize>,
    /// Methods of dictionaries that return a view.
    pub(super) views: WordSet<usize>,
    /// `dict.get`.
    pub(super) get: usize,
    /// `len`.
    pub(super) length: usize,
    pub(super) referents: Py<PyAny>,
    /// Names of items, by the type of the container, whether the key is a string, and its hash.
    pub(super) items: Mutex<WordMap<(usize, usize, isize), u32>>,
}

impl Rules {
    pub(super) fn new(given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let mut types = WordMap::default();
        let kinds = [
            ("lists", Kind::List),
            ("dicts", Kind::Dict),
            ("collections", Kind::Collection),
            ("constants", Kind::Constant),
            ("counters", Kind::Counter),
            ("iterators", Kind::Iterator),
        ];
        for (key, kind) in kinds {
            for class in given.get_item(key)?.try_iter()? {
                let class = class?.cast_into::<PyType>()?;
                let name = class.name()?.to_string();
                let (whole, values) = (names::number(&name), names::number(&format!("{name} values")));
                types.insert(class.as_ptr() as usize, Known { kind, whole, values });
            }
        }
        Ok(Self {
            types,
            toolkit: addresses(&given.get_item("toolkit")?)?,
            quiet: addresses(&given.get_item("quiet")?)?,
            changing: addresses(&given.get_item("changing")?)?,
            methods: addresses(&given.get_item("methods")?)?,
            views: addresses(&given.get_item("views")?)?,
            get: given.get_item("get")?.as_ptr() as usize,
            length: given.get_item("length")?.as_ptr() as usize,
            referents: given.get_item("referents")?.unbind(),
            items: Mutex::default(),
        })
    }
}

/// What a class has under the name of an attribute.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Descriptor {
    /// Code of Python computes or stores the attribute.
    Computed,
    /// A slot of the instance.
    Slot,
    /// Code of C computes or stores it.
    OfC,
    /// A method or a default value: an attribute of the instance precedes it.
    None,
}

impl Tables {
    /// Whether calling the object executes observed instructions, and nothing else.
    pub(super) fn is_observed_function(&self, callable: &Bound<'_, PyAny>) -> bool {
        let address = callable.as_ptr() as usize;
        if self.replaced.contains(&address) {
            return false;
        }
        if callable.is_exact_instance_of::<PyFunction>() || self.harmless(address) {
            return true;
        }
        if callable.is_exact_instance_of::<PyCFunction>() {
            return false;
        }
        callable.get_type().is(self.method.bind(callable.py()))
            && callable.getattr("__func__").is_ok_and(|function| {
                function.is_exact_instance_of::<PyFunction>()
                    && !self.replaced.contains(&(function.as_ptr() as usize))
            })
    }
}

/// Returns whether a source file belongs to the program, and not to what it uses.
pub(crate) fn is_of_the_program(file: &str) -> bool {
    tables().is_none_or(|tables| tables.is_of_the_program(file))
}
