//! The callback before each observed instruction: finds what the instruction accesses, and makes it a step if other threads
//! can see it.
//!
//! An access is computed from the operands before the step. If other threads ran in the step, it is computed once more: a
//! key that existed may be gone. C code may call Python code back, and access its operands again afterwards, without an
//! instruction of its own. So the accesses of an instruction remain *open* until the next instruction of its frame, and
//! every step that the thread takes meanwhile includes them.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering::Relaxed;

use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyFunction, PyList, PyModule, PyString, PyTuple, PyType};
use raddle::rt::{self, Effect, Kind, Op, Place};

use super::code::{Code, Plan};
use super::frame::{self, Frame};
use super::locations::{Access, Part, Step};
use super::state::{self, ME, Open, RUNNER, State, Tables};
use crate::call;

/// Called by the interpreter before an instruction of an observed code object.
#[pyfunction]
pub(crate) fn on_instruction(
    py: Python<'_>,
    code: &Bound<'_, PyAny>,
    offset: usize,
) -> PyResult<Option<Py<PyAny>>> {
    let Some(known) = state::code(code.as_ptr() as usize) else { return Ok(None) };
    let Code::Observed { plans, .. } = &*known else { return Ok(None) };
    let Some(plan) = plans.get(offset / super::code::UNIT) else { return Ok(None) };
    let me = ME.get();
    if matches!(plan, Plan::Local) {
        return Ok(state::disable(py));
    }
    if me == 0 || call::is_unwinding() {
        return Ok(None);
    }
    let Some(tables) = state::tables() else { return Ok(None) };
    let Some(frame) = Frame::innermost(py) else { return Ok(None) };
    let instruction = Instruction { plan, frame, tables: &tables, place: known.place(offset) };
    instruction.perform(py, me)?;
    Ok(None)
}

struct Instruction<'a> {
    plan: &'a Plan,
    frame: Frame,
    tables: &'a Tables,
    place: Option<Place>,
}

