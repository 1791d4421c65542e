//! The callback before each observed instruction: finds what the instruction accesses, and makes it a step if other threads
//! can see it.
//!
//! An access is computed from the operands before the step. If other threads ran in the step, it is computed once more: a
//! key that existed may be gone. C code may call Python code back, and access its operands again afterwards, without an
//! instruction of its own. So the accesses of an instruction remain *open* until the next instruction of its frame, and
//! every step that the thread takes meanwhile includes them.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering::Relaxed;

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyInt, PyModule, PyType};
use raddle::rt::{self, Effect, Kind, Object, Op, Place};

use super::access::{attribute, with_all_attributes};
use super::code::{Plan, Point};
use super::frame::{self, Frame};
use super::locations::{Access, Part, Step};
use super::member::{ME, RUNNER};
use super::names::{self, Name};
use super::state::{self, Open};
use super::tables::{self, Descriptor, Tables};
use crate::{lines, unwinding};

/// Called by the interpreter before an instruction of an observed code object.
#[pyfunction]
pub(crate) fn on_instruction(
    py: Python<'_>,
    code: &Bound<'_, PyAny>,
    offset: &Bound<'_, PyInt>,
) -> PyResult<Option<Py<PyAny>>> {
    // SAFETY: it is an integer, and the thread is attached. The interpreter passes no negative one.
    let offset = unsafe { ffi::PyLong_AsSize_t(offset.as_ptr()) };
    let point = state::code_at(code.as_ptr() as usize).and_then(|code| code.point(offset));
    let Some(Point { plan, place, begins, ends }) = point else { return Ok(None) };
    let (begins, ends) = (*begins, *ends);
    let me = ME.get();
    if matches!(plan, Plan::Local) && !begins && !ends {
        return Ok(tables::disable(py));
    }
    if me == 0 || unwinding::is_unwinding() {
        return Ok(None);
    }
    let begins = begins && state::begins(me);
    if matches!(plan, Plan::Local) && !begins && !ends {
        return Ok(None);
    }
    let frame = Frame::innermost(py).filter(|frame| frame.code() == code.as_ptr() as usize);
    let Some(frame) = frame else { return Ok(None) };
    let ended = if ends { state::ends(me, frame) } else { None };
    if ends && ended.is_none() && !begins {
        return Ok(None);
    }
    let is_called_by_c = begins || ended == Some(true);
    if matches!(plan, Plan::Local) && !is_called_by_c {
        return Ok(None);
    }
    let Some(tables) = tables::tables() else { return Ok(None) };
    let instruction = Instruction { plan, frame, tables: &tables, place: *place, is_called_by_c, begins };
    instruction.perform(py, me)?;
    Ok(None)
}

/// Called by the interpreter when an exception leaves a call. C code that has made the call may go on then.
#[pyfunction]
pub(crate) fn on_unwind(
    py: Python<'_>,
    code: &Bound<'_, PyAny>,
    offset: usize,
    _exception: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let me = ME.get();
    if me == 0 || unwinding::is_unwinding() {
        return Ok(());
    }
    let point = state::code_at(code.as_ptr() as usize).and_then(|code| code.point(offset));
    let Some(Point { place, .. }) = point else { return Ok(()) };
    let frame = Frame::innermost(py).filter(|frame| frame.code() == code.as_ptr() as usize);
    let Some(frame) = frame else { return Ok(()) };
    if state::ends(me, frame) != Some(true) {
        return Ok(());
    }
    let Some(tables) = tables::tables() else { return Ok(()) };
    let plan = &Plan::Local;
    Instruction { plan, frame, tables: &tables, place: *place, is_called_by_c: true, begins: false }
        .perform(py, me)
}

/// Virtual addresses of objects that a single thread knows begin here.
const OWN: usize = 3 << 61;

/// An object that the calling thread alone accesses.
pub(crate) fn own_object(type_name: &'static str) -> Object {
    Object::new(OWN + ME.get() as usize * 64, 0, type_name)
}

struct Instruction<'a> {
    plan: &'a Plan,
    frame: Frame,
    tables: &'a Tables,
    place: Option<Place>,
    /// It is the first or the last one of a call from C code that accesses something, or of a generator that such code has
    /// resumed.
    is_called_by_c: bool,
    begins: bool,
}

