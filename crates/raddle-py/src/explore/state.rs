//! The state of the exploration of Python code: one at a time in a process.

use std::any::Any;
use std::collections::{BTreeSet, HashSet};
use std::ops::Deref;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError, RwLock};

use pyo3::prelude::*;
use raddle::rt;

use super::code::{self, Calls, Code};
use super::frame::Frame;
use super::hashing::WordMap;
use super::locations::{Access, Locations, Step};
use super::member::{ME, RUNNER, is_explored};
use super::tables::locked;
use crate::text::Text;

static CODES: RwLock<Option<WordMap<usize, &'static Code>>> = RwLock::new(None);
static STATE: Mutex<Option<State>> = Mutex::new(None);

/// The program has started a thread.
static HAS_STARTED: AtomicBool = AtomicBool::new(false);

/// Whether the program has started a thread. Before that, nothing is recorded.
pub(super) fn has_started() -> bool {
    HAS_STARTED.load(Relaxed)
}

/// States what the instructions of a code object do. The code object lives as long as the process.
#[pyfunction]
pub(crate) fn set_code(
    code: Bound<'_, PyAny>,
    rows: Vec<super::code::Row<'_>>,
    size: usize,
    lines: Vec<u32>,
    beginnings: HashSet<usize>,
    endings: HashSet<usize>,
) -> PyResult<()> {
    let Text(file) = code.getattr("co_filename")?.extract()?;
    let Text(function) = code.getattr("co_name")?.extract()?;
    let known = Code::observed(rows, size, &file, &function, &lines, &beginnings, &endings)?;
    add(code, known);
    Ok(())
}

/// States that neither the instructions of a code object nor those of what it calls are interrupted. Functions of the program
/// are, if the code calls them without a lock: "open", or "before lock" if its caller holds one later.
#[pyfunction]
pub(crate) fn set_opaque(code: Bound<'_, PyAny>, calls: &str) {
    let calls = match calls {
        "open" => Calls::Open,
        "before lock" => Calls::BeforeLock,
        _ => Calls::Locked,
    };
    add(code, Code::Opaque(calls));
}

/// What is known of a code object lives as long as it.
fn add(code: Bound<'_, PyAny>, known: Code) {
    let address = code.as_ptr() as usize;
    let mut codes = CODES.write().unwrap_or_else(PoisonError::into_inner);
    codes.get_or_insert_default().insert(address, Box::leak(Box::new(known)));
    std::mem::forget(code.unbind());
}

pub(super) fn code_at(address: usize) -> Option<&'static Code> {
    CODES.read().unwrap_or_else(PoisonError::into_inner).as_ref()?.get(&address).copied()
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

    /// Whether `frame`, which waits for what it called, executes the instruction: its position is beside it.
    fn is_executed_by(&self, frame: Frame) -> bool {
        const LONGEST: usize = 12 * code::UNIT;
        self.is_of(frame) && frame.instruction().abs_diff(self.instruction) <= LONGEST
    }

    /// Whether `frame` is the frame of the instruction.
    fn is_of(&self, frame: Frame) -> bool {
        (frame.address(), frame.code()) == (self.frame, self.code)
    }
}

/// What an execution left.
pub(super) struct Left {
    _threads: Vec<Thread>,
    _objects: Vec<Py<PyAny>>,
    _kept: Vec<Box<dyn Any + Send>>,
}

/// A value at an address that no other object gets before the end of the execution, although its owner is dropped.
///
/// Observers identify an object by its address. Outside an exploration it is a part of its owner.
#[derive(Debug)]
pub(crate) enum Kept<T: Send + 'static> {
    Inline(T),
    Boxed(Option<Box<T>>),
}

impl<T: Send + 'static> Kept<T> {
    pub(crate) fn new(value: T) -> Self {
        if is_explored() { Self::Boxed(Some(Box::new(value))) } else { Self::Inline(value) }
    }
}

impl<T: Send + 'static> Deref for Kept<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Inline(value) => value,
            Self::Boxed(value) => value.as_ref().expect("until it is dropped"),
        }
    }
}

impl<T: Send + 'static> Drop for Kept<T> {
    fn drop(&mut self) {
        if let Self::Boxed(value) = self
            && let Some(value) = value.take()
        {
            with(|state| state.kept.push(value));
        }
    }
}

#[derive(Debug, Default)]
struct Thread {
    open: Vec<Open>,
    /// The interpreter may switch threads since its last step: for the grain of the interpreter lock.
    may_switch: bool,
    /// The frame whose beginning was its last step.
    begun: Option<usize>,
    /// The number of objects of the toolkit that it has created.
    created: u32,
    /// Its instructions since its last step.
    silent: u32,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) locations: Locations,
    threads: Vec<Thread>,
    /// Steps are only where the interpreter switches threads.
    by_interpreter_lock: bool,
    /// What the exploration cannot see.
    pub(super) unseen: BTreeSet<String>,
    /// What is dropped at the end of the execution.
    kept: Vec<Box<dyn Any + Send>>,
}

