//! Who is told how each execution ended: for tests of the search itself.

use std::fmt;
use std::sync::Arc;

use crate::search::Execution;
use crate::stage::Failure;

/// How one execution ended.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ended {
    /// The kind of failure, if it failed.
    pub failure: Option<&'static str>,
    /// It was given up because executions like it have been seen.
    pub redundant: bool,
    /// A bound kept a thread from a step that is possible.
    pub bounded: bool,
}

#[derive(Clone)]
pub(crate) struct Observer(Arc<dyn Fn(Ended) + Send + Sync>);

impl Observer {
    pub(crate) fn new(see: impl Fn(Ended) + Send + Sync + 'static) -> Self {
        Self(Arc::new(see))
    }

    pub(crate) fn see(&self, execution: &Execution) {
        let failure = execution.failure.as_ref().map(|failure| match failure {
            Failure::Panic { .. } => "panic",
            Failure::Deadlock => "deadlock",
            Failure::ThreadsLeft => "threads left",
            Failure::Race { .. } => "data race",
            Failure::TooLong => "livelock",
            _ => "another failure",
        });
        (self.0)(Ended { failure, redundant: execution.redundant, bounded: execution.bounded });
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer").finish_non_exhaustive()
    }
}
