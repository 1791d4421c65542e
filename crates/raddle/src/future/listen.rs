//! Who wants to hear that a future is settled.

use std::sync::Arc;
use std::task::Waker;

use super::depth::shallow;
use crate::raw::Waiter;
use crate::thread::guarded;

/// Verdicts of a [`Waiter`] that waits for futures.
pub(crate) const SETTLED: u32 = 0;
/// The wait would never end.
pub(crate) const DEADLOCK: u32 = 1;

/// Somebody who waits for several futures at once, or must not sleep on the future's own word.
pub(crate) trait Watch: Send + Sync {
    /// The future that was registered with `place` is settled; `failed`: by anything but a value or `cancel`.
    fn settled(&self, place: usize, failed: bool);
}

impl Watch for Waiter {
    fn settled(&self, _: usize, _: bool) {
        self.notify(SETTLED);
    }
}

/// One listener; `C` is a done-callback.
pub(super) enum Listener<C> {
    Watch(Arc<dyn Watch>, usize),
    Waker(u64, Waker),
    Callback(C),
}

/// Those who listen to one future: mostly nobody, so that it takes no more than a pointer.
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

    /// Takes out the first one that `is` says yes to.
    pub(super) fn remove(&mut self, is: impl FnMut(&Listener<C>) -> bool) -> Option<Listener<C>> {
        let list = self.0.as_mut()?;
        let place = list.all.iter().position(is)?;
        Some(list.all.remove(place))
    }

    /// Takes out all, if there are any.
    pub(super) fn take(&mut self) -> Option<Vec<Listener<C>>> {
        self.0.take().map(|list| list.all)
    }
}

/// Tells everyone who sleeps, and returns the callbacks in their order.
pub(super) fn tell<C>(listeners: Vec<Listener<C>>, failed: bool) -> Vec<C> {
    let mut callbacks = Vec::new();
    for listener in listeners {
        match listener {
            Listener::Watch(watch, place) => watch.settled(place, failed),
            Listener::Waker(_, waker) => shallow(move || guarded("a waker", || waker.wake())),
            Listener::Callback(callback) => callbacks.push(callback),
        }
    }
    callbacks
}
