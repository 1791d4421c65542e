//! The order of a priority queue, and comparisons that panic.

use std::cmp::{Ordering, Reverse};
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use raddle::queue::ShutDownError;
use raddle::{PriorityQueue, Queue, Thread, thread, trace};

use crate::support::{alone, finish, until};

/// Compared by the first number only.
#[derive(Debug, Clone, Copy)]
struct Ranked(u32, u32);

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}
impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Ranked {}

/// Returns a pseudo-random generator.
fn numbers(seed: u64) -> impl FnMut(u32) -> u32 {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    move |below| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(state >> 33).unwrap() % below
    }
}

#[test]
fn random_puts_and_gets_agree_with_a_sorted_list() {
    for seed in 0..200 {
        let mut random = numbers(seed);
        let queue = PriorityQueue::unbounded();
        let mut model: Vec<Ranked> = Vec::new();
        for serial in 0..200 {
            if random(5) < 3 {
                let item = Ranked(random(8), serial);
                queue.put(item).unwrap();
                let place = model.partition_point(|other| other.0 <= item.0);
                model.insert(place, item);
            } else if let Ok(item) = queue.try_get() {
                let expected = model.remove(0);
                assert_eq!((item.0, item.1), (expected.0, expected.1), "seed {seed}");
            }
        }
        let rest: Vec<_> = queue.shutdown_now().iter().map(|item| (item.0, item.1)).collect();
        assert_eq!(rest, model.iter().map(|item| (item.0, item.1)).collect::<Vec<_>>(), "seed {seed}");
    }
}

#[test]
fn equal_items_are_first_in_first_out() {
    let queue = PriorityQueue::unbounded();
    for serial in 0..100 {
        queue.put(Ranked(serial % 3, serial)).unwrap();
    }
    let got: Vec<_> = queue.try_iter().map(|item| (item.0, item.1)).collect();
    assert!(got.is_sorted());
}

#[test]
fn reverse_gets_the_greatest_first() {
    let queue = PriorityQueue::unbounded();
    queue.put_many([1, 3, 2].map(Reverse)).unwrap();
    assert_eq!(queue.get(), Ok(Reverse(3)));
}

#[test]
fn blocked_item_is_inserted_after_the_next_item_is_taken() {
    let queue = Arc::new(PriorityQueue::bounded(2));
    queue.put_many([5, 7]).unwrap();
    let putter = {
        let queue = queue.clone();
        Thread::spawn(move || queue.put_many([1, 6, 9]))
    };
    until(|| queue.n_putters() == 1);
    // 1 is admitted only after 5 was taken.
    assert_eq!((0..5).map(|_| queue.get().unwrap()).collect::<Vec<_>>(), [5, 1, 6, 7, 9]);
    finish(putter).unwrap();
}

#[test]
fn blocked_item_is_got_after_equal_items() {
    let queue = Arc::new(PriorityQueue::bounded(3));
    queue.put_many([Ranked(1, 0), Ranked(2, 0), Ranked(2, 1)]).unwrap();
    let putter = {
        let queue = queue.clone();
        Thread::spawn(move || queue.put_many([Ranked(2, 2), Ranked(1, 3), Ranked(2, 4)]))
    };
    until(|| queue.n_putters() == 1);
    let got: Vec<_> = (0..6).map(|_| queue.get().unwrap()).map(|item| (item.0, item.1)).collect();
    assert_eq!(got, [(1, 0), (2, 0), (1, 3), (2, 1), (2, 2), (2, 4)]);
    assert!(finish(putter).is_ok());
}

/// Panics when it is compared while its fuse is lit.
#[derive(Clone)]
struct Touchy {
    rank: u32,
    fuse: Arc<AtomicBool>,
}

