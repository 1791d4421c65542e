//! What the instructions of a code object do, as `raddle._instructions` derives it from the bytecode.

use std::collections::HashSet;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use raddle::rt::{Effect, Place};

use super::names::{self, Name};
use super::tables;
use crate::lines;

/// What an instruction does.
#[derive(Debug)]
pub(super) enum Plan {
    /// Nothing that another thread can see.
    Local,
    /// It accesses an attribute of the object in a slot. A stored value is in the slot `value`.
    Attribute { slot: usize, name: Name, effect: Effect, deletes: bool, value: Option<usize> },
    /// It accesses a global variable. If it looks its name up in the namespace of the frame first, that has a number of its own.
    Global { name: Name, effect: Effect, deletes: bool, in_namespace: Option<u32> },
    /// It accesses the variable of a closure, whose cell is in a slot.
    Cell { slot: usize, name: u32, effect: Effect, value: Option<usize> },
    /// What it accesses depends on its operands, in the slots from `first`.
    Operands { first: usize, count: usize, operation: Operation, name: Py<PyAny>, argument: Py<PyAny> },
}

/// What an instruction does with its operands. Those that do the same are one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Call,
    CallWithNames,
    CallUnpacked,
    /// Calls `__enter__`.
    Enter,
    /// Loads `__enter__` or `__exit__`.
    LoadSpecial,
    /// Reads the length, or creates an iterator.
    Length,
    /// Iterates to the end.
    Consume,
    /// Advances an iterator.
    Advance,
    Item,
    StoreItem,
    DeleteItem,
    Contains,
    /// Reads the operands and nothing else, unless they are containers.
    Read,
    /// Reads the operands, and the items of containers.
    Compare,
    /// Passes the operand to a caller, which may read it and its items.
    Return,
    Other,
}

impl Operation {
    pub(super) fn of(instruction: &str) -> Self {
        match instruction {
            "CALL" => Self::Call,
            "CALL_KW" => Self::CallWithNames,
            "CALL_FUNCTION_EX" => Self::CallUnpacked,
            "BEFORE_WITH" => Self::Enter,
            "LOAD_SPECIAL" => Self::LoadSpecial,
            "TO_BOOL"
            | "UNARY_NOT"
            | "POP_JUMP_IF_TRUE"
            | "POP_JUMP_IF_FALSE"
            | "GET_ITER"
            | "GET_LEN"
            | "GET_YIELD_FROM_ITER" => Self::Length,
            "DICT_MERGE" | "DICT_UPDATE" | "LIST_EXTEND" | "SET_UPDATE" | "UNPACK_SEQUENCE" | "UNPACK_EX" => {
                Self::Consume
            }
            "FOR_ITER" => Self::Advance,
            "BINARY_SUBSCR" => Self::Item,
            "STORE_SUBSCR" => Self::StoreItem,
            "DELETE_SUBSCR" => Self::DeleteItem,
            "CONTAINS_OP" => Self::Contains,
            "BINARY_OP" | "UNARY_NEGATIVE" | "UNARY_INVERT" | "FORMAT_SIMPLE" | "FORMAT_VALUE"
            | "FORMAT_WITH_SPEC" | "CONVERT_VALUE" => Self::Read,
            "COMPARE_OP" => Self::Compare,
            "RETURN_VALUE" | "YIELD_VALUE" => Self::Return,
            _ => Self::Other,
        }
    }
}

/// What is known of the instruction at an offset.
#[derive(Debug)]
pub(super) struct Point {
    pub(super) plan: Plan,
    pub(super) place: Option<Place>,
    /// A call of its code begins here, or the code is resumed.
    pub(super) begins: bool,
    /// Its code returns to its caller.
    pub(super) ends: bool,
}

/// A code object under exploration.
#[derive(Debug)]
pub(super) enum Code {
    /// Its instructions are observed.
    Observed { points: Vec<Point>, is_of_program: bool },
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
        beginnings: &HashSet<usize>,
        endings: &HashSet<usize>,
    ) -> PyResult<Self> {
        let is_of_program =
            !file.starts_with("<frozen") && tables::is_of_the_program(file.trim_start_matches('<'));
        // A line of this package stands for the line of the program that has called it.
        let is_own = lines::is_of_package(file);
        let place = |line: &u32| Place::intern(file, *line, Some(function));
        let mut points: Vec<Point> = (0..=size / UNIT)
            .map(|unit| Point {
                plan: Plan::Local,
                place: lines.get(unit).filter(|_| !is_own).map(place),
                begins: beginnings.contains(&(unit * UNIT)),
                ends: endings.contains(&(unit * UNIT)),
            })
            .collect();
        for (offset, kind, slot, name, effect, value, count, operation, argument) in rows {
            let deletes = effect == 'd';
            let effect = if effect == 'r' { Effect::Read } else { Effect::Write };
            let plan = match (&*kind, name) {
                ("attribute", Some(name)) => {
                    Plan::Attribute { slot, name: Name::of(name)?, effect, deletes, value }
                }
                ("global" | "name", Some(name)) => {
                    let name = Name::of(name)?;
                    let in_namespace =
                        (kind == "name").then(|| names::number(&format!("name {}", name.text)));
                    Plan::Global { name, effect, deletes, in_namespace }
                }
                ("cell", Some(name)) => {
                    Plan::Cell { slot, name: names::number(&format!("variable {name}")), effect, value }
                }
                ("operands", _) => {
                    let missing = || PyValueError::new_err("operands without an operation");
                    let name = operation.ok_or_else(missing)?;
                    let argument = argument.map_or_else(|| name.py().None(), Bound::unbind);
                    let operation = Operation::of(name.extract::<&str>()?);
                    Plan::Operands { first: slot, count, operation, name: name.unbind(), argument }
                }
                _ => return Err(PyValueError::new_err(format!("unknown kind of instruction: {kind}"))),
            };
            points
                .get_mut(offset / UNIT)
                .ok_or_else(|| PyValueError::new_err("offset beyond the code"))?
                .plan = plan;
        }
        Ok(Self::Observed { points, is_of_program })
    }

    /// What is known of the instruction at an offset.
    pub(super) fn point(&self, offset: usize) -> Option<&Point> {
        match self {
            Self::Observed { points, .. } => points.get(offset / UNIT),
            Self::Opaque(_) => None,
        }
    }
}
