//! Panicking destructors of the user's values, and of the payloads of panics, in all places where raddle drops them. Each
//! is reported to the excepthook once, does not unwind the thread that drops the value, and does not prevent what follows.

mod support;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};
use std::time::Duration;

use raddle::future::FutureError;
use raddle::thread::JoinError;
use raddle::{
    Barrier, Event, Future, Promise, Queue, ShutdownMode, Thread, ThreadPoolExecutor, Timer, thread, watch,
};
use support::{finish, until, within_limit};

static REPORTS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn record_reports() {
    static ONCE: Once = Once::new();
    ONCE.call_once(install);
}

fn install() {
    thread::set_excepthook(|report| {
        let text = report.to_string();
        REPORTS.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    });
}

/// Returns the number of reports about the bomb `name`.
fn reports_of(name: &str) -> usize {
    let reports = REPORTS.lock().unwrap_or_else(PoisonError::into_inner);
    reports.iter().filter(|report| report.ends_with(&format!(": {name} went off"))).count()
}

/// Checks that the bomb `name` is reported exactly once.
#[track_caller]
fn assert_reported_once(name: &str) {
    until(|| reports_of(name) > 0);
    assert_eq!(reports_of(name), 1, "{name}");
}

/// Its destructor panics.
struct Bomb(&'static str);

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("{} went off", self.0);
    }
}

/// Returns a closure that captures a bomb and does nothing.
fn captures(name: &'static str) -> impl FnOnce() + Send {
    record_reports();
    let bomb = Bomb(name);
    move || std::mem::forget(bomb)
}

/// Panics with a bomb.
fn throw(name: &'static str) {
    record_reports();
    panic_any(Bomb(name))
}

fn bomb(name: &'static str) -> Bomb {
    record_reports();
    Bomb(name)
}

/// Returns the name of a thrown bomb, without running its destructor.
fn defuse(payload: Box<dyn Any + Send>) -> &'static str {
    let bomb = payload.downcast::<Bomb>().expect("a bomb");
    let name = bomb.0;
    std::mem::forget(bomb);
    name
}

#[test]
fn panic_in_the_destructor_of_a_threads_result_is_reported() {
    drop(Thread::spawn(|| bomb("result dropped by the thread")));
    assert_reported_once("result dropped by the thread");
    let handle = Thread::spawn(|| bomb("result dropped by the handle"));
    assert!(handle.wait_timeout(support::LIMIT));
    drop(handle);
    assert_reported_once("result dropped by the handle");
}

#[test]
fn panic_in_the_destructor_of_a_threads_payload_is_reported() {
    drop(Thread::spawn(|| throw("payload dropped by the thread")));
    assert_reported_once("payload dropped by the thread");
    let handle = Thread::spawn(|| throw("payload dropped by the handle"));
    assert!(handle.wait_timeout(support::LIMIT));
    drop(handle);
    assert_reported_once("payload dropped by the handle");
    let joined = Thread::spawn(|| throw("payload in an error")).join();
    drop(joined.unwrap_err());
    assert_reported_once("payload in an error");
    match Thread::spawn(|| throw("payload taken")).join().unwrap_err() {
        JoinError::Panicked(panic) => assert_eq!(defuse(panic.into_payload()), "payload taken"),
        error => panic!("{error}"),
    }
    assert_eq!(reports_of("payload taken"), 0);
}

#[test]
fn panic_in_a_destructor_of_a_scoped_thread_is_reported() {
    let go = Event::new();
    thread::scope(|s| {
        let thread = s.spawn(|| {
            go.wait();
            bomb("scoped result")
        });
        drop(thread); // the thread itself drops the result
        go.set();
    });
    assert_reported_once("scoped result");
    let scope = catch_unwind(|| {
        thread::scope(|s| {
            drop(s.spawn(|| throw("scoped payload")));
            bomb("result of the scope")
        })
    });
    let payload = scope.err().expect("a scoped thread panicked");
    assert_eq!(*payload.downcast::<&str>().unwrap(), "a scoped thread panicked");
    assert_reported_once("scoped payload");
    assert_reported_once("result of the scope");
}

#[test]
fn panic_in_the_destructor_of_a_futures_value_is_reported() {
    let pool = ThreadPoolExecutor::new(1);
    let task = pool.submit(|| bomb("value of a task"));
    assert!(task.exception().is_none());
    drop(task);
    assert_reported_once("value of a task");
    drop(pool.submit(|| bomb("value of a task without a future")));
    assert_reported_once("value of a task without a future");
    let promise = Promise::new();
    drop(promise.future());
    assert!(promise.set_result(bomb("value of a promise")).is_ok());
    assert_reported_once("value of a promise");
    assert_eq!(pool.submit(|| 1).result().unwrap(), 1);
}

