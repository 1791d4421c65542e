//! Sinks: they store messages in batches.

use std::error::Error;
use std::fmt;

use crate::arrival::Arrival;

/// Stores messages, a batch at a time.
pub trait Sink: Send + 'static {
    /// Stores the whole batch, or nothing of it. Once this has returned, not even a power failure takes it back.
    ///
    /// # Errors
    /// Why nothing was stored. The same batch comes again later.
    fn store(&mut self, batch: &[Arrival]) -> Result<(), StoreError>;

    /// Puts everything in order for the end.
    ///
    /// # Errors
    /// What could not be put in order. What was stored is stored.
    fn close(self) -> Result<(), StoreError>;
}

/// Why a sink did not store a batch.
#[derive(Debug)]
pub struct StoreError(Box<dyn Error + Send + Sync>);

impl StoreError {
    /// An error of a sink, with what is behind it.
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
