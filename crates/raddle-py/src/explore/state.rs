//! The state of the exploration of Python code: one at a time in a process.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyEllipsis, PyString, PyTuple, PyType};
use raddle::rt::Effect;

use super::code::Code;
use super::frame::{self, Frame};
use super::hook::{self, Descriptor};
use super::locations::{Access, Locations, Part, Step};

thread_local! {
    /// The number of the calling thread in its execution, from 1, or 0 if it takes part in none.
    pub(super) static ME: Cell<u32> = const { Cell::new(0) };
}

/// The thread that ran last.
pub(super) static RUNNER: AtomicU32 = AtomicU32::new(0);

static CODES: RwLock<Option<HashMap<usize, Arc<Code>>>> = RwLock::new(None);
static STATE: Mutex<Option<State>> = Mutex::new(None);
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
    atomic: HashSet<usize>,
    /// Types whose instances have a stand-in.
    pub(super) shadowed: HashSet<usize>,
    /// Callables that are replaced when they are called.
    pub(super) replaced: HashSet<usize>,
    property: HashSet<usize>,
    member: HashSet<usize>,
    getset: HashSet<usize>,
    set_name: Py<PyAny>,
    harmless: Mutex<HashMap<usize, Py<PyAny>>>,
    plain: Mutex<HashMap<usize, (Py<PyAny>, bool)>>,
    is_plain: Py<PyAny>,
    /// The beginnings of the paths of files that are not the program's.
    outside: Vec<String>,
}