impl Instruction<'_> {
    fn perform(&self, py: Python<'_>, me: u32) -> PyResult<()> {
        let mut declared: Vec<Step> = Vec::new();
        loop {
            let accesses = self.accesses(py)?;
            let steps = state::with(|state| {
                state.close_until(self.frame, me);
                if !state::has_started() {
                    return Vec::new();
                }
                let mut steps = state.record(py, &accesses, me);
                if accesses.is_empty() && !self.is_called_by_c {
                    return steps; // no step, even if something is open
                }
                for open in state.open_steps(me) {
                    if !steps.contains(&open) {
                        steps.push(open);
                    }
                }
                steps
            });
            let steps = steps.unwrap_or_default();
            let is_silent = steps.is_empty() && state::has_started();
            if is_silent && state::with(|state| state.is_silent(me)).unwrap_or_default() {
                super::thread::pause(py)?;
            }
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
        let place = self.place.or_else(|| lines::calling_line(py)).unwrap_or_else(Place::caller);
        // The operation is one of its accesses, and an operation of one object reads or writes it.
        let main = steps.iter().position(|(_, effect)| *effect != Effect::Commute);
        let op = match main.map(|main| steps[main]) {
            Some((object, Effect::Read)) => Op::at(object, Kind::Read, place),
            Some((object, _)) => Op::at(object, Kind::Write, place),
            None => Op::at(own_object(steps[0].0.type_name), Kind::Read, place).with_verb("changes"),
        };
        let others: Vec<Step> =
            steps.iter().enumerate().filter(|(at, _)| Some(*at) != main).map(|(_, step)| *step).collect();
        if merged {
            for (object, effect) in steps {
                rt::accesses(object, *effect);
            }
            return Ok(false);
        }
        let begun = (self.begins && matches!(self.plan, Plan::Local)).then_some(self.frame);
        state::with(|state| state.has_stepped(me, begun));
        let done = py.detach(|| catch_unwind(AssertUnwindSafe(|| rt::point_with(op, &others))));
        let others_ran = RUNNER.swap(me, Relaxed) != me;
        if let Err(payload) = done {
            return Err(if payload.is::<rt::Abandoned>() {
                unwinding::abandoned()
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
            Plan::Attribute { slot, name, effect, deletes, .. } => {
                let Some(object) = self.slot(py, *slot) else { return Ok(Vec::new()) };
                let object = self.shadowed(py, *slot, object)?;
                if !state::has_started() && name.text != "__dict__" {
                    return Ok(Vec::new());
                }
                Ok(attribute(self.tables, &object, name, *effect, *deletes))
            }
            Plan::Global { .. } | Plan::Cell { .. } if !state::has_started() => Ok(Vec::new()),
            Plan::Global { name, effect, deletes, in_namespace } => {
                let space = in_namespace.and_then(|number| Some((number, self.namespace(py)?)));
                Ok(match space {
                    Some((number, space)) => self.in_namespace(&space, number, name, *effect, *deletes),
                    None => self.global(py, name, *effect, *deletes),
                })
            }
            Plan::Cell { slot, name, effect, .. } => {
                let Some(cell) = self.slot(py, *slot) else { return Ok(Vec::new()) };
                Ok(vec![Access { object: cell.unbind(), part: Part::Whole, effect: *effect, name: *name }])
            }
            Plan::Operands { first, count, operation, name, argument } => {
                let values: Vec<_> = (0..*count).map(|index| self.slot(py, first + index)).collect();
                // Nobody else knows an iterator that only the stack refers to, apart from `values`.
                // SAFETY: as for the values.
                let is_private =
                    || (*first..first + count).all(|slot| unsafe { self.frame.is_private(py, slot) });
                let privacy =
                    argument.is_none(py).then(|| PyBool::new(py, is_private()).to_owned().into_any());
                let argument = privacy.as_ref().unwrap_or_else(|| argument.bind(py));
                let (found, replaced) = self.tables.accesses(*operation, name.bind(py), argument, &values)?;
                for (index, with) in replaced {
                    // SAFETY: an operand of this instruction, which is not null.
                    unsafe { self.frame.replace(py, first + index, with) };
                }
                Ok(found)
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

    /// The namespace of the frame, if it is not that of the global variables. One that is no dictionary is observed by itself.
    fn namespace<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyDict>> {
        let locals = self.frame.locals(py)?;
        let is_global = self.frame.globals(py).is_some_and(|globals| globals.is(&locals));
        locals.cast_into::<PyDict>().ok().filter(|_| !is_global)
    }

    /// The accesses of a name in a namespace, as those of an item of a dictionary.
    fn in_namespace(
        &self,
        space: &Bound<'_, PyDict>,
        number: u32,
        name: &Name,
        effect: Effect,
        deletes: bool,
    ) -> Vec<Access> {
        let exists = space.contains(&name.key).unwrap_or(false);
        let access = |part, effect| {
            let object = space.clone().into_any().unbind();
            Access { object, part, effect, name: number }
        };
        let mut accesses = vec![access(Part::Item(name.hash), effect)];
        if effect == Effect::Read {
            accesses.push(access(Part::Whole, Effect::Read));
            if !exists {
                accesses.extend(self.global(space.py(), name, effect, deletes));
            }
        } else if exists && !deletes {
            accesses.push(access(Part::Whole, Effect::Read));
            accesses.push(access(Part::Values, Effect::Commute));
        } else {
            accesses.push(access(Part::Whole, Effect::Write));
        }
        accesses
    }

    fn global(&self, py: Python<'_>, name: &Name, effect: Effect, deletes: bool) -> Vec<Access> {
        let Some(globals) = self.frame.globals(py) else { return Vec::new() };
        let part = Part::Item(name.hash);
        let mut accesses = Vec::with_capacity(1);
        let absent = effect == Effect::Read && !globals.contains(&name.key).unwrap_or(true);
        if let Some(builtins) = self.frame.builtins(py).filter(|_| absent) {
            accesses.push(Access { object: builtins.unbind(), part, effect, name: name.global });
        }
        let replaces = || !deletes && globals.contains(&name.key).unwrap_or(false);
        accesses.extend(with_all_attributes(&globals, effect, replaces));
        accesses.push(Access { object: globals.unbind(), part, effect, name: name.global });
        accesses
    }

    /// What the instruction reads, or the change that it makes, for reports.
    fn value(&self, py: Python<'_>) -> Option<String> {
        let (now, value) = match self.plan {
            Plan::Attribute { slot, name, value, .. } => {
                let object = self.slot(py, *slot)?;
                let now = if let Ok(module) = object.cast::<PyModule>() {
                    module.dict().get_item(&name.key).ok()?
                } else if object.is_instance_of::<PyType>() {
                    return None;
                } else {
                    let own = frame::dictionary(&object);
                    let own = own.and_then(|attributes| attributes.get_item(&name.key).ok());
                    own.or_else(|| self.default(&object, name.key.bind(py)))
                };
                (now, *value)
            }
            Plan::Global { name, .. } => (self.frame.globals(py)?.get_item(&name.key).ok(), None),
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

impl Instruction<'_> {
    /// The value that the class of an object has for an attribute: neither a method nor code that computes it.
    fn default<'py>(
        &self,
        object: &Bound<'py, PyAny>,
        name: &Bound<'py, PyAny>,
    ) -> Option<Bound<'py, PyAny>> {
        let found = frame::found_on_type(object, name)?;
        let is_value = self.tables.kind_of_descriptor(&found) == Descriptor::None
            && frame::found_on_type(&found, intern!(object.py(), "__get__")).is_none();
        is_value.then_some(found)
    }
}

/// A value in a report: short, and without addresses.
pub(crate) fn shown(value: &Bound<'_, PyAny>) -> String {
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

/// An item of a queue in a report.
pub(crate) fn shown_item(item: &Py<PyAny>) -> String {
    Python::attach(|py| shown(item.bind(py)))
}

/// State that the calling line reads or changes an object in a way that its instructions do not show.
#[pyfunction]
#[pyo3(signature = (object, write=true, commutes=false))]
pub(crate) fn touch(py: Python<'_>, object: &Bound<'_, PyAny>, write: bool, commutes: bool) -> PyResult<()> {
    let me = ME.get();
    if me == 0 || unwinding::is_unwinding() {
        return Ok(());
    }
    let effect = match (write, commutes) {
        (false, _) => Effect::Read,
        (true, false) => Effect::Write,
        (true, true) => Effect::Commute,
    };
    let class = object.get_type().name()?.to_string();
    let access =
        Access { object: object.clone().unbind(), part: Part::Whole, effect, name: names::number(&class) };
    let steps =
        state::with(|state| if state::has_started() { state.record(py, &[access], me) } else { Vec::new() });
    let steps = steps.unwrap_or_default();
    let (Some(frame), Some(tables)) = (Frame::innermost(py), tables::tables()) else { return Ok(()) };
    if !steps.is_empty() {
        let place = state::code_at(frame.code()).and_then(|code| code.point(0)?.place);
        let plan = &Plan::Local;
        Instruction { plan, frame, tables: &tables, place, is_called_by_c: false, begins: false }
            .step(py, me, &steps)?;
    }
    Ok(())
}
