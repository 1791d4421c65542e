//! `Future`: it is cancelled, run, settled and awaited, each at most once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use raddle::future::FutureError;
use raddle::{Future, Mutex, Promise, ReturnWhen, Shared, Thread, as_completed};

use super::SOON;
use super::every::every;

/// The state of a future, as an ordered value.
fn what<T>(result: Result<T, FutureError>) -> Result<T, &'static str> {
    result.map_err(|error| match error {
        FutureError::Cancelled => "cancelled",
        FutureError::TimedOut => "timed out",
        FutureError::Taken => "taken",
        FutureError::NotDone => "not done",
        FutureError::Abandoned => "abandoned",
        _ => "failed",
    })
}

/// A future that another thread settles with 1.
fn settled_elsewhere() -> (Future<u32>, raddle::JoinHandle<bool>) {
    let promise = Promise::new();
    let future = promise.future();
    (future, Thread::spawn(move || promise.set_result(1).is_ok()))
}

#[test]
fn timed_out_wait_leaves_the_result_in_the_future() {
    let scenario = || {
        let (future, setter) = settled_elsewhere();
        let got = what(future.result_timeout(SOON));
        (setter.join().unwrap(), got, what(future.try_result()))
    };
    let outcomes = [(true, Ok(1), Err("taken")), (true, Err("timed out"), Ok(1))];
    assert_eq!(every(scenario), BTreeSet::from(outcomes));
}

#[test]
fn future_is_settled_or_cancelled_never_both() {
    let scenario = || {
        let (future, setter) = settled_elsewhere();
        let cancelled = future.cancel();
        (cancelled, setter.join().unwrap(), what(future.result()))
    };
    let outcomes = [(true, false, Err("cancelled")), (false, true, Ok(1))];
    assert_eq!(every(scenario), BTreeSet::from(outcomes));
}

#[test]
fn abandoned_promise_wakes_its_waiter() {
    let scenario = || {
        let promise = Promise::<u32>::new();
        let future = promise.future();
        let breaker = Thread::spawn(move || drop(promise));
        let got = what(future.result());
        breaker.join().unwrap();
        got
    };
    assert_eq!(every(scenario), BTreeSet::from([Err("abandoned")]));
}

#[test]
fn value_goes_to_one_of_two_callers() {
    let scenario = || {
        let (future, setter) = settled_elsewhere();
        let other = {
            let future = future.clone();
            Thread::spawn(move || what(future.result()))
        };
        let mut got = [what(future.result()), other.join().unwrap()];
        got.sort();
        setter.join().unwrap();
        got
    };
    assert_eq!(every(scenario), BTreeSet::from([[Ok(1), Err("taken")]]));
}

#[test]
fn with_result_leaves_the_value() {
    let scenario = || {
        let (future, setter) = settled_elsewhere();
        let other = {
            let future = future.clone();
            Thread::spawn(move || future.with_result(|seen| seen.copied().ok()))
        };
        let got = what(future.result());
        setter.join().unwrap();
        (got, other.join().unwrap())
    };
    assert_eq!(every(scenario), BTreeSet::from([(Ok(1), Some(1)), (Ok(1), None)]));
}

#[test]
fn callbacks_run_once_and_in_order() {
    let scenario = || {
        let (promise, called) = (Promise::new(), Arc::new(Mutex::new(Vec::new())));
        let future = promise.future();
        let call = |number| {
            let called = called.clone();
            future.add_done_callback(move |_| called.lock().push(number));
        };
        call(0);
        call(1);
        let setter = Thread::spawn(move || promise.set_result(()).is_ok());
        call(2); // at once, if the future is settled; that may be before the others
        setter.join().unwrap();
        called.lock().clone()
    };
    let outcomes = [vec![0, 1, 2], vec![0, 2, 1], vec![2, 0, 1]];
    assert_eq!(every(scenario), BTreeSet::from(outcomes));
}

#[test]
fn wait_returns_the_first_or_all_futures() {
    let scenario = |when: ReturnWhen| {
        move || {
            let (first, a) = settled_elsewhere();
            let (second, b) = settled_elsewhere();
            let (done, pending) = raddle::wait([&first, &second], when);
            a.join().unwrap();
            b.join().unwrap();
            assert_eq!(done.len() + pending.len(), 2);
            done.len()
        }
    };
    assert_eq!(every(scenario(ReturnWhen::FirstCompleted)), BTreeSet::from([1, 2]));
    assert_eq!(every(scenario(ReturnWhen::AllCompleted)), BTreeSet::from([2]));
}

/// Which futures are done is found out one after the other: one can be done, and one that was done earlier pending.
#[test]
fn wait_can_miss_a_future_that_is_settled_meanwhile() {
    let scenario = || {
        let promises = [Promise::new(), Promise::new()];
        let futures = [promises[0].future(), promises[1].future()];
        let setter = Thread::spawn(move || {
            for promise in promises {
                promise.set_result(()).unwrap();
            }
        });
        let (done, _) = raddle::wait_timeout(&futures, ReturnWhen::FirstCompleted, Duration::from_millis(1));
        setter.join().unwrap();
        futures.map(|future| done.contains(&future))
    };
    let outcomes = [[false, false], [true, false], [false, true], [true, true]];
    assert_eq!(every(scenario), BTreeSet::from(outcomes));
}

/// Futures that are done when the iterator is created come in the order of the argument.
#[test]
fn creation_of_the_iterator_decides_the_order() {
    let scenario = || {
        let promises = [Promise::new(), Promise::new()];
        let futures = [promises[0].future(), promises[1].future()];
        let setter = Thread::spawn(move || {
            for promise in promises.into_iter().rev() {
                promise.set_result(()).unwrap();
            }
        });
        let first = as_completed(&futures).next().unwrap() == futures[0];
        setter.join().unwrap();
        first
    };
    assert_eq!(every(scenario), BTreeSet::from([false, true]));
}

#[test]
fn each_future_completes_once() {
    let scenario = || {
        let (first, a) = settled_elsewhere();
        let (second, b) = settled_elsewhere();
        second.add_done_callback(|_| {});
        let got: u32 = as_completed([first, second]).map(|future| future.result().unwrap()).sum();
        a.join().unwrap();
        b.join().unwrap();
        got
    };
    assert_eq!(every(scenario), BTreeSet::from([2]));
}

#[test]
fn result_happens_after_the_work_of_its_task() {
    let scenario = || {
        let (promise, value) = (Promise::new(), Arc::new(Shared::new(0)));
        let future = promise.future();
        let setter = {
            let value = value.clone();
            Thread::spawn(move || promise.run(|| value.set(1)))
        };
        future.result().unwrap();
        let seen = value.get();
        setter.join().unwrap();
        seen
    };
    assert_eq!(every(scenario), BTreeSet::from([1]));
}