#[test]
fn panic_in_the_destructor_of_a_tasks_payload_is_reported() {
    let pool = ThreadPoolExecutor::new(1);
    let task = pool.submit(|| throw("payload never retrieved"));
    raddle::wait([&task], raddle::ReturnWhen::AllCompleted);
    drop(task);
    assert_reported_once("payload never retrieved");
    let error = pool.submit(|| throw("payload in a future's error")).result().unwrap_err();
    assert!(error.is_panic());
    drop(error);
    assert_reported_once("payload in a future's error");
    pool.execute(|| throw("payload of an executed task")).unwrap();
    pool.execute(captures("captured by an executed task")).unwrap();
    assert_reported_once("payload of an executed task");
    let promise = Promise::<()>::new();
    let future = promise.future();
    assert!(promise.set_panic(Box::new(bomb("payload of a promise"))).is_ok());
    drop(future);
    assert_reported_once("payload of a promise");
    assert_eq!(pool.submit(|| 1).result().unwrap(), 1);
    assert_eq!(reports_of("captured by an executed task"), 0, "the closure ran");
}

#[test]
fn panicking_done_callback_does_not_stop_the_others() {
    let promise = Promise::new();
    let future: Future<i32> = promise.future();
    let ran = Arc::new(AtomicUsize::new(0));
    for name in ["thrown by callback 1", "thrown by callback 2"] {
        let ran = ran.clone();
        future.add_done_callback(move |_| {
            ran.fetch_add(1, SeqCst);
            throw(name);
        });
    }
    let captured = bomb("captured by a callback");
    future.add_done_callback(move |_| drop(captured));
    let last = ran.clone();
    future.add_done_callback(move |future| {
        last.fetch_add(10, SeqCst);
        assert_eq!(future.with_result(|value| *value.unwrap()), 3);
    });
    promise.set_result(3).unwrap();
    assert_eq!((ran.load(SeqCst), future.result().unwrap()), (12, 3));
    for name in ["thrown by callback 1", "thrown by callback 2", "captured by a callback"] {
        assert_reported_once(name);
    }
    future.add_done_callback(|_| throw("thrown by a late callback"));
    assert_reported_once("thrown by a late callback");
}

/// Returns a waker whose wake panics, and with `is_live` its destructor, too.
fn waker(is_live: bool) -> Waker {
    fn clone(data: *const ()) -> RawWaker {
        RawWaker::new(data, if data.is_null() { &CALM } else { &LIVE })
    }
    fn wake(_: *const ()) {
        throw("thrown by a waker");
    }
    fn calm(_: *const ()) {}
    fn live(_: *const ()) {
        drop(bomb("dropped waker"));
    }
    static CALM: RawWakerVTable = RawWakerVTable::new(clone, wake, wake, calm);
    static LIVE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake, live);
    let data = if is_live { std::ptr::dangling() } else { std::ptr::null() };
    // SAFETY: the functions never use what the pointer points to, so they keep to the contract.
    unsafe { Waker::from_raw(clone(data)) }
}

#[test]
fn panicking_waker_does_not_stop_callbacks() {
    let promise = Promise::new();
    let (first, second) = (promise.future(), promise.future());
    let ran = Arc::new(AtomicUsize::new(0));
    let count = ran.clone();
    let calm = waker(false);
    let mut polled = pin!(first);
    assert_eq!(polled.as_mut().poll_now(&calm), Poll::Pending);
    second.add_done_callback(move |_| {
        count.fetch_add(1, SeqCst);
    });
    promise.set_result(3).unwrap();
    assert_reported_once("thrown by a waker");
    assert_eq!((ran.load(SeqCst), second.result().unwrap()), (1, 3));

    let promise = Promise::<i32>::new();
    let mut left = Box::pin(promise.future());
    let live = std::mem::ManuallyDrop::new(waker(true));
    assert!(left.as_mut().poll_now(&live).is_pending());
    drop(left);
    assert_reported_once("dropped waker");
    drop(promise);
}

trait PollNow {
    fn poll_now(self, waker: &Waker) -> Poll<i32>;
}

impl PollNow for std::pin::Pin<&mut Future<i32>> {
    fn poll_now(self, waker: &Waker) -> Poll<i32> {
        std::future::Future::poll(self, &mut Context::from_waker(waker)).map(Result::unwrap)
    }
}

