//! The writer: stores batches from the queue in the sink, and settles their receipts.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use raddle::queue::GetError;
use raddle::{Event, Mutex, thread, time};

use crate::books::Accounts;
use crate::intake::{Intake, Taken};
use crate::message::Parcel;
use crate::settlement::{Acknowledge, Failure, Settlement};
use crate::sink::{Batch, RowOutcome, Sink, Stored};

/// Pauses between attempts to store a batch, doubled after each attempt up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How long the writer waits for a message before the sink may do its maintenance.
const MAINTENANCE: Duration = Duration::from_secs(1);

/// Batches after which a busy writer looks at the size of the sink; an idle one does so about every second.
const TURNS_PER_LOOK: u64 = 64;

/// How long the sink must have worked before the same failure is logged again.
const CALM: Duration = Duration::from_secs(10);

/// Keeps messages that the sink failed to store until the end.
pub trait Unstored: Send + 'static {
    /// Keeps the messages durably, all or none unless [`kept_in_part`](Self::kept_in_part) says otherwise.
    ///
    /// # Errors
    /// Returns an error if some messages cannot be kept. These are lost.
    fn add(&mut self, parcels: &[&Parcel]) -> std::io::Result<()>;

    /// Returns how many messages of each parcel the last [`add`](Self::add) kept, although it failed.
    ///
    /// No messages, unless overridden.
    fn kept_in_part(&self) -> Vec<usize> {
        Vec::new()
    }

    /// Returns where they are kept, as text.
    fn place(&self) -> String;
}

/// The settings of the writer that may change while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchOptions {
    /// Maximum number of messages per [transaction](Sink::transactions) of a batch. A request that is acknowledged as a whole may exceed it. The default is 10,000.
    pub messages: usize,
    /// Maximum number of bytes per transaction of a batch; the message that reaches it is the last. The default is 4 MiB.
    pub bytes: usize,
    /// Maximum time the writer waits for a batch to fill after its first message. The default is zero.
    pub linger: Duration,
}

impl BatchOptions {
    /// Returns the limits of a batch that is stored in so many transactions.
    fn times(self, transactions: usize) -> Self {
        let messages = self.messages.saturating_mul(transactions);
        Self { messages, bytes: self.bytes.saturating_mul(transactions), ..self }
    }
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self { messages: 10_000, bytes: 4 << 20, linger: Duration::ZERO }
    }
}

/// The deadline after the stop, set at most once.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    pub(crate) event: Event,
    pub(crate) deadline: Mutex<Option<Instant>>,
}

impl Stop {
    /// Returns whether the time after the stop is over.
    fn is_over(&self) -> bool {
        self.event.is_set() && self.deadline.lock().is_none_or(|deadline| time::now() >= deadline)
    }
}

pub(crate) struct Writer {
    pub(crate) intake: Intake,
    pub(crate) stop: Arc<Stop>,
    pub(crate) sink: Box<dyn Sink>,
    pub(crate) options: Arc<Mutex<BatchOptions>>,
    pub(crate) unstored: Box<dyn Unstored>,
    pub(crate) failures: FailureLog,
    /// The rest of a parcel that did not fit into the last batch.
    pub(crate) carry: Option<Parcel>,
    /// The sink has failed until the deadline, and the remaining messages are not stored.
    pub(crate) abandoned: bool,
}

/// How a writer ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Descriptions of the failures.
    pub(crate) problems: Vec<String>,
    /// Closing the sink failed.
    pub(crate) unclosed: bool,
}

