//! The queue as programs write it by hand.

use parking_lot::{Condvar, Mutex};

/// A store under one mutex, with a condition variable for each direction.
pub(in crate::cases) struct Naive<S> {
    store: Mutex<S>,
    capacity: usize,
    not_empty: Condvar,
    not_full: Condvar,
}

/// The storage of the items.
pub(in crate::cases) trait Store {
    fn len(&self) -> usize;
    fn push(&mut self, item: u64);
    fn pop(&mut self) -> Option<u64>;
}

impl<S: Store> Naive<S> {
    pub(in crate::cases) fn new(store: S, capacity: Option<usize>) -> Self {
        let (not_empty, not_full) = (Condvar::new(), Condvar::new());
        Self { store: Mutex::new(store), capacity: capacity.unwrap_or(usize::MAX), not_empty, not_full }
    }

    pub(in crate::cases) fn put(&self, item: u64) {
        let mut store = self.store.lock();
        while store.len() >= self.capacity {
            self.not_full.wait(&mut store);
        }
        store.push(item);
        drop(store);
        self.not_empty.notify_one();
    }

    pub(in crate::cases) fn get(&self) -> u64 {
        let mut store = self.store.lock();
        let item = loop {
            if let Some(item) = store.pop() {
                break item;
            }
            self.not_empty.wait(&mut store);
        };
        drop(store);
        self.not_full.notify_one();
        item
    }
}

impl Store for std::collections::VecDeque<u64> {
    fn len(&self) -> usize {
        self.len()
    }

    fn push(&mut self, item: u64) {
        self.push_back(item);
    }

    fn pop(&mut self) -> Option<u64> {
        self.pop_front()
    }
}
