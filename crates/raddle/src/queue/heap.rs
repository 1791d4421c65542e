//! The store of a priority queue: a binary heap that first compares, then moves.
//!
//! The standard library's heap moves while it compares: a comparison that panics costs it an item, or
//! leaves one out of place. Here the comparisons of a step only look for the place at which its last item
//! will stand, and the moves that follow, along the path from there to the root, cannot fail. The algorithm is
//! that of J. W. J. Williams, "Algorithm 232: Heapsort" (1964), which finds the way down as I. Wegener,
//! "Bottom-up heapsort" (1993) does: with one comparison a level, of which nothing is to be guessed.

use std::cmp::Ordering;

use super::store::Store;

/// A heap with the smallest item at the root; among equal items, the one that came first.
#[derive(Debug)]
pub struct Heap<T> {
    entries: Vec<Entry<T>>,
    /// How many items ever came.
    arrivals: u64,
}

#[derive(Debug)]
struct Entry<T> {
    item: T,
    arrival: u64,
}

impl<T: Ord> Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.item.cmp(&other.item).then(self.arrival.cmp(&other.arrival))
    }
}

const fn parent(place: usize) -> usize {
    (place - 1) / 2
}

impl<T: Ord> Heap<T> {
    /// Goes down from the root of the first `len` entries, always to the smaller child, to the end, and back up
    /// past what does not go `before` the item that needs a place: an item that stood at the end belongs near it.
    fn down(&self, len: usize, before: impl Fn(&Entry<T>) -> bool) -> usize {
        let entries = &self.entries[..len];
        let (mut place, mut right) = (0, 2);
        while right < len {
            let left_is_smaller = entries[right - 1].cmp(&entries[right]).is_lt();
            place = right - usize::from(left_is_smaller); // no branch: which one it is cannot be guessed
            right = 2 * place + 2;
        }
        if right == len {
            place = right - 1;
        }
        while place > 0 && !before(&entries[place]) {
            place = parent(place);
        }
        place
    }

    /// Puts `entry` at `place`, moves everything on the path from there a step up, and returns the root.
    fn shift_up(&mut self, place: usize, mut entry: Entry<T>) -> Entry<T> {
        let mut place = place;
        while place > 0 {
            std::mem::swap(&mut entry, &mut self.entries[place]);
            place = parent(place);
        }
        std::mem::replace(&mut self.entries[0], entry)
    }

    fn entry(&mut self, item: T) -> Entry<T> {
        self.arrivals += 1;
        Entry { item, arrival: self.arrivals }
    }
}

impl<T: Ord> Store<T> for Heap<T> {
    const EMPTY: Self = Heap { entries: Vec::new(), arrivals: 0 };

    fn len(&self) -> usize {
        self.entries.len()
    }

    /// Goes up from the end, past everything that is greater: what is equal came before.
    fn place(&self, item: &T) -> usize {
        let mut place = self.entries.len();
        while place > 0 && self.entries[parent(place)].item > *item {
            place = parent(place);
        }
        place
    }

    fn insert(&mut self, place: usize, item: T) {
        let entry = self.entry(item);
        let mut from = self.entries.len();
        self.entries.push(entry);
        while from > place {
            self.entries.swap(from, parent(from));
            from = parent(from);
        }
    }

    /// The place of `incoming`, or of the last entry, once the root has gone.
    fn gap(&self, incoming: Option<&T>) -> usize {
        match (incoming, self.entries.split_last()) {
            (Some(item), _) => self.down(self.entries.len(), |entry| entry.item <= *item),
            (None, Some((last, rest))) => self.down(rest.len(), |entry| entry.cmp(last).is_lt()),
            (None, None) => 0,
        }
    }

    fn take(&mut self, gap: usize, incoming: Option<T>) -> Option<T> {
        let entry = match incoming {
            Some(item) => self.entry(item),
            None => self.entries.pop()?,
        };
        if self.entries.is_empty() {
            return Some(entry.item);
        }
        Some(self.shift_up(gap, entry).item)
    }

    fn into_items(mut self) -> Vec<T> {
        self.entries.sort_by(Entry::cmp);
        self.entries.into_iter().map(|entry| entry.item).collect()
    }
}
