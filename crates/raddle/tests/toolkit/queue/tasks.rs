//! Tests of `task_done` and `join`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use raddle::queue::TooManyTasksDoneError;
use raddle::{Queue, Thread, time};

use crate::support::{finish, repeat, until};

#[test]
fn too_many_tasks_done_is_an_error_and_changes_nothing() {
    let queue = Queue::unbounded();
    assert_eq!(queue.task_done(), Err(TooManyTasksDoneError { done: 1, unfinished: 0 }));
    queue.put_many([1, 2, 3]).unwrap();
    queue.task_done().unwrap();
    assert_eq!(queue.tasks_done(3), Err(TooManyTasksDoneError { done: 3, unfinished: 2 }));
    assert_eq!(queue.unfinished(), 2);
    queue.tasks_done(2).unwrap();
    queue.tasks_done(0).unwrap();
    assert_eq!(queue.task_done(), Err(TooManyTasksDoneError { done: 1, unfinished: 0 }));
    assert_eq!(queue.len(), 3, "as in Python, the count ignores which items were got");
}

#[test]
fn item_is_unfinished_from_its_put_to_its_task_done() {
    let queue = Queue::bounded(1);
    queue.put(1).unwrap();
    assert_eq!(queue.unfinished(), 1);
    assert!(queue.try_put(2).is_err());
    assert_eq!(queue.unfinished(), 1, "a rejected item does not count");
    queue.get().unwrap();
    assert_eq!(queue.unfinished(), 1, "an item that was got is still unfinished");
    queue.task_done().unwrap();
    assert_eq!(queue.unfinished(), 0);
}

#[test]
fn join_of_an_empty_queue_does_not_block() {
    let queue = Queue::<u8>::unbounded();
    queue.join();
    assert!(queue.join_timeout(Duration::ZERO));
    assert!(queue.join_timeout(Duration::MAX));
    assert!(queue.join_deadline(time::now()));
}

#[test]
fn join_with_a_timeout_returns_whether_all_tasks_are_done() {
    let queue = Queue::unbounded();
    queue.put(()).unwrap();
    let start = time::now();
    assert!(!queue.join_timeout(Duration::ZERO));
    assert!(!queue.join_timeout(Duration::from_millis(10)));
    assert!(time::now() - start >= Duration::from_millis(10));
    assert!(!queue.join_deadline(time::now()));
    assert_eq!(queue.n_joiners(), 0, "a joiner that timed out leaves the wait queue");
    queue.task_done().unwrap();
    assert!(queue.join_timeout(Duration::ZERO));
}

#[test]
fn join_waits_for_the_last_task_of_all_workers() {
    repeat(100, || {
        let queue = Arc::new(Queue::bounded(3));
        let workers: Vec<_> = (0..3)
            .map(|_| {
                let queue = queue.clone();
                Thread::spawn(move || {
                    for done in &*queue {
                        let flag: Arc<AtomicBool> = done;
                        flag.store(true, Ordering::Relaxed);
                        queue.task_done().unwrap();
                    }
                })
            })
            .collect();
        let flags: Vec<_> = (0..20).map(|_| Arc::new(AtomicBool::new(false))).collect();
        queue.put_many(flags.iter().cloned()).unwrap();
        queue.join();
        assert!(flags.iter().all(|flag| flag.load(Ordering::Relaxed)), "join returned too early");
        queue.shutdown();
        workers.into_iter().for_each(finish);
    });
}

#[test]
fn joiner_returns_even_if_items_were_put_since() {
    repeat(200, || {
        let queue = Arc::new(Queue::unbounded());
        queue.put(1).unwrap();
        let joiners: Vec<_> = (0..3)
            .map(|_| {
                let queue = queue.clone();
                Thread::spawn(move || queue.join())
            })
            .collect();
        until(|| queue.n_joiners() == 3);
        queue.task_done().unwrap();
        queue.put(2).unwrap(); // possibly before any joiner runs
        joiners.into_iter().for_each(finish);
        assert_eq!(queue.unfinished(), 1);
    });
}

#[test]
fn item_of_a_blocked_put_is_unfinished_once_admitted() {
    let queue = Arc::new(Queue::bounded(1));
    queue.put(1).unwrap();
    let putter = {
        let queue = queue.clone();
        Thread::spawn(move || queue.put(2).unwrap())
    };
    until(|| queue.n_putters() == 1);
    assert_eq!(queue.unfinished(), 1);
    assert_eq!(queue.get(), Ok(1));
    assert_eq!(queue.unfinished(), 2, "the get admitted the blocked item");
    finish(putter);
    assert_eq!(queue.get(), Ok(2));
}

#[test]
fn tasks_of_a_batch_are_marked_done_together() {
    let queue = Arc::new(Queue::unbounded());
    queue.put_many(0..100).unwrap();
    let batch = queue.try_get_many(60);
    let joiner = {
        let queue = queue.clone();
        Thread::spawn(move || queue.join())
    };
    queue.tasks_done(batch.len()).unwrap();
    assert!(!queue.join_timeout(Duration::ZERO));
    queue.tasks_done(queue.try_get_many(60).len()).unwrap();
    finish(joiner);
}
