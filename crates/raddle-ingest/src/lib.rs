//! From the network into a database: a bounded queue absorbs bursts of messages, a writer stores them in batches, and the books account for
//! every message.
//!
//! ```text
//!   lines, octet counts ──┐            try_put                get               store
//!   RELP, HTTP            ├─ Server ───────────▶  queue  ──────────▶  writer ──────────▶  SqliteSink
//!   UDP datagrams ────────┘    ▲        (bounded in messages          │ batches           PostgresSink
//!                              │             and bytes)               │
//!                              └──────────── settlements ◀────────────┘
//!                                       acknowledged after the commit
//! ```
//!
//! A [`Server`] turns the bytes of its connections into [`Parcel`]s and puts them into the [`Intake`] of a [`Pipeline`], whose writer stores
//! batches in a [`Sink`]. If the sink is too slow, the queue fills and the peers are slowed down, or the newest messages are refused and
//! counted, depending on [`WhenFull`]. Bytes that are not valid text are stored as rejected, with the reason.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use raddle_ingest::{
//!     Books, Listener, ListenerKind, Pipeline, PipelineOptions, SendOptions, SendProgress, SendProtocol, Server,
//!     ServerOptions, SqliteOptions, SqliteSink, UnstoredFile, send,
//! };
//!
//! # let directory = std::env::temp_dir().join(format!("raddle-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&directory)?;
//! # let path = directory.join("messages.db");
//! let books = Books::new();
//! let sink = SqliteSink::open(&path, &books, &SqliteOptions::default())?;
//! let unstored = UnstoredFile::beside(&path, &books);
//! let pipeline = Pipeline::start(Box::new(sink), Box::new(unstored), books, &PipelineOptions::default())?;
//! let listener = Listener::new("tcp", ListenerKind::Tcp, "127.0.0.1:0".parse()?);
//! let server = Server::start(vec![listener], pipeline.intake().clone(), &ServerOptions::default())?;
//!
//! // A sender that numbers its messages, and is acknowledged after the commit.
//! let address = server.addresses()[0].2.to_string();
//! let options = SendOptions { protocol: SendProtocol::Http, messages: 1000, ..SendOptions::default() };
//! send(&options, &address, &Arc::new(SendProgress::default()))?;
//! assert_eq!(pipeline.account().stored, 1000);
//!
//! // The stop: 1. read the bytes that have arrived, 2. drain the queue, 3. send the last replies.
//! let drained = server.drain(Duration::from_secs(10));
//! let outcome = pipeline.finish(Duration::from_secs(10));
//! let finished = server.finish(Duration::from_secs(1));
//! assert_eq!((drained.cut_off, finished.unwritten), (0, 0));
//! assert_eq!(outcome.account.to_string(), "received 1000 = stored 1000 + rejected 0");
//! # std::fs::remove_dir_all(&directory)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Guarantees
//! - At any moment, for each source and in total: received = stored + rejected + duplicate + shed + unstored + queued + in flight.
//! - A message is committed before it is acknowledged (RELP, HTTP), and survives a crash, `kill -9` and, with SQLite, a power failure. A
//!   message may be stored twice if its sender sends it again.
//! - A message that its sender numbers (HTTP) is stored exactly once: the sender's last number is updated in the transaction of the rows.
//! - Over plain TCP, messages that were read are not lost in a stop, a failure of the database or with a full disk: those that the sink
//!   fails to store until the end are written to a file, which [`import`] stores later. A crash loses messages that were read and not
//!   stored, and the sender cannot detect that.
//! - A message that the database refuses is stored as rejected, and its neighbours are stored.
//!
//! The pipeline is explored under every schedule by `raddle-explore`: see `tests/ingest/explored.rs`.
//!
//! Unix only.
#![forbid(unsafe_code)]

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
