//! Threads that wait: who is served, who gives up, and that nobody is forgotten.

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
fn getters_are_served_in_the_order_in_which_they_came() {
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
        assert_eq!(queue.n_getters(), 0, "all were served at once");
        assert!(queue.is_empty());
        assert_eq!(getters.into_iter().map(finish).collect::<Vec<_>>(), [0, 1, 2, 3]);
    });
}

#[test]
fn putters_are_served_in_the_order_in_which_they_came() {
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
fn a_get_makes_room_for_the_one_in_line_not_for_a_newcomer() {
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
fn a_batch_serves_all_who_wait() {
    repeat(50, || {
        let queue = Arc::new(Queue::bounded(1));
        let getters: Vec<_> = (0..4).map(|_| getter(&queue)).collect();
        until(|| queue.n_getters() == 4);
        queue.try_put_many([1, 2, 3, 4, 5]).unwrap(); // one more than there are takers, and room for it
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
fn who_gave_up_leaves_nothing_behind() {
    let queue = Queue::bounded(1);
    let short = Duration::from_millis(5);
    assert_eq!(queue.get_timeout(short), Err(GetError::Empty));
    assert_eq!(queue.n_getters(), 0);
    queue.put(1).unwrap();
    assert_eq!(queue.put_timeout(2, short), Err(PutError::Full(2)));
    assert_eq!((queue.n_putters(), queue.len(), queue.unfinished()), (0, 1, 1));
    assert_eq!(queue.get(), Ok(1));
    assert_eq!(queue.try_get(), Err(GetError::Empty), "the item of a put that failed came in");
}

#[test]
fn a_limit_beyond_all_time_is_no_limit() {
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

/// A getter with a limit in front of one without: whichever way the race between the limit and the put goes,
/// the item reaches one of the two, and no item is left lying while somebody waits.
#[test]
fn a_timeout_takes_no_item_with_it() {
    repeat(300, || {
        let queue = Arc::new(Queue::unbounded());
        let impatient = {
            let queue = queue.clone();
            Thread::spawn(move || queue.get_timeout(Duration::from_micros(30)).ok())
        };
        let patient = getter(&queue);
        until(|| queue.n_getters() > 0);
        queue.put(1).unwrap();
        match finish(impatient) {
            Some(item) => {
                assert_eq!(item, 1);
                queue.put(2).unwrap();
                assert_eq!(finish(patient), 2);
            }
            None => assert_eq!(finish(patient), 1),
        }
        assert!(queue.is_empty());
    });
}

#[test]
fn a_timeout_doubles_no_item_and_loses_none_on_the_way_in() {
    repeat(300, || {
        let queue = Arc::new(Queue::bounded(1));
        queue.put(0).unwrap();
        let impatient = {
            let queue = queue.clone();
            Thread::spawn(move || queue.put_timeout(1, Duration::from_micros(30)))
        };
        let patient = putter(&queue, 2);
        until(|| queue.n_putters() > 0);
        assert_eq!(queue.get(), Ok(0));
        let mut expected = match finish(impatient) {
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
        finish(patient);
        assert_eq!(queue.try_get(), Err(GetError::Empty));
    });
}

#[test]
fn what_was_done_before_a_put_is_seen_after_the_get() {
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
fn a_panic_between_get_and_put_harms_nobody() {
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

/// The tutorial's producer and consumer: an event ends the producer, the consumer drains.
#[test]
fn a_producer_is_never_left_blocked_when_the_consumer_leaves_after_shutdown() {
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
