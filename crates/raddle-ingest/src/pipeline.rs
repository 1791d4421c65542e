//! The pipeline: the queue, the writer and the sink, and their end.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use raddle::{JoinHandle, Mutex, Thread, time};

use crate::books::{Account, Books};
use crate::intake::{Intake, Limits, WhenFull};
use crate::sink::Sink;
use crate::writer::{BatchOptions, Ended, FailureLog, Stop, Unstored, Writer};

/// The options of a [`Pipeline`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PipelineOptions {
    /// The capacity of the queue.
    pub queue: Limits,
    /// The treatment of messages when the queue is full.
    pub when_full: WhenFull,
    /// The limits of a batch.
    pub batch: BatchOptions,
}

/// Moves messages from an [`Intake`] through a bounded queue into a [`Sink`].
///
/// A thread stores batches from the queue, and retries each until the sink has stored it. Sources put parcels with [`intake`](Self::intake).
/// To stop, first stop the sources, then call [`finish`](Self::finish), which closes the queue and blocks until all messages in it are
/// stored. If a pipeline is dropped without it, its thread keeps running, and the program does not end.
pub struct Pipeline {
    intake: Intake,
    options: Arc<Mutex<BatchOptions>>,
    stop: Arc<Stop>,
    writer: JoinHandle<Ended>,
}

impl Pipeline {
    /// Starts the writer. `unstored` keeps the messages that the sink fails to store until the end.
    ///
    /// # Errors
    /// Returns an error if the operating system cannot start a thread.
    pub fn start(
        sink: Box<dyn Sink>,
        unstored: Box<dyn Unstored>,
        books: Books,
        options: &PipelineOptions,
    ) -> io::Result<Self> {
        let intake = Intake::new(options.queue, options.when_full, books);
        let batch = Arc::new(Mutex::new(options.batch));
        let stop = Arc::new(Stop::default());
        let writer = Writer {
            intake: intake.clone(),
            stop: stop.clone(),
            sink,
            options: batch.clone(),
            unstored,
            failures: FailureLog::default(),
            carry: None,
            abandoned: false,
        };
        let writer = Thread::new(move || writer.run()).name("writer").start()?;
        Ok(Self { intake, options: batch, stop, writer })
    }

    /// Returns the entrance of the queue.
    pub fn intake(&self) -> &Intake {
        &self.intake
    }

    /// Returns the sum of all accounts.
    pub fn account(&self) -> Account {
        self.intake.books().total()
    }

    /// Returns whether the writer has terminated: it panicked, or the queue was closed.
    pub fn is_finished(&self) -> bool {
        self.writer.is_finished()
    }

    /// Changes the options. No message is lost, and no source is interrupted.
    pub fn reload(&self, options: &PipelineOptions) {
        *self.options.lock() = options.batch;
        self.intake.set_limits(options.queue, options.when_full);
    }

    /// Closes the queue and blocks until all messages in it are stored. Those that the sink has not stored within `deadline` are kept
    /// elsewhere.
    pub fn finish(self, deadline: Duration) -> Outcome {
        *self.stop.deadline.lock() = time::now().checked_add(deadline);
        self.stop.event.set();
        self.intake.close();
        let ended = self.writer.join();
        let account = self.intake.books().total();
        match ended {
            // A sink that does not store cannot be closed either. This is not another failure.
            Ok(Ended { problems, unclosed }) => {
                let failed = account.lost() > 0 || (unclosed && account.unstored == 0);
                Outcome { account, problems, failed }
            }
            Err(error) => Outcome { account, problems: vec![error.to_string()], failed: true },
        }
    }
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline").field("intake", &self.intake).finish_non_exhaustive()
    }
}

/// The outcome of a [`Pipeline`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "the outcome says whether messages were lost"]
pub struct Outcome {
    /// The account of all messages.
    pub account: Account,
    /// Descriptions of the failures; empty on success.
    pub problems: Vec<String>,
    /// Whether messages are lost, the writer terminated early, or the sink took all messages and could not be closed. Messages that
    /// are kept elsewhere, since the sink did not store them until the deadline, are no failure of the pipeline.
    pub failed: bool,
}

impl Outcome {
    /// Returns whether every message is in the database and nothing failed.
    pub fn is_good(&self) -> bool {
        self.account.lost() == 0 && self.account.unstored == 0 && self.problems.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use crate::message::Parcel;
    use crate::sink::{Batch, StoreError, Stored};

    use super::*;

    /// Notes the sizes of its batches, each of which it stores in two transactions.
    struct Noting(Arc<Mutex<Vec<usize>>>);

    impl Sink for Noting {
        fn store(&mut self, batch: &Batch) -> Result<Stored, StoreError> {
            self.0.lock().push(batch.len());
            Ok(Stored::default())
        }

        fn transactions(&self) -> usize {
            2
        }

        fn close(self: Box<Self>) -> Result<(), StoreError> {
            Ok(())
        }
    }

    impl Unstored for () {
        fn add(&mut self, _parcels: &[&Parcel]) -> std::io::Result<()> {
            unreachable!("everything is stored")
        }

        fn place(&self) -> String {
            String::new()
        }
    }

    #[test]
    fn limits_of_a_batch_are_per_transaction() {
        let (books, sizes) = (Books::new(), Arc::new(Mutex::new(Vec::new())));
        let mut options = PipelineOptions::default();
        options.batch.messages = 3;
        let mut parcel = Parcel::new(books.open("tcp"), "peer".into(), UNIX_EPOCH);
        for _ in 0..14 {
            parcel.push_text("x");
        }
        let pipeline =
            Pipeline::start(Box::new(Noting(sizes.clone())), Box::new(()), books, &options).unwrap();
        pipeline.intake().put(parcel).unwrap();
        assert_eq!(pipeline.finish(Duration::ZERO).account.stored, 14);
        assert_eq!(*sizes.lock(), [6, 6, 2]);
    }
}