impl Instruction<'_> {
    fn perform(&self, py: Python<'_>, me: u32) -> PyResult<()> {
        let mut declared: Vec<Step> = Vec::new();
        loop {
            let accesses = self.accesses(py)?;
            let steps = state::with(|state| {
                state.close_until(self.frame, me);
                if !state.has_started {
                    return Vec::new();
                }
                let mut steps = state.record(py, &accesses, me);
                if accesses.is_empty() {
                    return steps; // no step, whatever is open
                }
                for open in state.open_steps(me) {
                    if !steps.contains(&open) {
                        steps.push(open);
                    }
                }
                steps
            });
            let steps = steps.unwrap_or_default();
            if !steps.iter().all(|step| declared.contains(step)) {
                let others_ran = self.step(py, me, &steps)?;
                declared = steps;
                if others_ran {
                    continue;
                }
            }
            if matches!(self.plan, Plan::Operands { .. }) && !accesses.is_empty() {
                let open = Open::new(self.frame, accesses);
                state::with(|state| state.open(me, open));
            }
            return Ok(());
        }
    }

    /// Takes the step. Returns whether other threads ran in it.
    fn step(&self, py: Python<'_>, me: u32, steps: &[Step]) -> PyResult<bool> {
        let merged = state::with(|state| state.cannot_switch(me, self.frame)).unwrap_or(false);
        let place = self.place.unwrap_or_else(Place::caller);
        let (object, effect) = steps[0];
        let kind = if effect == Effect::Read { Kind::Read } else { Kind::Write };
        let op = Op::at(object, kind, place);
        let others = &steps[1..];
        if merged {
            for (object, effect) in steps {
                rt::accesses(object, *effect);
            }
            return Ok(false);
        }
        let done = py.detach(|| catch_unwind(AssertUnwindSafe(|| rt::point_with(op, others))));
        let others_ran = RUNNER.swap(me, Relaxed) != me;
        if let Err(payload) = done {
            return Err(if payload.is::<rt::Abandoned>() {
                call::abandoned()
            } else {
                resume_unwind(payload)
            });
        }
        rt::value(&op, || self.value(py).unwrap_or_default());
        Ok(others_ran)
    }

    fn slot<'py>(&self, py: Python<'py>, index: usize) -> Option<Bound<'py, PyAny>> {
        // SAFETY: the plan has been made for this code from its bytecode, so the slot is in use at this instruction.
        unsafe { self.frame.slot(py, index) }
    }

    fn accesses(&self, py: Python<'_>) -> PyResult<Vec<Access>> {
        match self.plan {
            Plan::Local => Ok(Vec::new()),
            Plan::Attribute { slot, name, hash, text, effect, .. } => {
                let Some(object) = self.slot(py, *slot) else { return Ok(Vec::new()) };
                let object = self.shadowed(py, *slot, object)?;
                Ok(attribute(self.tables, &object, name.bind(py), *hash, text, *effect))
            }
            Plan::Global { name, hash, text, effect } => {
                Ok(self.global(py, name.bind(py), *hash, text, *effect))
            }
            Plan::Cell { slot, text, effect, .. } => {
                let Some(cell) = self.slot(py, *slot) else { return Ok(Vec::new()) };
                let name = named(&format!("variable {text}"));
                Ok(vec![Access { object: cell.unbind(), part: Part::Whole, effect: *effect, name }])
            }
            Plan::Operands { first, count, operation, argument } => {
                self.operands(py, *first, *count, operation.bind(py), argument.bind(py))
            }
        }
    }

    /// Replaces a lock of the interpreter by its stand-in for this execution.
    fn shadowed<'py>(
        &self,
        py: Python<'py>,
        slot: usize,
        object: Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if !self.tables.shadowed.contains(&(object.get_type().as_ptr() as usize)) {
            return Ok(object);
        }
        let shadow = self.tables.shadow.bind(py).call1((&object,))?;
        if !shadow.is(&object) {
            // SAFETY: the slot holds the object, which was read from it.
            unsafe { self.frame.replace(py, slot, shadow.clone()) };
        }
        Ok(shadow)
    }

    fn global(
        &self,
        py: Python<'_>,
        name: &Bound<'_, PyAny>,
        hash: isize,
        text: &str,
        effect: Effect,
    ) -> Vec<Access> {
        let Some(globals) = self.frame.globals(py) else { return Vec::new() };
        let name_number = named(&format!("global {text}"));
        let part = Part::Item(hash);
        let mut accesses = Vec::with_capacity(1);
        let absent = effect == Effect::Read && !globals.contains(name).unwrap_or(true);
        if let Some(builtins) = self.frame.builtins(py).filter(|_| absent) {
            accesses.push(Access { object: builtins.unbind(), part, effect, name: name_number });
        }
        accesses.extend(all_attributes(&globals, effect, || globals.contains(name).unwrap_or(false)));
        accesses.push(Access { object: globals.unbind(), part, effect, name: name_number });
        accesses
    }

    fn operands(
        &self,
        py: Python<'_>,
        first: usize,
        count: usize,
        operation: &Bound<'_, PyAny>,
        argument: &Bound<'_, PyAny>,
    ) -> PyResult<Vec<Access>> {
        let values: Vec<_> = (0..count).map(|index| self.slot(py, first + index)).collect();
        let is_call =
            operation.cast::<PyString>().is_ok_and(|name| name.to_string_lossy().starts_with("CALL"));
        if is_call {
            let callable = values.first().and_then(Option::as_ref).or_else(|| values.get(1)?.as_ref());
            if callable.is_some_and(|callable| self.tables.is_observed_function(callable)) {
                return Ok(Vec::new());
            }
        } else if values.iter().flatten().all(|value| self.tables.is_atomic(value)) {
            return Ok(Vec::new());
        }
        let null = self.tables.null.bind(py);
        let list = PyList::new(py, values.iter().map(|value| value.as_ref().unwrap_or(null)))?;
        let found = self.tables.classify.bind(py).call1((operation, argument, list))?;
        if found.is_none() {
            return Ok(Vec::new());
        }
        let (accesses, replaced): (Bound<'_, PyList>, Bound<'_, PyList>) = found.extract()?;
        for replacement in replaced {
            let (index, with): (usize, Bound<'_, PyAny>) = replacement.extract()?;
            // SAFETY: an operand of this instruction, which is not null.
            unsafe { self.frame.replace(py, first + index, with) };
        }
        let mut all = Vec::with_capacity(accesses.len());
        for access in accesses {
            all.extend(state::accesses_of(access.cast::<PyTuple>()?, self.tables)?);
        }
        Ok(all)
    }

    /// What the instruction reads, or the change that it makes, for reports.
    fn value(&self, py: Python<'_>) -> Option<String> {
        let (now, value) = match self.plan {
            Plan::Attribute { slot, name, value, .. } => {
                let object = self.slot(py, *slot)?;
                let now = if let Ok(module) = object.cast::<PyModule>() {
                    module.dict().get_item(name).ok()?
                } else if object.is_instance_of::<PyType>() {
                    return None;
                } else {
                    frame::dictionary(&object).and_then(|attributes| attributes.get_item(name).ok())
                };
                (now, *value)
            }
            Plan::Global { name, .. } => (self.frame.globals(py)?.get_item(name).ok(), None),
            Plan::Cell { slot, value, .. } => (frame::cell_content(&self.slot(py, *slot)?), *value),
            Plan::Operands { .. } | Plan::Local => return None,
        };
        let now = now.map(|now| shown(&now));
        match value.and_then(|value| self.slot(py, value)) {
            Some(value) => Some(format!("{} → {}", now.as_deref().unwrap_or("nothing"), shown(&value))),
            None => now,
        }
    }
}

