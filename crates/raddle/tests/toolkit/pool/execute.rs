//! Tasks without a future.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Weak, mpsc};

use raddle::pool::SubmitError;
use raddle::{Event, Priority, Semaphore, ShutdownMode, Thread, ThreadPoolExecutor, thread};

use super::gate::Gate;
use crate::support::{alone, finish, repeat, until, within_limit};

/// A task that captures `payload` and a witness of its destruction.
fn task<T: Send + 'static>(ran: &Arc<AtomicUsize>, payload: T) -> (impl FnOnce() + Send + 'static, Weak<()>) {
    let (ran, alive) = (ran.clone(), Arc::new(()));
    let watched = Arc::downgrade(&alive);
    let task = move || {
        let _captured = (payload, alive);
        ran.fetch_add(1, SeqCst);
    };
    (task, watched)
}

#[test]
fn every_task_without_a_future_runs_once() {
    repeat(20, || {
        let ran = Arc::new(AtomicUsize::new(0));
        let pool = ThreadPoolExecutor::new(2);
        let done = Arc::new(Semaphore::new(0));
        for n in 0..500 {
            let inner = done.clone();
            pool.execute(move || inner.release()).unwrap();
            pool.execute(task(&ran, [n; 100]).0).unwrap();
            drop(pool.submit(task(&ran, n).0));
            drop(pool.submit_with(Priority(1), task(&ran, ()).0));
            if n % 100 == 0 {
                done.acquire_many(n + 1).forget(); // the workers go idle
                (0..=n).for_each(|_| done.release());
            }
        }
        pool.shutdown(ShutdownMode::Drain).unwrap();
        assert_eq!(ran.load(SeqCst), 1500);
        assert_eq!(done.available(), 500);
    });
}

#[test]
fn tasks_with_and_without_futures_start_in_order() {
    within_limit(|| {
        let pool = ThreadPoolExecutor::new(1);
        let gate = Gate::hold(&pool, 1);
        let order = Arc::new(Mutex::new(Vec::new()));
        for n in 0..100 {
            let order = order.clone();
            let push = move || order.lock().unwrap().push(n);
            if n % 3 == 0 { drop(pool.submit(push)) } else { pool.execute(push).unwrap() }
        }
        assert_eq!(pool.pending(), 100);
        gate.open();
        pool.shutdown(ShutdownMode::Drain).unwrap();
        assert_eq!(*order.lock().unwrap(), (0..100).collect::<Vec<_>>());
    });
}

#[test]
fn cancelled_closures_are_dropped() {
    within_limit(|| {
        let pool = ThreadPoolExecutor::new(2);
        let gate = Gate::hold(&pool, 2);
        let ran = Arc::new(AtomicUsize::new(0));
        let mut alive = Vec::new();
        for n in 0..10_usize {
            let (small, watched) = task(&ran, n);
            pool.execute(small).unwrap();
            let (large, watched_too) = task(&ran, [n; 50]);
            pool.execute(large).unwrap();
            alive.extend([watched, watched_too]);
        }
        assert!(!pool.try_shutdown(ShutdownMode::CancelPending));
        assert!(alive.iter().all(|watched| watched.strong_count() == 0));
        assert_eq!(pool.pending(), 0);
        gate.open();
        pool.shutdown(ShutdownMode::Drain).unwrap();
        assert_eq!(ran.load(SeqCst), 0);
    });
}

#[test]
fn refused_closures_are_returned() {
    let pool = ThreadPoolExecutor::new(1);
    pool.shutdown(ShutdownMode::Drain).unwrap();
    let ran = Arc::new(AtomicUsize::new(0));
    let error = pool.execute(task(&ran, ()).0).unwrap_err();
    assert!(matches!(error, SubmitError::ShutDown(_)));
    assert_eq!(ran.load(SeqCst), 0);
    error.into_inner()();
    assert_eq!(ran.load(SeqCst), 1);
}

