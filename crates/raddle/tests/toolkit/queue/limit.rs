//! A limit that changes while the queue is in use.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use raddle::queue::{BaseQueue, Fifo, Lifo, Order, PutError, SmallestFirst};
use raddle::{PriorityQueue, Queue, Thread};

use crate::support::{finish, repeat, until, within_limit};

/// An item so large that no ring has a slot for it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Large(u32, [u8; 1 << 10]);

impl From<u32> for Large {
    fn from(number: u32) -> Self {
        Self(number, [0; 1 << 10])
    }
}

impl From<Large> for u32 {
    fn from(large: Large) -> Self {
        large.0
    }
}

/// Runs a scenario with a queue that is a ring, one with two locks, and one with one lock; the last one is not first in, first
/// out unless its items arrive in ascending order.
macro_rules! each_flavor {
    ($scenario:ident($($argument:expr),*)) => {
        $scenario::<u32, Fifo>($($argument),*);
        $scenario::<Large, Fifo>($($argument),*);
        $scenario::<u32, SmallestFirst>($($argument),*);
    };
}

fn rest<T: Into<u32>, O: Order<T>>(queue: &BaseQueue<T, O>) -> Vec<u32> {
    queue.try_iter().map(T::into).collect()
}

fn putter<T, O>(queue: &Arc<BaseQueue<T, O>>, items: &'static [u32]) -> raddle::JoinHandle<bool>
where
    T: From<u32> + Send + 'static,
    O: Order<T> + 'static,
    BaseQueue<T, O>: Send + Sync,
{
    let queue = queue.clone();
    Thread::spawn(move || queue.put_many(items.iter().copied().map(T::from).collect::<Vec<_>>()).is_ok())
}

#[test]
fn raised_limit_admits_blocked_puts_in_order() {
    fn scenario<T, O>()
    where
        T: From<u32> + Into<u32> + Send + 'static,
        O: Order<T> + 'static,
        BaseQueue<T, O>: Send + Sync,
    {
        let queue = Arc::new(BaseQueue::<T, O>::bounded(1));
        assert!(queue.put(0.into()).is_ok());
        let putters = [&[1_u32][..], &[2, 3], &[4], &[5]].map(|items| {
            let waiting = queue.n_putters();
            let putter = putter(&queue, items);
            until(|| queue.n_putters() == waiting + 1);
            putter
        });
        queue.set_maxsize(3);
        assert_eq!(
            (queue.len(), queue.n_putters(), queue.unfinished()),
            (3, 3, 3),
            "the second batch is half in"
        );
        queue.set_maxsize(5);
        assert_eq!((queue.len(), queue.n_putters(), queue.is_full()), (5, 1, true));
        queue.set_unbounded();
        assert_eq!((queue.len(), queue.n_putters(), queue.is_full()), (6, 0, false));
        assert!(putters.into_iter().all(finish));
        assert_eq!((rest(&queue), queue.unfinished()), (vec![0, 1, 2, 3, 4, 5], 6));
    }
    repeat(20, || {
        each_flavor!(scenario());
    });
}

#[test]
fn lowered_limit_keeps_items_and_blocks_puts() {
    fn scenario<T, O>()
    where
        T: From<u32> + Into<u32> + Send + 'static,
        O: Order<T> + 'static,
        BaseQueue<T, O>: Send + Sync,
    {
        let queue = Arc::new(BaseQueue::<T, O>::bounded(3));
        assert!(queue.put_many(Vec::from([0, 1, 2].map(T::from))).is_ok());
        let putter = putter(&queue, &[3]);
        until(|| queue.n_putters() == 1);
        queue.set_maxsize(1);
        for left in [3, 2, 1] {
            assert_eq!((queue.len(), queue.n_putters(), queue.is_full()), (left, 1, true));
            assert!(matches!(queue.try_put(9.into()), Err(PutError::Full(_))), "a put does not overtake");
            let next = queue.try_get().map(T::into).ok();
            assert_eq!(next, Some(3 - u32::try_from(left).unwrap()));
        }
        assert!(finish(putter));
        assert_eq!((queue.len(), queue.n_putters(), queue.is_full()), (1, 0, true));
        assert_eq!(rest(&queue), [3]);
    }
    repeat(20, || {
        each_flavor!(scenario());
    });
}

#[test]
fn limit_can_exceed_the_first_one_and_return_to_it() {
    fn scenario<T, O>()
    where
        T: From<u32> + Into<u32> + Send + 'static,
        O: Order<T> + 'static,
        BaseQueue<T, O>: Send + Sync,
    {
        let queue = BaseQueue::<T, O>::bounded(2);
        let put = |items: std::ops::Range<u32>| items.filter(|n| queue.try_put((*n).into()).is_err()).count();
        assert_eq!(put(0..3), 1);
        queue.set_maxsize(5);
        assert_eq!(put(2..7), 2, "there is room for three");
        assert_eq!(queue.len(), 5);
        assert_eq!([queue.get(), queue.get()].map(|item| item.map(T::into).ok()), [Some(0), Some(1)]);
        assert_eq!(put(5..8), 1, "the freed room is used");
        queue.set_maxsize(2);
        assert_eq!((rest(&queue), queue.unfinished()), (vec![2, 3, 4, 5, 6], 7));
        assert_eq!(put(7..10), 1);
        assert_eq!(rest(&queue), [7, 8]);
        assert!(queue.tasks_done(9).is_ok() && queue.join_timeout(std::time::Duration::ZERO));
    }
    each_flavor!(scenario());
}

#[test]
fn shutdown_now_returns_items_beyond_the_first_limit() {
    fn scenario<T, O>()
    where
        T: From<u32> + Into<u32> + Send + 'static,
        O: Order<T> + 'static,
        BaseQueue<T, O>: Send + Sync,
    {
        let queue = BaseQueue::<T, O>::bounded(1);
        queue.set_unbounded();
        assert!(queue.put_many(Vec::from([0, 1, 2].map(T::from))).is_ok());
        queue.set_maxsize(1);
        let items: Vec<u32> = queue.shutdown_now().into_iter().map(T::into).collect();
        assert_eq!((items, queue.unfinished()), (vec![0, 1, 2], 0));
        queue.set_maxsize(7);
        assert!(queue.put(3.into()).is_err(), "it stays shut down");
    }
    each_flavor!(scenario());
}

#[test]
fn items_beyond_the_first_limit_are_dropped_with_the_queue() {
    let token = Arc::new(());
    let queue = Queue::bounded(1);
    queue.set_unbounded();
    queue.put_many(vec![token.clone(), token.clone(), token.clone()]).unwrap();
    assert_eq!(Arc::strong_count(&token), 4);
    drop(queue);
    assert_eq!(Arc::strong_count(&token), 1);
}

#[test]
fn current_limit_is_shown() {
    let queue = Queue::<u8>::bounded(2);
    queue.set_maxsize(5);
    assert_eq!(queue.maxsize(), 5);
    assert!(format!("{queue:?}").contains("maxsize: 5"), "{queue:?}");
    queue.set_unbounded();
    assert_eq!(queue.maxsize(), 0, "as in Python");
    let unbounded = Queue::<u8>::unbounded();
    unbounded.set_maxsize(1);
    unbounded.put(1).unwrap();
    assert!(unbounded.is_full() && unbounded.try_put(2).is_err());
}

#[test]
fn limit_of_no_items_is_refused() {
    let queue = Queue::<u8>::bounded(2);
    let refused = catch_unwind(AssertUnwindSafe(|| queue.set_maxsize(0))).unwrap_err();
    assert!(refused.downcast_ref::<&str>().is_some_and(|text| text.contains("set_unbounded")));
    assert_eq!(queue.maxsize(), 2);
}

/// Panics when it is compared while its fuse is lit.
struct Touchy(u32, Arc<AtomicBool>);

impl Ord for Touchy {
    fn cmp(&self, other: &Self) -> Ordering {
        assert!(!self.1.load(Relaxed) && !other.1.load(Relaxed), "on purpose");
        self.0.cmp(&other.0)
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

#[test]
fn panicking_comparison_keeps_the_limit() {
    let (calm, lit) = (Arc::default(), Arc::new(AtomicBool::new(true)));
    let queue = Arc::new(PriorityQueue::bounded(1));
    queue.put(Touchy(1, Arc::clone(&calm))).unwrap();
    let putters = [(2, &calm), (3, &lit)].map(|(rank, fuse)| {
        let (before, theirs, item) = (queue.n_putters(), queue.clone(), Touchy(rank, fuse.clone()));
        let putter = Thread::spawn(move || theirs.put(item).is_ok());
        until(|| queue.n_putters() == before + 1);
        putter
    });
    assert!(
        catch_unwind(AssertUnwindSafe(|| queue.set_maxsize(9))).is_err(),
        "it compares the blocked items"
    );
    assert_eq!((queue.maxsize(), queue.len(), queue.n_putters()), (1, 2, 1), "the first one was admitted");
    assert!(matches!(queue.try_put(Touchy(0, calm)), Err(PutError::Full(_))));
    lit.store(false, Relaxed);
    queue.set_unbounded();
    assert!(putters.into_iter().all(finish));
    assert_eq!(queue.try_iter().map(|item| item.0).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn changing_limits_lose_and_duplicate_nothing() {
    const EACH: u32 = 2_000;
    fn scenario<T, O>(in_order: bool)
    where
        T: From<u32> + Into<u32> + Send + 'static,
        O: Order<T> + 'static,
        BaseQueue<T, O>: Send + Sync,
    {
        let (queue, done) = (Arc::new(BaseQueue::<T, O>::bounded(3)), Arc::new(AtomicBool::new(false)));
        let changer = {
            let (queue, done) = (queue.clone(), done.clone());
            Thread::spawn(move || {
                for round in 0.. {
                    match [1, 3, 40, 0, 2, 3][round % 6] {
                        0 => queue.set_unbounded(),
                        limit => queue.set_maxsize(limit),
                    }
                    if done.load(Relaxed) {
                        return;
                    }
                    raddle::thread::yield_now();
                }
            })
        };
        let producers = [0_u32, 1].map(|producer| {
            let queue = queue.clone();
            Thread::spawn(move || {
                for serial in 0..EACH {
                    assert!(queue.put((producer * EACH + serial).into()).is_ok());
                }
            })
        });
        let consumers = [(); 2].map(|()| {
            let queue = queue.clone();
            Thread::spawn(move || queue.iter().map(T::into).collect::<Vec<u32>>())
        });
        producers.into_iter().for_each(finish);
        done.store(true, Relaxed);
        finish(changer);
        queue.shutdown();
        let got = consumers.map(finish);
        for producer in [0, 1].map(|producer| producer * EACH..(producer + 1) * EACH) {
            let of_producer =
                |got: &Vec<u32>| got.iter().copied().filter(|n| producer.contains(n)).collect::<Vec<_>>();
            assert!(
                !in_order || got.iter().map(of_producer).all(|items| items.is_sorted()),
                "items are out of order"
            );
        }
        assert_eq!(
            got.iter().map(Vec::len).sum::<usize>(),
            2 * EACH as usize,
            "items were lost or duplicated"
        );
        assert_eq!(got.iter().flatten().collect::<BTreeSet<_>>().len(), 2 * EACH as usize);
        assert_eq!(queue.unfinished(), 2 * EACH as usize);
    }
    within_limit(|| {
        for _ in 0..3 {
            scenario::<u32, Fifo>(true);
            scenario::<Large, Fifo>(true);
            scenario::<u32, Lifo>(false);
            scenario::<u32, SmallestFirst>(false);
        }
    });
}