/// Calls `f` with the state, if a program is being explored. No Python code runs meanwhile.
pub(super) fn with<R>(f: impl FnOnce(&mut State) -> R) -> Option<R> {
    locked(&STATE).as_mut().map(f)
}

/// Return the number of the next object that the calling thread creates in an exploration. Those of several threads differ,
/// whatever the order in which they create them.
#[pyfunction]
pub(crate) fn next_number() -> Option<isize> {
    const THREADS: u32 = 997; // no power of two, so that the order in a set is not that of the threads
    let me = Some(ME.get()).filter(|&me| me != 0)?;
    with(|state| {
        let thread = state.thread(me);
        thread.created += 1;
        isize::try_from(thread.created + (me - 1) * THREADS).unwrap_or_default()
    })
}

/// Notes that a function begins. Returns whether C code that accesses something may have called it.
pub(super) fn begins(me: u32) -> bool {
    with(|state| {
        let thread = state.thread(me);
        thread.may_switch = true;
        !thread.open.is_empty()
    })
    .unwrap_or_default()
}

/// Notes that a function is about to return or an exception to leave it, or a generator to yield. Returns nothing unless C code that accesses something
/// may go on then; otherwise whether the thread has taken a step since the function began. If not, its beginning stands for
/// both.
pub(super) fn ends(me: u32, frame: Frame) -> Option<bool> {
    with(|state| {
        state.close_until(frame, me);
        let thread = state.thread(me);
        (!thread.open.is_empty()).then(|| thread.begun != Some(frame.address()))
    })
    .flatten()
}

pub(super) fn replace(with: Option<State>) -> Option<State> {
    std::mem::replace(&mut *locked(&STATE), with)
}

impl State {
    pub(super) fn new(locations: Locations, by_interpreter_lock: bool) -> Self {
        let threads = Vec::new();
        let (unseen, kept) = (BTreeSet::new(), Vec::new());
        Self { locations, threads, by_interpreter_lock, unseen, kept }
    }

    /// Begins an execution. What is returned is dropped without the lock.
    pub(super) fn begin(&mut self) -> Left {
        HAS_STARTED.store(false, Relaxed);
        let threads = std::mem::replace(&mut self.threads, vec![Thread::default(), Thread::default()]);
        let kept = std::mem::take(&mut self.kept);
        Left { _threads: threads, _objects: self.locations.next_execution(), _kept: kept }
    }

    /// Returns the number of a new thread.
    pub(super) fn add_thread(&mut self) -> u32 {
        HAS_STARTED.store(true, Relaxed);
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
            if !last.is_of(frame) && callers().any(|caller| last.is_executed_by(caller)) {
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

    /// Notes a step of a thread: the beginning of a frame's code, or another one.
    pub(super) fn has_stepped(&mut self, me: u32, begun: Option<Frame>) {
        let thread = self.thread(me);
        thread.begun = begun.map(Frame::address);
        thread.silent = 0;
    }

    /// Notes an instruction that is no step. Returns whether others have to go first now and then: what a loop polls is not
    /// known to be shared until another thread has changed it.
    pub(super) fn is_silent(&mut self, me: u32) -> bool {
        const LONG: u32 = 20_000;
        let silent = &mut self.thread(me).silent;
        *silent += 1;
        *silent >= LONG && {
            *silent = 0;
            true
        }
    }

    /// The steps of the instructions that are open.
    pub(super) fn open_steps(&mut self, me: u32) -> Vec<Step> {
        if self.thread(me).open.is_empty() || !has_started() {
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
        let mut is_of_program = false;
        while let Some(frame) = frames.next() {
            match code_at(frame.code()) {
                Some(Code::Opaque(Calls::Open)) if is_of_program => {}
                Some(Code::Opaque(Calls::BeforeLock)) if is_of_program => drop(frames.next()),
                Some(Code::Opaque(_)) => return true,
                Some(Code::Observed { is_of_program: program, .. }) => is_of_program |= program,
                None => {}
            }
        }
        self.by_interpreter_lock && !std::mem::take(&mut self.thread(me).may_switch)
    }

    /// The interpreter may switch threads before the next step of the thread.
    pub(super) fn has_switched(&mut self, me: u32) {
        self.thread(me).may_switch = true;
    }
}

/// Adds what is open to the operation that the calling thread has just performed.
pub(crate) fn after_operation() {
    let me = ME.get();
    if me == 0 {
        return;
    }
    RUNNER.store(me, Relaxed);
    let steps = with(|state| {
        state.has_switched(me);
        state.has_stepped(me, None);
        state.open_steps(me)
    });
    for (object, effect) in steps.unwrap_or_default() {
        rt::accesses(&object, effect);
    }
}