fn addresses(objects: &Bound<'_, PyAny>) -> PyResult<HashSet<usize>> {
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
        outside: get("outside")?.extract()?,
        atomic: addresses(&get("atomic")?)?,
        shadowed: addresses(&get("shadowed")?)?,
        replaced: addresses(&get("replaced")?)?,
        property: addresses(&get("property")?)?,
        member: addresses(&get("member")?)?,
        getset: addresses(&get("getset")?)?,
        set_name: PyString::intern(given.py(), "__set__").into_any().unbind(),
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

/// States that a callable accesses nothing, whatever its arguments are, except by observed instructions.
#[pyfunction]
pub(crate) fn set_harmless(callable: Bound<'_, PyAny>) {
    if let Some(tables) = tables() {
        let address = callable.as_ptr() as usize;
        locked(&tables.harmless).insert(address, callable.unbind());
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
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

/// States what the instructions of a code object do. The code object lives as long as the process.
#[pyfunction]
pub(crate) fn set_code(
    code: Bound<'_, PyAny>,
    rows: Vec<super::code::Row<'_>>,
    size: usize,
    lines: Vec<u32>,
) -> PyResult<()> {
    let file: String = code.getattr("co_filename")?.extract()?;
    let function: String = code.getattr("co_name")?.extract()?;
    let known = Code::observed(rows, size, &file, &function, &lines)?;
    add(code, known);
    Ok(())
}

/// States that neither the instructions of a code object nor those of what it calls are interrupted.
#[pyfunction]
pub(crate) fn set_opaque(code: Bound<'_, PyAny>) {
    add(code, Code::Opaque);
}

fn add(code: Bound<'_, PyAny>, known: Code) {
    let address = code.as_ptr() as usize;
    let mut codes = CODES.write().unwrap_or_else(PoisonError::into_inner);
    codes.get_or_insert_default().insert(address, Arc::new(known));
    std::mem::forget(code.unbind());
}

pub(super) fn code(address: usize) -> Option<Arc<Code>> {
    CODES.read().unwrap_or_else(PoisonError::into_inner).as_ref()?.get(&address).cloned()
}

/// An instruction whose accesses may go on until the next instruction of its frame.
#[derive(Debug)]
pub(super) struct Open {
    frame: usize,
    code: usize,
    instruction: usize,
    accesses: Vec<Access>,
}

impl Open {
    pub(super) fn new(frame: Frame, accesses: Vec<Access>) -> Self {
        let (code, instruction) = (frame.code(), frame.instruction());
        Self { frame: frame.address(), code, instruction, accesses }
    }

    /// Whether `frame` executes the instruction.
    fn is_of(&self, frame: Frame) -> bool {
        (frame.address(), frame.code()) == (self.frame, self.code)
    }
}

/// What an execution left.
pub(super) struct Left {
    _threads: Vec<Thread>,
    _objects: Vec<Py<PyAny>>,
}

#[derive(Debug, Default)]
struct Thread {
    open: Vec<Open>,
    /// The interpreter may switch threads since its last step: for the grain of the interpreter lock.
    may_switch: bool,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) locations: Locations,
    threads: Vec<Thread>,
    /// The program has started a thread.
    pub(super) has_started: bool,
    /// Steps are only where the interpreter switches threads.
    by_interpreter_lock: bool,
    /// What the exploration cannot see.
    pub(super) unseen: BTreeSet<String>,
}

/// Calls `f` with the state, if a program is being explored. No Python code runs meanwhile.
pub(super) fn with<R>(f: impl FnOnce(&mut State) -> R) -> Option<R> {
    locked(&STATE).as_mut().map(f)
}

pub(super) fn replace(with: Option<State>) -> Option<State> {
    std::mem::replace(&mut *locked(&STATE), with)
}

impl State {
    pub(super) fn new(locations: Locations, by_interpreter_lock: bool) -> Self {
        let threads = Vec::new();
        Self { locations, threads, has_started: false, by_interpreter_lock, unseen: BTreeSet::new() }
    }

    /// Begins an execution. What is returned is dropped without the lock.
    pub(super) fn begin(&mut self) -> Left {
        self.has_started = false;
        let threads = std::mem::replace(&mut self.threads, vec![Thread::default(), Thread::default()]);
        Left { _threads: threads, _objects: self.locations.next_execution() }
    }

    /// Returns the number of a new thread.
    pub(super) fn add_thread(&mut self) -> u32 {
        self.has_started = true;
        self.threads.push(Thread { may_switch: true, ..Thread::default() });
        u32::try_from(self.threads.len() - 1).expect("fewer threads than fit into memory")
    }

    fn thread(&mut self, me: u32) -> &mut Thread {
        let me = me as usize;
        if self.threads.len() <= me {
            self.threads.resize_with(me + 1, Thread::default);
        }
        &mut self.threads[me]
    }

    /// Closes the instructions that are no longer being executed.
    pub(super) fn close_until(&mut self, frame: Frame, me: u32) {
        let open = &mut self.thread(me).open;
        while let Some(last) = open.last() {
            let callers = || std::iter::successors(frame.previous(), |frame| frame.previous());
            if !last.is_of(frame)
                && callers().any(|caller| last.is_of(caller) && caller.instruction() == last.instruction)
            {
                return;
            }
            open.pop();
        }
    }

    pub(super) fn open(&mut self, me: u32, open: Open) {
        self.thread(me).open.push(open);
    }

    /// Records accesses of a thread. Returns those that are steps.
    pub(super) fn record(&mut self, py: Python<'_>, accesses: &[Access], me: u32) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        for access in accesses {
            let step = self.locations.record(py, access, me);
            steps.extend(step.filter(|step| !steps.contains(step)));
        }
        steps
    }

    /// The steps of the instructions that are open.
    pub(super) fn open_steps(&mut self, me: u32) -> Vec<Step> {
        if self.thread(me).open.is_empty() || !self.has_started {
            return Vec::new();
        }
        let open = std::mem::take(&mut self.thread(me).open);
        let accesses = open.iter().flat_map(|open| &open.accesses);
        let steps = accesses.filter_map(|access| self.locations.record_again(access, me)).collect();
        self.thread(me).open = open;
        steps
    }

    /// Whether no thread can be switched to at the next instruction of a thread.
    pub(super) fn cannot_switch(&mut self, me: u32, frame: Frame) -> bool {
        let mut frames = std::iter::successors(Some(frame), |frame| frame.previous());
        if frames.any(|frame| code(frame.code()).is_some_and(|code| matches!(*code, Code::Opaque))) {
            return true;
        }
        self.by_interpreter_lock && !std::mem::take(&mut self.thread(me).may_switch)
    }

    /// The interpreter may switch threads before the next step of the thread.
    pub(super) fn has_switched(&mut self, me: u32) {
        self.thread(me).may_switch = true;
    }
}

/// The accesses that a tuple from Python states: the object, its part, the effect and the name.
pub(super) fn accesses_of(access: &Bound<'_, PyTuple>, tables: &Tables) -> PyResult<Vec<Access>> {
    let py = access.py();
    let (object, part, effect, text): (Bound<'_, PyAny>, Bound<'_, PyAny>, char, Option<String>) =
        access.extract()?;
    let effect = match effect {
        'r' => Effect::Read,
        'w' => Effect::Write,
        _ => Effect::Commute,
    };
    let class = || object.get_type().name().map(|name| name.to_string());
    let text = match text.as_deref() {
        Some("@attribute") => {
            let text: String = part.extract()?;
            return Ok(hook::attribute(tables, &object, &part, part.hash()?, &text, effect));
        }
        Some("@attributes") => {
            let part = if effect == Effect::Read { Part::Values } else { Part::Whole };
            let name = all_attributes(&class()?);
            return Ok(vec![Access { object: object.unbind(), part, effect, name }]);
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
    let owner = with(|state| state.locations.owner(py, object.as_ptr() as usize)).flatten();
    let of_attributes = owner.is_some()
        || object.is_exact_instance_of::<PyDict>() && object.contains(intern!(py, "__builtins__"))?;
    let name = if of_attributes && part == Part::Values && effect == Effect::Read
        || of_attributes && part == Part::Whole && effect == Effect::Write
    {
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
        with(|state| state.locations.name(&text)).unwrap_or_default()
    };
    let object = owner.unwrap_or_else(|| object.unbind());
    Ok(vec![Access { object, part, effect, name }])
}

/// The name of all attributes of an object. From now on, an access of one of them accesses all of them, too.
fn all_attributes(class: &str) -> u32 {
    with(|state| {
        let has_started = state.has_started;
        state.locations.access_all_attributes(has_started);
        state.locations.name(&format!("{class}.*"))
    })
    .unwrap_or_default()
}
