//! Messages from a network into a database: they come in bursts, a bounded queue takes the burst, a slower
//! writer stores them, an event ends it, and at the end every message is accounted for.
//!
//! ```text
//!                 put_many                get_many
//!   TcpSource  ─────────────▶   Queue   ────────────▶  writer  ─────▶  SqliteSink
//!   a thread a connection    (bounded)                a transaction a batch
//!
//!   stop.set():  1. the source takes in what has arrived   2. the queue is drained   3. the sink is closed
//! ```
//!
//! A [`Source`] receives, a [`Sink`] stores, a [`Pipeline`] is everything between them. When the sink is too
//! slow the queue fills, a full queue holds the source back, and the source holds its peers back: nothing is
//! dropped on the way. What cannot be stored as a text is stored as what it is, with the reason.
//!
//! ```
//! use std::sync::Arc;
//! use std::sync::atomic::AtomicU64;
//! use raddle::Event;
//! use raddle_ingest::{Burst, Pipeline, PipelineOptions, SqliteSink, TcpOptions, TcpSource, verify};
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
//! # What is promised
//! - A message counted as stored is on the disk: its transaction was committed with `synchronous = FULL`.
//! - A stop loses nothing that has been received, and `received = stored + rejected` says so. If the database
//!   fails even then, the rest is written to a file and counted as unstored.
//! - A crash or `kill -9` leaves a valid database of whole messages. It loses what was in the queue and in the
//!   operating system's buffers, and no peer can tell what that was: lines over TCP have no acknowledgement.
//!
//! Unix only: it polls sockets together with the event.
#![forbid(unsafe_code)]

mod account;
mod arrival;
mod connection;
mod intake;
mod lines;
mod pipeline;
mod schema;
mod send;
mod sink;
mod source;
mod spill;
mod sqlite;
mod tcp;
mod verify;
mod wake;
mod writer;

pub use account::Account;
pub use arrival::{Arrival, Content, Reason, Rejected};
pub use intake::{Intake, WriterGone};
pub use lines::{Ending, Lines};
pub use pipeline::{Outcome, Pipeline, PipelineOptions, Progress};
pub use schema::OpenError;
pub use send::{Burst, SendError};
pub use sink::{Sink, StoreError};
pub use source::Source;
pub use sqlite::SqliteSink;
pub use tcp::{TcpOptions, TcpSource};
pub use verify::{Mismatch, verify};

/// The program in the README is tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
