//! What keeps the items of a queue.

use std::collections::VecDeque;
use std::sync::Arc;

use super::ring::Ring;

/// Keeps items and knows which is next.
///
/// Only [`place`](Store::place) and [`gap`](Store::gap) run the user's code, namely `Ord::cmp`, and they
/// change nothing. So a comparison that panics leaves everything as it was.
pub trait Store<T> {
    /// A store without items.
    const EMPTY: Self;

    /// Whether items come out in the order in which they went in, so that the next ones can be kept apart from those
    /// that come.
    const IN_ORDER: bool = false;

    /// Moves all items to `front`, which is empty; only if they can be kept apart.
    fn hand_out(&mut self, front: &mut VecDeque<T>) {
        let _ = front;
    }

    /// Takes all items from `front`, which go before its own.
    fn put_back(&mut self, front: &mut VecDeque<T>) {
        let _ = front;
    }

    /// Takes hold of the items in `ring`, so that nobody else moves any.
    fn hold(&mut self, ring: &Arc<Ring<T>>) {
        let _ = ring;
    }

    /// How many items others have put since the last time. What they put before what the caller has seen is among them.
    fn count(&mut self) -> usize {
        0
    }

    /// Lets others move items again.
    fn release(&mut self) {}

    /// Takes all items out, to be dropped or looked at elsewhere.
    fn clear(&mut self) -> Self
    where
        Self: Sized,
    {
        std::mem::replace(self, Self::EMPTY)
    }

    /// How many items there are.
    fn len(&self) -> usize;

    /// Finds the place of an item that is to be inserted.
    fn place(&self, item: &T) -> usize {
        let _ = item;
        0
    }

    /// Inserts an item at its place.
    fn insert(&mut self, place: usize, item: T);

    /// Finds the place that becomes free when the next item is taken and `incoming`, if any, is inserted.
    fn gap(&self, incoming: Option<&T>) -> usize {
        let _ = incoming;
        0
    }

    /// Takes the next item, and inserts `incoming`, if any, which is not a candidate itself.
    fn take(&mut self, gap: usize, incoming: Option<T>) -> Option<T>;

    /// All items, the next one first. Runs the user's code.
    fn into_items(self) -> Vec<T>;
}

impl<T> Store<T> for Vec<T> {
    const EMPTY: Self = Vec::new();

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
        if let Some(item) = incoming {
            self.push(item);
        }
        next
    }

    fn into_items(mut self) -> Vec<T> {
        self.reverse();
        self
    }
}
