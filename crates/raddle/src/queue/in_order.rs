//! Items that come out in the order in which they went in: the queue's own, or those in its ring.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use super::ring::Ring;
use super::store::Store;

/// What keeps the items of a queue that is first in, first out.
#[derive(Debug)]
pub enum InOrder<T> {
    #[doc(hidden)]
    Deque(VecDeque<T>),
    #[doc(hidden)]
    Ring(Hold<T>),
}

/// The ring as the holder of the queue's lock sees it.
#[derive(Debug)]
pub struct Hold<T> {
    ring: Arc<Ring<T>>,
    /// How many of the items that were ever put the queue knows of.
    counted: u64,
}

impl<T> Store<T> for InOrder<T> {
    const EMPTY: Self = InOrder::Deque(VecDeque::new());
    const IN_ORDER: bool = true;

    fn hold(&mut self, ring: &Arc<Ring<T>>) {
        if let InOrder::Deque(_) = self {
            *self = InOrder::Ring(Hold { ring: ring.clone(), counted: 0 });
        }
        ring.freeze();
    }

    fn count(&mut self) -> usize {
        let InOrder::Ring(hold) = self else { return 0 };
        let put = hold.ring.ever_put();
        let new = put.wrapping_sub(mem::replace(&mut hold.counted, put));
        usize::try_from(new).unwrap_or(usize::MAX)
    }

    fn release(&mut self) {
        if let InOrder::Ring(hold) = self {
            hold.ring.thaw();
        }
    }

    #[inline]
    fn hand_out(&mut self, front: &mut VecDeque<T>) {
        if let InOrder::Deque(items) = self {
            mem::swap(items, front);
        }
    }

    fn put_back(&mut self, front: &mut VecDeque<T>) {
        if let InOrder::Deque(items) = self {
            front.append(items);
            mem::swap(items, front);
        }
    }

    #[inline]
    fn len(&self) -> usize {
        match self {
            InOrder::Deque(items) => items.len(),
            InOrder::Ring(hold) => hold.ring.len(),
        }
    }

    #[inline]
    fn insert(&mut self, _: usize, item: T) {
        match self {
            InOrder::Deque(items) => items.push_back(item),
            InOrder::Ring(hold) => {
                hold.ring.insert(item);
                hold.counted = hold.counted.wrapping_add(1);
            }
        }
    }

    #[inline]
    fn take(&mut self, _: usize, incoming: Option<T>) -> Option<T> {
        let next = match self {
            InOrder::Deque(items) => items.pop_front(),
            InOrder::Ring(hold) => hold.ring.take(),
        };
        if let Some(item) = incoming {
            self.insert(0, item);
        }
        next
    }

    fn clear(&mut self) -> Self {
        let items = match self {
            InOrder::Deque(items) => mem::take(items),
            InOrder::Ring(hold) => std::iter::from_fn(|| hold.ring.take()).collect(),
        };
        InOrder::Deque(items)
    }

    fn into_items(self) -> Vec<T> {
        match self {
            InOrder::Deque(items) => items.into(),
            InOrder::Ring(hold) => std::iter::from_fn(|| hold.ring.take()).collect(),
        }
    }
}
