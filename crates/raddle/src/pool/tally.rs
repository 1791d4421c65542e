//! Counts what a scope must wait for before it gives back what its tasks borrowed.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};

use crate::future::{self, NOTHING, SETTLED};
use crate::raw::{Guard, Guarded, Waiter};
use crate::rt::{self, Op};

/// How many closures of a scope are not gone yet.
pub(super) struct Tally(Guarded<Open>);

#[derive(Default)]
struct Open {
    tickets: usize,
    /// The process whose tickets these are, by its forks: the threads that have those of a parent are not in its child.
    process: u32,
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
    fn open(&self) -> Guard<'_, Open> {
        let mut open = self.0.lock();
        if open.process != rt::forks() {
            *open = Open { process: rt::forks(), ..Open::default() };
        }
        open
    }

    pub(super) fn count(&self) -> usize {
        self.open().tickets
    }

    /// Waits until every ticket has been given up, or until nudged; says whether the former holds.
    ///
    /// It never returns once a task is lost in `exit`: the frame that it left may lend what it borrowed to threads
    /// of its own, which go on.
    pub(super) fn wait(&self, home: u64, op: Op) -> bool {
        let mut open = self.open();
        if open.lost {
            drop(open);
            rt::never_return();
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
        waiter.wait(op, None);
        if let Some(crew) = &crew {
            crew.unblock(&waiter);
        }
        let open = self.open();
        open.tickets == 0 && !open.lost
    }

    /// There may be something to do for the one who waits.
    pub(super) fn nudge(&self) {
        let mut open = self.open();
        open.nudged = true;
        let waiter = open.waiter.take();
        drop(open);
        if let Some(waiter) = waiter {
            waiter.notify(SETTLED);
        }
    }

    fn give_up(&self) {
        let mut open = self.open();
        open.tickets -= 1;
        let waiter = if open.tickets == 0 { open.waiter.take() } else { None };
        drop(open);
        if let Some(waiter) = waiter {
            waiter.notify(SETTLED);
        }
    }

    fn lose(&self) {
        let mut open = self.open();
        open.lost = true;
        let waiter = open.waiter.take();
        drop(open);
        if let Some(waiter) = waiter {
            waiter.notify(SETTLED);
        }
    }
}

/// A closure that is not gone yet. Dropping this gives it up.
pub(super) struct Ticket {
    tally: Arc<Tally>,
    process: u32,
    /// It has been given up.
    done: Arc<AtomicBool>,
}

impl Ticket {
    pub(super) fn new(tally: &Arc<Tally>) -> Self {
        let mut open = tally.open();
        open.tickets += 1;
        Self { tally: tally.clone(), process: open.process, done: Arc::default() }
    }

    /// For the case that the thread with the ticket never proceeds.
    pub(super) fn lost(&self) -> Lost {
        Lost { tally: self.tally.clone(), done: self.done.clone() }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.done.store(true, Release);
        if self.process == rt::forks() {
            self.tally.give_up();
        }
    }
}

/// Says that the holder of a ticket called `exit`.
pub(super) struct Lost {
    tally: Arc<Tally>,
    done: Arc<AtomicBool>,
}

impl Lost {
    /// The task will never be settled by its thread. If its closure is gone all the same, because a scheduler unwound the
    /// thread after that, nothing that it borrowed is still lent.
    pub(super) fn tell(&self) {
        if !self.done.load(Acquire) {
            self.tally.lose();
        }
    }
}
