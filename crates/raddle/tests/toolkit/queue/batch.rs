//! Putting and getting many items.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use raddle::queue::{GetError, PutError};
use raddle::{JoinHandle, LifoQueue, PriorityQueue, Queue, Thread, thread, time};

use crate::support::{finish, repeat, until, within_limit};

const NEVER: Duration = Duration::MAX;
const SHORT: Duration = Duration::from_millis(10);

fn batch(queue: &Arc<Queue<u32>>, max: usize, linger: Duration) -> JoinHandle<Vec<u32>> {
    let queue = queue.clone();
    Thread::spawn(move || queue.get_many(max, linger))
}

#[test]
fn batch_contains_the_available_items_up_to_max() {
    let queue = Queue::unbounded();
    queue.put_many(0..5).unwrap();
    assert_eq!(queue.get_many(3, NEVER), [0, 1, 2], "a full batch does not linger");
    assert_eq!(queue.get_many(3, Duration::ZERO), [3, 4], "a linger of zero does not block");
    assert!(queue.try_get_many(3).is_empty());
    assert_eq!(queue.unfinished(), 5);
}

#[test]
fn batch_has_the_order_of_its_queue() {
    let (lifo, priority) = (LifoQueue::unbounded(), PriorityQueue::unbounded());
    lifo.put_many([3, 1, 2]).unwrap();
    priority.put_many([3, 1, 2]).unwrap();
    assert_eq!(lifo.try_get_many(9), [2, 1, 3]);
    assert_eq!(priority.try_get_many(9), [1, 2, 3]);
}

#[test]
fn timed_out_batch_get_distinguishes_empty_from_shut_down() {
    let queue = Queue::<u8>::unbounded();
    assert_eq!(queue.get_many_timeout(3, NEVER, Duration::ZERO), Err(GetError::Empty));
    let start = time::now();
    assert_eq!(queue.get_many_timeout(3, NEVER, SHORT), Err(GetError::Empty));
    assert!(time::now() - start >= SHORT);
    assert_eq!(queue.get_many_deadline(3, NEVER, time::now()), Err(GetError::Empty));
    queue.put(1).unwrap();
    assert_eq!(queue.get_many_timeout(3, Duration::ZERO, Duration::ZERO), Ok(vec![1]));
    queue.shutdown();
    assert_eq!(queue.get_many_timeout(3, NEVER, SHORT), Err(GetError::ShutDown));
}

#[test]
fn batch_lingers_no_longer_than_allowed() {
    let queue = Queue::unbounded();
    queue.put_many([1, 2]).unwrap();
    let start = time::now();
    assert_eq!(queue.get_many(3, SHORT), [1, 2]);
    assert!(time::now() - start >= SHORT);
    assert_eq!(queue.n_getters(), 0);
}

#[test]
fn lingering_batch_fills_up_to_max() {
    repeat(100, || {
        let queue = Arc::new(Queue::bounded(2));
        let filling = batch(&queue, 5, NEVER);
        until(|| queue.n_getters() == 1);
        queue.put(0).unwrap();
        (1..5).for_each(|item| queue.put(item).unwrap());
        assert_eq!(finish(filling), [0, 1, 2, 3, 4], "a batch does not count against the limit");
        assert_eq!((queue.len(), queue.unfinished()), (0, 5));
    });
}

#[test]
fn lingering_batch_never_exceeds_max() {
    repeat(100, || {
        let queue = Arc::new(Queue::unbounded());
        queue.put(0).unwrap();
        let filling = batch(&queue, 3, NEVER);
        until(|| queue.n_getters() == 1);
        queue.put_many(1..6).unwrap();
        assert_eq!(finish(filling), [0, 1, 2]);
        assert_eq!(queue.try_get_many(9), [3, 4, 5]);
    });
}

#[test]
fn getter_is_served_before_a_lingering_batch() {
    repeat(100, || {
        let queue = Arc::new(Queue::unbounded());
        queue.put(0).unwrap();
        let filling = batch(&queue, 3, NEVER);
        until(|| queue.n_getters() == 1);
        let getter = {
            let queue = queue.clone();
            Thread::spawn(move || queue.get().unwrap())
        };
        until(|| queue.n_getters() == 2);
        queue.put_many([1, 2, 3, 4]).unwrap();
        assert_eq!(finish(getter), 1);
        assert_eq!(finish(filling), [0, 2, 3]);
        assert_eq!(queue.try_get_many(9), [4]);
    });
}

#[test]
fn shutdown_ends_a_lingering_batch() {
    for now in [false, true] {
        repeat(100, move || {
            let queue = Arc::new(Queue::unbounded());
            queue.put_many([1, 2]).unwrap();
            let filling = batch(&queue, 9, NEVER);
            until(|| queue.n_getters() == 1);
            queue.put(3).unwrap();
            if now {
                assert!(queue.shutdown_now().is_empty(), "the waiting batch has taken the items");
            } else {
                queue.shutdown();
            }
            assert_eq!(finish(filling), [1, 2, 3]);
            assert_eq!(queue.unfinished(), 3);
        });
    }
}

#[test]
fn batch_that_times_out_loses_no_item() {
    repeat(200, || {
        let queue = Arc::new(Queue::unbounded());
        queue.put(0).unwrap();
        let filling = batch(&queue, 100, Duration::from_micros(50));
        for item in 1..30 {
            queue.put(item).unwrap();
        }
        let mut all = finish(filling);
        assert_eq!(all[0], 0);
        all.extend(queue.try_get_many(100));
        assert_eq!(all, (0..30).collect::<Vec<_>>());
    });
}

