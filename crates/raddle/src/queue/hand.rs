//! What a waiting thread holds out: items that it brings, or room for items that it wants.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::raw::{Guard, Guarded, Waiter};

/// Items on their way into a queue or out of it, first to go first.
#[derive(Debug)]
pub(super) enum Load<T> {
    One(Option<T>),
    Many(VecDeque<T>),
}

/// The items of a load.
struct Items<'a, T> {
    one: std::slice::Iter<'a, T>,
    many: Option<std::collections::vec_deque::Iter<'a, T>>,
}

impl<'a, T> Iterator for Items<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        self.one.next().or_else(|| self.many.as_mut()?.next())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.one.len() + self.many.as_ref().map_or(0, ExactSizeIterator::len);
        (left, Some(left))
    }
}

impl<T> ExactSizeIterator for Items<'_, T> {}

impl<T> Load<T> {
    pub(super) const NONE: Self = Load::One(None);

    pub(super) fn one(item: T) -> Self {
        Load::One(Some(item))
    }

    pub(super) fn many(items: Vec<T>) -> Self {
        Load::Many(items.into())
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Load::One(item) => usize::from(item.is_some()),
            Load::Many(items) => items.len(),
        }
    }

    pub(super) fn first(&self) -> Option<&T> {
        match self {
            Load::One(item) => item.as_ref(),
            Load::Many(items) => items.front(),
        }
    }

    /// The items, first to go first.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &T> {
        let (one, many) = match self {
            Load::One(item) => (item.as_slice(), None),
            Load::Many(items) => (&[][..], Some(items)),
        };
        Items { one: one.iter(), many: many.map(VecDeque::iter) }
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        match self {
            Load::One(item) => item.take(),
            Load::Many(items) => items.pop_front(),
        }
    }

    /// Adds an item; a load of one is empty before.
    pub(super) fn push(&mut self, item: T) {
        match self {
            Load::One(place) => *place = Some(item),
            Load::Many(items) => items.push_back(item),
        }
    }

    /// The item of a load of one that was refused.
    pub(super) fn into_one(mut self) -> T {
        self.pop().expect("what was refused is there")
    }

    pub(super) fn into_vec(self) -> Vec<T> {
        match self {
            Load::One(item) => item.into_iter().collect(),
            Load::Many(items) => items.into(),
        }
    }
}

/// The hand of a waiting thread. Others reach into it under the queue's lock and only while its owner is in line,
/// the owner only when it no longer is. So the lock in it is never waited for; it makes the hand shareable.
#[derive(Debug)]
pub(super) struct Hand<T> {
    load: Guarded<Load<T>>,
    /// How many items there is room for in all.
    room: usize,
}

/// A thread that waits at a queue.
pub(super) type Party<T> = Arc<Waiter<Hand<T>>>;

impl<T> Hand<T> {
    pub(super) fn new(load: Load<T>, room: usize) -> Self {
        Self { load: Guarded::new(load), room }
    }

    pub(super) fn load(&self) -> Guard<'_, Load<T>> {
        self.load.lock()
    }

    /// Adds an item; says whether there is no room for more.
    pub(super) fn give(&self, item: T) -> bool {
        let mut load = self.load();
        load.push(item);
        load.len() >= self.room
    }

    /// Empties the hand.
    pub(super) fn take(&self) -> Load<T> {
        std::mem::replace(&mut *self.load(), Load::NONE)
    }
}

/// Threads that were taken out of line: dropping this lets them go. What became of them is in their hands.
///
/// To be dropped after the queue's lock is let go, on a panic too.
#[derive(Debug)]
pub(super) struct LetGo<T> {
    first: Option<Party<T>>,
    /// Allocates only from the second on.
    others: Vec<Party<T>>,
}

/// There is only one thing to be told: look into your hand.
const LOOK: u32 = 0;

impl<T> LetGo<T> {
    pub(super) const fn new() -> Self {
        Self { first: None, others: Vec::new() }
    }

    pub(super) fn add(&mut self, parties: impl IntoIterator<Item = Party<T>>) {
        let mut parties = parties.into_iter();
        if self.first.is_none() {
            self.first = parties.next();
        }
        self.others.extend(parties);
    }
}

impl<T> Drop for LetGo<T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(party) = &self.first {
            party.notify(LOOK);
            self.others.iter().for_each(|party| party.notify(LOOK));
        }
    }
}
