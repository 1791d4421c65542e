//! Long chains of futures, each settled, cancelled or dropped by the one before, on a thread with a small stack.

use std::any::Any;
use std::cell::Cell;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use raddle::future::FutureError;
use raddle::{Event, Future, Promise, ShutdownMode, Thread, ThreadPoolExecutor};

use crate::support::{finish, within_limit};

const LENGTH: usize = if cfg!(debug_assertions) { 200_000 } else { 1_000_000 };

/// Runs `body` in a thread with a stack of 256 KiB.
fn in_little_room<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    finish(Thread::new(body).stack_size(256 << 10).start().unwrap())
}

/// The promise and the last future of a chain, in which each callback settles the next promise with `next`.
fn chain(next: fn(&Future<usize>, Promise<usize>)) -> (Promise<usize>, Future<usize>) {
    let first = Promise::new();
    let mut last = first.future();
    for _ in 0..LENGTH {
        let promise = Promise::new();
        let future = promise.future();
        last.add_done_callback(move |done| next(done, promise));
        last = future;
    }
    (first, last)
}

#[test]
fn chain_is_settled_by_callbacks() {
    in_little_room(|| {
        let (first, last) = chain(|done, next| next.set_result(done.result().unwrap() + 1).unwrap());
        first.set_result(0).unwrap();
        assert_eq!(last.try_result().unwrap(), LENGTH, "all is done when the outermost call returns");
    });
}

#[test]
fn chain_is_failed_by_callbacks() {
    in_little_room(|| {
        let (first, last) = chain(|done, next| {
            assert!(done.exception().unwrap().is_panic());
            next.set_panic(Box::new("passed on")).unwrap();
        });
        first.set_panic(Box::new("first")).unwrap();
        assert!(last.try_result().unwrap_err().to_string().contains("passed on"));
    });
}

#[test]
fn chain_is_abandoned() {
    in_little_room(|| {
        let (first, last) = chain(|_, next| drop(next));
        drop(first);
        assert!(matches!(last.try_result(), Err(FutureError::Abandoned)));
    });
}

#[test]
fn chain_is_cancelled() {
    in_little_room(|| {
        let promises: Vec<_> = (0..LENGTH).map(|_| Promise::<()>::new()).collect();
        for pair in promises.windows(2) {
            let next = pair[1].future();
            pair[0].future().add_done_callback(move |_| assert!(next.cancel()));
        }
        assert!(promises[0].future().cancel());
        assert!(promises[LENGTH - 1].future().cancelled());
    });
}

#[test]
fn chain_of_tasks_is_cancelled_by_their_captures() {
    struct CancelsNext(Future<()>);
    impl Drop for CancelsNext {
        fn drop(&mut self) {
            self.0.cancel();
        }
    }
    in_little_room(|| {
        let (pool, promise) = (ThreadPoolExecutor::new(1), Promise::<()>::new());
        let busy = promise.future();
        let busy = pool.submit(move || busy.result());
        let mut next = pool.submit(|| ());
        let last = next.clone();
        for _ in 0..LENGTH / 4 {
            let captured = CancelsNext(next);
            next = pool.submit(move || std::mem::forget(captured));
        }
        assert!(next.cancel());
        assert!(last.cancelled());
        promise.set_result(()).unwrap();
        busy.result().unwrap().unwrap();
    });
}

/// A task of an executor that polls as soon as it is woken.
struct Link {
    awaits: Mutex<Option<Future<usize>>>,
    settles: Mutex<Option<Promise<usize>>>,
}

impl Wake for Link {
    fn wake(self: Arc<Self>) {
        let mut awaits = self.awaits.lock().unwrap().take().expect("it is woken once");
        let waker = Waker::from(self.clone());
        let polled = std::future::Future::poll(Pin::new(&mut awaits), &mut Context::from_waker(&waker));
        match polled {
            Poll::Pending => *self.awaits.lock().unwrap() = Some(awaits),
            Poll::Ready(value) => {
                let promise = self.settles.lock().unwrap().take().unwrap();
                promise.set_result(value.unwrap() + 1).unwrap();
            }
        }
    }
}

#[test]
fn chain_is_woken() {
    in_little_room(|| {
        let first = Promise::new();
        let mut last = first.future();
        for _ in 0..LENGTH {
            let promise = Promise::new();
            let future = promise.future();
            let link = Link { awaits: Mutex::new(Some(last)), settles: Mutex::new(Some(promise)) };
            Arc::new(link).wake(); // polls for the first time
            last = future;
        }
        first.set_result(0).unwrap();
        assert_eq!(last.try_result().unwrap(), LENGTH);
    });
}

