//! The entrance from the sources into the queue, which is bounded in messages and in bytes.

use std::fmt;
use std::sync::Arc;

use raddle::{Condition, Mutex, Queue};

use crate::books::{Books, SourceId};
use crate::message::Parcel;
use crate::settlement::Failure;
use crate::status::Status;

/// The capacity of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The maximum number of messages. The default is 10,000.
    pub messages: usize,
    /// The maximum number of bytes of the messages. The default is 16 MiB.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { messages: 10_000, bytes: 16 << 20 }
    }
}

/// The treatment of a message when the queue is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// The source stops reading, and its peers are slowed down.
    #[default]
    Block,
    /// The message is refused and counted; the sender of an acknowledged protocol gets a refusal.
    Shed,
}

/// Is notified when the queue has room again.
pub trait RoomListener: Send + Sync {
    /// There is room: a parcel that did not fit may be put again.
    fn room(&self);
}

/// Enqueues the messages of sources. Clones share the queue.
#[derive(Clone)]
pub struct Intake(Arc<Shared>);

struct Shared {
    queue: Queue<Parcel>,
    room: Mutex<Room>,
    /// Notified when there is room, for [`Intake::put`].
    freed: Condition,
    books: Books,
    status: Status,
}

struct Room {
    limits: Limits,
    when_full: WhenFull,
    messages: usize,
    bytes: usize,
    closed: bool,
    listeners: Vec<Arc<dyn RoomListener>>,
    /// A parcel did not fit since the listeners were last notified of room.
    refused: bool,
}

impl Room {
    /// Returns whether the parcel fits. One that is larger than the queue fits into the empty queue.
    fn fits(&self, parcel: &Parcel) -> bool {
        self.messages == 0
            || (self.messages + parcel.len() <= self.limits.messages
                && self.bytes + parcel.bytes() <= self.limits.bytes)
    }
}

impl Intake {
    pub(crate) fn new(limits: Limits, when_full: WhenFull, books: Books) -> Self {
        let room = Room {
            limits,
            when_full,
            messages: 0,
            bytes: 0,
            closed: false,
            listeners: Vec::new(),
            refused: false,
        };
        Self(Arc::new(Shared {
            queue: Queue::unbounded(),
            room: Mutex::new(room),
            freed: Condition::new(),
            books,
            status: Status::default(),
        }))
    }

    /// Returns the books, in which the messages are counted.
    pub fn books(&self) -> &Books {
        &self.0.books
    }

    /// Returns the status of the pipeline.
    pub fn status(&self) -> &Status {
        &self.0.status
    }

    /// Returns the capacity of the queue.
    pub fn limits(&self) -> Limits {
        self.0.room.lock().limits
    }

    /// Returns the number of bytes of the messages in the queue.
    pub fn queued_bytes(&self) -> usize {
        self.0.room.lock().bytes
    }

    /// Returns whether the queue is closed: the pipeline is finished, or its writer has terminated.
    pub fn is_closed(&self) -> bool {
        self.0.room.lock().closed
    }

    /// Returns the treatment of messages when the queue is full.
    pub fn when_full(&self) -> WhenFull {
        self.0.room.lock().when_full
    }

    /// Enqueues a parcel if it fits. Its messages count as received from then on.
    ///
    /// If it does not fit, every [`RoomListener`] is notified when there is room.
    ///
    /// # Errors
    /// Returns a [`RefusedError`] with the parcel if the queue is full or closed. Its messages are not counted.
    pub fn try_put(&self, parcel: Parcel) -> Result<(), RefusedError> {
        let mut room = self.0.room.lock();
        if room.closed {
            return Err(RefusedError { parcel: Box::new(parcel), closed: true });
        }
        if !room.fits(&parcel) {
            room.refused = true;
            return Err(RefusedError { parcel: Box::new(parcel), closed: false });
        }
        self.admit(&mut room, parcel);
        Ok(())
    }

    /// Enqueues a parcel, blocking while it does not fit.
    ///
    /// # Errors
    /// Returns a [`RefusedError`] with the parcel if the queue is closed.
    pub fn put(&self, parcel: Parcel) -> Result<(), RefusedError> {
        let mut room = self.0.room.lock();
        while !room.closed && !room.fits(&parcel) {
            self.0.freed.wait(&mut room);
        }
        if room.closed {
            return Err(RefusedError { parcel: Box::new(parcel), closed: true });
        }
        self.admit(&mut room, parcel);
        Ok(())
    }