#[test]
fn rejected_items_are_returned_in_order() {
    let queue = Queue::bounded(3);
    assert_eq!(queue.try_put_many(0..5), Err(PutError::Full(vec![3, 4])));
    assert_eq!(queue.put_many_timeout([5, 6], Duration::ZERO), Err(PutError::Full(vec![5, 6])));
    assert_eq!(queue.get(), Ok(0));
    let start = time::now();
    assert_eq!(queue.put_many_timeout([7, 8], SHORT), Err(PutError::Full(vec![8])));
    assert!(time::now() - start >= SHORT);
    assert_eq!(queue.put_many_deadline([9], time::now()), Err(PutError::Full(vec![9])));
    assert_eq!(queue.try_get_many(9), [1, 2, 7]);
    assert_eq!((queue.unfinished(), queue.n_putters()), (4, 0));
}

#[test]
fn blocked_batch_is_put_as_room_becomes_available() {
    repeat(100, || {
        let queue = Arc::new(Queue::bounded(2));
        let putting = {
            let queue = queue.clone();
            Thread::spawn(move || queue.put_many(0..10))
        };
        assert_eq!((0..10).map(|_| queue.get().unwrap()).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
        finish(putting).unwrap();
        assert!(queue.is_empty());
    });
}

#[test]
fn batch_put_that_times_out_loses_and_duplicates_nothing() {
    repeat(200, || {
        let queue = Arc::new(Queue::bounded(2));
        let putting = {
            let queue = queue.clone();
            Thread::spawn(move || queue.put_many_timeout(0..20, Duration::from_micros(50)))
        };
        let mut got = Vec::new();
        while got.len() < 10
            && let Ok(item) = queue.get_timeout(SHORT)
        {
            got.push(item);
        }
        // The returned items follow those that were put.
        let rest = finish(putting).map_or_else(PutError::into_inner, |()| Vec::new());
        got.extend(queue.try_iter());
        got.extend(rest);
        assert_eq!(got, (0..20).collect::<Vec<_>>());
    });
}

#[test]
fn empty_put_never_fails_and_never_blocks() {
    let queue = Queue::bounded(1);
    queue.put(1).unwrap();
    queue.put_many([]).unwrap();
    queue.try_put_many([]).unwrap();
    queue.shutdown();
    queue.put_many([]).unwrap();
    queue.put_many_timeout([], NEVER).unwrap();
}

#[test]
fn iterator_may_use_the_queue_it_is_put_into() {
    let queue = Queue::bounded(3);
    queue.put_many([1, 2, 3]).unwrap();
    queue.try_put_many(queue.try_iter().take(3).map(|item| item * 10)).unwrap();
    assert_eq!(queue.try_get_many(9), [10, 20, 30]);
    let broken = catch_unwind(AssertUnwindSafe(|| {
        queue.put_many((0..3).map(|item| if item < 2 { item } else { panic!("on purpose") }))
    }));
    assert!(broken.is_err());
    assert_eq!(queue.try_get_many(9), [0, 1], "the items yielded before the panic stay in the queue");
}

#[test]
fn each_item_is_put_before_the_iterator_is_advanced() {
    within_limit(|| {
        let (queue, other) = (Queue::bounded(1), Queue::bounded(1));
        thread::scope(|s| {
            // The iterator yields an item only after the one before was got.
            s.spawn(|| queue.put_many(other.iter()).unwrap());
            for item in 0..10 {
                other.put(item).unwrap();
                assert_eq!(queue.get(), Ok(item));
            }
            other.shutdown();
        });
    });
}

#[test]
fn endless_iterator_is_not_advanced_after_a_failed_put() {
    within_limit(|| {
        let queue = Queue::bounded(3);
        assert_eq!(queue.try_put_many(0..), Err(PutError::Full(vec![3])));
        assert_eq!(queue.put_many_timeout(5.., SHORT), Err(PutError::Full(vec![5])));
        thread::scope(|s| {
            let putter = s.spawn(|| queue.put_many(10..));
            assert_eq!(queue.iter().take(6).collect::<Vec<_>>(), [0, 1, 2, 10, 11, 12]);
            queue.shutdown();
            assert_eq!(putter.join().unwrap().unwrap_err().into_inner().len(), 1);
        });
    });
}

#[test]
fn rest_of_a_bounded_iterator_is_returned() {
    let queue = Queue::bounded(2);
    assert_eq!(queue.try_put_many((0..5).map(|item| 10 * item)), Err(PutError::Full(vec![20, 30, 40])));
    assert_eq!(queue.try_put_many(vec![7, 8]), Err(PutError::Full(vec![7, 8])));
    queue.shutdown();
    assert_eq!(queue.put_many((0..2).rev()).unwrap_err().into_inner(), [1, 0]);
}

#[test]
fn batch_of_at_most_zero_items_panics() {
    let queue = Queue::<u8>::unbounded();
    assert!(catch_unwind(|| queue.get_many(0, NEVER)).is_err());
    assert!(catch_unwind(|| queue.try_get_many(0)).is_err());
    assert!(catch_unwind(|| queue.get_many_timeout(0, NEVER, NEVER)).is_err());
    queue.put(1).unwrap();
    assert_eq!(queue.get_many(usize::MAX, Duration::ZERO), [1]);
}
