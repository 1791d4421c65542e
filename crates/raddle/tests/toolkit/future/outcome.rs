//! The outcome of a future, and which call takes it.

use std::sync::Arc;
use std::time::Duration;

use raddle::future::CancelledError;
use raddle::future::FutureError;
use raddle::{Barrier, Future, Promise, Thread};

use crate::support::{finish, repeat, within_limit};

const SOON: Duration = Duration::from_millis(5);

fn pending() -> (Promise<u32>, Future<u32>) {
    let promise = Promise::new();
    let future = promise.future();
    (promise, future)
}

fn failed(message: &'static str) -> Future<u32> {
    let (promise, future) = pending();
    promise.set_panic(Box::new(message)).unwrap();
    future
}

#[test]
fn result_blocks_and_is_taken_once() {
    repeat(200, || {
        let (promise, future) = pending();
        let asker = Thread::spawn({
            let future = future.clone();
            move || future.result()
        });
        let setter = Thread::spawn(move || promise.set_result(7).unwrap());
        assert_eq!(finish(asker).unwrap(), 7);
        finish(setter);
        assert!(matches!(future.result(), Err(FutureError::Taken)));
        assert!(matches!(future.try_result(), Err(FutureError::Taken)));
        assert!(future.done() && future.exception().is_none());
    });
}

#[test]
fn one_of_many_threads_takes_the_value() {
    repeat(100, || {
        let (promise, future) = pending();
        let askers: Vec<_> = (0..4)
            .map(|_| {
                let future = future.clone();
                Thread::spawn(move || future.result().is_ok())
            })
            .collect();
        promise.set_result(1).unwrap();
        assert_eq!(askers.into_iter().map(finish).filter(|got| *got).count(), 1);
    });
}

#[test]
fn timed_out_wait_leaves_the_task_running() {
    let (promise, future) = pending();
    assert!(matches!(future.try_result(), Err(FutureError::NotDone)));
    assert!(matches!(future.result_timeout(Duration::ZERO), Err(FutureError::TimedOut)));
    assert!(matches!(future.result_timeout(SOON), Err(FutureError::TimedOut)));
    assert!(matches!(future.result_deadline(raddle::time::now()), Err(FutureError::TimedOut)));
    assert!(matches!(future.exception_timeout(SOON), Some(FutureError::TimedOut)));
    assert!(matches!(future.exception_deadline(raddle::time::now()), Some(FutureError::TimedOut)));
    assert!(!future.done() && !future.running());
    assert!(promise.start() && future.running());
    promise.set_result(3).unwrap();
    assert_eq!(future.result_timeout(Duration::MAX).unwrap(), 3);
}

#[test]
fn timeout_races_with_the_result() {
    repeat(300, || {
        let (promise, future) = pending();
        let setter = Thread::spawn(move || promise.set_result(5).unwrap());
        let first = future.result_timeout(Duration::from_micros(60));
        finish(setter);
        match first {
            Ok(value) => assert_eq!(value, 5),
            Err(FutureError::TimedOut) => assert_eq!(future.result().unwrap(), 5),
            Err(other) => panic!("{other}"),
        }
    });
}

#[test]
fn panic_is_returned_to_every_caller_and_its_payload_to_one() {
    let future = failed("no ink");
    for _ in 0..2 {
        let Err(FutureError::Panicked(panic)) = future.result() else { panic!("no panic") };
        assert_eq!(panic.message(), "no ink");
        assert!(panic.to_string().contains("no ink"));
    }
    let Some(FutureError::Panicked(panic)) = future.exception() else { panic!("no panic") };
    assert_eq!(panic.take_payload().unwrap().downcast_ref(), Some(&"no ink"));
    assert!(panic.take_payload().is_none());
    let again = std::panic::catch_unwind(|| panic.resume_unwind()).unwrap_err();
    assert_eq!(again.downcast_ref::<String>().unwrap(), "no ink");
}

#[test]
fn with_result_does_not_take_the_value() {
    let (promise, future) = pending();
    assert!(future.with_result(|result| matches!(result, Err(FutureError::NotDone))));
    promise.set_result(9).unwrap();
    assert_eq!(future.with_result(|result| *result.unwrap()), 9);
    let inside = future.clone();
    future.with_result(|_| {
        assert!(matches!(inside.result(), Err(FutureError::Taken)));
        assert!(inside.with_result(|again| matches!(again, Err(FutureError::Taken))));
        assert!(inside.done() && inside.exception().is_none());
    });
    let panicking = future.clone();
    let caught = std::panic::catch_unwind(move || panicking.with_result(|_| panic!("clumsy")));
    assert!(caught.is_err());
    assert_eq!(future.result().unwrap(), 9);
    assert!(failed("x").with_result(|result| result.unwrap_err().is_panic()));
}