    /// Enqueues a parcel even if the queue is full. A source that stops uses this for the messages that it has read.
    ///
    /// # Errors
    /// Returns a [`RefusedError`] with the parcel if the queue is closed. Its messages are not counted.
    pub fn put_beyond(&self, parcel: Parcel) -> Result<(), RefusedError> {
        let mut room = self.0.room.lock();
        if room.closed {
            return Err(RefusedError { parcel: Box::new(parcel), closed: true });
        }
        self.admit(&mut room, parcel);
        Ok(())
    }

    /// Counts the parcel and enqueues it. The lock is held, so that the queue cannot be closed in between.
    fn admit(&self, room: &mut Room, parcel: Parcel) {
        room.messages += parcel.len();
        room.bytes += parcel.bytes();
        let (source, count) = (parcel.source(), parcel.len() as u64);
        self.0.books.update(|accounts| {
            let account = accounts.of(source);
            account.received += count;
            account.queued += count;
        });
        // The queue is unlimited, and it is shut down only after `closed` is set.
        let put = self.0.queue.put(parcel);
        debug_assert!(put.is_ok(), "the queue is open");
    }

    /// Counts the messages of a parcel that did not fit as received and shed, and notifies its sender.
    pub fn shed(&self, parcel: &Parcel) {
        let (source, count) = (parcel.source(), parcel.len() as u64);
        self.0.books.update(|accounts| {
            let account = accounts.of(source);
            account.received += count;
            account.shed += count;
        });
        if let Some(receipt) = parcel.receipt() {
            receipt
                .settle(crate::settlement::Settlement { failure: Some(Failure::Full), ..Default::default() });
        }
    }

    /// Adds a listener that is notified when there is room after a parcel did not fit.
    pub fn add_listener(&self, listener: Arc<dyn RoomListener>) {
        self.0.room.lock().listeners.push(listener);
    }

    /// Changes the capacity, and the treatment of messages when the queue is full.
    pub fn set_limits(&self, limits: Limits, when_full: WhenFull) {
        let mut room = self.0.room.lock();
        (room.limits, room.when_full) = (limits, when_full);
        self.tell_of_room(room);
    }

    /// Closes the queue: no parcel is accepted any more; those in it remain.
    pub fn close(&self) {
        let mut room = self.0.room.lock();
        room.closed = true;
        self.0.queue.shutdown();
        self.tell_of_room(room);
    }

    /// Returns the queue, for the writer, which calls [`taken`](Self::taken) for what it takes.
    pub(crate) fn queue(&self) -> &Queue<Parcel> {
        &self.0.queue
    }

    /// Records that the writer has taken parcels, as one step. Sources are notified of the room once for all of them.
    pub(crate) fn taken(&self, taken: Taken) {
        let mut room = self.0.room.lock();
        room.messages -= taken.messages;
        room.bytes -= taken.bytes;
        self.0.books.update(|accounts| {
            for (source, count) in taken.counts {
                let account = accounts.of(source);
                account.queued -= count;
                account.in_flight += count;
            }
        });
        self.tell_of_room(room);
    }

    fn tell_of_room(&self, mut room: raddle::MutexGuard<'_, Room>) {
        self.0.freed.notify_all(&room);
        if std::mem::take(&mut room.refused) {
            let listeners = room.listeners.clone();
            drop(room);
            for listener in listeners {
                listener.room();
            }
        }
    }
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let room = self.0.room.lock();
        let (messages, bytes, closed) = (room.messages, room.bytes, room.closed);
        f.debug_struct("Intake")
            .field("messages", &messages)
            .field("bytes", &bytes)
            .field("closed", &closed)
            .finish_non_exhaustive()
    }
}

/// What the writer has taken from the queue, and not recorded yet.
///
/// Until it is recorded, it counts as queued.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    messages: usize,
    bytes: usize,
    /// The number of messages of each source; there are few.
    counts: Vec<(SourceId, u64)>,
}

impl Taken {
    pub(crate) fn add(&mut self, parcel: &Parcel) {
        self.messages += parcel.len();
        self.bytes += parcel.bytes();
        let count = parcel.len() as u64;
        match self.counts.iter_mut().find(|(source, _)| *source == parcel.source()) {
            Some((_, sum)) => *sum += count,
            None => self.counts.push((parcel.source(), count)),
        }
    }
}

/// The error of [`Intake::try_put`] and [`Intake::put`], with the parcel.
#[derive(Debug)]
pub struct RefusedError {
    parcel: Box<Parcel>,
    closed: bool,
}

impl RefusedError {
    /// Returns whether the queue is closed; otherwise it is full.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Returns the parcel.
    pub fn into_inner(self) -> Parcel {
        *self.parcel
    }
}

impl fmt::Display for RefusedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = if self.closed { "closed" } else { "full" };
        write!(f, "cannot enqueue {} messages: the queue is {why}", self.parcel.len())
    }
}

impl std::error::Error for RefusedError {}
