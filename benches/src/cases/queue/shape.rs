//! The shape of a case of the queue: its capacity, its threads, and how items flow.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::compare::case::{Sample, Scale};
use crate::compare::drive::{Part, together};

/// The parameters of a case.
#[derive(Clone, Copy)]
pub(in crate::cases) struct Shape {
    /// The capacity; `None` if unbounded.
    pub(in crate::cases) capacity: Option<usize>,
    /// The number of producers, and of consumers.
    pub(in crate::cases) threads: usize,
}

impl Shape {
    pub(in crate::cases) fn raddle(self) -> Arc<raddle::Queue<u64>> {
        Arc::new(self.capacity.map_or_else(raddle::Queue::unbounded, raddle::Queue::bounded))
    }

    /// Measures the flow of items from `put` to `get`, which are cloned for each thread.
    pub(in crate::cases) fn flow<P, G>(self, scale: Scale, put: P, get: G) -> Sample
    where
        P: Fn(u64) + Clone + Send,
        G: Fn() -> u64 + Clone + Send,
    {
        self.flow_of(scale, vec![put; self.threads], vec![get; self.threads])
    }

    /// Measures the flow of items from `puts` to `gets`, one per thread.
    pub(in crate::cases) fn flow_of<P, G>(self, scale: Scale, puts: Vec<P>, gets: Vec<G>) -> Sample
    where
        P: Fn(u64) + Send,
        G: Fn() -> u64 + Send,
    {
        let items = self.items(scale);
        let each = items / u64::try_from(self.threads).expect("there are few threads");
        let total = AtomicU64::new(0);
        let total = &total;
        let producers =
            puts.into_iter().map(|put| -> Part<'_> { Box::new(move || (1..=each).for_each(put)) });
        let consumers = gets.into_iter().map(|get| -> Part<'_> {
            Box::new(move || {
                let sum: u64 = (0..each).map(|_| get()).sum();
                total.fetch_add(sum, Ordering::Relaxed);
            })
        });
        let sample = together(items, producers.chain(consumers).collect());
        assert_eq!(total.load(Ordering::Relaxed), items * (each + 1) / 2, "an item was lost");
        sample
    }

    /// Chosen so that the fastest contenders take about 20 ms, and the slowest less than half a second.
    fn items(self, scale: Scale) -> u64 {
        scale.ops(match (self.capacity, self.threads) {
            (Some(1), 1) => 80_000,
            (Some(1), _) => 24_000,
            (Some(10), 1) => 240_000,
            (Some(10), _) => 80_000,
            _ => 800_000,
        })
    }
}