#[test]
fn panic_in_the_destructor_of_a_cancelled_task_is_reported() {
    let pool = ThreadPoolExecutor::new(1);
    let (begun, go) = (Arc::new(Event::new()), Arc::new(Event::new()));
    let (started, wait) = (begun.clone(), go.clone());
    let busy = pool.submit(move || {
        started.set();
        wait.wait();
    });
    begun.wait();
    let task = pool.submit(captures("captured by a cancelled task"));
    let called = Arc::new(AtomicUsize::new(0));
    let count = called.clone();
    task.add_done_callback(move |_| {
        count.fetch_add(1, SeqCst);
        throw("thrown when cancelled");
    });
    assert!(task.cancel());
    assert_reported_once("captured by a cancelled task");
    assert_reported_once("thrown when cancelled");
    assert_eq!(called.load(SeqCst), 1);
    // The tasks that a shutdown cancels.
    let first = pool.submit(captures("cancelled by a shutdown 1"));
    pool.execute(captures("cancelled by a shutdown 2")).unwrap();
    let last = pool.submit(captures("cancelled by a shutdown 3"));
    assert!(!pool.try_shutdown(ShutdownMode::CancelPending));
    assert!(first.cancelled() && last.cancelled());
    for n in ["cancelled by a shutdown 1", "cancelled by a shutdown 2", "cancelled by a shutdown 3"] {
        assert_reported_once(n);
    }
    // A task that is submitted after the shutdown.
    assert!(matches!(pool.submit(captures("refused")).result(), Err(FutureError::ShutDown)));
    assert_reported_once("refused");
    go.set();
    busy.result().unwrap();
}

#[test]
fn panic_in_the_destructor_of_a_promises_work_is_reported() {
    let promise = Promise::new();
    assert!(promise.future().cancel());
    promise.run(captures("work that is not wanted"));
    assert_reported_once("work that is not wanted");
    let promise = Promise::new();
    let future = promise.future();
    promise.run(|| throw("thrown by the work of a promise"));
    drop(future);
    assert_reported_once("thrown by the work of a promise");
}

#[test]
fn panic_in_the_destructor_of_a_timers_function_is_reported() {
    let hour = Duration::from_hours(1);
    assert!(Timer::after(hour, captures("captured by a cancelled timer")).cancel());
    assert_reported_once("captured by a cancelled timer");
    let ticking = bomb("captured by a cancelled clock");
    let clock = Timer::every(hour, move || {
        let _ = &ticking;
    });
    assert!(clock.cancel());
    assert!(clock.wait_timeout(support::LIMIT));
    assert_reported_once("captured by a cancelled clock");
    let once = Timer::after(Duration::ZERO, || throw("thrown by a timer"));
    let again = Timer::every(Duration::ZERO, || throw("thrown by a clock"));
    assert!(once.wait_timeout(support::LIMIT) && again.wait_timeout(support::LIMIT));
    assert_reported_once("thrown by a timer");
    assert_reported_once("thrown by a clock");
    let captured = bomb("captured by a clock that panics");
    let clock = Timer::every(Duration::ZERO, move || {
        let _ = &captured;
        throw("thrown by a clock with a bomb");
    });
    assert!(clock.wait_timeout(support::LIMIT));
    assert_reported_once("captured by a clock that panics");
    assert_reported_once("thrown by a clock with a bomb");
    let ran = Arc::new(Event::new());
    let run = ran.clone();
    Timer::after(Duration::ZERO, move || run.set());
    assert!(ran.wait_timeout(support::LIMIT));
}

#[test]
fn panicking_hook_does_not_stop_its_thread() {
    let captured = bomb("captured by a hook of the watch");
    watch::set_hook(move |_| {
        let _ = &captured;
    });
    watch::reset_hook(); // the panic is written to standard error, as all problems of the watch's hook are
    // The other tests rely on the excepthook, so this part runs in its own process.
    if std::env::var_os("RADDLE_TEST_HOOKS").is_none() {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "panicking_hook_does_not_stop_its_thread", "--nocapture"])
            .env("RADDLE_TEST_HOOKS", "1")
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        assert!(errors.contains("the excepthook panicked while handling"), "{errors}");
        return;
    }
    let captured = Bomb("captured by a hook");
    thread::set_excepthook(move |_| {
        let _ = &captured;
        throw_quietly("thrown by a hook");
    });
    finish(Thread::spawn(|| drop(Thread::spawn(|| panic!("reported to a panicking hook")))));
    let timer = Timer::after(Duration::ZERO, || panic!("reported to a panicking hook"));
    timer.wait().unwrap();
    install();
    assert_reported_once("captured by a hook");
}

