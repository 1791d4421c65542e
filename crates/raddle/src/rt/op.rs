//! Operations: the steps of a thread, as they are reported to the scheduler, the watch and the trace.

use std::fmt;
use std::sync::atomic::Ordering;

use super::place::Place;

/// The object of an operation: its address range and the name of its type.
///
/// An address identifies an object only while the object lives and is not moved.
///
/// # Examples
/// ```
/// use raddle::rt::Object;
///
/// let word = 0_u32;
/// assert!(Object::of(&word, "Event").to_string().starts_with("Event 0x"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Object {
    /// The address of the object.
    pub address: usize,
    /// Its size in bytes. The words that it waits on lie within.
    pub size: usize,
    /// The name of its type as users know it: `Lock`, `Queue`, `Thread`. It is for display only.
    pub type_name: &'static str,
}

impl Object {
    /// Returns the object of `size` bytes at `address`.
    ///
    /// # Examples
    /// ```
    /// use raddle::rt::Object;
    ///
    /// assert_eq!(Object::new(0x1000, 8, "Lock").to_string(), "Lock 0x1000");
    /// ```
    #[inline]
    pub const fn new(address: usize, size: usize, type_name: &'static str) -> Self {
        Self { address, size, type_name }
    }

    /// Returns `value` as an object.
    ///
    /// # Examples
    /// ```
    /// use raddle::rt::Object;
    ///
    /// let value = [0_u32; 4];
    /// assert_eq!(Object::of(&value, "Lock").size, 16);
    /// ```
    #[inline]
    pub fn of<T: ?Sized>(value: &T, type_name: &'static str) -> Self {
        let address = std::ptr::from_ref(value).cast::<u8>() as usize;
        Self { address, size: size_of_val(value), type_name }
    }
}

/// The effect of an operation on a further object that it accesses.
///
/// # Examples
/// ```
/// use raddle::rt::{self, Effect, Kind, Object, Op};
///
/// // A step that moves an item from one list to another.
/// let (from, to) = (Object::new(0x100, 0, "from"), Object::new(0x200, 0, "to"));
/// rt::point_with(Op::at(from, Kind::Write, rt::Place::caller()), &[(to, Effect::Write)]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// It reads the object.
    Read,
    /// It changes the object.
    Write,
    /// It changes the object in a way that commutes with every other change of this kind, but not with a read.
    Commute,
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:#x}", self.type_name, self.address)
    }
}

/// The kind of an operation, from which a scheduler derives whether two operations conflict.
///
/// Two operations on one object commute only if [neither of them changes it](Kind::is_read). The kind alone decides: the
/// name of the object and the verb of the operation are for display.
///
/// # Examples
/// ```
/// use raddle::rt::Kind;
///
/// let commute = |first: Kind, second: Kind| first.is_read() && second.is_read();
/// assert!(commute(Kind::Read, Kind::Await));
/// assert!(!commute(Kind::Read, Kind::Write));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Reads without changing: `is_set`, `len`, an atomic load.
    Read,
    /// Changes without blocking: an atomic store, `set`, `clear`, `abort`.
    Write,
    /// Reads plain data. Without an order between it and a [`Store`](Kind::Store) of another thread, the two are a data
    /// race.
    Load,
    /// Writes plain data; see [`Load`](Kind::Load).
    Store,
    /// Acquires a lock, blocking until it is available: `acquire`, `lock`.
    Acquire,
    /// Acquires a lock if it is available: `try_lock`.
    TryAcquire,
    /// Releases a lock: `release`, the drop of a guard.
    Release,
    /// Blocks until another thread changes the object, and changes the object itself: `Condition::wait`,
    /// `Barrier::wait`, `result`.
    Wait,
    /// Blocks until another thread changes the object, without changing it: `Event::wait`.
    Await,
    /// Blocks until a thread terminates, without changing anything.
    Join,
    /// Blocks until a signal arrives. No thread of the program depends on it.
    Signal,
    /// Wakes waiters: `notify_one`.
    Notify,
    /// Adds an item or a task.
    Put,
    /// Removes an item or a task.
    Get,
    /// Starts a thread.
    Start,
    /// Terminates the calling thread.
    Terminate,
    /// Sleeps until a deadline.
    Sleep,
    /// Reads the clock.
    Clock,
    /// One atomic access inside a primitive. Only fine-grained schedulers receive these.
    Atom,
}

impl Kind {
    /// Returns whether the operation leaves its object unchanged and so commutes with other such operations.
    ///
    /// # Examples
    /// ```
    /// use raddle::rt::Kind;
    ///
    /// assert!(Kind::Join.is_read());
    /// assert!(!Kind::Acquire.is_read());
    /// ```
    pub fn is_read(self) -> bool {
        matches!(self, Kind::Read | Kind::Load | Kind::Await | Kind::Join | Kind::Signal | Kind::Clock)
    }

    /// Returns the verb that reports use for the kind. An operation may have a [more specific one](Op::with_verb).
    ///
    /// # Examples
    /// ```
    /// use raddle::rt::Kind;
    ///
    /// assert_eq!(Kind::Acquire.verb(), "acquires");
    /// ```
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
            Kind::Clock => "reads the clock",
            Kind::Atom => "accesses a word of",
        }
    }
}