#[test]
fn chain_is_dropped() {
    struct Node(#[expect(dead_code, reason = "it is dropped")] Option<Future<Node>>, Arc<AtomicUsize>);
    impl Drop for Node {
        fn drop(&mut self) {
            self.1.fetch_add(1, SeqCst);
        }
    }
    in_little_room(|| {
        let dropped = Arc::new(AtomicUsize::new(0));
        let mut first = None;
        for _ in 0..LENGTH {
            let promise = Promise::new();
            let future = promise.future();
            assert!(promise.set_result(Node(first.take(), dropped.clone())).is_ok());
            first = Some(future);
        }
        drop(first);
        assert_eq!(dropped.load(SeqCst), LENGTH);
    });
}

#[test]
fn chain_of_payloads_is_dropped() {
    in_little_room(|| {
        let mut payload: Box<dyn Any + Send> = Box::new(());
        for _ in 0..LENGTH {
            let promise = Promise::<()>::new();
            let future = promise.future();
            promise.set_panic(payload).unwrap();
            assert!(future.exception().unwrap().is_panic(), "it is observed, so it is not reported");
            payload = Box::new(future);
        }
        drop(payload);
    });
}

#[test]
fn closures_that_cancel_closures_nest_to_a_bounded_depth() {
    const POOLS: usize = 30;
    thread_local! {
        static DEPTH: Cell<usize> = const { Cell::new(0) };
        static SEEN: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
    }
    /// Cancels the tasks of a pool.
    struct Cancels(ThreadPoolExecutor);
    impl Drop for Cancels {
        fn drop(&mut self) {
            DEPTH.set(DEPTH.get() + 1);
            let (count, deepest) = SEEN.get();
            SEEN.set((count + 1, deepest.max(DEPTH.get())));
            self.0.try_shutdown(ShutdownMode::CancelPending);
            DEPTH.set(DEPTH.get() - 1);
        }
    }
    within_limit(|| {
        let go = Arc::new(Event::new());
        let (mut pools, mut next) = (Vec::new(), None);
        for _ in 0..POOLS {
            let (pool, started, held) = (ThreadPoolExecutor::new(1), Arc::new(Event::new()), go.clone());
            let starts = started.clone();
            pool.execute(move || {
                starts.set();
                held.wait();
            })
            .unwrap();
            started.wait();
            if let Some(captured) = next.take() {
                pool.execute(move || drop::<Cancels>(captured)).unwrap();
            }
            next = Some(Cancels(pool.clone()));
            pools.push(pool);
        }
        drop(next);
        let (count, deepest) = SEEN.get();
        assert_eq!(count, POOLS);
        assert!(deepest < 12, "{deepest}");
        go.set();
    });
}

#[test]
fn callbacks_add_callbacks_to_done_futures() {
    fn next(done: Arc<Vec<Future<()>>>, place: usize, count: Arc<AtomicUsize>) {
        if let Some(future) = done.clone().get(place) {
            future.add_done_callback(move |_| {
                count.fetch_add(1, SeqCst);
                next(done, place + 1, count);
            });
        }
    }
    in_little_room(|| {
        let done = (0..LENGTH).map(|_| {
            let promise = Promise::new();
            let future = promise.future();
            promise.set_result(()).unwrap();
            future
        });
        let count = Arc::new(AtomicUsize::new(0));
        next(Arc::new(done.collect()), 0, count.clone());
        assert_eq!(count.load(SeqCst), LENGTH);
    });
}

/// At every depth, the callbacks of a future run in order and before its value is taken.
#[test]
fn order_of_callbacks_is_kept_at_every_depth() {
    within_limit(|| {
        for depth in 0..20 {
            let log = Arc::new(Mutex::new(Vec::new()));
            let last = Promise::new();
            let future = last.future();
            for n in 0..5 {
                let log = log.clone();
                future.add_done_callback(move |done| {
                    log.lock().unwrap().push(n);
                    assert_eq!(done.with_result(|value| *value.unwrap()), 7);
                });
            }
            let mut settle: Box<dyn FnOnce() + Send> = Box::new(move || last.set_result(7).unwrap());
            for _ in 0..depth {
                let promise = Promise::new();
                promise.future().add_done_callback(move |_| settle());
                settle = Box::new(move || promise.set_result(()).unwrap());
            }
            settle();
            assert_eq!(*log.lock().unwrap(), [0, 1, 2, 3, 4], "{depth}");
            assert_eq!(future.result().unwrap(), 7);
        }
    });
}