fn throw_quietly(name: &'static str) {
    panic_any(Bomb(name))
}

#[test]
fn panic_in_the_destructor_of_an_initializer_is_reported() {
    let captured = bomb("captured by an initializer");
    let pool = ThreadPoolExecutor::builder()
        .max_workers(1)
        .initializer(move || {
            let _ = &captured;
        })
        .build()
        .unwrap();
    assert_eq!(pool.submit(|| 1).result().unwrap(), 1);
    drop(pool);
    assert_reported_once("captured by an initializer");
    let broken = ThreadPoolExecutor::builder()
        .max_workers(1)
        .initializer(|| throw("thrown by an initializer"))
        .build()
        .unwrap();
    assert!(matches!(broken.submit(|| 1).result(), Err(FutureError::Broken(_))));
    broken.shutdown(ShutdownMode::Drain).unwrap();
    assert_reported_once("thrown by an initializer");
}

#[test]
fn panic_in_a_destructor_of_a_map_is_reported() {
    struct Items(#[expect(dead_code, reason = "it is dropped")] Bomb);
    impl Iterator for Items {
        type Item = u8;
        fn next(&mut self) -> Option<u8> {
            Some(1)
        }
    }
    let pool = ThreadPoolExecutor::new(1);
    let captured = bomb("captured by a map");
    let items = Items(bomb("iterator of a map"));
    let map = pool.map_buffered(3, items, move |n| {
        let _ = &captured;
        n
    });
    let mut map = map.unwrap();
    assert_eq!(map.next().unwrap().unwrap(), 1);
    drop(map);
    drop(pool);
    assert_reported_once("captured by a map");
    assert_reported_once("iterator of a map");
}

#[test]
fn pool_scope_resumes_the_first_panic_and_reports_the_others() {
    let pool = ThreadPoolExecutor::new(1);
    pool.scope(|s| drop(s.submit(|| bomb("result of a scoped task"))));
    assert_reported_once("result of a scoped task");
    pool.scope(|s| {
        let task = s.submit(|| bomb("result of a scoped task that is over"));
        until(|| task.done());
    });
    assert_reported_once("result of a scoped task that is over");
    let scope = catch_unwind(AssertUnwindSafe(|| {
        pool.scope(|s| {
            drop(s.submit(|| throw("first to fail")));
            drop(s.submit(|| throw("second to fail")));
            bomb("result of a scope")
        })
    }));
    let payload = scope.err().expect("a task panicked");
    assert_eq!(defuse(payload), "first to fail", "the task's own payload");
    assert_reported_once("result of a scope");
    until(|| reports_of("second to fail") == 1);
    assert_eq!(reports_of("first to fail"), 0);
    assert_eq!(pool.submit(|| 1).result().unwrap(), 1);
}

#[test]
fn barrier_action_and_with_result_panic_in_their_caller() {
    record_reports();
    within_limit(|| {
        let barrier = Arc::new(Barrier::new(2).action(|| throw("thrown by an action")));
        let other = Thread::spawn({
            let barrier = barrier.clone();
            move || catch_unwind(AssertUnwindSafe(|| barrier.wait())).map_err(defuse)
        });
        let mine = catch_unwind(AssertUnwindSafe(|| barrier.wait())).map_err(defuse);
        let both = [mine, finish(other)];
        assert_eq!(both.iter().filter(|one| **one == Err("thrown by an action")).count(), 1, "{both:?}");
        assert_eq!(
            both.iter().filter(|one| matches!(one, Ok(Err(_)))).count(),
            1,
            "the other waiter gets an error"
        );
    });
    let promise = Promise::new();
    let future = promise.future();
    promise.set_result(5).unwrap();
    let look = catch_unwind(AssertUnwindSafe(|| future.with_result(|_| throw("thrown by a look"))));
    assert_eq!(defuse(look.unwrap_err()), "thrown by a look");
    assert_eq!(future.result().unwrap(), 5);
}

#[test]
fn queue_drops_its_other_items_after_a_panicking_destructor() {
    struct Item(Arc<AtomicUsize>, bool);
    impl Drop for Item {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
            assert!(!self.1, "an item went off");
        }
    }
    for queue in [Queue::bounded(4), Queue::unbounded()] {
        let dropped = Arc::new(AtomicUsize::new(0));
        for n in 0..4 {
            assert!(queue.put(Item(dropped.clone(), n == 1)).is_ok());
        }
        assert!(catch_unwind(AssertUnwindSafe(|| drop(queue))).is_err(), "the owner panics, as with a Vec");
        assert_eq!(dropped.load(SeqCst), 4);
    }
}
