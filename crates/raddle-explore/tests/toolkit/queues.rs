//! Queues under exploration: every item is in exactly one place, and no thread is left asleep.

mod limits;

use std::collections::BTreeSet;
use std::sync::Arc;

use raddle::queue::{BaseQueue, GetError, Order, PutError, ShutDownError};
use raddle::{JoinHandle, LifoQueue, PriorityQueue, Queue, SimpleQueue, Thread};

use super::every::{every, every_patiently};
use super::{SOON, pause};

/// A bounded queue of any order, flavor and item type.
trait Bounded: Send + Sync {
    fn put(&self, item: i32) -> Result<(), ShutDownError<i32>>;
    fn try_put(&self, item: i32) -> Result<(), PutError<i32>>;
    fn put_soon(&self, item: i32) -> Result<(), PutError<i32>>;
    fn put_both(&self, items: [i32; 2]) -> Result<(), ShutDownError<Vec<i32>>>;
    fn get(&self) -> Result<i32, ShutDownError>;
    fn try_get(&self) -> Result<i32, GetError>;
    fn get_many(&self, max: usize) -> Vec<i32>;
    fn rest(&self) -> Vec<i32>;
    fn len(&self) -> usize;
    fn task_done(&self);
    fn join(&self);
    fn unfinished(&self) -> usize;
    fn n_putters(&self) -> usize;
    fn set_maxsize(&self, maxsize: usize);
    fn shutdown(&self);
    fn shutdown_now(&self) -> Vec<i32>;
}

impl<T: From<i32> + Into<i32> + Send, O: Order<T>> Bounded for BaseQueue<T, O>
where
    Self: Send + Sync,
{
    fn put(&self, item: i32) -> Result<(), ShutDownError<i32>> {
        self.put(item.into()).map_err(|error| ShutDownError(error.into_inner().into()))
    }

    fn try_put(&self, item: i32) -> Result<(), PutError<i32>> {
        self.try_put(item.into()).map_err(numbered)
    }

    fn put_soon(&self, item: i32) -> Result<(), PutError<i32>> {
        self.put_timeout(item.into(), SOON).map_err(numbered)
    }

    fn put_both(&self, items: [i32; 2]) -> Result<(), ShutDownError<Vec<i32>>> {
        self.put_many(Vec::from(items.map(T::from)))
            .map_err(|error| ShutDownError(numbers(error.into_inner())))
    }

    fn get(&self) -> Result<i32, ShutDownError> {
        self.get().map(T::into)
    }

    fn try_get(&self) -> Result<i32, GetError> {
        self.try_get().map(T::into)
    }

    fn get_many(&self, max: usize) -> Vec<i32> {
        numbers(self.get_many(max, SOON))
    }

    fn rest(&self) -> Vec<i32> {
        self.try_iter().map(T::into).collect()
    }

    fn len(&self) -> usize {
        self.len()
    }

    fn task_done(&self) {
        self.task_done().unwrap();
    }

    fn join(&self) {
        self.join();
    }

    fn unfinished(&self) -> usize {
        self.unfinished()
    }

    fn n_putters(&self) -> usize {
        self.n_putters()
    }

    fn set_maxsize(&self, maxsize: usize) {
        self.set_maxsize(maxsize);
    }

    fn shutdown(&self) {
        self.shutdown();
    }

    fn shutdown_now(&self) -> Vec<i32> {
        numbers(self.shutdown_now())
    }
}

fn numbers<T: Into<i32>>(items: Vec<T>) -> Vec<i32> {
    items.into_iter().map(T::into).collect()
}

fn numbered<T: Into<i32>>(error: PutError<T>) -> PutError<i32> {
    match error {
        PutError::Full(item) => PutError::Full(item.into()),
        PutError::ShutDown(item) => PutError::ShutDown(item.into()),
    }
}

/// An item so large that no ring has a slot for it.
struct Large {
    number: i32,
    _padding: [u8; LARGE],
}

const LARGE: usize = 1 << 10;

impl From<i32> for Large {
    fn from(number: i32) -> Self {
        Self { number, _padding: [0; LARGE] }
    }
}

impl From<Large> for i32 {
    fn from(item: Large) -> i32 {
        item.number
    }
}

