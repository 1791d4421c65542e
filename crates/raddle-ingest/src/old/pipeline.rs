//! The pipeline: source, queue, writer and sink, and the event that stops them in this order.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use raddle::{Event, JoinHandle, Queue, Thread};

use crate::old::account::{Account, Counts};
use crate::old::arrival::Arrival;
use crate::old::intake::Intake;
use crate::old::sink::Sink;
use crate::old::source::Source;
use crate::old::spill::Spill;
use crate::old::writer::{FailureLog, Writer};

/// The options of a [`Pipeline`].
#[derive(Clone, Debug)]
pub struct PipelineOptions {
    /// Capacity of the queue, in messages. 10,000.
    pub queue: usize,
    /// Maximum number of messages per batch. 1000.
    pub batch: usize,
    /// Maximum time the writer waits for a batch to fill after its first message. 20 ms.
    pub linger: Duration,
    /// File for messages that the sink fails to store until the end.
    pub spill: PathBuf,
}

impl Default for PipelineOptions {
    fn default() -> Self {
        Self {
            queue: 10_000,
            batch: 1000,
            linger: Duration::from_millis(20),
            spill: PathBuf::from("messages.unstored"),
        }
    }
}

/// Moves messages from a [`Source`] through a bounded queue into a [`Sink`].
///
/// One thread runs the source, another one stores batches from the queue. The stop event ends the pipeline in order: the
/// source reads what has arrived, the queue is drained, and the sink is closed. [`finish`](Self::finish) waits for that and
/// returns the account.
pub struct Pipeline {
    queue: Arc<Queue<Arrival>>,
    counts: Arc<Counts>,
    stop: Arc<Event>,
    source: JoinHandle<io::Result<()>>,
    writer: JoinHandle<Vec<String>>,
}

impl Pipeline {
    /// Starts a pipeline that runs until `stop` is set.
    ///
    /// # Errors
    /// If the operating system cannot start a thread.
    pub fn start(
        source: impl Source,
        sink: impl Sink,
        options: &PipelineOptions,
        stop: Arc<Event>,
    ) -> io::Result<Self> {
        let queue = Arc::new(Queue::bounded(options.queue.max(1)));
        let counts = Arc::new(Counts::default());
        let writer = Writer {
            queue: queue.clone(),
            counts: counts.clone(),
            stop: stop.clone(),
            sink,
            batch: options.batch.max(1),
            linger: options.linger,
            spill: Spill::at(&options.spill),
            failures: FailureLog::default(),
            sink_abandoned: false,
        };
        let writer = Thread::new(move || writer.run()).name("writer").start()?;
        let intake = Intake::new(queue.clone(), counts.clone());
        let stopping = stop.clone();
        let source = Thread::new(move || {
            let outcome = source.run(intake, &stopping);
            stopping.set(); // a source that fails stops the pipeline, too
            outcome
        });
        match source.name("source").start() {
            Ok(source) => Ok(Self { queue, counts, stop, source, writer }),
            Err(error) => {
                queue.shutdown();
                let _ = writer.join();
                Err(error.into())
            }
        }
    }

    /// Returns the present state.
    pub fn progress(&self) -> Progress {
        Progress { account: self.counts.account(), queued: self.queue.len(), stopping: self.stop.is_set() }
    }

    /// Blocks until the stop event is set and everything is stored, and returns the outcome.
    pub fn finish(self) -> Outcome {
        let mut problems = Vec::new();
        match self.source.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => problems.push(format!("receiving: {error}")),
            Err(error) => problems.push(error.to_string()),
        }
        self.stop.set(); // in case the source panicked
        self.queue.shutdown();
        match self.writer.join() {
            Ok(more) => problems.extend(more),
            Err(error) => problems.push(error.to_string()),
        }
        Outcome { account: self.counts.account(), problems }
    }
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline").field("progress", &self.progress()).finish_non_exhaustive()
    }
}

/// The state of a running [`Pipeline`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The account so far.
    pub account: Account,
    /// The number of messages in the queue.
    pub queued: usize,
    /// Whether the stop event is set.
    pub stopping: bool,
}

/// The outcome of a [`Pipeline`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "the outcome says whether messages were lost"]
pub struct Outcome {
    /// The account of all messages.
    pub account: Account,
    /// Messages about what failed; empty on success.
    pub problems: Vec<String>,
}

impl Outcome {
    /// Returns whether every message is in the database and nothing failed.
    pub fn is_good(&self) -> bool {
        self.account.balances() && self.problems.is_empty()
    }
}