impl Writer {
    /// Runs until the queue is closed and empty.
    pub(crate) fn run(mut self) -> Ended {
        let _close_on_drop = CloseOnDrop(self.intake.clone());
        let mut problems = Vec::new();
        let mut turns = 0_u64;
        while let Some(batch) = self.next_batch() {
            if !batch.is_empty()
                && let Err(error) = self.store(&batch)
            {
                // The messages are lost: accept no more, so that the peers notice.
                self.intake.close();
                problems.push(format!("messages are lost: they cannot be written to any file: {error}"));
            }
            turns += 1;
            if batch.is_empty() || turns % TURNS_PER_LOOK == 1 {
                self.intake.status().set_sizes(self.sink.sizes());
            }
            if let Err(error) = self.sink.maintain() {
                log::warn!("{error}");
            }
        }
        let unstored = self.intake.books().total().unstored;
        if unstored > 0 {
            let place = self.unstored.place();
            problems.push(format!("{unstored} messages could not be stored and were written to {place}"));
        }
        let closed = self.sink.close();
        let unclosed = closed.is_err();
        problems.extend(closed.err().map(|error| format!("cannot close the database: {error}")));
        Ended { problems, unclosed }
    }

    /// Blocks for a parcel and takes further queued ones, up to the limits. The batch is empty if no parcel arrived for a
    /// while.
    ///
    /// Returns `None` if the queue is closed and empty.
    fn next_batch(&mut self) -> Option<Batch> {
        let options = self.options.lock().times(self.sink.transactions());
        let mut batch = Batch::default();
        let mut taken = Taken::default();
        match self.carry.take() {
            Some(parcel) => self.add(&mut batch, parcel, &options),
            None => match self.intake.queue().get_timeout(MAINTENANCE) {
                Ok(parcel) => {
                    taken.add(&parcel);
                    self.add(&mut batch, parcel, &options);
                }
                Err(GetError::Empty) => return Some(batch),
                Err(_) => return None,
            },
        }
        let until = time::now().checked_add(options.linger);
        while self.carry.is_none() && batch.len() < options.messages && batch.bytes() < options.bytes {
            let next = self.intake.queue().try_get().ok().or_else(|| {
                let until = until.filter(|_| !options.linger.is_zero())?;
                // What is waited for may wait for room.
                self.intake.taken(std::mem::take(&mut taken));
                self.intake.queue().get_deadline(until).ok()
            });
            let Some(parcel) = next else { break };
            taken.add(&parcel);
            self.add(&mut batch, parcel, &options);
        }
        // Once for all parcels: sources that wait for room are woken each time, and a wake-up costs as much as storing many messages.
        self.intake.taken(taken);
        Some(batch)
    }

    /// Adds the parcel to the batch, up to the maximum number of messages; carries the rest over.
    fn add(&mut self, batch: &mut Batch, mut parcel: Parcel, options: &BatchOptions) {
        self.carry = parcel.split_off(options.messages.max(1).saturating_sub(batch.len()));
        batch.push(parcel);
    }

    /// Stores the batch in the sink, or keeps it elsewhere if the sink fails until the deadline.
    fn store(&mut self, batch: &Batch) -> std::io::Result<()> {
        let mut is_stored = Vec::new();
        if !self.abandoned {
            if let Some(stored) = self.store_in_sink(batch) {
                self.settle(batch, &stored, |_| true);
                return Ok(());
            }
            self.abandoned = true;
            let (parcels, stored) = self.sink.stored_in_part(batch);
            self.settle(batch, &stored, |parcel| parcels.get(parcel) == Some(&true));
            is_stored = parcels;
        }
        let parcels = batch.parcels().iter().enumerate();
        let others: Vec<&Parcel> =
            parcels.filter(|(index, _)| is_stored.get(*index) != Some(&true)).map(|(_, it)| it).collect();
        // A sender with acknowledgements keeps its messages: it is notified that they are not stored.
        let kept: Vec<&Parcel> = others.iter().copied().filter(|it| it.receipt().is_none()).collect();
        let outcome = if kept.is_empty() { Ok(()) } else { self.unstored.add(&kept) };
        let mut kept_in_part = match &outcome {
            Ok(()) => Vec::new(),
            Err(_) => self.unstored.kept_in_part(),
        }
        .into_iter();
        self.intake.books().update(|accounts| {
            for parcel in &others {
                let (account, count) = (accounts.of(parcel.source()), parcel.len() as u64);
                account.in_flight -= count;
                match (parcel.receipt(), &outcome) {
                    (Some(_), _) => account.shed += count,
                    (None, Ok(())) => account.unstored += count,
                    // The others are lost, as the account shows.
                    (None, Err(_)) => account.unstored += kept_in_part.next().unwrap_or(0) as u64,
                }
            }
        });
        let failure = Settlement { failure: Some(Failure::Unavailable), ..Settlement::default() };
        acknowledge(others.into_iter().map(|parcel| (parcel, failure.clone())));
        outcome
    }

