//! A TCP to SQLite ingester: a bounded queue absorbs bursts of messages, a writer stores them in batches, an event stops
//! the pipeline, and the final account covers every message.
//!
//! ```text
//!                 put_many                get_many
//!   TcpSource  ─────────────▶   Queue   ────────────▶  writer  ─────▶  SqliteSink
//!   a thread per connection  (bounded)                a transaction per batch
//!
//!   stop.set():  1. the source reads what has arrived   2. the queue is drained   3. the sink is closed
//! ```
//!
//! A [`Source`] receives messages, a [`Sink`] stores them, and a [`Pipeline`] connects the two. If the sink is too slow, the
//! queue fills and exerts backpressure on the source and its peers: no message is dropped. A message that is not valid text
//! is stored as bytes, with the reason.
//!
//! ```
//! use std::sync::Arc;
//! use std::sync::atomic::AtomicU64;
//! use raddle::Event;
//! use raddle_ingest::old::{Burst, Pipeline, PipelineOptions, SqliteSink, TcpOptions, TcpSource, verify};
//!
//! # let directory = std::env::temp_dir().join(format!("raddle-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&directory)?;
//! # let path = directory.join("messages.db");
//! let source = TcpSource::bind("127.0.0.1:0", TcpOptions::default())?;
//! let address = source.address();
//! let stop = Arc::new(Event::new());
//! let pipeline = Pipeline::start(source, SqliteSink::open(&path)?, &PipelineOptions::default(), stop.clone())?;
//!
//! let burst = Burst { messages: 1000, connections: 4, ..Burst::default() };
//! burst.send(address, &Arc::new(AtomicU64::new(0)))?;
//!
//! stop.set();
//! let outcome = pipeline.finish();
//! assert_eq!(outcome.account.to_string(), "received 1000 = stored 1000 + rejected 0");
//! verify(&path, &burst)?;
//! # std::fs::remove_dir_all(&directory)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Guarantees
//! - A message counted as stored is on disk: its transaction was committed with `synchronous = FULL`.
//! - A stop loses no received message: `received = stored + rejected`. If the database keeps failing, the remaining messages
//!   are written to a file and counted as unstored.
//! - A crash or `kill -9` leaves a valid database of whole messages. Messages in the queue and in the buffers of the operating
//!   system are lost, and peers cannot know which: messages over TCP are not acknowledged.
//!
//! Unix only: sockets are polled together with the stop event.
#![forbid(unsafe_code)]

pub mod old;

mod books;
mod intake;
mod message;
mod metrics;
mod pipeline;
mod protocol;
mod query;
mod send;
mod server;
mod settlement;
mod sink;
mod status;
mod syslog;
mod syslog_forms;
mod unstored;
mod verify;
mod writer;

pub use books::{Account, Books, SourceId};
pub use intake::{Intake, Limits, RefusedError, RoomListener, WhenFull};
pub use message::{Content, Header, Parcel, Reason, Row, Sequence};
pub use metrics::Metrics;
pub use pipeline::{Outcome, Pipeline, PipelineOptions};
pub use query::{CountBy, Filter, MessageReader, QueryError, ReasonCount, RejectedMessage, StoredMessage};
pub use send::{Latency, SendError, SendOptions, SendProgress, SendProtocol, SendReport, send};
pub use server::{
    Counters, Counts, DrainReport, FinishReport, Listener, ListenerKind, ListenerOptions, Server,
    ServerError, ServerOptions, SourceCounts, raise_descriptor_limit,
};
pub use settlement::{Acknowledge, Failure, Receipt, Settlement};
pub use sink::memory::{MemorySink, Remembered};
#[cfg(feature = "postgres")]
pub use sink::postgres::{ConnectError, PostgresOptions, PostgresSink};
pub use sink::sqlite::{OpenError, Retention, SqliteOptions, SqliteSink};
pub use sink::{Batch, RowOutcome, Sink, StoreError, Stored};
pub use status::Status;
pub use unstored::{ImportError, Imported, UnstoredFile, import};
pub use verify::{Delivery, MismatchError, Sent, Verified, verify};
pub use writer::{BatchOptions, Unstored};

/// The program in the README is tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
