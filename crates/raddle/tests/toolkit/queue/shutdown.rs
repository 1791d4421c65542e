//! Shutting a queue down, with Python's semantics.

use std::sync::Arc;
use std::time::Duration;

use raddle::queue::{BaseQueue, Order};
use raddle::queue::{GetError, PutError, ShutDownError};
use raddle::{LifoQueue, PriorityQueue, Queue, Thread, time};

use crate::support::{finish, repeat, until};

const NEVER: Duration = Duration::MAX;

fn rejects_puts_and_drains<O: Order<u32>>(queue: &BaseQueue<u32, O>) {
    queue.put_many([1, 2]).unwrap();
    assert!(!queue.is_shut_down());
    queue.shutdown();
    assert!(queue.is_shut_down());

    // The queue is full, too. No put blocks.
    assert_eq!(queue.put(3), Err(ShutDownError(3)));
    assert_eq!(queue.try_put(3), Err(PutError::ShutDown(3)));
    assert_eq!(queue.put_timeout(3, NEVER), Err(PutError::ShutDown(3)));
    assert_eq!(queue.put_timeout(3, Duration::ZERO), Err(PutError::ShutDown(3)));
    assert_eq!(queue.put_deadline(3, time::now()), Err(PutError::ShutDown(3)));
    assert_eq!(queue.put_many([3, 4]), Err(ShutDownError(vec![3, 4])));
    assert_eq!(queue.try_put_many([3, 4]), Err(PutError::ShutDown(vec![3, 4])));
    assert_eq!(queue.put_many_timeout([3, 4], NEVER), Err(PutError::ShutDown(vec![3, 4])));

    let mut drained = vec![queue.get().unwrap()];
    drained.extend(queue.get_many(9, NEVER)); // does not linger after a shutdown
    drained.sort_unstable();
    assert_eq!(drained, [1, 2]);

    assert_eq!(queue.get(), Err(ShutDownError(())));
    assert_eq!(queue.try_get(), Err(GetError::ShutDown));
    assert_eq!(queue.get_timeout(NEVER), Err(GetError::ShutDown));
    assert_eq!(queue.get_timeout(Duration::ZERO), Err(GetError::ShutDown));
    assert_eq!(queue.get_deadline(time::now()), Err(GetError::ShutDown));
    assert!(queue.get_many(9, NEVER).is_empty());
    assert!(queue.try_get_many(9).is_empty());
    assert_eq!(queue.get_many_timeout(9, NEVER, NEVER), Err(GetError::ShutDown));
    assert_eq!(queue.get_many_timeout(9, NEVER, Duration::ZERO), Err(GetError::ShutDown));
    assert_eq!(queue.iter().next(), None);
    assert_eq!(queue.try_iter().next(), None);

    assert_eq!(queue.unfinished(), 2, "a shutdown marks no task done");
    queue.tasks_done(2).unwrap();
    assert!(queue.task_done().is_err());
    queue.join();
}

#[test]
fn shut_down_queue_rejects_puts_and_can_be_drained() {
    rejects_puts_and_drains(&Queue::bounded(2));
    rejects_puts_and_drains(&Queue::unbounded());
    rejects_puts_and_drains(&LifoQueue::bounded(2));
    rejects_puts_and_drains(&PriorityQueue::bounded(2));
}

#[test]
fn empty_queue_can_be_shut_down_repeatedly() {
    let queue = Queue::<u8>::bounded(1);
    queue.shutdown();
    assert_eq!(queue.get(), Err(ShutDownError(())));
    assert!(queue.shutdown_now().is_empty());
    queue.shutdown();
    assert!(queue.is_shut_down());
}

#[test]
fn shutdown_returns_the_items_of_blocked_puts() {
    repeat(100, || {
        let queue = Arc::new(Queue::bounded(1));
        queue.put(0).unwrap();
        let putters: Vec<_> = (1..=3)
            .map(|item| {
                let queue = queue.clone();
                Thread::spawn(move || queue.put(item))
            })
            .collect();
        let timed = {
            let queue = queue.clone();
            Thread::spawn(move || queue.put_timeout(4, NEVER))
        };
        until(|| queue.n_putters() == 4);
        queue.shutdown();
        for (putter, item) in putters.into_iter().zip(1..) {
            assert_eq!(finish(putter), Err(ShutDownError(item)));
        }
        assert_eq!(finish(timed), Err(PutError::ShutDown(4)));
        assert_eq!(queue.iter().collect::<Vec<_>>(), [0]);
        assert_eq!(queue.unfinished(), 1);
    });
}

#[test]
fn shutdown_ends_blocked_gets() {
    for now in [false, true] {
        repeat(100, move || {
            let queue = Arc::new(Queue::<u8>::unbounded());
            let plain: Vec<_> = (0..2)
                .map(|_| {
                    let queue = queue.clone();
                    Thread::spawn(move || queue.get())
                })
                .collect();
            let (timed, batch, looping) = (queue.clone(), queue.clone(), queue.clone());
            let timed = Thread::spawn(move || timed.get_timeout(NEVER));
            let batch = Thread::spawn(move || batch.get_many(3, NEVER));
            let looping = Thread::spawn(move || looping.iter().count());
            until(|| queue.n_getters() == 5);
            if now {
                assert!(queue.shutdown_now().is_empty());
            } else {
                queue.shutdown();
            }
            for getter in plain {
                assert_eq!(finish(getter), Err(ShutDownError(())));
            }
            assert_eq!(finish(timed), Err(GetError::ShutDown));
            assert!(finish(batch).is_empty());
            assert_eq!(finish(looping), 0);
        });
    }
}

