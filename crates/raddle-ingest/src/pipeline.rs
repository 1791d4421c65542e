//! A source, a queue, a writer and a sink, and the event that ends them in this order.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use raddle::{Event, JoinHandle, Queue, Thread};

use crate::account::{Account, Counts};
use crate::arrival::Arrival;
use crate::intake::Intake;
use crate::sink::Sink;
use crate::source::Source;
use crate::spill::Spill;
use crate::writer::{FailureLog, Writer};

/// How a [`Pipeline`] holds and stores messages.
#[derive(Clone, Debug)]
pub struct PipelineOptions {
    /// Messages that the queue holds before the source is held back. 10,000.
    pub queue: usize,
    /// Messages stored in one go, at most. 1000.
    pub batch: usize,
    /// How long the writer waits for a batch to fill once there is a first message. 20 ms.
    pub linger: Duration,
    /// Where messages go that the sink would not take before the end.
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

/// Messages on their way from a [`Source`] through a bounded queue into a [`Sink`].
///
/// Two threads besides those of the source: one runs it, one takes batches from the queue and has them stored.
/// The event given at the start ends it all in order: the source takes in what has arrived, the queue is
/// drained, the sink closed. [`finish`](Self::finish) waits for that and accounts for every message.
pub struct Pipeline {
    queue: Arc<Queue<Arrival>>,
    counts: Arc<Counts>,
    stop: Arc<Event>,
    source: JoinHandle<io::Result<()>>,
    writer: JoinHandle<Vec<String>>,
}

impl Pipeline {
    /// Starts to take messages from `source` into `sink`, until `stop` is set.
    ///
    /// # Errors
    /// A thread could not be started.
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
            stopping.set(); // a source that has failed is the end, too
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

    /// Where things stand at this moment.
    pub fn progress(&self) -> Progress {
        Progress { account: self.counts.account(), queued: self.queue.len(), stopping: self.stop.is_set() }
    }

    /// Waits until the event is set and everything in order, and tells what came of it.
    pub fn finish(self) -> Outcome {
        let mut problems = Vec::new();
        match self.source.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => problems.push(format!("receiving: {error}")),
            Err(error) => problems.push(error.to_string()),
        }
        self.stop.set(); // should the source have panicked
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

/// Where a [`Pipeline`] stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What has happened to the messages so far.
    pub account: Account,
    /// How many are in the queue.
    pub queued: usize,
    /// Whether the event is set.
    pub stopping: bool,
}

/// What came of a [`Pipeline`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "it says whether messages were lost"]
pub struct Outcome {
    /// Where every message has gone.
    pub account: Account,
    /// What went wrong, in words; nothing of it if all went well.
    pub problems: Vec<String>,
}

impl Outcome {
    /// Whether every message is in the database and nothing went wrong.
    pub fn is_good(&self) -> bool {
        self.account.balances() && self.problems.is_empty()
    }
}
