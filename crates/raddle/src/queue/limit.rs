//! How long a thread is ready to wait at a queue.

use std::time::{Duration, Instant};

use crate::rt;

#[derive(Clone, Copy)]
pub(super) enum Limit {
    /// Not at all.
    Now,
    /// So long, from when it begins to wait.
    Within(Duration),
    /// Until then; `None`: for ever.
    Until(Option<Instant>),
}

impl Limit {
    pub(super) const NONE: Self = Limit::Until(None);

    pub(super) fn timeout(timeout: Duration) -> Self {
        if timeout.is_zero() { Limit::Now } else { Limit::Within(timeout) }
    }

    pub(super) fn deadline(deadline: Instant) -> Self {
        Limit::Until(Some(deadline))
    }

    /// The same for several waits together, the first of which may begin now.
    pub(super) fn for_all(self) -> Self {
        match self {
            Limit::Within(timeout) => Limit::Until(rt::deadline(timeout)),
            Limit::Now | Limit::Until(_) => self,
        }
    }

    pub(super) fn may_wait(self) -> bool {
        !matches!(self, Limit::Now)
    }

    pub(super) fn end(self) -> Option<Instant> {
        match self {
            Limit::Now => rt::deadline(Duration::ZERO),
            Limit::Within(timeout) => rt::deadline(timeout),
            Limit::Until(end) => end,
        }
    }
}
