//! What the threads of an execution access: *locations*, such as an attribute of an object, an item of a dictionary, or a
//! container as a whole.
//!
//! Most accesses are of objects that a single thread uses, or of attributes that nobody changes. They need not be steps:
//! they commute with everything that other threads do. So an access is a step only if locations of its *name* have been
//! seen to be shared: accessed by two threads, at least one of which changes them. All accesses are recorded. When one
//! shows that a further name is shared, the exploration starts again, with the accesses of that name as steps. Only an
//! exploration in which no further name was found is complete: each of its accesses that is no step commutes with all
//! others.
//!
//! Before the program starts its first thread, nothing is recorded: what the main thread does then happens before
//! everything else.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use pyo3::prelude::*;
use raddle::rt::{Effect, Object};

use super::hashing::WordMap;
use super::names;

/// A part of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Part {
    /// The keys of a container and their order, its length, or all of an object whose state is not known.
    Whole,
    /// The values of a container under all keys.
    Values,
    /// The attribute, variable or item of a name, key or index, given by its hash.
    Item(isize),
}

/// An access that an instruction makes.
#[derive(Debug)]
pub(super) struct Access {
    /// Keeps the object alive to the end of the execution, so that no other one gets its address.
    pub(super) object: Py<PyAny>,
    pub(super) part: Part,
    pub(super) effect: Effect,
    /// The number of its name.
    pub(super) name: u32,
}

/// An access that is a step, or a part of one.
pub(super) type Step = (Object, Effect);

/// What is known of a name.
#[derive(Debug)]
struct Known {
    text: &'static str,
    /// Its accesses are steps of this exploration.
    is_step: bool,
    /// Some location of this name is shared.
    is_shared: bool,
    /// Some location of this name was shared in this exploration.
    recurs: bool,
}

/// Threads are numbered; those beyond the last bit share it.
type Threads = u64;

#[derive(Debug)]
struct Location {
    number: usize,
    /// The name by which it was accessed first.
    name: u32,
    /// Its other names: an item of the dictionary of an object is also an attribute.
    other_names: Vec<u32>,
    readers: Threads,
    writers: Threads,
    /// Threads that changed it in ways that commute.
    changers: Threads,
}

/// All locations of an execution, and the names of an exploration.
#[derive(Debug, Default)]
pub(super) struct Locations {
    /// By their numbers, as far as they have been accessed.
    names: Vec<Known>,
    parts: WordMap<(usize, Part), Location>,
    /// Objects that are kept alive to the end of the execution.
    kept: Vec<Py<PyAny>>,
    /// The names of attributes, by the address of a class and the hash of the attribute's name.
    attributes: WordMap<(usize, isize), u32>,
    /// The objects whose dictionary was asked for, by the address of the dictionary.
    owners: WordMap<usize, Py<PyAny>>,
    /// Names of another process, of which only hashes are known.
    expected: BTreeSet<u32>,
    cancelled: Arc<AtomicBool>,
    /// Some access is of all attributes of an object, as of its dictionary.
    pub(super) all_attributes: bool,
    /// A name was found to be shared during this exploration.
    pub(super) grown: bool,
}

/// Stands in a token for [`Locations::all_attributes`].
const ALL_ATTRIBUTES: u32 = 0x00ff_ffff;

/// Virtual addresses begin here, where no object of the toolkit is.
const BASE: usize = 1 << 62;

impl Locations {
    pub(super) fn new(cancelled: Arc<AtomicBool>, expected: BTreeSet<u32>) -> Self {
        let all_attributes = expected.contains(&ALL_ATTRIBUTES);
        Self { expected, cancelled, all_attributes, ..Self::default() }
    }

    /// Prepares the next exploration: the names that were found to be shared are steps in it.
    pub(super) fn next_exploration(&mut self) {
        for name in &mut self.names {
            name.is_step = name.is_shared;
            name.recurs = false;
        }
        self.grown = false;
        self.cancelled.store(false, Relaxed);
    }

    /// Forgets the objects of an execution. The caller drops them without a lock.
    pub(super) fn next_execution(&mut self) -> Vec<Py<PyAny>> {
        self.parts.clear();
        self.attributes.clear();
        let mut left = std::mem::take(&mut self.kept);
        left.extend(self.owners.drain().map(|(_, object)| object));
        left
    }

    /// The hashes of the names that are steps.
    pub(super) fn hashes(&self) -> BTreeSet<u32> {
        let steps = self.names.iter().filter(|name| name.is_step).map(|name| hash(name.text));
        let all = self.all_attributes.then_some(ALL_ATTRIBUTES);
        steps.chain(self.expected.iter().copied()).chain(all).collect()
    }

