//! The last reference to a result that was not taken drops it: in the thread that computed it, or in one that drops a
//! handle.

use std::sync::Arc;

use raddle::{Event, Promise, ReturnWhen, Shared, ShutdownMode, Thread, ThreadPoolExecutor};
use raddle_explore::{Explorer, Outcome, check};

/// A result whose destructor waits.
struct Waits(Arc<Event>);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.wait();
    }
}

/// A result whose destructor sets a flag.
struct Marks(Arc<Shared<bool>>);

impl Drop for Marks {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

/// The main thread drops a handle before it sets the event that the destructor waits for.
#[track_caller]
fn deadlocks(program: impl Fn(Arc<Event>) + Send + Sync + 'static) {
    let report = Explorer::new().run(move || program(Arc::new(Event::new()))).expect_failure();
    assert!(report.to_string().starts_with("deadlock"), "{report}");
}

#[test]
fn result_of_a_detached_thread_is_dropped_by_its_last_owner() {
    deadlocks(|event| {
        let theirs = event.clone();
        drop(Thread::spawn(move || Waits(theirs)));
        event.set();
    });
}

#[test]
fn result_of_a_detached_task_is_dropped_by_its_last_owner() {
    deadlocks(|event| {
        let pool = ThreadPoolExecutor::new(1);
        let theirs = event.clone();
        drop(pool.submit(move || Waits(theirs)));
        event.set();
        pool.shutdown(ShutdownMode::Drain).unwrap();
    });
}

#[test]
fn result_of_a_promise_is_dropped_by_its_last_owner() {
    deadlocks(|event| {
        let (promise, theirs) = (Promise::new(), event.clone());
        let future = promise.future();
        let setter = Thread::spawn(move || promise.set_result(Waits(theirs)).unwrap_or(()));
        drop(future);
        event.set();
        setter.join().unwrap();
    });
}

#[test]
fn last_of_several_futures_drops_the_result() {
    deadlocks(|event| {
        let promise = Promise::new();
        let futures = [promise.future(), promise.future()];
        promise.set_result(Waits(event.clone())).unwrap_or(());
        let [mine, theirs] = futures;
        let other = Thread::spawn(move || drop(theirs));
        drop(mine);
        event.set();
        other.join().unwrap();
    });
}

#[test]
fn result_of_a_scoped_thread_or_task_is_dropped_by_its_last_owner() {
    deadlocks(|event| {
        raddle::thread::scope(|scope| {
            let theirs = event.clone();
            drop(scope.spawn(move || Waits(theirs)));
            event.set();
        });
    });
    deadlocks(|event| {
        ThreadPoolExecutor::new(1).scope(|scope| {
            let theirs = event.clone();
            drop(scope.submit(move || Waits(theirs)));
            event.set();
        });
    });
}

#[test]
fn worker_may_still_hold_a_settled_result() {
    let report = Explorer::new()
        .run(|| {
            let (pool, dropped) = (ThreadPoolExecutor::new(1), Arc::new(Shared::new(false)));
            let theirs = dropped.clone();
            let future = pool.submit(move || Marks(theirs));
            raddle::wait([&future], ReturnWhen::AllCompleted);
            drop(future);
            assert!(dropped.get(), "the worker drops it later");
        })
        .expect_failure();
    assert!(report.to_string().contains("the worker drops it later"), "{report}");
}

#[test]
fn results_that_are_taken_add_no_classes() {
    let classes = |outcome| match outcome {
        Outcome::Exhausted { classes, .. } => classes,
        other => panic!("{other}"),
    };
    let thread = check(|| {
        let other = Thread::spawn(|| String::from("x"));
        assert_eq!(other.join().unwrap(), "x");
    });
    assert_eq!(classes(thread), 1);
    let plain = check(|| assert_eq!(ThreadPoolExecutor::new(1).submit(|| 1).result(), Ok(1)));
    let boxed = check(|| assert_eq!(*ThreadPoolExecutor::new(1).submit(|| Box::new(1)).result().unwrap(), 1));
    assert_eq!(classes(plain), classes(boxed));
}
