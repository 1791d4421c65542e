//! Done-callbacks.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use raddle::future::FutureError;
use raddle::{Event, Promise, Thread, thread};

use super::awaiting::block_on;
use super::unseen;
use crate::support::{alone, finish, repeat};

type Log = Arc<Mutex<Vec<String>>>;

fn log(log: &Log, text: &str) -> impl FnOnce(&raddle::Future<u32>) + Send + 'static {
    let (log, text) = (log.clone(), text.to_owned());
    move |_| log.lock().unwrap().push(format!("{text} in {}", thread::current().name()))
}

#[test]
fn callbacks_run_in_order_on_the_settling_thread() {
    let (promise, seen) = (Promise::new(), Log::default());
    let future = promise.future();
    for name in ["first", "second", "third"] {
        future.add_done_callback(log(&seen, name));
    }
    let setter = Thread::new(move || promise.set_result(1).unwrap()).name("setter").start().unwrap();
    finish(setter);
    let expected = ["first in setter", "second in setter", "third in setter"];
    assert_eq!(*seen.lock().unwrap(), expected);
    assert_eq!(future.result().unwrap(), 1);
}

#[test]
fn callback_added_to_a_done_future_runs_at_once() {
    let (promise, seen) = (Promise::new(), Log::default());
    let future = promise.future();
    promise.set_result(1).unwrap();
    future.add_done_callback(log(&seen, "late"));
    assert_eq!(seen.lock().unwrap().len(), 1);
    assert!(seen.lock().unwrap()[0].ends_with(&thread::current().name()));
}

#[test]
fn callbacks_run_for_cancelled_and_abandoned_futures() {
    let seen = Log::default();
    let (cancelled, abandoned) = (Promise::new(), Promise::new());
    let future = cancelled.future();
    future.add_done_callback(log(&seen, "cancelled"));
    future.cancel();
    abandoned.future().add_done_callback(log(&seen, "abandoned"));
    drop(abandoned);
    let names: Vec<_> = seen.lock().unwrap().iter().map(|line| line[..9].to_owned()).collect();
    assert_eq!(names, ["cancelled", "abandoned"]);
}

#[test]
fn panic_of_a_callback_is_reported_and_the_others_run() {
    alone("future::callbacks::panic_of_a_callback_is_reported_and_the_others_run", || {
        unseen::listen();
        let (promise, seen) = (Promise::new(), Log::default());
        let future = promise.future();
        future.add_done_callback(|_| panic!("callback-that-fails"));
        future.add_done_callback(log(&seen, "after"));
        promise.set_result(1).unwrap();
        future.add_done_callback(|_| panic!("late-callback-that-fails"));
        assert_eq!(seen.lock().unwrap().len(), 1);
        assert_eq!(future.result().unwrap(), 1);
        assert_eq!(unseen::reports("a done-callback in thread", "callback-that-fails"), 2);
    });
}

#[test]
fn callbacks_may_read_take_and_add_callbacks() {
    let promise = Promise::new();
    let (looked, added) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (look, add) = (looked.clone(), added.clone());
    promise.future().add_done_callback(move |future| {
        look.store(future.with_result(|value| *value.unwrap()), Ordering::Relaxed);
        future.add_done_callback(move |future| add.store(future.result().unwrap(), Ordering::Relaxed));
    });
    promise.set_result(6).unwrap();
    assert_eq!((looked.load(Ordering::Relaxed), added.load(Ordering::Relaxed)), (6, 6));
}

#[test]
fn callback_added_in_a_race_with_settling_runs_once() {
    repeat(500, || {
        let (promise, runs) = (Promise::new(), Arc::new(AtomicUsize::new(0)));
        let adders: Vec<_> = (0..2)
            .map(|_| {
                let (future, runs) = (promise.future(), runs.clone());
                Thread::spawn(move || {
                    for _ in 0..10 {
                        let runs = runs.clone();
                        future.add_done_callback(move |_| {
                            runs.fetch_add(1, Ordering::Relaxed);
                        });
                    }
                })
            })
            .collect();
        promise.set_result(()).unwrap();
        adders.into_iter().for_each(finish);
        assert_eq!(runs.load(Ordering::Relaxed), 20);
    });
}

#[test]
fn callbacks_see_the_value_before_it_can_be_taken() {
    repeat(500, || {
        let promise = Promise::new();
        let future = promise.future();
        let seen = Arc::new(AtomicUsize::new(0));
        for _ in 0..2 {
            let seen = seen.clone();
            future.add_done_callback(move |future| {
                thread::yield_now(); // so that another thread could take it
                seen.fetch_add(future.with_result(|value| *value.unwrap()), Ordering::Relaxed);
            });
        }
        let askers = [true, false].map(|awaits| {
            let (future, seen) = (future.clone(), seen.clone());
            Thread::spawn(move || {
                let got = if awaits { block_on(future) } else { future.result() };
                (got.ok(), seen.load(Ordering::Relaxed))
            })
        });
        promise.set_result(7).unwrap();
        let got = askers.map(finish);
        assert_eq!(got.iter().filter_map(|(value, _)| *value).collect::<Vec<_>>(), [7]);
        assert!(got.iter().all(|(_, seen)| *seen == 14), "{got:?}");
    });
}

#[test]
fn callback_may_take_the_value() {
    let (promise, taken) = (Promise::new(), Arc::new(AtomicUsize::new(0)));
    let future = promise.future();
    future.add_done_callback({
        let taken = taken.clone();
        move |future| taken.store(future.result().unwrap(), Ordering::Relaxed)
    });
    future.add_done_callback(|future| {
        assert!(future.done() && matches!(future.try_result(), Err(FutureError::Taken)));
    });
    let asker = Thread::spawn({
        let future = future.clone();
        move || future.result()
    });
    promise.set_result(3).unwrap();
    assert!(matches!(finish(asker), Err(FutureError::Taken)));
    assert_eq!(taken.load(Ordering::Relaxed), 3);
}

#[test]
fn future_is_done_and_its_value_reserved_during_a_callback() {
    let promise = Promise::new();
    let future = promise.future();
    let (running, go) = (Arc::new(Event::new()), Arc::new(Event::new()));
    future.add_done_callback({
        let (running, go) = (running.clone(), go.clone());
        move |_| {
            running.set();
            go.wait();
        }
    });
    let setter = Thread::spawn(move || promise.set_result(3).unwrap());
    running.wait();
    assert!(future.done() && future.exception().is_none());
    assert!(matches!(future.try_result(), Err(FutureError::NotDone)));
    assert!(matches!(future.result_timeout(Duration::from_millis(5)), Err(FutureError::TimedOut)));
    assert!(raddle::wait([&future], raddle::ReturnWhen::AllCompleted).1.is_empty());
    go.set();
    assert_eq!(future.result().unwrap(), 3);
    finish(setter);
}