#[test]
fn threads_wait_for_a_borrowed_value() {
    repeat(100, || {
        let (promise, future) = pending();
        promise.set_result(4).unwrap();
        let askers: Vec<_> = (0..2)
            .map(|_| {
                let future = future.clone();
                Thread::spawn(move || future.result().is_ok())
            })
            .collect();
        let lookers: Vec<_> = (0..2)
            .map(|_| {
                let future = future.clone();
                Thread::spawn(move || future.with_result(|result| result.map_or(4, |value| *value)))
            })
            .collect();
        assert!(lookers.into_iter().all(|looker| finish(looker) == 4));
        assert_eq!(askers.into_iter().map(finish).filter(|got| *got).count(), 1);
    });
}

#[test]
fn only_pending_futures_can_be_cancelled() {
    let (promise, future) = pending();
    assert!(future.cancel() && future.cancel() && future.cancelled() && future.done());
    assert!(!promise.start());
    assert_eq!(promise.set_result(8).map_err(CancelledError::into_inner), Err(8));
    assert!(future.result().unwrap_err().is_cancelled());
    assert!(future.exception().unwrap().is_cancelled());

    let (promise, future) = pending();
    assert!(promise.start() && !future.cancel());
    promise.set_result(1).unwrap();
    assert!(!future.cancel() && !future.cancelled());

    let (promise, future) = pending();
    future.cancel();
    let payload = promise.set_panic(Box::new("late")).unwrap_err().into_inner();
    assert_eq!(payload.downcast_ref(), Some(&"late"));
}

#[test]
fn cancellation_races_with_the_start() {
    repeat(3_000, || {
        let (promise, future) = pending();
        let both = Arc::new(Barrier::new(2));
        let here = both.clone();
        let starter = Thread::spawn(move || {
            here.wait().unwrap();
            let started = promise.start();
            if started {
                promise.set_result(1).unwrap();
            }
            started
        });
        both.wait().unwrap();
        let cancelled = future.cancel();
        assert_ne!(cancelled, finish(starter));
        assert_eq!(cancelled, future.cancelled());
    });
}

#[test]
fn dropped_promise_abandons_its_future() {
    let (promise, future) = pending();
    drop(promise);
    assert!(matches!(future.result(), Err(FutureError::Abandoned)));
    let (promise, future) = pending();
    promise.start();
    let waiter = Thread::spawn(move || future.result());
    drop(promise);
    assert!(matches!(finish(waiter), Err(FutureError::Abandoned)));
}

#[test]
fn promise_runs_its_work() {
    let (promise, future) = pending();
    promise.run(|| 11);
    assert_eq!(future.result().unwrap(), 11);

    let (promise, future) = pending();
    promise.run(|| panic!("hand-made"));
    let error = future.result().unwrap_err();
    assert!(error.is_panic() && error.to_string().contains("hand-made"));

    let (promise, future) = pending();
    future.cancel();
    promise.run(|| unreachable!("it was cancelled"));
}

#[test]
fn errors_are_small_and_name_a_remedy() {
    fn anywhere<E: std::error::Error + Send + Sync + Clone + 'static>(_: &E) {}
    anywhere(&FutureError::Cancelled);
    assert!(std::mem::size_of::<FutureError>() <= 24);
    assert!(FutureError::Deadlock.to_string().contains("more workers"));
    assert!(FutureError::NotDone.to_string().contains("`result` waits"));
    assert_eq!(format!("{:?}", failed("y")), "Future { state: \"done\", .. }");
}

#[test]
fn value_is_dropped_with_the_last_reference() {
    let value = Arc::new(());
    let promise = Promise::new();
    let (future, clone) = (promise.future(), promise.future());
    assert!(future == clone);
    promise.set_result(value.clone()).unwrap();
    drop(future);
    assert_eq!(Arc::strong_count(&value), 2);
    drop(clone);
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn hundred_thousand_futures_are_settled() {
    within_limit(|| {
        let (promises, futures): (Vec<_>, Vec<_>) = (0..100_000).map(|_| pending()).unzip();
        let setter = Thread::spawn(move || {
            for promise in promises {
                promise.set_result(1).unwrap();
            }
        });
        assert_eq!(futures.iter().map(|future| future.result().unwrap()).sum::<u32>(), 100_000);
        finish(setter);
    });
}
