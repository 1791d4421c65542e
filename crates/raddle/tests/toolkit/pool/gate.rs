//! Tasks that keep a worker busy until a gate opens.

use std::sync::Arc;

use raddle::{Event, Future, ThreadPoolExecutor};

use crate::support::until;

/// Keeps workers busy until opened, or dropped.
pub(crate) struct Gate {
    event: Arc<Event>,
    held: Vec<Future<()>>,
}

impl Gate {
    /// Blocks `count` workers of the pool. Returns when they are blocked.
    pub(crate) fn hold(pool: &ThreadPoolExecutor, count: usize) -> Self {
        let event = Arc::new(Event::new());
        let held: Vec<_> = (0..count)
            .map(|_| {
                let event = event.clone();
                pool.submit(move || event.wait())
            })
            .collect();
        until(|| held.iter().all(Future::running));
        Self { event, held }
    }

    pub(crate) fn open(self) {
        drop(self);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.event.set();
        self.held.iter().for_each(|task| assert!(task.exception().is_none()));
    }
}