impl Ord for Touchy {
    fn cmp(&self, other: &Self) -> Ordering {
        assert!(!self.fuse.load(Relaxed) && !other.fuse.load(Relaxed), "on purpose");
        self.rank.cmp(&other.rank)
    }
}
impl PartialOrd for Touchy {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Touchy {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Touchy {}

fn touchy(rank: u32, fuse: &Arc<AtomicBool>) -> Touchy {
    Touchy { rank, fuse: fuse.clone() }
}

fn ranks(items: &[Touchy]) -> Vec<u32> {
    items.iter().map(|item| item.rank).collect()
}

#[test]
fn panicking_comparison_leaves_the_queue_unchanged() {
    let (calm, lit) = (Arc::default(), Arc::new(AtomicBool::new(true)));
    for size in 1..40 {
        let queue = PriorityQueue::unbounded();
        queue.put_many((0..size).map(|rank| touchy(rank * 7 % 41, &calm))).unwrap();
        let before = queue.len();
        assert!(catch_unwind(|| queue.put(touchy(20, &lit))).is_err());
        assert_eq!((queue.len(), queue.unfinished()), (before, before));

        calm.store(true, Relaxed);
        if size > 2 {
            assert!(catch_unwind(|| queue.get()).is_err());
        }
        calm.store(false, Relaxed);
        assert_eq!(queue.len(), before, "the item was not removed");

        let got = queue.try_get_many(100);
        assert_eq!(got.len(), before);
        assert!(ranks(&got).is_sorted(), "the heap is still in order");
    }
}

#[test]
fn blocked_item_stays_with_its_putter_if_its_comparison_panics() {
    let (calm, lit) = (Arc::default(), Arc::new(AtomicBool::new(true)));
    let queue = Arc::new(PriorityQueue::bounded(2));
    queue.put_many([touchy(1, &calm), touchy(2, &calm)]).unwrap();
    let putter = {
        let (queue, lit) = (queue.clone(), lit.clone());
        Thread::spawn(move || queue.put(touchy(3, &lit)))
    };
    until(|| queue.n_putters() == 1);
    assert!(catch_unwind(|| queue.get()).is_err(), "the get compares the blocked item");
    assert_eq!((queue.len(), queue.unfinished(), queue.n_putters()), (2, 2, 1));
    lit.store(false, Relaxed);
    assert_eq!(queue.get().unwrap().rank, 1);
    finish(putter).unwrap();
    assert_eq!(ranks(&queue.try_get_many(9)), [2, 3]);
}

#[test]
fn panicking_batch_put_keeps_the_earlier_items() {
    let (calm, lit) = (Arc::default(), Arc::new(AtomicBool::new(true)));
    let queue = PriorityQueue::unbounded();
    let batch = [touchy(1, &calm), touchy(2, &calm), touchy(3, &lit), touchy(4, &calm)];
    assert!(catch_unwind(|| queue.put_many(batch)).is_err());
    assert_eq!((queue.len(), queue.unfinished()), (2, 2));
    assert_eq!(ranks(&queue.shutdown_now()), [1, 2]);
}

/// Getters served before the comparison panicked are woken nevertheless.
#[test]
fn panicking_batch_put_wakes_the_served_getters() {
    let (calm, lit) = (Arc::default(), Arc::new(AtomicBool::new(true)));
    let queue = Arc::new(PriorityQueue::<Touchy>::unbounded());
    let getters: Vec<_> = (0..2)
        .map(|_| {
            let queue = queue.clone();
            Thread::spawn(move || queue.get().unwrap().rank)
        })
        .collect();
    until(|| queue.n_getters() == 2);
    let batch: Vec<_> =
        [1, 2, 3].map(|rank| touchy(rank, &calm)).into_iter().chain([touchy(4, &lit)]).collect();
    assert!(catch_unwind(|| queue.put_many(batch)).is_err());
    let mut got: Vec<_> = getters.into_iter().map(finish).collect();
    got.sort_unstable();
    assert_eq!(got, [1, 2]);
    assert_eq!((queue.len(), queue.unfinished()), (1, 3));
    queue.shutdown();
    assert_eq!(queue.put(touchy(9, &calm)).map_err(|ShutDownError(item)| item.rank), Err(9));
}

/// Counts the comparisons, and panics in the one at which the count reaches zero.
#[derive(Debug)]
struct Fused {
    rank: u32,
    left: Arc<AtomicUsize>,
}

impl Ord for Fused {
    fn cmp(&self, other: &Self) -> Ordering {
        assert!(self.left.fetch_sub(1, Relaxed) != 1, "the fuse has blown");
        self.rank.cmp(&other.rank)
    }
}
impl PartialOrd for Fused {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Fused {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Fused {}

/// A count of comparisons that is never used up.
const UNLIMITED: usize = usize::MAX / 2;

/// Panics in each comparison in turn.
#[test]
fn no_item_is_lost_to_a_panicking_comparison() {
    type Get = fn(&PriorityQueue<Fused>) -> Vec<Fused>;
    const WAYS: [Get; 3] = [
        |queue| queue.try_get_many(6),
        |queue| queue.get_many(6, Duration::from_millis(1)),
        PriorityQueue::shutdown_now,
    ];
    alone("queue::priority::no_item_is_lost_to_a_panicking_comparison", || {
        let reports = Arc::new(AtomicUsize::new(0));
        let count = reports.clone();
        thread::set_excepthook(move |_| _ = count.fetch_add(1, Relaxed));
        for get in WAYS {
            for fuse in 1..40 {
                let left = Arc::new(AtomicUsize::new(UNLIMITED));
                let queue = PriorityQueue::unbounded();
                let ranks = [5, 3, 8, 1, 9, 2, 7, 4, 6, 0];
                queue.put_many(ranks.map(|rank| Fused { rank, left: left.clone() })).unwrap();
                left.store(fuse, Relaxed);
                let got = catch_unwind(|| get(&queue)).unwrap_or_default();
                left.store(UNLIMITED, Relaxed);
                let rest = queue.try_get_many(10);
                let mut all: Vec<_> = got.iter().chain(&rest).map(|item| item.rank).collect();
                all.sort_unstable();
                assert_eq!(all, (0..10).collect::<Vec<_>>(), "comparison {fuse}");
            }
        }
        assert!(reports.load(Relaxed) > 15, "{reports:?}");
    });
}

#[test]
fn items_survive_a_panic_of_the_function_that_shows_them() {
    let queue = Queue::unbounded();
    trace::name_with(&queue, "queue", |_: &u32| panic!("cannot be shown"));
    let recording = trace::Recording::start();
    queue.put_many([1, 2, 3]).unwrap();
    queue.put(4).unwrap();
    assert_eq!(queue.get(), Ok(1));
    assert_eq!(queue.get_many(9, Duration::ZERO), [2, 3, 4]);
    let steps = recording.finish();
    assert!(steps.iter().filter(|step| step.value.is_some()).count() >= 4, "they were shown: {steps:?}");
}
