//! Counts what a scope must wait for before it gives back what its tasks borrowed.

use std::sync::Arc;

use crate::future::{self, NOTHING, SETTLED};
use crate::host::{self, Op};
use crate::raw::{Guarded, Waiter};

/// How many closures of a scope are not gone yet.
pub(super) struct Tally(Guarded<Open>);

#[derive(Default)]
struct Open {
    tickets: usize,
    /// There may be something new to do for the one who waits.
    nudged: bool,
    /// A thread called `exit` in a task: what that borrows must stay as long as the program does.
    lost: bool,
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
    ///
    /// It never returns once a task is lost in `exit`: the frame that it left may lend what it borrowed to threads
    /// of its own, which go on.
    pub(super) fn wait(&self, home: u64, op: Op) -> bool {
        let mut open = self.0.lock();
        if open.lost {
            drop(open);
            host::never_return();
        }
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
        let open = self.0.lock();
        open.tickets == 0 && !open.lost
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

    fn lose(&self) {
        let mut open = self.0.lock();
        open.lost = true;
        let waiter = open.waiter.take();
        drop(open);
        if let Some(waiter) = waiter {
            waiter.tell(SETTLED);
        }
    }
}

/// A closure that is not gone yet. Dropping this gives it up.
pub(super) struct Ticket(Arc<Tally>);

impl Ticket {
    pub(super) fn new(tally: &Arc<Tally>) -> Self {
        tally.0.lock().tickets += 1;
        Self(tally.clone())
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

/// Says that the holder of a ticket called `exit`.
pub(super) struct Lost(Arc<Tally>);

impl Lost {
    pub(super) fn tell(&self) {
        self.0.lose();
    }
}
