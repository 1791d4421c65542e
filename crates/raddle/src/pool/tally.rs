//! Counts what a scope must wait for before it gives back what its tasks borrowed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::future::{self, NOTHING, SETTLED};
use crate::host::Op;
use crate::raw::{Guarded, Waiter};

/// How many closures of a scope are not gone yet.
pub(super) struct Tally(Guarded<Open>);

#[derive(Default)]
struct Open {
    tickets: usize,
    /// There may be something new to do for the one who waits.
    nudged: bool,
    waiter: Option<Arc<Waiter>>,
}

impl Default for Tally {
    fn default() -> Self {
        Self(Guarded::new(Open::default()))
    }
}

impl Tally {
    pub(super) fn count(&self) -> usize {
        self.0.lock().tickets
    }

    /// Waits until every ticket has been given up, or until nudged; says whether the former holds.
    pub(super) fn wait(&self, home: u64, op: Op) -> bool {
        let mut open = self.0.lock();
        if open.tickets == 0 || std::mem::take(&mut open.nudged) {
            return open.tickets == 0;
        }
        let waiter = open.waiter.insert(Waiter::new(0)).clone();
        drop(open);
        let crew = future::crew_of(home);
        if let Some(crew) = &crew {
            crew.block(&waiter, NOTHING);
        }
        waiter.sleep(op, None);
        if let Some(crew) = &crew {
            crew.unblock(&waiter);
        }
        self.count() == 0
    }

    /// There may be something to do for the one who waits.
    pub(super) fn nudge(&self) {
        let mut open = self.0.lock();
        open.nudged = true;
        let waiter = open.waiter.take();
        drop(open);
        if let Some(waiter) = waiter {
            waiter.tell(SETTLED);
        }
    }

    fn give_up(&self) {
        let mut open = self.0.lock();
        open.tickets -= 1;
        let waiter = if open.tickets == 0 { open.waiter.take() } else { None };
        drop(open);
        if let Some(waiter) = waiter {
            waiter.tell(SETTLED);
        }
    }
}

/// A closure that is not gone yet. Dropping this gives it up.
pub(super) struct Ticket(Arc<Place>);

impl Ticket {
    pub(super) fn new(tally: &Arc<Tally>) -> Self {
        tally.0.lock().tickets += 1;
        Self(Arc::new(Place { tally: tally.clone(), given_up: AtomicBool::new(false) }))
    }

    /// For whoever finds out that the thread with the ticket will never go on.
    pub(super) fn lost(&self) -> Lost {
        Lost(self.0.clone())
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

/// Gives up a ticket in place of its holder.
pub(super) struct Lost(Arc<Place>);

impl Lost {
    pub(super) fn give_up(&self) {
        self.0.give_up();
    }
}

struct Place {
    tally: Arc<Tally>,
    given_up: AtomicBool,
}

impl Place {
    fn give_up(&self) {
        if !self.given_up.swap(true, Relaxed) {
            self.tally.give_up();
        }
    }
}
