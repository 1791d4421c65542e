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
    /// The maximum number of messages. The default is 20,000.
    pub messages: usize,
    /// The maximum number of bytes of the messages. The default is 16 MiB.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { messages: 20_000, bytes: 16 << 20 }
    }
}

impl Limits {
    /// Returns a sixteenth: the room for which a parcel waits at most. Smaller parts would make very small batches of work.
    pub(crate) fn grain(self) -> Self {
        Self { messages: (self.messages / 16).max(1), bytes: (self.bytes / 16).max(1) }
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
    /// Splits off as many of the first messages of a parcel as fit. `None` if there is little room, or the parcel is acknowledged as a whole.
    fn split_fitting(&self, parcel: &mut Parcel) -> Option<Parcel> {
        let messages = self.limits.messages.saturating_sub(self.messages);
        let bytes = self.limits.bytes.saturating_sub(self.bytes);
        let grain = self.limits.grain();
        if messages < grain.messages || bytes < grain.bytes {
            return None;
        }
        let rest = parcel.split_off(parcel.fitting(messages, bytes))?;
        Some(std::mem::replace(parcel, rest))
    }

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
    /// A parcel without a receipt that does not fit is split: the first messages are enqueued, as many as fit, if a sixteenth of the queue is
    /// free. If messages are left, every [`RoomListener`] is notified when there is room.
    ///
    /// # Fairness
    /// A parcel without a receipt needs at most a sixteenth of the queue to make progress, however large it is. Small parcels cannot starve it.
    ///
    /// # Errors
    /// Returns a [`RefusedError`] with the messages that are not enqueued if the queue is full or closed. They are not counted.
    ///
    /// # Examples
    /// ```
    /// use std::time::{Duration, SystemTime};
    ///
    /// use raddle_ingest::{Books, MemorySink, Parcel, Pipeline, PipelineOptions, UnstoredFile};
    ///
    /// let books = Books::new();
    /// let source = books.open("letters");
    /// let unstored = UnstoredFile::beside(std::env::temp_dir().join("letters.db"), &books);
    /// let options = PipelineOptions::default();
    /// let pipeline = Pipeline::start(Box::new(MemorySink::new()), Box::new(unstored), books, &options)?;
    /// let intake = pipeline.intake().clone();
    /// let letter = |text: &str| {
    ///     let mut parcel = Parcel::new(source, "peer".into(), SystemTime::now());
    ///     parcel.push_text(text);
    ///     parcel
    /// };
    /// intake.try_put(letter("one"))?;
    /// assert_eq!(pipeline.finish(Duration::from_secs(1)).account.stored, 1);
    ///
    /// let refused = intake.try_put(letter("two")).unwrap_err(); // the pipeline is finished
    /// assert!(refused.is_closed());
    /// assert_eq!(refused.into_inner().len(), 1); // the parcel can be kept elsewhere
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_put(&self, mut parcel: Parcel) -> Result<(), RefusedError> {
        let mut room = self.0.room.lock();
        while !room.closed {
            if room.fits(&parcel) {
                self.admit(&mut room, parcel);
                return Ok(());
            }
            let Some(part) = room.split_fitting(&mut parcel) else {
                room.refused = true;
                return Err(RefusedError { parcel: Box::new(parcel), closed: false });
            };
            self.admit(&mut room, part);
        }
        Err(RefusedError { parcel: Box::new(parcel), closed: true })
    }

    /// Enqueues a parcel, blocking while it does not fit. One without a receipt is split as by [`try_put`](Self::try_put).
    ///
    /// # Errors
    /// Returns a [`RefusedError`] with the messages that are not enqueued if the queue is closed.
    pub fn put(&self, mut parcel: Parcel) -> Result<(), RefusedError> {
        let mut room = self.0.room.lock();
        while !room.closed {
            if room.fits(&parcel) {
                self.admit(&mut room, parcel);
                return Ok(());
            }
            match room.split_fitting(&mut parcel) {
                Some(part) => self.admit(&mut room, part),
                None => self.0.freed.wait(&mut room),
            }
        }
        Err(RefusedError { parcel: Box::new(parcel), closed: true })
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

    /// Returns the parcel, or the rest of it that is not enqueued.
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

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::books::SourceId;
    use crate::settlement::{Acknowledge, Receipt, Settlement};

    struct Nobody;

    impl Acknowledge for Nobody {
        fn settle(&self, _connection: u64, _ticket: u64, _settlement: Settlement) {}
        fn flush(&self) {}
    }

    fn parcel(source: SourceId, texts: impl IntoIterator<Item = usize>) -> Parcel {
        let mut parcel = Parcel::new(source, "peer".into(), UNIX_EPOCH);
        for text in texts {
            parcel.push_text(&format!("{text:04}"));
        }
        parcel
    }

    fn intake(limits: Limits) -> (Intake, SourceId) {
        let books = Books::new();
        let source = books.open("tcp");
        (Intake::new(limits, WhenFull::Block, books), source)
    }

    fn take(intake: &Intake) -> Vec<String> {
        let parcel = intake.queue().try_get().expect("a parcel");
        let mut taken = Taken::default();
        taken.add(&parcel);
        intake.taken(taken);
        parcel.rows().map(|row| format!("{:?}", row.content)).collect()
    }

    #[test]
    fn parcel_without_a_receipt_is_enqueued_as_far_as_it_fits() {
        for limits in [Limits { messages: 100, bytes: 1 << 20 }, Limits { messages: 1000, bytes: 400 }] {
            let (intake, source) = intake(limits);
            intake.try_put(parcel(source, 0..90)).unwrap();
            let mut rest = intake.try_put(parcel(source, 0..1000)).unwrap_err().into_inner();
            assert_eq!((rest.len(), intake.books().total().queued), (990, 100), "{limits:?}");
            // Of too little room no use is made.
            intake.try_put(parcel(source, [0])).unwrap_err();
            assert_eq!(take(&intake).len(), 90);
            let mut taken = Vec::new();
            while let Err(refused) = intake.try_put(rest) {
                rest = refused.into_inner();
                taken.extend(take(&intake));
            }
            while intake.books().total().queued > 0 {
                taken.extend(take(&intake));
            }
            let whole: Vec<_> =
                parcel(source, 0..1000).rows().map(|row| format!("{:?}", row.content)).collect();
            assert_eq!(taken, whole, "in order, without gaps");
            assert_eq!(intake.books().total().received, 1090);
        }
    }

    #[test]
    fn parcel_with_a_receipt_is_enqueued_as_a_whole() {
        let (intake, source) = intake(Limits { messages: 100, bytes: 1 << 20 });
        intake.try_put(parcel(source, 0..10)).unwrap();
        let mut whole = parcel(source, 0..200);
        whole.set_receipt(Receipt::new(Arc::new(Nobody), 1, 1));
        let whole = intake.try_put(whole).unwrap_err().into_inner();
        assert_eq!(whole.len(), 200);
        assert_eq!(take(&intake).len(), 10);
        intake.try_put(whole).expect("the queue is empty");
    }

    #[test]
    fn message_that_is_larger_than_the_queue_waits_for_the_empty_queue() {
        let (intake, source) = intake(Limits { messages: 10, bytes: 8 });
        intake.try_put(parcel(source, [1])).unwrap();
        let mut large = Parcel::new(source, "peer".into(), UNIX_EPOCH);
        large.push_text("longer than eight");
        let large = intake.try_put(large).unwrap_err().into_inner();
        take(&intake);
        intake.try_put(large).unwrap();
        assert_eq!(take(&intake).len(), 1);
    }
}
