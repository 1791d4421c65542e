//! Blocking puts and gets: order of service, timeouts, and lost wake-ups.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use raddle::queue::{GetError, PutError};
use raddle::{Event, JoinHandle, Queue, Thread, time};

use crate::support::{finish, repeat, until};

fn getter(queue: &Arc<Queue<u32>>) -> JoinHandle<u32> {
    let queue = queue.clone();
    Thread::spawn(move || queue.get().unwrap())
}

fn putter(queue: &Arc<Queue<u32>>, item: u32) -> JoinHandle<()> {
    let queue = queue.clone();
    Thread::spawn(move || queue.put(item).unwrap())
}

#[test]
fn getters_are_served_in_fifo_order() {
    repeat(100, || {
        let queue = Arc::new(Queue::unbounded());
        let getters: Vec<_> = (1..=4)
            .map(|count| {
                let handle = getter(&queue);
                until(|| queue.n_getters() == count);
                handle
            })
            .collect();
        (0..4).for_each(|item| queue.put(item).unwrap());
        assert_eq!(queue.n_getters(), 0, "every put served a getter");
        assert!(queue.is_empty());
        assert_eq!(getters.into_iter().map(finish).collect::<Vec<_>>(), [0, 1, 2, 3]);
    });
}

#[test]
fn putters_are_served_in_fifo_order() {
    repeat(100, || {
        let queue = Arc::new(Queue::bounded(1));
        queue.put(0).unwrap();
        let putters: Vec<_> = (1..=4)
            .map(|item| {
                let handle = putter(&queue, item);
                until(|| queue.n_putters() == item as usize);
                handle
            })
            .collect();
        assert_eq!(queue.try_put(9), Err(PutError::Full(9)));
        assert_eq!((0..5).map(|_| queue.try_get().unwrap()).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        putters.into_iter().for_each(finish);
        assert_eq!(queue.unfinished(), 5);
    });
}

#[test]
fn get_makes_room_for_the_waiter_not_for_a_newcomer() {
    repeat(100, || {
        let queue = Arc::new(Queue::bounded(1));
        queue.put(1).unwrap();
        let blocked = putter(&queue, 2);
        until(|| queue.n_putters() == 1);
        assert_eq!(queue.get(), Ok(1));
        assert_eq!(queue.try_put(3), Err(PutError::Full(3)));
        finish(blocked);
        assert_eq!(queue.get(), Ok(2));
    });
}

#[test]
fn batch_serves_all_waiters() {
    repeat(50, || {
        let queue = Arc::new(Queue::bounded(1));
        let getters: Vec<_> = (0..4).map(|_| getter(&queue)).collect();
        until(|| queue.n_getters() == 4);
        queue.try_put_many([1, 2, 3, 4, 5]).unwrap(); // for four getters and one free slot
        let sum: u32 = getters.into_iter().map(finish).sum();
        assert_eq!(sum, 10);
        assert_eq!(queue.get(), Ok(5));

        queue.put(0).unwrap();
        let putters: Vec<_> = (1..=4).map(|item| putter(&queue, item)).collect();
        until(|| queue.n_putters() == 4);
        let batch = queue.try_get_many(5);
        assert_eq!(batch.len(), 5);
        putters.into_iter().for_each(finish);
    });
}

#[test]
fn timed_out_waiter_leaves_the_queue() {
    let queue = Queue::bounded(1);
    let short = Duration::from_millis(5);
    assert_eq!(queue.get_timeout(short), Err(GetError::Empty));
    assert_eq!(queue.n_getters(), 0);
    queue.put(1).unwrap();
    assert_eq!(queue.put_timeout(2, short), Err(PutError::Full(2)));
    assert_eq!((queue.n_putters(), queue.len(), queue.unfinished()), (0, 1, 1));
    assert_eq!(queue.get(), Ok(1));
    assert_eq!(queue.try_get(), Err(GetError::Empty), "the item of a failed put must not be in the queue");
}

#[test]
fn timeout_beyond_the_clock_never_expires() {
    repeat(20, || {
        let queue = Arc::new(Queue::bounded(1));
        let waiting = queue.clone();
        let getter = Thread::spawn(move || waiting.get_timeout(Duration::MAX).unwrap());
        until(|| queue.n_getters() == 1);
        queue.put(1).unwrap();
        assert_eq!(finish(getter), 1);

        queue.put(2).unwrap();
        let waiting = queue.clone();
        let putter = Thread::spawn(move || waiting.put_timeout(3, Duration::MAX).unwrap());
        until(|| queue.n_putters() == 1);
        assert_eq!(queue.get(), Ok(2));
        finish(putter);
        assert_eq!(queue.get(), Ok(3));
    });
}

/// A getter with a timeout waits before one without. In every order of the timeout and the put, one of the getters gets the
/// item.
#[test]
fn timed_out_get_removes_no_item() {
    repeat(300, || {
        let queue = Arc::new(Queue::unbounded());
        let timed = {
            let queue = queue.clone();
            Thread::spawn(move || queue.get_timeout(Duration::from_micros(30)).ok())
        };
        let untimed = getter(&queue);
        until(|| queue.n_getters() > 0);
        queue.put(1).unwrap();
        match finish(timed) {
            Some(item) => {
                assert_eq!(item, 1);
                queue.put(2).unwrap();
                assert_eq!(finish(untimed), 2);
            }
            None => assert_eq!(finish(untimed), 1),
        }
        assert!(queue.is_empty());
    });
}

#[test]
fn timed_out_put_neither_duplicates_nor_loses_an_item() {
    repeat(300, || {
        let queue = Arc::new(Queue::bounded(1));
        queue.put(0).unwrap();
        let timed = {
            let queue = queue.clone();
            Thread::spawn(move || queue.put_timeout(1, Duration::from_micros(30)))
        };
        let untimed = putter(&queue, 2);
        until(|| queue.n_putters() > 0);
        assert_eq!(queue.get(), Ok(0));
        let mut expected = match finish(timed) {
            Ok(()) => vec![1, 2],
            Err(error) => {
                assert_eq!(error, PutError::Full(1));
                vec![2]
            }
        };
        while !expected.is_empty() {
            let item = queue.get().unwrap();
            expected.remove(expected.iter().position(|other| *other == item).expect("an item once"));
        }
        finish(untimed);
        assert_eq!(queue.try_get(), Err(GetError::Empty));
    });
}

#[test]
fn put_happens_before_the_get() {
    repeat(200, || {
        let queue = Arc::new(Queue::bounded(1));
        let plain = Arc::new(AtomicUsize::new(0));
        let getter = {
            let (queue, plain) = (queue.clone(), plain.clone());
            Thread::spawn(move || {
                queue.get().unwrap();
                plain.load(Ordering::Relaxed)
            })
        };
        plain.store(7, Ordering::Relaxed);
        queue.put(()).unwrap();
        assert_eq!(finish(getter), 7);
    });
}

#[test]
fn panic_between_get_and_put_does_not_poison() {
    let queue = Arc::new(Queue::bounded(1));
    let broken = {
        let queue = queue.clone();
        Thread::spawn(move || {
            queue.put(1).unwrap();
            let _item = queue.get().unwrap();
            panic!("on purpose");
        })
    };
    assert!(broken.join().is_err());
    queue.put(2).unwrap();
    assert_eq!(queue.get(), Ok(2));
    assert_eq!(queue.unfinished(), 2);
}

/// The tutorial's producer and consumer: an event stops the producer, and the consumer drains the queue.
#[test]
fn producer_is_not_left_blocked_after_a_shutdown() {
    repeat(50, || {
        let queue = Arc::new(Queue::bounded(2));
        let exit = Arc::new(Event::new());
        let producer = {
            let (queue, exit) = (queue.clone(), exit.clone());
            Thread::spawn(move || {
                let mut sent = 0;
                while !exit.is_set() && queue.put(sent).is_ok() {
                    sent += 1;
                }
                queue.shutdown();
                sent
            })
        };
        let consumer = {
            let queue = queue.clone();
            Thread::spawn(move || queue.iter().count())
        };
        let end = time::now() + Duration::from_micros(200);
        until(|| time::now() >= end);
        exit.set();
        assert_eq!(finish(producer), finish(consumer));
    });
}