/// A queue that is a ring, and one that has two locks.
const BOUNDED: [fn(usize) -> Arc<dyn Bounded>; 2] = [
    |maxsize| Arc::new(Queue::<i32>::bounded(maxsize)),
    |maxsize| Arc::new(Queue::<Large>::bounded(maxsize)),
];

/// One queue of each flavor and order. With a bound of 1, all of them are first in, first out.
const FLAVORS: [fn(usize) -> Arc<dyn Bounded>; 4] = [
    BOUNDED[0],
    BOUNDED[1],
    |maxsize| Arc::new(LifoQueue::<i32>::bounded(maxsize)),
    |maxsize| Arc::new(PriorityQueue::<i32>::bounded(maxsize)),
];

/// Runs `task` with the queue on a thread of its own.
fn with<Q: Send + Sync + ?Sized + 'static, T: Send + 'static>(
    queue: &Arc<Q>,
    task: impl FnOnce(&Q) -> T + Send + 'static,
) -> JoinHandle<T> {
    let queue = queue.clone();
    Thread::spawn(move || task(&queue))
}

#[test]
fn get_that_times_out_leaves_the_item_in_the_queue() {
    let scenario = || {
        let queue = Arc::new(Queue::unbounded());
        let getter = with(&queue, |queue| queue.get_timeout(SOON));
        queue.put(1).unwrap();
        (getter.join().unwrap(), queue.len())
    };
    assert_eq!(texts(every(move || format!("{:?}", scenario()))), ["(Err(Empty), 1)", "(Ok(1), 0)"]);
}

#[test]
fn put_that_times_out_keeps_its_item() {
    for bounded in BOUNDED {
        let scenario = move || {
            let queue = bounded(1);
            queue.put(1).unwrap();
            let putter = with(&queue, |queue| queue.put_soon(2).map_err(PutError::into_inner));
            let first = queue.get();
            (first, putter.join().unwrap(), queue.try_get(), queue.unfinished())
        };
        let expected = ["(Ok(1), Err(2), Err(Empty), 1)", "(Ok(1), Ok(()), Ok(2), 2)"];
        assert_eq!(texts(every(move || format!("{:?}", scenario()))), expected);
    }
}

#[test]
fn slow_getter_does_not_get_a_later_item() {
    for bounded in BOUNDED {
        let scenario = move || {
            let queue = bounded(2);
            queue.put(1).unwrap();
            queue.put(2).unwrap();
            let getter = with(&queue, Bounded::get);
            let mut others = Vec::new();
            for item in 3..=5 {
                others.push(queue.get().unwrap());
                queue.put(item).unwrap();
            }
            let late = getter.join().unwrap().unwrap();
            others.extend(queue.rest());
            let expected: Vec<_> = (1..=5).filter(|item| *item != late).collect();
            assert_eq!(others, expected);
            late
        };
        assert_eq!(every(scenario), BTreeSet::from([1, 2, 3, 4]));
    }
}

#[test]
fn shutdown_leaves_the_last_item_to_its_getter() {
    let scenario = || {
        let queue = Arc::new(Queue::unbounded());
        let getter = with(&queue, Queue::get);
        let put = queue.put(1);
        queue.shutdown();
        (put, getter.join().unwrap(), queue.try_get())
    };
    assert_eq!(texts(every(move || format!("{:?}", scenario()))), ["(Ok(()), Ok(1), Err(ShutDown))"]);
}

#[test]
fn shutdown_returns_or_keeps_the_item_of_a_blocked_put() {
    for bounded in BOUNDED {
        let scenario = move || {
            let queue = bounded(1);
            queue.put(1).unwrap();
            let putter = with(&queue, |queue| queue.put(2).map_err(ShutDownError::into_inner));
            let (first, left) = (queue.try_get(), queue.shutdown_now());
            (first, left, putter.join().unwrap())
        };
        let expected = ["(Ok(1), [2], Ok(()))", "(Ok(1), [], Err(2))"];
        assert_eq!(texts(every(move || format!("{:?}", scenario()))), expected);
    }
}

