//! Why a command did not succeed.

use std::fmt::Display;

/// What is still to be said about it, if anything.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) Option<String>);

impl Failure {
    /// It has been said already, in detail.
    pub(crate) const SAID: Self = Self(None);

    pub(crate) fn because(what: impl Display) -> Self {
        Self(Some(what.to_string()))
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::because(error)
    }
}
