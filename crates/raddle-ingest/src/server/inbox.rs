//! The messages of other threads to an event loop: settlements, room in the queue, commands.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mio::Waker;
use raddle::{Condition, Mutex};

use crate::intake::RoomListener;
use crate::server::command::Command;
use crate::settlement::{Acknowledge, Settlement};

/// A settlement, with the numbers of its connection and parcel.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) connection: u64,
    pub(super) ticket: u64,
    pub(super) settlement: Settlement,
}

/// The inbox of an event loop.
pub(super) struct Inbox {
    waker: Waker,
    /// The loop has been woken, and has not read the inbox since.
    woken: AtomicBool,
    /// There is mail, whether or not the loop has been woken for it.
    full: AtomicBool,
    room: AtomicBool,
    mail: Mutex<Mail>,
    progress: Mutex<Progress>,
    changed: Condition,
}

/// The mail of an event loop.
#[derive(Default)]
pub(super) struct Mail {
    pub(super) settled: Vec<Settled>,
    pub(super) commands: Vec<Command>,
    /// There is room in the queue again.
    pub(super) room: bool,
}

/// The progress of an event loop towards its end.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    /// It does not pass connections to other loops any more.
    pub(super) draining: bool,
    /// Everything has been read, and the number of peers that were still sending.
    pub(super) drained: Option<usize>,
    /// Its thread terminates, and the number of peers whose replies were not written.
    pub(super) terminated: Option<usize>,
}

impl Inbox {
    pub(super) fn new(waker: Waker) -> Self {
        Self {
            waker,
            woken: AtomicBool::new(false),
            full: AtomicBool::new(false),
            room: AtomicBool::new(false),
            mail: Mutex::default(),
            progress: Mutex::default(),
            changed: Condition::new(),
        }
    }

    /// Sends a command to the loop.
    pub(super) fn send(&self, command: Command) {
        self.mail.lock().commands.push(command);
        self.full.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// Returns whether there is mail. The loop itself may put some in without waking itself.
    pub(super) fn has_mail(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    /// Takes the mail, if there is any. The loop calls it after each time that it may have been woken.
    pub(super) fn take(&self) -> Option<Mail> {
        // In this order, and even if there is no mail, so that mail which is put in later wakes the loop again. Mail is put in before
        // the loop is woken for it, and may have been taken already when the wake-up comes.
        self.woken.store(false, Ordering::SeqCst);
        if !self.full.swap(false, Ordering::SeqCst) {
            return None;
        }
        let mut mail = std::mem::take(&mut *self.mail.lock());
        mail.room = self.room.swap(false, Ordering::SeqCst);
        Some(mail)
    }

    fn wake(&self) {
        if !self.woken.swap(true, Ordering::SeqCst)
            && let Err(error) = self.waker.wake()
        {
            log::error!("cannot wake the server: {error}");
        }
    }

    /// Records progress of the loop.
    pub(super) fn report(&self, report: impl FnOnce(&mut Progress)) {
        let mut progress = self.progress.lock();
        report(&mut progress);
        self.changed.notify_all(&progress);
    }

    /// Blocks until the loop has made that progress or terminates.
    pub(super) fn wait_for(&self, reached: impl Fn(&Progress) -> bool) -> Progress {
        let mut progress = self.progress.lock();
        while !reached(&progress) && progress.terminated.is_none() {
            self.changed.wait(&mut progress);
        }
        progress.clone()
    }
}

impl Acknowledge for Inbox {
    fn settle(&self, connection: u64, ticket: u64, settlement: Settlement) {
        self.mail.lock().settled.push(Settled { connection, ticket, settlement });
        self.full.store(true, Ordering::SeqCst);
    }

    fn flush(&self) {
        self.wake();
    }
}

impl RoomListener for Inbox {
    fn room(&self) {
        self.room.store(true, Ordering::SeqCst);
        self.full.store(true, Ordering::SeqCst);
        self.wake();
    }
}

/// Notifies the threads that wait for the loop when its thread terminates, also if it panics.
pub(super) struct ReportOnDrop {
    pub(super) inbox: Arc<Inbox>,
    pub(super) unwritten: usize,
}

impl Drop for ReportOnDrop {
    fn drop(&mut self) {
        let unwritten = self.unwritten;
        self.inbox.report(|progress| progress.terminated = Some(unwritten));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mio::{Events, Poll, Token};

    use super::*;

    #[test]
    fn wake_up_for_mail_that_was_taken_before_does_not_suppress_the_next_one() {
        let mut poll = Poll::new().unwrap();
        let inbox = Inbox::new(Waker::new(poll.registry(), Token(0)).unwrap());
        let mut events = Events::with_capacity(1);
        for ticket in 0..3 {
            inbox.settle(1, ticket, Settlement::default());
            // The loop reads the inbox before it is woken.
            assert_eq!(inbox.take().map(|mail| mail.settled.len()), Some(1));
            inbox.flush();
            poll.poll(&mut events, Some(Duration::from_mins(1))).unwrap();
            assert!(!events.is_empty(), "the loop is woken");
            assert!(inbox.take().is_none());
        }
    }

    #[test]
    fn several_settlements_wake_the_loop_once() {
        let mut poll = Poll::new().unwrap();
        let inbox = Inbox::new(Waker::new(poll.registry(), Token(0)).unwrap());
        let mut events = Events::with_capacity(4);
        for ticket in 0..3 {
            inbox.settle(1, ticket, Settlement::default());
            inbox.flush();
            inbox.room();
        }
        poll.poll(&mut events, Some(Duration::from_mins(1))).unwrap();
        let mail = inbox.take().unwrap();
        assert!(mail.settled.len() == 3 && mail.room);
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        assert!(events.is_empty() && inbox.take().is_none());
    }
}