#[test]
fn full_pool_blocks_execute_in_order() {
    repeat(30, || {
        let pool = Arc::new(ThreadPoolExecutor::builder().max_workers(1).queue_limit(1).build().unwrap());
        let gate = Gate::hold(&pool, 1);
        let ran = Arc::new(AtomicUsize::new(0));
        pool.execute(task(&ran, ()).0).unwrap();
        let third = {
            let (pool, ran) = (pool.clone(), ran.clone());
            Thread::spawn(move || pool.execute(task(&ran, ()).0).is_ok())
        };
        until(|| format!("{pool:?}").contains("blocked_submits: 1"));
        assert_eq!(ran.load(SeqCst), 0);
        gate.open();
        assert!(finish(third));
        pool.shutdown(ShutdownMode::Drain).unwrap();
        assert_eq!(ran.load(SeqCst), 2);
    });
}

#[test]
fn blocked_worker_gets_the_closure_back() {
    within_limit(|| {
        let pool = Arc::new(ThreadPoolExecutor::builder().max_workers(1).queue_limit(0).build().unwrap());
        let inner = pool.clone();
        let refused = pool.submit(move || inner.execute(|| ()).is_err_and(|error| error.is_full()));
        assert!(refused.result().unwrap());
    });
}

#[test]
fn waiting_task_without_a_future_is_found_in_a_deadlock() {
    within_limit(|| {
        let pool = Arc::new(ThreadPoolExecutor::new(1));
        let (answer, answers) = mpsc::channel();
        let inner = pool.clone();
        pool.execute(move || {
            let future = inner.submit(|| 1);
            answer.send(future.result().is_err()).unwrap(); // the error is Deadlock
        })
        .unwrap();
        assert!(answers.recv().unwrap());
    });
}

struct Sore;

impl Drop for Sore {
    fn drop(&mut self) {
        panic!("dropped without a future");
    }
}

/// One test, since the hook belongs to the process. It ignores the panics of other tests.
#[test]
fn excepthook_receives_panics_and_tasks_not_run() {
    alone("pool::execute::excepthook_receives_panics_and_tasks_not_run", || {
        within_limit(|| {
            let (report, reports) = mpsc::channel();
            thread::set_excepthook(move |panic| {
                let text = panic.to_string();
                if text.contains("without a future") {
                    report.send(text).unwrap();
                }
            });
            let pool =
                ThreadPoolExecutor::builder().max_workers(1).thread_name_prefix("hasty").build().unwrap();
            let gate = Gate::hold(&pool, 1);
            pool.execute(|| panic!("small, without a future")).unwrap();
            let large = [1; 100];
            pool.execute(move || panic!("large: {}, without a future", large.len())).unwrap();
            pool.execute(|| ()).unwrap(); // the worker survives
            gate.open();
            pool.shutdown(ShutdownMode::Drain).unwrap();
            let texts = [reports.recv().unwrap(), reports.recv().unwrap()];
            assert!(texts[0].contains("small") && texts[0].contains("hasty_0"), "{texts:?}");
            assert!(texts[1].contains("large: 100"), "{texts:?}");

            // The destructor of a capture may panic as well, which is contained.
            let pool = ThreadPoolExecutor::new(1);
            let gate = Gate::hold(&pool, 1);
            let sore = Sore;
            pool.execute(move || drop(sore)).unwrap();
            let sore = Sore;
            pool.execute(move || drop(sore)).unwrap();
            assert!(!pool.try_shutdown(ShutdownMode::CancelPending));
            for _ in 0..2 {
                assert!(reports.recv().unwrap().contains("dropped"));
            }
            gate.open();
            pool.shutdown(ShutdownMode::Drain).unwrap();

            // The pool breaks while tasks wait.
            let go = Arc::new(Event::new());
            let wait = go.clone();
            let initializer = move || {
                wait.wait();
                panic!("no key, without a future");
            };
            let pool = ThreadPoolExecutor::builder().max_workers(1).initializer(initializer).build().unwrap();
            let ran = Arc::new(AtomicUsize::new(0));
            let waiting = pool.submit(|| ());
            let (task, watched) = task(&ran, ());
            pool.execute(task).unwrap();
            go.set();
            assert!(waiting.result().is_err());
            let text = reports.recv().unwrap();
            assert!(text.contains("rejected") && text.contains("no key"), "{text}");
            until(|| watched.strong_count() == 0);
            assert!(matches!(pool.execute(|| ()), Err(SubmitError::Broken(..))));
            thread::reset_excepthook();
            assert_eq!(ran.load(SeqCst), 0);
            assert!(reports.try_recv().is_err());
        });
    });
}