    /// The names that were shared in an earlier exploration, but not in this one. If this one is complete, it has run a schedule
    /// of the class of the one that showed it: there are none, unless an execution depends on what an earlier one has left.
    pub(super) fn vanished(&self) -> Vec<&'static str> {
        self.names.iter().filter(|name| name.is_step && !name.recurs).map(|name| name.text).collect()
    }

    /// The name of an attribute of an instance, whose class is alive to the end of the execution.
    pub(super) fn attribute(&mut self, class: usize, hash: isize, text: impl FnOnce() -> String) -> u32 {
        if let Some(name) = self.attributes.get(&(class, hash)) {
            return *name;
        }
        let name = names::number(&text());
        self.attributes.insert((class, hash), name);
        name
    }

    /// States that a program accesses all attributes of an object at once.
    pub(super) fn access_all_attributes(&mut self, has_started: bool) {
        if has_started && !self.all_attributes {
            self.all_attributes = true;
            self.grow();
        }
    }

    fn grow(&mut self) {
        self.grown = true;
        self.cancelled.store(true, Relaxed);
    }

    /// States that the attributes of `owner` are the items of `dictionary`.
    pub(super) fn owns(&mut self, owner: Py<PyAny>, dictionary: Py<PyAny>) {
        let address = dictionary.as_ptr() as usize;
        self.kept.push(dictionary);
        self.owners.insert(address, owner);
    }

    pub(super) fn has_owner(&self, dictionary: usize) -> bool {
        self.owners.contains_key(&dictionary)
    }

    pub(super) fn owner(&self, py: Python<'_>, dictionary: usize) -> Option<Py<PyAny>> {
        self.owners.get(&dictionary).map(|owner| owner.clone_ref(py))
    }

    /// What is known of names, up to one.
    fn know(&mut self, name: u32) {
        if self.names.len() <= name as usize {
            let further = names::texts_from(self.names.len());
            self.names.extend(further.into_iter().map(|text| {
                let is_step = self.expected.contains(&hash(text));
                Known { text, is_step, is_shared: is_step, recurs: false }
            }));
        }
    }

    /// Records an access by `thread`. Returns it if it is a step.
    pub(super) fn record(&mut self, py: Python<'_>, access: &Access, thread: u32) -> Option<Step> {
        self.know(access.name);
        let address = access.object.as_ptr() as usize;
        let (number, kept) = (self.parts.len(), &mut self.kept);
        let location = self.parts.entry((address, access.part)).or_insert_with(|| {
            kept.push(access.object.clone_ref(py));
            let (name, other_names) = (access.name, Vec::new());
            Location { number, name, other_names, readers: 0, writers: 0, changers: 0 }
        });
        let bit = 1 << thread.min(Threads::BITS - 1);
        match access.effect {
            Effect::Read => location.readers |= bit,
            Effect::Write => location.writers |= bit,
            Effect::Commute => location.changers |= bit,
        }
        let all = location.readers | location.writers | location.changers;
        let mixed = location.changers != 0 && location.readers != 0;
        let several = all.count_ones() > 1 || all >> (Threads::BITS - 1) != 0;
        let conflict = several && (location.writers != 0 || mixed);
        if access.name != location.name && !location.other_names.contains(&access.name) {
            location.other_names.push(access.name);
        }
        let mut further = false;
        if conflict {
            for name in std::iter::once(&location.name).chain(&location.other_names) {
                let name = &mut self.names[*name as usize];
                name.is_shared = true;
                name.recurs = true;
                further |= !name.is_step;
            }
        }
        let name = &self.names[access.name as usize];
        let object = Object::new(BASE + location.number * 64, 0, name.text);
        let step = name.is_step.then_some((object, access.effect));
        if further {
            self.grow();
        }
        step
    }
}

impl Locations {
    /// Like [`record`](Locations::record), for an access that has been recorded.
    pub(super) fn record_again(&mut self, access: &Access, thread: u32) -> Option<Step> {
        let address = access.object.as_ptr() as usize;
        let bit = 1 << thread.min(Threads::BITS - 1);
        let location = self.parts.get_mut(&(address, access.part))?;
        location.readers |= if access.effect == Effect::Read { bit } else { 0 };
        let name = &self.names[access.name as usize];
        name.is_step.then(|| (Object::new(BASE + location.number * 64, 0, name.text), access.effect))
    }
}

/// 24 bits of the FNV hash of a name, which a token carries.
fn hash(text: &str) -> u32 {
    let fold = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    let hash = text.bytes().fold(0x811c_9dc5, fold);
    (hash >> 24) ^ (hash & 0x00ff_ffff)
}
