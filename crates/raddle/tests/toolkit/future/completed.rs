//! `as_completed`: one by one, in the order of completion.

use std::sync::Arc;
use std::time::Duration;

use raddle::{Future, Promise, Thread, ThreadPoolExecutor, as_completed, as_completed_timeout};

use crate::support::{finish, repeat};

fn pending(count: usize) -> (Vec<Promise<usize>>, Vec<Future<usize>>) {
    (0..count)
        .map(|_| {
            let promise = Promise::new();
            let future = promise.future();
            (promise, future)
        })
        .unzip()
}

#[test]
fn done_futures_come_first_and_others_as_they_complete() {
    let (mut promises, futures) = pending(4);
    promises.swap(0, 3);
    promises.pop().unwrap().set_result(0).unwrap();
    let mut completed = as_completed(&futures);
    assert_eq!(completed.len(), 4);
    assert!(completed.next().unwrap() == futures[0]);
    promises.pop().unwrap().set_result(2).unwrap();
    promises.remove(0).set_result(3).unwrap();
    assert!(completed.next().unwrap() == futures[2]);
    assert!(completed.next().unwrap() == futures[3]);
    futures[1].cancel();
    assert!(completed.next().unwrap().cancelled());
    assert!(completed.next().is_none());
}

#[test]
fn as_completed_blocks_for_the_next_future() {
    repeat(100, || {
        let (promises, futures) = pending(5);
        let setter = Thread::spawn(move || {
            promises.into_iter().enumerate().for_each(|(n, promise)| promise.set_result(n).unwrap());
        });
        let values: Vec<_> = as_completed(futures).map(|future| future.result().unwrap()).collect();
        assert_eq!(values, [0, 1, 2, 3, 4]);
        finish(setter);
    });
}

#[test]
fn future_passed_twice_is_returned_once() {
    let (mut promises, futures) = pending(1);
    promises.pop().unwrap().set_result(1).unwrap();
    let twice = [futures[0].clone(), futures[0].clone()];
    assert_eq!(as_completed(twice).count(), 1);
    assert_eq!(as_completed(Vec::<Future<()>>::new()).count(), 0);
}

#[test]
fn returned_future_is_not_kept() {
    let values: Vec<_> = (0..3).map(Arc::new).collect();
    let promises: Vec<_> = values.iter().map(|_| Promise::new()).collect();
    let futures: Vec<_> = promises.iter().map(Promise::future).collect();
    for (promise, value) in promises.into_iter().zip(&values) {
        promise.set_result(value.clone()).unwrap();
    }
    let mut completed = as_completed(futures);
    for value in &values {
        assert_eq!(Arc::strong_count(value), 2);
        drop(completed.next());
        assert_eq!(Arc::strong_count(value), 1);
    }
}

#[test]
fn timeout_reports_how_many_futures_are_unfinished() {
    let (mut promises, futures) = pending(3);
    let mut completed = as_completed_timeout(&futures, Duration::from_millis(20));
    promises.pop().unwrap().set_result(1).unwrap();
    assert!(completed.next().unwrap().unwrap() == futures[2]);
    let unfinished = completed.next().unwrap().unwrap_err();
    assert_eq!((unfinished.unfinished, unfinished.of), (2, 3));
    assert_eq!(unfinished.to_string(), "timed out with 2 of 3 futures unfinished");
    assert!(completed.next().is_none());
}

#[test]
fn timeout_starts_with_the_call_and_done_futures_are_returned() {
    let (promises, futures) = pending(3);
    let mut completed = as_completed_timeout(&futures, Duration::ZERO);
    for promise in promises.into_iter().take(2) {
        promise.set_result(1).unwrap();
    }
    // The third promise has been dropped unset by then, so its future is done as well.
    assert_eq!(completed.by_ref().flatten().count(), 3);
    assert!(as_completed_timeout(&futures, Duration::MAX).all(|future| future.is_ok()));
}

#[test]
fn dropped_as_completed_removes_its_watchers() {
    let (promises, futures) = pending(2);
    for _ in 0..100_000 {
        drop(as_completed(&futures));
    }
    for promise in promises {
        promise.set_result(1).unwrap();
    }
    assert!(futures[0].done());
}

#[test]
fn as_completed_returns_every_future_of_a_pool() {
    repeat(20, || {
        let pool = ThreadPoolExecutor::new(4);
        let futures: Vec<_> = (0..1_000).map(|n| pool.submit(move || n)).collect();
        assert_eq!(as_completed(futures).map(|future| future.result().unwrap()).sum::<usize>(), 499_500);
    });
}
