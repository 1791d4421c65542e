//! What a thread is about to do, said to whoever observes: the scheduler, the watch, the trace.

use super::place::Place;
use std::fmt;
use std::sync::atomic::Ordering;

/// Which object a step touches: its address while it is in use, and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Object {
    /// Address of the object: unique among the objects alive.
    pub address: usize,
    /// How many bytes it takes from there; its own words lie within.
    pub size: usize,
    /// The type as its user knows it: `Lock`, `Queue`, `Thread`, …
    pub type_name: &'static str,
}

impl Object {
    /// Returns the object of `size` bytes at `address`.
    #[inline]
    pub const fn new(address: usize, size: usize, type_name: &'static str) -> Self {
        Self { address, size, type_name }
    }

    /// Names the object at `place`.
    #[inline]
    pub fn of<T: ?Sized>(place: &T, type_name: &'static str) -> Self {
        Self { address: std::ptr::from_ref(place).cast::<u8>() as usize, size: size_of_val(place), type_name }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:#x}", self.type_name, self.address)
    }
}

/// What is done to the object: enough to tell which steps conflict.
///
/// Two steps on one object commute only if [neither changes it](Kind::is_read). What a step means follows from its
/// kind alone; the name of its object is for display.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Looks without changing: `is_set`, `len`, a plain load.
    Read,
    /// Changes without waiting: a store, `set`, `clear`, `abort`.
    Write,
    /// Reads plain data. Unless something else orders it after every [`Store`](Kind::Store) of another thread, the
    /// two are a data race.
    Load,
    /// Writes plain data; see [`Load`](Kind::Load).
    Store,
    /// Takes exclusive hold, waiting for it: `acquire`, `lock`.
    Acquire,
    /// Takes hold if that is possible at once: `try_lock`.
    TryAcquire,
    /// Lets go of what was taken: `release`, a guard's drop.
    Release,
    /// Waits for a state that others bring about, and changes the object: `Condition::wait`, `Barrier::wait`, `result`.
    Wait,
    /// Waits for a state that others bring about, without changing anything: `Event::wait`.
    Await,
    /// Waits for the termination of a thread, without changing anything.
    Join,
    /// Waits for a signal from outside the program. No thread of the program depends on it.
    Signal,
    /// Wakes those who wait: `notify_one`.
    Notify,
    /// Adds an item or a task.
    Put,
    /// Removes an item or a task.
    Get,
    /// Starts a thread.
    Start,
    /// A thread ends.
    Terminate,
    /// Sleeps until a moment.
    Sleep,
    /// One atomic access inside a primitive; seen at the fine grain only.
    Atom,
}

impl Kind {
    /// Whether the step leaves the object as it is, so that it commutes with other such steps.
    pub fn is_read(self) -> bool {
        matches!(self, Kind::Read | Kind::Load | Kind::Await | Kind::Join | Kind::Signal)
    }

    /// The step in words, for reports: "acquires", "waits for". An operation may have [better ones](Op::with_verb).
    pub fn verb(self) -> &'static str {
        match self {
            Kind::Read | Kind::Load => "reads",
            Kind::Write | Kind::Store => "writes",
            Kind::Acquire => "acquires",
            Kind::TryAcquire => "tries to acquire",
            Kind::Release => "releases",
            Kind::Wait | Kind::Await | Kind::Signal => "waits for",
            Kind::Join => "joins",
            Kind::Notify => "notifies",
            Kind::Put => "puts into",
            Kind::Get => "gets from",
            Kind::Start => "starts",
            Kind::Terminate => "terminates",
            Kind::Sleep => "sleeps",
            Kind::Atom => "touches a word of",
        }
    }
}

/// One step: what is done to which object, and on which line of the program.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Op {
    /// The object touched.
    pub object: Object,
    /// What is done to it.
    pub kind: Kind,
    /// The caller's line, from `#[track_caller]`.
    pub at: Place,
    /// What the operation does, for display, where its kind says too little: "sets", "shuts down".
    pub verb: Option<&'static str>,
}

impl Op {
    /// A step of `kind` on the object at `place`, at the caller's line.
    #[inline]
    #[track_caller]
    pub fn new<T: ?Sized>(place: &T, type_name: &'static str, kind: Kind) -> Self {
        Self { object: Object::of(place, type_name), kind, at: Place::caller(), verb: None }
    }

    /// Returns an operation of `kind` on `object`, performed at `at`.
    #[inline]
    pub const fn at(object: Object, kind: Kind, at: Place) -> Self {
        Self { object, kind, at, verb: None }
    }

    /// The same step in other words: "sets", "shuts down". They are for display alone.
    #[inline]
    #[must_use]
    pub fn with_verb(self, verb: &'static str) -> Self {
        Self { verb: Some(verb), ..self }
    }

    /// The step in words: its own, or those of its kind.
    pub fn verb(&self) -> &'static str {
        self.verb.unwrap_or_else(|| self.kind.verb())
    }
}

/// An atomic access or a fence, as the memory model of C++20 counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Memory {
    /// A load, and a compare-and-exchange that failed.
    Load(Ordering),
    /// A store. It begins a new release sequence.
    Store(Ordering),
    /// A read-modify-write. It continues the release sequence that it reads from.
    Update(Ordering),
    /// A fence.
    Fence(Ordering),
}

impl Memory {
    /// Whether what happened before the store that it reads from happens before what comes after it.
    pub fn acquires(self) -> bool {
        use Ordering::{AcqRel, Acquire, SeqCst};
        match self {
            Memory::Load(order) | Memory::Update(order) | Memory::Fence(order) => {
                matches!(order, Acquire | AcqRel | SeqCst)
            }
            Memory::Store(_) => false,
        }
    }

    /// Whether what came before it happens before what comes after an acquire that reads from it.
    pub fn releases(self) -> bool {
        use Ordering::{AcqRel, Release, SeqCst};
        match self {
            Memory::Store(order) | Memory::Update(order) | Memory::Fence(order) => {
                matches!(order, Release | AcqRel | SeqCst)
            }
            Memory::Load(_) => false,
        }
    }
}