    /// Retries until the sink has stored the batch. Returns `None` if it fails until the deadline after the stop.
    fn store_in_sink(&mut self, batch: &Batch) -> Option<Stored> {
        let mut pause = FIRST_PAUSE;
        loop {
            let begun = time::now();
            let outcome = self.sink.store(batch);
            let now = time::now();
            match outcome {
                Ok(stored) => {
                    self.intake.status().stored(batch.len(), now - begun);
                    if let Some(line) = self.failures.stored(now) {
                        log::warn!("{line}");
                    }
                    return Some(stored);
                }
                Err(error) => {
                    let reason = error.to_string();
                    self.intake.status().failed(&reason);
                    if let Some(line) = self.failures.failed(&reason, now) {
                        log::warn!("{line}");
                    }
                }
            }
            if self.stop.is_over() {
                return None;
            }
            if self.stop.event.is_set() {
                thread::sleep(pause.min(Duration::from_millis(200)));
            } else {
                self.stop.event.wait_timeout(pause);
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Counts the stored messages and settles the receipts of the parcels that are stored, by their index.
    fn settle(&self, batch: &Batch, stored: &Stored, is_stored: impl Fn(usize) -> bool) {
        let mut exceptions = stored.exceptions.iter().peekable();
        let mut begin = 0;
        let mut settled: Vec<(&Parcel, Settlement)> = Vec::with_capacity(batch.parcels().len());
        for (index, parcel) in batch.parcels().iter().enumerate() {
            let end = begin + parcel.len();
            if !is_stored(index) {
                begin = end;
                continue;
            }
            let mut settlement = Settlement::default();
            settlement.rejected.extend(parcel.rejected().map(|(index, reason)| (index, reason.to_string())));
            while let Some((index, outcome)) = exceptions.next_if(|(index, _)| *index < end) {
                let index = index - begin;
                match outcome {
                    RowOutcome::Duplicate => {
                        settlement.duplicates += 1;
                        settlement.rejected.retain(|(rejected, _)| *rejected != index);
                    }
                    RowOutcome::Refused(reason) => settlement.rejected.push((index, reason.clone())),
                    RowOutcome::OutOfSequence { expected } => {
                        settlement.failure = Some(Failure::OutOfSequence { expected: *expected });
                    }
                }
            }
            settlement.rejected.sort();
            settlement.stored =
                parcel.len() as u64 - settlement.duplicates - settlement.rejected.len() as u64;
            begin = end;
            settled.push((parcel, settlement));
        }
        self.intake.books().update(|accounts| {
            for (parcel, settlement) in &settled {
                let account = accounts.of(parcel.source());
                account.in_flight -= parcel.len() as u64;
                if settlement.failure.is_some() {
                    account.shed += parcel.len() as u64;
                } else {
                    account.stored += settlement.stored;
                    account.duplicate += settlement.duplicates;
                    account.rejected += settlement.rejected.len() as u64;
                }
            }
        });
        acknowledge(settled);
    }
}

/// Settles the receipts of the parcels that have one.
fn acknowledge<'a>(settled: impl IntoIterator<Item = (&'a Parcel, Settlement)>) {
    let mut receivers: Vec<Arc<dyn Acknowledge>> = Vec::new();
    for (parcel, mut settlement) in settled {
        let Some(receipt) = parcel.receipt() else { continue };
        if settlement.failure.is_some() {
            settlement = Settlement { failure: settlement.failure, ..Settlement::default() };
        }
        receipt.settle(settlement);
        if !receivers.iter().any(|known| Arc::ptr_eq(known, receipt.receiver())) {
            receivers.push(receipt.receiver().clone());
        }
    }
    for receiver in receivers {
        receiver.flush();
    }
}

/// Closes the queue when the writer terminates, so that no source blocks on it forever.
///
/// If the writer panicked, the messages in the queue and in the batch are lost: the account shows it, and their senders are
/// notified.
struct CloseOnDrop(Intake);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        let Self(intake) = self;
        intake.close();
        while let Ok(parcel) = intake.queue().try_get() {
            let mut taken = Taken::default();
            taken.add(&parcel);
            intake.taken(taken);
            let failure = Settlement { failure: Some(Failure::Unavailable), ..Settlement::default() };
            let told = AssertUnwindSafe(|| acknowledge([(&parcel, failure)]));
            if catch_unwind(told).is_err() {
                log::error!("a receipt could not be settled: its receiver panicked");
            }
        }
        intake.books().update(Accounts::lose_in_flight);
    }
}