/// An operation: its kind, its object, and its place in the program.
///
/// # Examples
/// ```
/// use raddle::rt::{self, Kind, Op};
///
/// let flag = 0_u32;
/// let op = Op::new(&flag, "Flag", Kind::Read);
/// assert_eq!(format!("{} a {}", op.verb(), op.object.type_name), "reads a Flag");
/// rt::point(op);
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Op {
    /// The object.
    pub object: Object,
    /// The kind.
    pub kind: Kind,
    /// The place of the caller.
    pub at: Place,
    /// The verb for reports, if that of the kind is too general.
    pub verb: Option<&'static str>,
}

impl Op {
    /// Returns an operation of `kind` on `object`, at the place of the caller.
    ///
    /// # Examples
    /// ```
    /// use raddle::rt::{Kind, Op};
    ///
    /// let op = Op::new(&(), "Event", Kind::Write);
    /// assert_eq!(op.at.line(), line!() - 1);
    /// ```
    #[inline]
    #[track_caller]
    pub fn new<T: ?Sized>(object: &T, type_name: &'static str, kind: Kind) -> Self {
        Self { object: Object::of(object, type_name), kind, at: Place::caller(), verb: None }
    }

    /// Returns an operation of `kind` on `object`, at `at`.
    ///
    /// # Examples
    /// ```
    /// use raddle::rt::{Kind, Object, Op, Place};
    ///
    /// let line = Place::intern("worker.py", 12, Some("run"));
    /// let op = Op::at(Object::new(0x1000, 8, "Lock"), Kind::Acquire, line);
    /// assert_eq!(op.at.function(), Some("run"));
    /// ```
    #[inline]
    pub const fn at(object: Object, kind: Kind, at: Place) -> Self {
        Self { object, kind, at, verb: None }
    }

    /// Returns an operation of another kind on the same object, at the same place.
    ///
    /// The drop of a guard does not know its caller. It reports the place at which the lock was acquired.
    ///
    /// # Examples
    /// ```
    /// use raddle::rt::{Kind, Op};
    ///
    /// let acquire = Op::new(&(), "Lock", Kind::Acquire);
    /// let release = acquire.with_kind(Kind::Release);
    /// assert_eq!(release.at, acquire.at);
    /// ```
    #[inline]
    #[must_use]
    pub const fn with_kind(self, kind: Kind) -> Self {
        Self { kind, verb: None, ..self }
    }

    /// Returns the operation with a verb of its own, which is for display only.
    ///
    /// # Examples
    /// ```
    /// use raddle::rt::{Kind, Op};
    ///
    /// let op = Op::new(&(), "Event", Kind::Write).with_verb("sets");
    /// assert_eq!(op.verb(), "sets");
    /// ```
    #[inline]
    #[must_use]
    pub fn with_verb(self, verb: &'static str) -> Self {
        Self { verb: Some(verb), ..self }
    }

    /// Returns the verb of the operation, or that of its kind if it has none.
    ///
    /// # Examples
    /// ```
    /// use raddle::rt::{Kind, Op};
    ///
    /// assert_eq!(Op::new(&(), "Lock", Kind::Release).verb(), "releases");
    /// ```
    pub fn verb(&self) -> &'static str {
        self.verb.unwrap_or_else(|| self.kind.verb())
    }
}

/// The memory ordering of an atomic access or a fence, in the terms of the C++20 memory model.
///
/// # Examples
/// ```
/// use raddle::rt::Memory;
/// use std::sync::atomic::Ordering;
///
/// let swap = Memory::Update(Ordering::AcqRel);
/// assert!(swap.acquires() && swap.releases());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Memory {
    /// A load, or a compare-and-exchange that failed.
    Load(Ordering),
    /// A store. It begins a new release sequence.
    Store(Ordering),
    /// A read-modify-write. It continues the release sequence that it reads from.
    Update(Ordering),
    /// A fence.
    Fence(Ordering),
}

impl Memory {
    /// Returns whether the access has acquire semantics.
    ///
    /// # Examples
    /// ```
    /// use raddle::rt::Memory;
    /// use std::sync::atomic::Ordering;
    ///
    /// assert!(Memory::Load(Ordering::Acquire).acquires());
    /// assert!(!Memory::Store(Ordering::SeqCst).acquires());
    /// ```
    pub fn acquires(self) -> bool {
        use Ordering::{AcqRel, Acquire, SeqCst};
        match self {
            Memory::Load(order) | Memory::Update(order) | Memory::Fence(order) => {
                matches!(order, Acquire | AcqRel | SeqCst)
            }
            Memory::Store(_) => false,
        }
    }

    /// Returns whether the access has release semantics.
    ///
    /// # Examples
    /// ```
    /// use raddle::rt::Memory;
    /// use std::sync::atomic::Ordering;
    ///
    /// assert!(Memory::Update(Ordering::Release).releases());
    /// assert!(!Memory::Load(Ordering::SeqCst).releases());
    /// ```
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
