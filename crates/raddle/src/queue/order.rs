//! The order in which a queue returns its items, and the stores for orders other than first in, first out.

use std::any::Any;
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::thread;

/// The order in which a [`BaseQueue`](crate::queue::BaseQueue) returns its items: [`Fifo`], [`Lifo`] or
/// [`SmallestFirst`].
///
/// This trait is sealed: there are no other orders.
///
/// # Examples
/// A function that works with every kind of queue:
///
/// ```
/// use raddle::queue::{BaseQueue, Order};
/// use raddle::{LifoQueue, Queue};
///
/// fn first_and_last<O: Order<u32>>(queue: &BaseQueue<u32, O>) -> Option<(u32, u32)> {
///     let items = queue.try_get_many(1_000);
///     Some((*items.first()?, *items.last()?))
/// }
///
/// assert_eq!(first_and_last(&(1..=3).collect::<Queue<_>>()), Some((1, 3)));
/// assert_eq!(first_and_last(&(1..=3).collect::<LifoQueue<_>>()), Some((3, 1)));
/// ```
pub trait Order<T>: sealed::Sealed {
    /// The store of the items, behind one lock.
    #[doc(hidden)]
    type Store: OwnedStore<T>;

    /// Whether items are got in the order in which they were put. Then there are better flavors than one lock.
    #[doc(hidden)]
    const IN_ORDER: bool = false;

    /// The name of the queue in reports.
    #[doc(hidden)]
    const NAME: &'static str;
}

/// First in, first out: the order of [`Queue`](crate::Queue).
///
/// # Examples
/// ```
/// use raddle::queue::{BaseQueue, Fifo};
///
/// let queue: BaseQueue<_, Fifo> = [3, 1, 2].into_iter().collect();
/// assert_eq!(queue.into_iter().collect::<Vec<_>>(), [3, 1, 2]);
/// ```
#[derive(Debug)]
pub enum Fifo {}

/// Last in, first out: the order of [`LifoQueue`](crate::LifoQueue).
///
/// # Examples
/// ```
/// use raddle::queue::{BaseQueue, Lifo};
///
/// let queue: BaseQueue<_, Lifo> = [3, 1, 2].into_iter().collect();
/// assert_eq!(queue.into_iter().collect::<Vec<_>>(), [2, 1, 3]);
/// ```
#[derive(Debug)]
pub enum Lifo {}

/// The smallest item first, equal items first in, first out: the order of [`PriorityQueue`](crate::PriorityQueue).
///
/// # Examples
/// ```
/// use raddle::queue::{BaseQueue, SmallestFirst};
///
/// let queue: BaseQueue<_, SmallestFirst> = [3, 1, 2].into_iter().collect();
/// assert_eq!(queue.into_iter().collect::<Vec<_>>(), [1, 2, 3]);
/// ```
#[derive(Debug)]
pub enum SmallestFirst {}

impl<T> Order<T> for Fifo {
    type Store = VecDeque<T>;
    const IN_ORDER: bool = true;
    const NAME: &'static str = "Queue";
}

impl<T> Order<T> for Lifo {
    type Store = Vec<T>;
    const NAME: &'static str = "LifoQueue";
}

impl<T: Ord> Order<T> for SmallestFirst {
    type Store = Heap<T>;
    const NAME: &'static str = "PriorityQueue";
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Fifo {}
    impl Sealed for super::Lifo {}
    impl Sealed for super::SmallestFirst {}
}

/// Stores items and determines the next one.
///
/// Only [`position`](Store::position) and [`gap`](Store::gap) run the user's code, namely `Ord::cmp`, and neither
/// changes the store. So a comparison that panics leaves the store as it was.
pub trait Store<T> {
    /// Returns the number of items.
    fn len(&self) -> usize;

    /// Finds the position of an item that is to be inserted. An order that does not compare needs none.
    fn position(&self, item: &T) -> usize {
        let _ = item;
        0
    }

    /// Inserts an item at its position.
    fn insert(&mut self, position: usize, item: T);

    /// Finds the position that becomes free when the next item is taken and `incoming`, if any, is inserted.
    fn gap(&self, incoming: Option<&T>) -> usize {
        let _ = incoming;
        0
    }

    /// Takes the next item and inserts `incoming`, if any. `incoming` itself is not returned.
    fn take(&mut self, gap: usize, incoming: Option<T>) -> Option<T>;
}

/// A store that owns its items.
pub trait OwnedStore<T>: Store<T> {
    /// A store without items.
    const EMPTY: Self;

    /// Returns all items, the next one first. Runs the user's code.
    fn into_items(self) -> Vec<T>;
}

impl<T> Store<T> for VecDeque<T> {
    fn len(&self) -> usize {
        self.len()
    }

    fn insert(&mut self, _: usize, item: T) {
        self.push_back(item);
    }

    fn take(&mut self, _: usize, incoming: Option<T>) -> Option<T> {
        let next = self.pop_front();
        self.extend(incoming);
        next
    }
}

