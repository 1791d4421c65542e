//! The failure of a command.

use std::fmt::Display;

/// A failed command, with the message that has not been reported yet, if any.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) Option<String>);

impl Failure {
    /// All messages have been reported already.
    pub(crate) const REPORTED: Self = Self(None);

    pub(crate) fn new(message: impl Display) -> Self {
        Self(Some(message.to_string()))
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(error)
    }
}
