//! What the instructions of a code object do, as `raddle._instructions` derives it from the bytecode.

use std::collections::HashSet;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use raddle::rt::{Effect, Place};

use super::tables;

/// What an instruction does.
#[derive(Debug)]
pub(super) enum Plan {
    /// Nothing that another thread can see.
    Local,
    /// It accesses an attribute of the object in a slot. A stored value is in the slot `value`.
    Attribute {
        slot: usize,
        name: Py<PyAny>,
        hash: isize,
        text: String,
        effect: Effect,
        deletes: bool,
        value: Option<usize>,
    },
    /// It accesses a global variable, or a name in the namespace of the frame.
    Global { name: Py<PyAny>, hash: isize, text: String, effect: Effect, deletes: bool, is_name: bool },
    /// It accesses the variable of a closure, whose cell is in a slot.
    Cell { slot: usize, text: String, effect: Effect, value: Option<usize> },
    /// What it accesses depends on its operands, in the slots from `first`.
    Operands { first: usize, count: usize, operation: Py<PyAny>, argument: Py<PyAny> },
}

/// A code object under exploration.
#[derive(Debug)]
pub(super) enum Code {
    /// Its instructions are observed. At `beginnings`, a call of it begins, or it is resumed. At `endings`, it returns to its
    /// caller.
    Observed {
        plans: Vec<Plan>,
        places: Vec<Place>,
        beginnings: HashSet<usize>,
        endings: HashSet<usize>,
        is_of_program: bool,
    },
    /// Neither its instructions nor those of what it calls are interrupted, with exceptions.
    Opaque(Calls),
}

/// What of the program can be interrupted while opaque code calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Calls {
    /// Nothing: the code holds a lock of its own.
    Locked,
    /// The program's functions.
    Open,
    /// The program's functions, although the caller of the code holds a lock at other times.
    BeforeLock,
}

/// A row of the table that Python passes: offset, kind, slot, name, effect, slot of the value, count, operation, argument.
pub(super) type Row<'py> = (
    usize,
    String,
    usize,
    Option<Bound<'py, PyAny>>,
    char,
    Option<usize>,
    usize,
    Option<Bound<'py, PyAny>>,
    Option<Bound<'py, PyAny>>,
);

/// Bytes of one instruction.
pub(super) const UNIT: usize = 2;

impl Code {
    pub(super) fn observed(
        rows: Vec<Row<'_>>,
        size: usize,
        file: &str,
        function: &str,
        lines: &[u32],
        beginnings: HashSet<usize>,
        endings: HashSet<usize>,
    ) -> PyResult<Self> {
        let is_of_program =
            !file.starts_with("<frozen") && tables::is_of_the_program(file.trim_start_matches('<'));
        let mut plans: Vec<Plan> = (0..=size / UNIT).map(|_| Plan::Local).collect();
        for (offset, kind, slot, name, effect, value, count, operation, argument) in rows {
            let deletes = effect == 'd';
            let effect = if effect == 'r' { Effect::Read } else { Effect::Write };
            let text = |name: &Option<Bound<'_, PyAny>>| {
                name.as_ref().map_or(Ok(String::new()), pyo3::types::PyAnyMethods::extract::<String>)
            };
            let plan = match (&*kind, name) {
                ("attribute", Some(name)) => {
                    let (hash, text) = (name.hash()?, name.extract()?);
                    Plan::Attribute { slot, name: name.unbind(), hash, text, effect, deletes, value }
                }
                ("global" | "name", Some(name)) => {
                    let (hash, text) = (name.hash()?, name.extract()?);
                    let is_name = kind == "name";
                    Plan::Global { name: name.unbind(), hash, text, effect, deletes, is_name }
                }
                ("cell", name) => Plan::Cell { slot, text: text(&name)?, effect, value },
                ("operands", _) => {
                    let missing = || PyValueError::new_err("operands without an operation");
                    let operation = operation.ok_or_else(missing)?;
                    let none = || operation.py().None();
                    let argument = argument.map_or_else(none, Bound::unbind);
                    Plan::Operands { first: slot, count, operation: operation.unbind(), argument }
                }
                _ => return Err(PyValueError::new_err(format!("unknown kind of instruction: {kind}"))),
            };
            *plans.get_mut(offset / UNIT).ok_or_else(|| PyValueError::new_err("offset beyond the code"))? =
                plan;
        }
        let places = lines.iter().map(|line| Place::intern(file, *line, Some(function))).collect();
        Ok(Self::Observed { plans, places, beginnings, endings, is_of_program })
    }

    /// The line of the instruction at an offset.
    pub(super) fn place(&self, offset: usize) -> Option<Place> {
        match self {
            Self::Observed { places, .. } => places.get(offset / UNIT).copied(),
            Self::Opaque(_) => None,
        }
    }
}