#[test]
fn shutdown_rejects_a_blocked_put_and_keeps_queued_items() {
    for bounded in BOUNDED {
        let scenario = move || {
            let queue = bounded(1);
            queue.put(1).unwrap();
            let putter = with(&queue, |queue| queue.put(2).map_err(ShutDownError::into_inner));
            queue.shutdown();
            (putter.join().unwrap(), queue.get(), queue.get())
        };
        assert_eq!(
            texts(every(move || format!("{:?}", scenario()))),
            ["(Err(2), Ok(1), Err(ShutDownError(..)))"]
        );
    }
}

#[test]
fn two_getters_share_two_items_and_a_third_ends() {
    let scenario = || {
        let queue = Arc::new(Queue::unbounded());
        let getters = [(); 2].map(|()| with(&queue, Queue::get));
        queue.put(1).unwrap();
        queue.shutdown();
        let mut got = getters.map(|getter| getter.join().unwrap());
        got.sort_by_key(Result::is_err);
        got
    };
    assert_eq!(texts(every(move || format!("{:?}", scenario()))), ["[Ok(1), Err(ShutDownError(..))]"]);
}

#[test]
fn getters_are_served_in_order() {
    let scenario = || {
        let queue = Arc::new(SimpleQueue::new());
        let getters = [(); 2].map(|()| {
            let getter = with(&queue, SimpleQueue::get);
            pause(); // the getter waits by now, since time passes only when no thread can run
            getter
        });
        queue.put(1);
        queue.put(2);
        getters.map(|getter| getter.join().unwrap())
    };
    assert_eq!(every_patiently(scenario), BTreeSet::from([[1, 2]]));
}

#[test]
fn queue_join_returns_when_the_last_task_is_done() {
    let scenario = || {
        let queue = Arc::new(Queue::unbounded());
        queue.put_many([1, 2]).unwrap();
        let worker = with(&queue, |queue| {
            for _ in 0..2 {
                queue.get().unwrap();
                queue.task_done().unwrap();
            }
        });
        let early = queue.join_timeout(SOON);
        queue.join();
        let unfinished = queue.unfinished();
        worker.join().unwrap();
        (early, unfinished, queue.task_done().is_err())
    };
    assert_eq!(every(scenario), BTreeSet::from([(false, 0, true), (true, 0, true)]));
}

#[test]
fn batch_includes_items_put_while_it_lingers() {
    for bounded in BOUNDED {
        let scenario = move || {
            let queue = bounded(1);
            let putter = with(&queue, |queue| queue.put_both([1, 2]).unwrap());
            let mut got = queue.get_many(2);
            if got.len() == 1 {
                got.push(queue.get().unwrap());
            }
            putter.join().unwrap();
            (got, queue.len())
        };
        assert_eq!(every(scenario), BTreeSet::from([(vec![1, 2], 0)]));
    }
}

#[test]
fn one_slot_admits_one_of_two_try_puts() {
    for bounded in BOUNDED {
        let scenario = move || {
            let queue = bounded(1);
            let other = with(&queue, |queue| queue.try_put(1));
            let mine: Result<(), PutError<i32>> = queue.try_put(2);
            let refused = usize::from(mine.is_err()) + usize::from(other.join().unwrap().is_err());
            let got: Result<i32, GetError> = queue.try_get();
            let after: Result<(), ShutDownError<i32>> = queue.put(3);
            (refused, got.is_ok(), after.is_ok())
        };
        assert_eq!(every(scenario), BTreeSet::from([(1, true, true)]));
    }
}

#[test]
fn items_keep_their_order_between_the_two_locks() {
    for bounded in BOUNDED {
        let scenario = move || {
            let queue = bounded(2);
            let putter = with(&queue, |queue| (1..=4).for_each(|item| queue.put(item).unwrap()));
            let got: Vec<_> = (0..4).map(|_| queue.get().unwrap()).collect();
            putter.join().unwrap();
            (got, queue.len(), queue.unfinished())
        };
        assert_eq!(every(scenario), BTreeSet::from([(vec![1, 2, 3, 4], 0, 4)]));
    }
}

