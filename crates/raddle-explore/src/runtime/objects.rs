//! The objects of one execution, numbered in the order of their first accesses.
//!
//! Addresses differ between executions, numbers do not: executions that begin with the same steps assign the same
//! numbers. A word inside a declared object stands for the object, even if the word is accessed before the object is
//! declared.

use std::collections::BTreeMap;

use raddle::rt::Object;

use super::fast_map::FastMap;

/// The effect of a step on an object. Two steps are dependent if they access the same object in modes that conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Read,
    Write,
    /// A change that commutes with other changes of its kind, but not with reads. Examples: the clock advances to a
    /// later deadline, a thread joins or leaves the registry, one of several awaited threads terminates.
    Commute,
}

impl Mode {
    pub(crate) fn conflicts(self, other: Mode) -> bool {
        !matches!((self, other), (Mode::Read, Mode::Read) | (Mode::Commute, Mode::Commute))
    }
}

/// The access of one object by one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) object: u32,
    pub(crate) mode: Mode,
}

impl Access {
    pub(crate) fn conflicts(self, other: Access) -> bool {
        self.object == other.object && self.mode.conflicts(other.mode)
    }
}

/// The kind of an object, and the number of objects of this kind that were accessed before it.
pub(crate) type ObjectKey = (&'static str, u32);

/// The clock of the program.
pub(crate) const CLOCK: u32 = 0;

/// The program as a whole: its end conflicts with every step of a daemon.
pub(crate) const PROGRAM: u32 = 1;

/// The numbers of the objects and words of an execution.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    /// By address and size. A name is for display, and identifies no object.
    known: FastMap<(usize, usize), u32>,
    /// For the start of each object, its end and its number.
    ranges: BTreeMap<usize, (usize, u32)>,
    /// The size of the largest object.
    largest: usize,
    /// Words that were accessed before the object that contains them was declared.
    words: BTreeMap<usize, u32>,
    /// For each number, the number that stands for it, and the kind and address of the object.
    same: Vec<u32>,
    what: Vec<(&'static str, usize)>,
    /// For each number, how many objects of its kind were accessed before.
    ordinals: Vec<u32>,
    kinds: FastMap<&'static str, u32>,
}

impl Objects {
    pub(crate) fn new() -> Self {
        let mut objects = Self::default();
        objects.add("clock", 0);
        objects.add("program", 0);
        objects
    }

    /// The number of numbers in use.
    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.same.len()).expect("fewer objects than fit into memory")
    }

    /// The number of the object, if it has been declared.
    pub(crate) fn known(&self, address: usize, size: usize) -> Option<u32> {
        self.known.get(&(address, size)).copied()
    }

    /// The number of a declared object.
    pub(crate) fn declared(&mut self, object: &Object) -> u32 {
        let key = (object.address, object.size);
        if let Some(number) = self.known.get(&key) {
            return *number;
        }
        let number = self.add(object.type_name, object.address);
        self.known.insert(key, number);
        let end = object.address + object.size;
        self.largest = self.largest.max(object.size);
        // Of two objects at one address, the larger one contains the other, or was there before.
        let range = self.ranges.entry(object.address).or_insert((end, number));
        if range.0 < end {
            *range = (end, number);
        }
        for (_, word) in self.words.range(object.address..end) {
            self.same[*word as usize] = number;
        }
        number
    }

    /// The number of the object that contains the word at `address`, or of the word itself.
    pub(crate) fn word(&mut self, address: usize) -> u32 {
        let lowest = address.saturating_sub(self.largest);
        let mut ranges = self.ranges.range(lowest..=address).rev();
        if let Some((_, (_, number))) = ranges.find(|(_, (end, _))| address < *end) {
            return *number;
        }
        if let Some(number) = self.words.get(&address) {
            return *number;
        }
        let number = self.add("word", address);
        self.words.insert(address, number);
        number
    }

    /// The numbers of all declared objects that contain the word at `address`. Some may be gone: an object that was dropped
    /// leaves its range behind, and a later one at the same place contains the word, too.
    pub(crate) fn around(&self, address: usize) -> impl Iterator<Item = u32> {
        let lowest = address.saturating_sub(self.largest);
        let ranges = self.ranges.range(lowest..=address);
        ranges.filter(move |(_, (end, _))| address < *end).map(|(_, (_, number))| *number)
    }

    fn add(&mut self, what: &'static str, address: usize) -> u32 {
        let number = self.len();
        self.same.push(number);
        self.what.push((what, address));
        let of_this_kind = self.kinds.entry(what).or_default();
        self.ordinals.push(*of_this_kind);
        *of_this_kind += 1;
        number
    }

    /// The number that stands for `number`.
    pub(crate) fn canonical(&self, number: u32) -> u32 {
        self.same[number as usize]
    }

    pub(crate) fn what(&self, number: u32) -> &'static str {
        self.what[number as usize].0
    }

    /// The kind and ordinal of the object, which are the same in executions that differ little.
    pub(crate) fn key(&self, number: u32) -> ObjectKey {
        (self.what(number), self.ordinals[number as usize])
    }

    pub(crate) fn address(&self, number: u32) -> usize {
        self.what[number as usize].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn word_belongs_to_its_object_despite_nested_objects() {
        let mut objects = Objects::new();
        let outer = objects.declared(&Object::new(0x100, 64, "Pool"));
        let first = objects.declared(&Object::new(0x100, 8, "Lock"));
        let inner = objects.declared(&Object::new(0x110, 8, "Lock"));
        assert!(outer != first && outer != inner && first != inner);
        assert_eq!(
            [0x100, 0x108, 0x110, 0x118, 0x13f].map(|word| objects.word(word)),
            [outer, outer, inner, outer, outer]
        );
        assert_ne!(objects.word(0x140), outer);
        assert_eq!(objects.around(0x110).collect::<Vec<_>>(), [outer, inner]);
        assert_eq!(objects.around(0x140).count(), 0);
    }

    #[test]
    fn word_belongs_to_the_object_around_it_in_either_order() {
        let mut objects = Objects::new();
        let early_timeouts = objects.word(0x104);
        let queue = objects.declared(&Object::new(0x100, 16, "Queue"));
        assert_eq!(objects.canonical(early_timeouts), queue);
        assert_eq!(objects.word(0x10f), queue);
        assert_ne!(objects.word(0x110), queue);
        assert_eq!(objects.declared(&Object::new(0x100, 16, "Queue")), queue);
        assert_ne!(objects.declared(&Object::new(0x100, 8, "Lock")), queue);
        assert_eq!(objects.declared(&Object::new(0x100, 16, "another name")), queue);
    }
}