impl<T> OwnedStore<T> for VecDeque<T> {
    const EMPTY: Self = VecDeque::new();

    fn into_items(self) -> Vec<T> {
        self.into()
    }
}

/// The next item is the last one.
impl<T> Store<T> for Vec<T> {
    #[inline]
    fn len(&self) -> usize {
        self.len()
    }

    #[inline]
    fn insert(&mut self, _: usize, item: T) {
        self.push(item);
    }

    #[inline]
    fn take(&mut self, _: usize, incoming: Option<T>) -> Option<T> {
        let next = self.pop();
        self.extend(incoming);
        next
    }
}

impl<T> OwnedStore<T> for Vec<T> {
    const EMPTY: Self = Vec::new();

    fn into_items(mut self) -> Vec<T> {
        self.reverse();
        self
    }
}

/// A binary heap with the smallest item at the root; among equal items, the one that arrived first.
///
/// It first compares and then moves. The standard library's heap moves while it compares, so a comparison that panics may
/// leave an item out of place. Here the comparisons of a step only find the position at which its last item will be, and the
/// moves that follow, along the path from there to the root, cannot fail. The algorithm is that of J. W. J. Williams,
/// "Algorithm 232: Heapsort" (1964), which descends as in I. Wegener, "Bottom-up heapsort" (1993): with one comparison per
/// level, of which no branch has to be predicted.
#[derive(Debug)]
pub struct Heap<T> {
    entries: Vec<HeapEntry<T>>,
    /// The number of items that ever arrived.
    arrivals: u64,
}

#[derive(Debug)]
struct HeapEntry<T> {
    item: T,
    arrival: u64,
}

impl<T: Ord> HeapEntry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.item.cmp(&other.item).then(self.arrival.cmp(&other.arrival))
    }
}

const fn parent(position: usize) -> usize {
    (position - 1) / 2
}

impl<T: Ord> Heap<T> {
    /// Descends from the root of the first `len` entries to a leaf, always to the smaller child. Then ascends past the
    /// entries that are not `before` the item that needs a position: an item from the end belongs near a leaf.
    fn descend(&self, len: usize, before: impl Fn(&HeapEntry<T>) -> bool) -> usize {
        let entries = &self.entries[..len];
        let (mut position, mut right) = (0, 2);
        while right < len {
            let left_is_smaller = entries[right - 1].cmp(&entries[right]).is_lt();
            position = right - usize::from(left_is_smaller); // no branch: it could not be predicted
            right = 2 * position + 2;
        }
        if right == len {
            position = right - 1;
        }
        while position > 0 && !before(&entries[position]) {
            position = parent(position);
        }
        position
    }

    /// Puts `entry` at `position`, moves all entries on the path from there one level up, and returns the root.
    fn shift_up(&mut self, position: usize, mut entry: HeapEntry<T>) -> HeapEntry<T> {
        let mut position = position;
        while position > 0 {
            std::mem::swap(&mut entry, &mut self.entries[position]);
            position = parent(position);
        }
        std::mem::replace(&mut self.entries[0], entry)
    }

    fn entry(&mut self, item: T) -> HeapEntry<T> {
        self.arrivals += 1;
        HeapEntry { item, arrival: self.arrivals }
    }
}

impl<T: Ord> Store<T> for Heap<T> {
    fn len(&self) -> usize {
        self.entries.len()
    }

    /// Ascends from the end past all items that are greater: equal items arrived earlier.
    fn position(&self, item: &T) -> usize {
        let mut position = self.entries.len();
        while position > 0 && self.entries[parent(position)].item > *item {
            position = parent(position);
        }
        position
    }

    fn insert(&mut self, position: usize, item: T) {
        let entry = self.entry(item);
        let mut from = self.entries.len();
        self.entries.push(entry);
        while from > position {
            self.entries.swap(from, parent(from));
            from = parent(from);
        }
    }

    /// Finds the position for `incoming`, or for the last entry, once the root is taken.
    fn gap(&self, incoming: Option<&T>) -> usize {
        match (incoming, self.entries.split_last()) {
            (Some(item), _) => self.descend(self.entries.len(), |entry| entry.item <= *item),
            (None, Some((last, rest))) => self.descend(rest.len(), |entry| entry.cmp(last).is_lt()),
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
}

/// Reports a panic of a comparison that is not raised, because items would be lost.
pub(super) fn report_comparison(payload: Box<dyn Any + Send>) {
    thread::report_call("a comparison of items in a priority queue", &*payload);
    thread::dispose(payload);
}

impl<T: Ord> OwnedStore<T> for Heap<T> {
    const EMPTY: Self = Heap { entries: Vec::new(), arrivals: 0 };

    fn into_items(mut self) -> Vec<T> {
        // A sort that panics keeps all items, in some order.
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| self.entries.sort_by(HeapEntry::cmp))) {
            report_comparison(payload);
        }
        self.entries.into_iter().map(|entry| entry.item).collect()
    }
}