#[test]
fn batch_get_admits_two_blocked_puts() {
    for bounded in BOUNDED {
        let scenario = move || {
            let queue = bounded(1);
            let putters = [1, 2].map(|item| with(&queue, move |queue| queue.put(item).unwrap()));
            let mut got = Vec::new();
            while got.len() < 2 {
                got.extend(queue.get_many(2));
            }
            let _ = putters.map(|putter| putter.join().unwrap());
            got.sort_unstable();
            (got, queue.len(), queue.n_putters())
        };
        assert_eq!(every(scenario), BTreeSet::from([(vec![1, 2], 0, 0)]));
    }
}

/// The place of an item that was put while the queue was shut down.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Refused,
    Removed,
    Kept,
}

#[test]
fn shutdown_during_a_put_keeps_the_item_in_one_place() {
    let scenario = || {
        let queue = Arc::new(Queue::unbounded());
        let putter = with(&queue, |queue| queue.put(1).map_err(ShutDownError::into_inner));
        queue.shutdown();
        match (putter.join().unwrap(), queue.try_get()) {
            (Err(1), Err(GetError::ShutDown)) => Place::Refused,
            (Ok(()), Ok(1)) => Place::Kept,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(every(scenario), BTreeSet::from([Place::Refused, Place::Kept]));
}

#[test]
fn immediate_shutdown_during_two_puts_keeps_each_item_in_one_place() {
    for bounded in BOUNDED {
        let scenario = move || {
            let queue = bounded(1);
            let putters = [1, 2]
                .map(|item| with(&queue, move |queue| queue.put(item).map_err(ShutDownError::into_inner)));
            let removed = queue.shutdown_now();
            assert_eq!(queue.try_get(), Err(GetError::ShutDown));
            let places = putters.map(|putter| match putter.join().unwrap() {
                Err(item) => (item, Place::Refused),
                Ok(()) => (removed[0], Place::Removed),
            });
            assert_eq!([places[0].0, places[1].0], [1, 2]);
            places.map(|(_, place)| place)
        };
        let outcomes = [
            [Place::Refused, Place::Refused],
            [Place::Refused, Place::Removed],
            [Place::Removed, Place::Refused],
        ];
        assert_eq!(every(scenario), BTreeSet::from(outcomes));
    }
}

/// Each side may find the other waiting, so that a put or get on the fast path would leave it asleep.
#[test]
fn blocked_threads_are_served_by_every_flavor() {
    for bounded in FLAVORS {
        let scenario = move || {
            let queue = bounded(1);
            let putter = with(&queue, |queue| (1..=3).for_each(|item| queue.put(item).unwrap()));
            let got: Vec<_> = (0..3).map(|_| queue.get().unwrap()).collect();
            putter.join().unwrap();
            (got, queue.len(), queue.unfinished())
        };
        assert_eq!(every(scenario), BTreeSet::from([(vec![1, 2, 3], 0, 3)]));
    }
}

/// With two slots, a slow putter may find its slot free again after another thread has moved the end of the ring.
#[test]
fn slow_putter_does_not_put_behind_the_end() {
    for bounded in BOUNDED {
        let scenario = move || {
            let queue = bounded(2);
            let slow = with(&queue, |queue| queue.put(9).unwrap());
            let mut got = Vec::new();
            for item in 1..=3 {
                queue.put(item).unwrap();
                got.push(queue.get().unwrap());
            }
            slow.join().unwrap();
            got.extend(queue.rest());
            got.retain(|item| *item != 9);
            (got, queue.len(), queue.unfinished())
        };
        assert_eq!(every(scenario), BTreeSet::from([(vec![1, 2, 3], 0, 4)]));
    }
}

#[test]
fn join_sees_the_last_task_of_every_flavor() {
    for bounded in FLAVORS {
        let scenario = move || {
            let queue = bounded(1);
            let worker = with(&queue, |queue| {
                for _ in 0..2 {
                    queue.get().unwrap();
                    queue.task_done();
                }
            });
            queue.put(1).unwrap();
            queue.put(2).unwrap();
            queue.join();
            let unfinished = queue.unfinished();
            worker.join().unwrap();
            unfinished
        };
        assert_eq!(every(scenario), BTreeSet::from([0]));
    }
}

/// Returns the outcomes as text, since the errors are not `Ord`.
fn texts(seen: BTreeSet<String>) -> Vec<String> {
    seen.into_iter().collect()
}