/// A value in a report: short, and without addresses.
fn shown(value: &Bound<'_, PyAny>) -> String {
    const LONGEST: usize = 40;
    let text = value.repr().map_or_else(|_| "?".to_owned(), |text| text.to_string());
    let text = match text.find(" at 0x") {
        Some(at) => format!("{}>", text[..at].trim_end_matches(" object")),
        None => text,
    };
    if text.chars().count() > LONGEST {
        return format!("{}…", text.chars().take(LONGEST).collect::<String>());
    }
    text
}

fn named(text: &str) -> u32 {
    state::with(|state| state.locations.name(text)).unwrap_or_default()
}

/// The accesses of an attribute of `object`.
pub(super) fn attribute(
    tables: &Tables,
    object: &Bound<'_, PyAny>,
    name: &Bound<'_, PyAny>,
    hash: isize,
    text: &str,
    effect: Effect,
) -> Vec<Access> {
    let part = Part::Item(hash);
    if let Ok(module) = object.cast::<PyModule>() {
        let number = named(&format!("global {text}"));
        let variables = module.dict().into_any();
        let mut accesses = all_attributes(&variables, effect, || variables.contains(name).unwrap_or(false));
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
        let exists = || frame::dictionary(object).is_some_and(|known| known.contains(name).unwrap_or(false));
        accesses.extend(all_attributes(object, effect, exists));
    }
    accesses
}

/// The accesses of all attributes of an object that an access of one of them is, if the program accesses all of some
/// object: a new one changes their order.
fn all_attributes(object: &Bound<'_, PyAny>, effect: Effect, exists: impl FnOnce() -> bool) -> Vec<Access> {
    if !state::with(|state| state.locations.all_attributes).unwrap_or_default() {
        return Vec::new();
    }
    let class = object.get_type().name().map_or_else(|_| "object".to_owned(), |name| name.to_string());
    let name = named(&format!("{class}.*"));
    let access = |part, effect| Access { object: object.clone().unbind(), part, effect, name };
    match effect {
        Effect::Read => vec![access(Part::Whole, Effect::Read)],
        _ if exists() => vec![access(Part::Whole, Effect::Read), access(Part::Values, Effect::Commute)],
        _ => vec![access(Part::Whole, Effect::Read), access(Part::Values, Effect::Write)],
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
    fn is_observed_function(&self, callable: &Bound<'_, PyAny>) -> bool {
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

/// Adds what is open to the operation that the calling thread has just performed.
pub(crate) fn after_operation() {
    let me = ME.get();
    if me == 0 {
        return;
    }
    RUNNER.store(me, Relaxed);
    let steps = state::with(|state: &mut State| {
        state.has_switched(me);
        state.open_steps(me)
    });
    for (object, effect) in steps.unwrap_or_default() {
        rt::accesses(&object, effect);
    }
}

/// State that the calling line reads or changes an object in a way that its instructions do not show.
#[pyfunction]
#[pyo3(signature = (object, write=true))]
pub(crate) fn touch(py: Python<'_>, object: &Bound<'_, PyAny>, write: bool) -> PyResult<()> {
    let me = ME.get();
    if me == 0 || call::is_unwinding() {
        return Ok(());
    }
    let effect = if write { Effect::Write } else { Effect::Read };
    let class = object.get_type().name()?.to_string();
    let access = Access { object: object.clone().unbind(), part: Part::Whole, effect, name: named(&class) };
    let steps =
        state::with(|state| if state.has_started { state.record(py, &[access], me) } else { Vec::new() });
    let steps = steps.unwrap_or_default();
    let (Some(frame), Some(tables)) = (Frame::innermost(py), state::tables()) else { return Ok(()) };
    if !steps.is_empty() {
        let place = state::code(frame.code()).and_then(|code| code.place(0));
        let plan = &Plan::Local;
        Instruction { plan, frame, tables: &tables, place }.step(py, me, &steps)?;
    }
    Ok(())
}
