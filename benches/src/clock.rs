//! The real clock.

use std::time::{Duration, Instant};

/// Time since a moment, and the time that is left until a limit.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    #[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
    pub(crate) fn elapsed(self) -> Duration {
        self.start.elapsed()
    }

    /// What is left of `limit`; zero if it is over.
    pub(crate) fn left(self, limit: Duration) -> Duration {
        limit.saturating_sub(self.elapsed())
    }
}
