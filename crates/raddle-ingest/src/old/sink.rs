//! The interface of sinks.

use std::error::Error;
use std::fmt;

use crate::old::arrival::Arrival;

/// Stores messages in batches.
pub trait Sink: Send + 'static {
    /// Stores the whole batch or none of it. After a success, the batch is durable even across a power failure.
    ///
    /// # Errors
    /// The reason why nothing was stored. The writer retries the same batch.
    fn store(&mut self, batch: &[Arrival]) -> Result<(), StoreError>;

    /// Closes the sink.
    ///
    /// # Errors
    /// The reason why the sink could not be closed properly. Stored messages remain stored.
    fn close(self) -> Result<(), StoreError>;
}

/// The error of a sink that did not store a batch.
#[derive(Debug)]
pub struct StoreError(Box<dyn Error + Send + Sync>);

impl StoreError {
    /// Creates an error with its cause.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}
