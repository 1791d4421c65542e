//! Sinks: where messages are stored.

mod interface;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;

pub use interface::{Batch, RowOutcome, Sink, StoreError, Stored};
