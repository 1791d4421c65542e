//! `wait` for the first future, for the first failure, and for all futures.

use std::time::Duration;

use raddle::{Future, Promise, ReturnWhen, Thread, ThreadPoolExecutor, wait, wait_deadline, wait_timeout};

use crate::support::{finish, repeat, within_limit};

fn pending(count: usize) -> (Vec<Promise<usize>>, Vec<Future<usize>>) {
    (0..count)
        .map(|_| {
            let promise = Promise::new();
            let future = promise.future();
            (promise, future)
        })
        .unzip()
}

const ALL: [ReturnWhen; 3] =
    [ReturnWhen::FirstCompleted, ReturnWhen::FirstException, ReturnWhen::AllCompleted];

#[test]
fn wait_for_no_futures_returns_at_once() {
    for when in ALL {
        let (done, left) = wait(Vec::<Future<()>>::new(), when);
        assert!(done.is_empty() && left.is_empty());
    }
}

#[test]
fn first_completed_future_ends_the_wait() {
    repeat(200, || {
        let (mut promises, futures) = pending(3);
        let setter = Thread::spawn({
            let promise = promises.remove(1);
            move || promise.set_result(1).unwrap()
        });
        let (done, left) = wait(&futures, ReturnWhen::FirstCompleted);
        assert!(done == [futures[1].clone()]);
        assert!(left == [futures[0].clone(), futures[2].clone()]);
        finish(setter);
        drop(promises);
    });
}

#[test]
fn future_done_before_the_wait_ends_it() {
    let (mut promises, futures) = pending(2);
    promises.pop().unwrap().set_result(1).unwrap();
    for _ in 0..2 {
        let (done, left) = wait(&futures, ReturnWhen::FirstCompleted);
        assert_eq!((done.len(), left.len()), (1, 1));
    }
}

#[test]
fn cancelled_future_is_completed_but_no_exception() {
    within_limit(|| {
        let (promises, futures) = pending(3);
        futures[0].cancel();
        assert_eq!(wait(&futures, ReturnWhen::FirstCompleted).0.len(), 1);
        let limit = Duration::from_millis(5);
        assert_eq!(wait_timeout(&futures, ReturnWhen::FirstException, limit).0.len(), 1);
        let waiter = Thread::spawn({
            let futures = futures.clone();
            move || wait(&futures, ReturnWhen::FirstException)
        });
        futures[1].cancel();
        let last = promises.into_iter().next_back().unwrap();
        last.set_panic(Box::new("the exception")).unwrap();
        assert_eq!(finish(waiter).0.len(), 3);
        assert!(futures[2].exception().is_some());
    });
}

#[test]
fn first_exception_ends_the_wait() {
    repeat(200, || {
        let (mut promises, futures) = pending(3);
        let failing = promises.remove(1);
        let setter = Thread::spawn(move || failing.set_panic(Box::new("early")).unwrap());
        let (done, left) = wait(&futures, ReturnWhen::FirstException);
        assert_eq!((done.len(), left.len()), (1, 2));
        assert!(done[0].exception().is_some());
        finish(setter);

        let (promises, futures) = pending(3);
        let setter = Thread::spawn(move || {
            for promise in promises {
                promise.set_result(1).unwrap();
            }
        });
        assert_eq!(wait(&futures, ReturnWhen::FirstException).0.len(), 3);
        finish(setter);
    });
}

#[test]
fn future_failed_before_the_wait_ends_it() {
    let (mut promises, futures) = pending(2);
    promises.pop().unwrap().set_panic(Box::new("before")).unwrap();
    let (done, left) = wait(&futures, ReturnWhen::FirstException);
    assert_eq!((done.len(), left.len()), (1, 1));
    assert!(futures[1].exception().is_some());
}

#[test]
fn future_passed_twice_counts_once() {
    within_limit(|| {
        let (mut promises, futures) = pending(2);
        let twice = [&futures[0], &futures[1], &futures[0], &futures[1]];
        promises.pop().unwrap().set_result(1).unwrap();
        let (done, left) = wait_timeout(twice, ReturnWhen::AllCompleted, Duration::from_millis(5));
        assert_eq!((done.len(), left.len()), (1, 1));
        promises.pop().unwrap().set_result(1).unwrap();
        assert_eq!(wait(twice, ReturnWhen::AllCompleted).0.len(), 2);
    });
}

#[test]
fn timed_out_wait_returns_the_done_futures() {
    let (mut promises, futures) = pending(3);
    promises.pop().unwrap().set_result(1).unwrap();
    let (done, left) = wait_timeout(&futures, ReturnWhen::AllCompleted, Duration::ZERO);
    assert_eq!((done.len(), left.len()), (1, 2));
    let (done, left) = wait_deadline(futures, ReturnWhen::AllCompleted, raddle::time::now());
    assert_eq!((done.len(), left.len()), (1, 2));
}

#[test]
fn wait_removes_its_watchers() {
    let (promises, futures) = pending(1);
    for _ in 0..100_000 {
        wait_timeout(&futures, ReturnWhen::AllCompleted, Duration::ZERO);
    }
    // If the watchers were still registered, this would take as many steps.
    for promise in promises {
        promise.set_result(1).unwrap();
    }
    assert!(futures[0].done());
}

#[test]
fn wait_for_every_future_of_a_pool() {
    repeat(20, || {
        let pool = ThreadPoolExecutor::new(4);
        let futures: Vec<_> = (0..1_000).map(|n| pool.submit(move || n)).collect();
        let (done, left) = wait(&futures, ReturnWhen::AllCompleted);
        assert_eq!((done.len(), left.len()), (1_000, 0));
        assert_eq!(done.iter().map(|future| future.result().unwrap()).sum::<usize>(), 499_500);
    });
}
