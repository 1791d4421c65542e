//! Awaiting futures, on a minimal executor.

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use raddle::future::FutureError;
use raddle::{Future, Promise, Thread, ThreadPoolExecutor};

use crate::support::{finish, repeat};

#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
    rings: AtomicUsize,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rings.fetch_add(1, Ordering::Relaxed);
        *self.rung.lock().unwrap() = true;
        self.changed.notify_one();
    }
}

pub(crate) fn block_on<F: std::future::Future>(future: F) -> F::Output {
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(bell.clone());
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        let rung = bell.changed.wait_while(bell.rung.lock().unwrap(), |rung| !*rung).unwrap();
        *{ rung } = false;
    }
}

fn poll<T>(future: &mut Future<T>, bell: &Arc<Bell>) -> Poll<Result<T, FutureError>> {
    std::future::Future::poll(Pin::new(future), &mut Context::from_waker(&Waker::from(bell.clone())))
}

#[test]
fn task_is_awaited() {
    repeat(200, || {
        let pool = ThreadPoolExecutor::new(2);
        let sum = block_on(async {
            let (left, right) = (pool.submit(|| 20), pool.submit(|| 22));
            Ok::<_, FutureError>(left.await? + right.await?)
        });
        assert_eq!(sum.unwrap(), 42);
    });
}

#[test]
fn failure_is_awaited() {
    let pool = ThreadPoolExecutor::new(1);
    let error = block_on(pool.submit(|| panic!("awaited panic"))).unwrap_err();
    assert!(error.is_panic() && error.to_string().contains("awaited panic"));
    let promise = Promise::<()>::new();
    let future = promise.future();
    future.cancel();
    assert!(block_on(future).unwrap_err().is_cancelled());
}

#[test]
fn last_waker_of_each_reference_is_woken_once() {
    let promise = Promise::new();
    let (mut one, mut other) = (promise.future(), promise.future());
    let bells: Vec<_> = (0..3).map(|_| Arc::new(Bell::default())).collect();
    assert!(poll(&mut one, &bells[0]).is_pending());
    assert!(poll(&mut one, &bells[1]).is_pending());
    assert!(poll(&mut other, &bells[2]).is_pending());
    promise.set_result(1).unwrap();
    let rings: Vec<_> = bells.iter().map(|bell| bell.rings.load(Ordering::Relaxed)).collect();
    assert_eq!(rings, [0, 1, 1]);
    assert!(matches!(poll(&mut one, &bells[1]), Poll::Ready(Ok(1))));
    assert!(matches!(poll(&mut other, &bells[2]), Poll::Ready(Err(FutureError::Taken))));
}

#[test]
fn dropped_reference_removes_its_waker() {
    let promise = Promise::<()>::new();
    let mut future = promise.future();
    let bell = Arc::new(Bell::default());
    assert!(poll(&mut future, &bell).is_pending());
    assert!(Arc::strong_count(&bell) > 1);
    drop(future);
    assert_eq!(Arc::strong_count(&bell), 1);
    promise.set_result(()).unwrap();
    assert_eq!(bell.rings.load(Ordering::Relaxed), 0);
}

#[test]
fn panic_of_a_waker_is_contained() {
    struct Broken;
    impl Wake for Broken {
        fn wake(self: Arc<Self>) {
            panic!("broken waker");
        }
    }
    let promise = Promise::new();
    let mut future = promise.future();
    let waker = Waker::from(Arc::new(Broken));
    assert!(std::future::Future::poll(Pin::new(&mut future), &mut Context::from_waker(&waker)).is_pending());
    promise.set_result(2).unwrap();
    assert_eq!(future.result().unwrap(), 2);
}

#[test]
fn awaiting_task_and_thread_compete_for_the_value() {
    repeat(200, || {
        let promise = Promise::new();
        let (awaited, asked) = (promise.future(), promise.future());
        let first = Thread::spawn(move || block_on(awaited).is_ok());
        let second = Thread::spawn(move || asked.result().is_ok());
        promise.set_result(()).unwrap();
        assert_ne!(finish(first), finish(second));
    });
}

#[test]
fn awaiting_task_waits_while_the_value_is_read() {
    repeat(100, || {
        let promise = Promise::new();
        let (awaited, looked) = (promise.future(), promise.future());
        promise.set_result(3).unwrap();
        let other = Thread::spawn(move || looked.with_result(|value| value.map_or(3, |value| *value)));
        assert_eq!(block_on(awaited).unwrap(), 3);
        assert_eq!(finish(other), 3);
    });
}
