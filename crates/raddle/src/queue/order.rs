//! In which order a queue gives its items out.

use super::heap::Heap;
use super::in_order::InOrder;
use super::store::Store;

/// The order in which a [`BaseQueue`](crate::queue::BaseQueue) gives its items out: [`Fifo`], [`Lifo`] or
/// [`SmallestFirst`]. There are no others.
pub trait Order<T>: sealed::Sealed {
    /// What keeps the items.
    #[doc(hidden)]
    type Store: Store<T>;

    /// What the queue is called in reports.
    #[doc(hidden)]
    const NAME: &'static str;
}

/// First in, first out: the order of [`Queue`](crate::Queue).
#[derive(Debug)]
pub enum Fifo {}

/// Last in, first out: the order of [`LifoQueue`](crate::LifoQueue).
#[derive(Debug)]
pub enum Lifo {}

/// The smallest item first, equal ones as they came: the order of [`PriorityQueue`](crate::PriorityQueue).
#[derive(Debug)]
pub enum SmallestFirst {}

impl<T> Order<T> for Fifo {
    type Store = InOrder<T>;
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
