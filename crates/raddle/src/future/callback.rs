//! The listeners of a future, which are notified when it is settled.

use std::sync::Arc;
use std::task::Waker;

use crate::raw::Waiter;
use crate::thread::{guarded, run_nested};

/// The outcome of a [`Waiter`] whose future is settled.
pub(crate) const SETTLED: u32 = 0;
/// The outcome of a [`Waiter`] that would never be notified otherwise.
pub(crate) const DEADLOCK: u32 = 1;

/// Is notified when a future is settled: a wait for several futures, or one that a pool may fail.
pub(crate) trait Watcher: Send + Sync {
    /// The future that was registered with `index` is settled. `failed` means neither by a value nor by `cancel`.
    fn settled(&self, index: usize, failed: bool);
}

impl Watcher for Waiter {
    fn settled(&self, _: usize, _: bool) {
        self.notify(SETTLED);
    }
}

/// A listener of a future. `C` is a done-callback.
pub(super) enum Listener<C> {
    Watcher(Arc<dyn Watcher>, usize),
    Waker(u64, Waker),
    Callback(C),
}

/// The listeners of a future. Mostly there are none, so it takes one pointer.
pub(super) struct Listeners<C>(Option<Box<List<C>>>);

struct List<C> {
    all: Vec<Listener<C>>,
}

impl<C> Listeners<C> {
    pub(super) const NONE: Self = Self(None);

    pub(super) fn push(&mut self, listener: Listener<C>) {
        self.0.get_or_insert_with(|| Box::new(List { all: Vec::new() })).all.push(listener);
    }

    pub(super) fn all(&self) -> &[Listener<C>] {
        self.0.as_ref().map_or(&[], |list| &list.all)
    }

    pub(super) fn all_mut(&mut self) -> &mut [Listener<C>] {
        self.0.as_mut().map_or(&mut [], |list| &mut list.all)
    }

    /// Removes the first listener for which `is` returns `true`.
    pub(super) fn remove(&mut self, is: impl FnMut(&Listener<C>) -> bool) -> Option<Listener<C>> {
        let list = self.0.as_mut()?;
        let index = list.all.iter().position(is)?;
        Some(list.all.remove(index))
    }

    /// Removes all listeners, if there are any.
    pub(super) fn take(&mut self) -> Option<Vec<Listener<C>>> {
        self.0.take().map(|list| list.all)
    }
}

/// Notifies watchers and wakers, and returns the callbacks in their order.
pub(super) fn notify<C>(listeners: Vec<Listener<C>>, failed: bool) -> Vec<C> {
    let mut callbacks = Vec::new();
    for listener in listeners {
        match listener {
            Listener::Watcher(watcher, index) => watcher.settled(index, failed),
            Listener::Waker(_, waker) => run_nested(move || guarded("a waker", || waker.wake())),
            Listener::Callback(callback) => callbacks.push(callback),
        }
    }
    callbacks
}
