//! Sinks: where messages are stored.

pub(crate) mod interface;
pub(crate) mod memory;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
mod sequence;
pub(crate) mod sqlite;

pub use interface::{Batch, RowOutcome, Sink, StoreError, Stored};