#[test]
fn shutdown_now_returns_the_items_in_order() {
    let (fifo, lifo, priority) = (Queue::unbounded(), LifoQueue::unbounded(), PriorityQueue::unbounded());
    for item in [(3, 'a'), (1, 'b'), (2, 'c'), (1, 'a')] {
        fifo.put(item).unwrap();
        lifo.put(item).unwrap();
        priority.put(item).unwrap();
    }
    assert_eq!(fifo.shutdown_now(), [(3, 'a'), (1, 'b'), (2, 'c'), (1, 'a')]);
    assert_eq!(lifo.shutdown_now(), [(1, 'a'), (2, 'c'), (1, 'b'), (3, 'a')]);
    assert_eq!(priority.shutdown_now(), [(1, 'a'), (1, 'b'), (2, 'c'), (3, 'a')]);
    assert_eq!((fifo.len(), fifo.unfinished()), (0, 0));
    assert_eq!(fifo.get(), Err(ShutDownError(())));
}

#[test]
fn shutdown_now_wakes_joiners_if_no_item_was_got() {
    repeat(100, || {
        let queue = Arc::new(Queue::unbounded());
        queue.put_many([1, 2, 3]).unwrap();
        let joiners: Vec<_> = (0..2)
            .map(|_| {
                let queue = queue.clone();
                Thread::spawn(move || queue.join())
            })
            .collect();
        until(|| queue.n_joiners() == 2);
        assert_eq!(queue.shutdown_now(), [1, 2, 3]);
        joiners.into_iter().for_each(finish);
        assert!(queue.task_done().is_err());
    });
}

#[test]
fn shutdown_now_leaves_items_that_were_got_unfinished() {
    let queue = Arc::new(Queue::unbounded());
    queue.put_many([1, 2, 3]).unwrap();
    assert_eq!(queue.get(), Ok(1));
    let joiner = {
        let queue = queue.clone();
        Thread::spawn(move || queue.join())
    };
    until(|| queue.n_joiners() == 1);
    assert_eq!(queue.shutdown_now(), [2, 3]);
    assert_eq!((queue.unfinished(), queue.n_joiners()), (1, 1), "the item that was got is unfinished");
    queue.task_done().unwrap();
    finish(joiner);
}

#[test]
fn shutdown_now_marks_no_more_done_than_is_unfinished() {
    let queue = Queue::unbounded();
    queue.put_many([1, 2, 3]).unwrap();
    queue.tasks_done(2).unwrap(); // before the items are got, which Python allows as well
    assert_eq!(queue.shutdown_now(), [1, 2, 3]);
    assert_eq!(queue.unfinished(), 0);
    queue.join();
}

#[test]
fn shutdown_now_returns_blocked_items_to_their_putters() {
    repeat(100, || {
        let queue = Arc::new(Queue::bounded(2));
        queue.put(0).unwrap();
        let many = {
            let queue = queue.clone();
            Thread::spawn(move || queue.put_many([1, 2, 3]))
        };
        until(|| queue.n_putters() == 1);
        let one = {
            let queue = queue.clone();
            Thread::spawn(move || queue.put(4))
        };
        until(|| queue.n_putters() == 2);
        assert_eq!(queue.shutdown_now(), [0, 1]);
        assert_eq!(finish(many), Err(ShutDownError(vec![2, 3])));
        assert_eq!(finish(one), Err(ShutDownError(4)));
        assert_eq!(queue.unfinished(), 0);
    });
}

#[test]
fn shutdown_now_after_shutdown_returns_the_rest() {
    let queue = Queue::unbounded();
    queue.put_many([1, 2]).unwrap();
    queue.shutdown();
    assert_eq!(queue.get(), Ok(1));
    assert_eq!(queue.shutdown_now(), [2]);
    assert_eq!(queue.get(), Err(ShutDownError(())));
}

#[test]
fn shutdown_does_not_end_a_join() {
    let queue = Arc::new(Queue::unbounded());
    queue.put(1).unwrap();
    let joiner = {
        let queue = queue.clone();
        Thread::spawn(move || queue.join())
    };
    until(|| queue.n_joiners() == 1);
    queue.shutdown();
    assert_eq!(queue.n_joiners(), 1);
    assert_eq!(queue.get(), Ok(1));
    queue.task_done().unwrap();
    finish(joiner);
}

#[test]
fn get_with_a_timeout_reports_a_shutdown() {
    repeat(200, || {
        let queue = Arc::new(Queue::<u8>::bounded(1));
        let getter = {
            let queue = queue.clone();
            Thread::spawn(move || queue.get_timeout(Duration::from_micros(20)))
        };
        queue.shutdown();
        let outcome = finish(getter);
        assert!(matches!(outcome, Err(GetError::Empty | GetError::ShutDown)));
        assert_eq!(queue.get_timeout(Duration::from_micros(20)), Err(GetError::ShutDown));
    });
}