/// Decides which failures of the sink are logged.
///
/// On a disk that is almost full, success and failure alternate, and a line for each would hide all others.
#[derive(Debug, Default)]
pub(crate) struct FailureLog {
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    since: Instant,
    last: Instant,
    /// The reasons that were logged.
    logged: Vec<String>,
    /// Whether a batch was stored, and logged as such, since the last logged failure.
    succeeded: bool,
}

impl FailureLog {
    /// Records a failure. Returns a line if it is to be logged.
    pub(crate) fn failed(&mut self, reason: &str, now: Instant) -> Option<String> {
        self.current.take_if(|current| now - current.last >= CALM && current.succeeded);
        let current = self.current.get_or_insert_with(|| Current {
            since: now,
            last: now,
            logged: Vec::new(),
            succeeded: false,
        });
        current.last = now;
        if current.logged.iter().any(|logged| logged == reason) {
            return None;
        }
        current.logged.push(reason.to_owned());
        current.succeeded = false; // the end of a logged failure is logged, too
        Some(format!("cannot store messages: {reason}; retrying"))
    }

    /// Records a success. Returns a line if it is to be logged.
    pub(crate) fn stored(&mut self, now: Instant) -> Option<String> {
        let current = self.current.as_mut()?;
        if std::mem::replace(&mut current.succeeded, true) {
            return None;
        }
        Some(format!("storing again, after {:.1} s", (now - current.since).as_secs_f64()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alternating_success_and_failure_is_logged_once() {
        let (mut failures, begin) = (FailureLog::default(), raddle::time::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        assert_eq!(failures.stored(at(0)), None);
        assert!(failures.failed("full", at(1)).unwrap().starts_with("cannot store messages: full; "));
        assert_eq!(failures.failed("full", at(30)), None, "no success since then");
        assert_eq!(failures.stored(at(31)).unwrap(), "storing again, after 30.0 s");
        for second in 32..60 {
            assert_eq!(failures.failed("full", at(second)), None);
            assert_eq!(failures.stored(at(second)), None);
        }
        assert!(failures.failed("locked", at(60)).unwrap().starts_with("cannot store messages: locked; "));
        assert_eq!(failures.stored(at(60)).unwrap(), "storing again, after 59.0 s");
        assert_eq!(failures.stored(at(61)), None);
        assert!(failures.failed("full", at(70)).unwrap().starts_with("cannot store messages: full; "));
        assert_eq!(failures.stored(at(71)).unwrap(), "storing again, after 1.0 s");
    }
}
