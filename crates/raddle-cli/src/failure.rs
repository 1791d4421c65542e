//! The failure of a command, and its exit status.

use std::fmt::Display;

/// Exit status of a command that failed. The cause is on standard error.
const FAILURE: u8 = 1;
/// Exit status of an invalid command line or invalid settings.
pub(crate) const USAGE: u8 = 2;

/// A failed command.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The message that has not been reported yet, if any.
    pub(crate) message: Option<String>,
    /// The exit status.
    pub(crate) status: u8,
}

impl Failure {
    /// All messages have been reported already.
    pub(crate) const REPORTED: Self = Self::status(FAILURE);

    pub(crate) fn new(message: impl Display) -> Self {
        Self { message: Some(message.to_string()), status: FAILURE }
    }

    /// The command line or the settings are invalid.
    pub(crate) fn usage(message: impl Display) -> Self {
        Self { message: Some(message.to_string()), status: USAGE }
    }

    /// All messages have been reported already, and this is the exit status.
    pub(crate) const fn status(status: u8) -> Self {
        Self { message: None, status }
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(error)
    }
}
