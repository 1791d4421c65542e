//! Shutting a pool down, and dropping it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use raddle::future::FutureError;
use raddle::pool::{OwnWorkerError, SubmitError};
use raddle::{Event, ShutdownMode, Thread, ThreadPoolExecutor};

use super::gate::Gate;
use crate::support::{finish, repeat, until, within_limit};

#[test]
fn draining_shutdown_runs_waiting_tasks() {
    repeat(100, || {
        let pool = ThreadPoolExecutor::new(2);
        let futures: Vec<_> = (0..20).map(|n| pool.submit(move || n)).collect();
        pool.shutdown(ShutdownMode::Drain).unwrap();
        assert!(futures.iter().all(|future| future.try_result().is_ok()));
        assert_eq!((pool.workers(), pool.pending()), (0, 0));
        pool.shutdown(ShutdownMode::Drain).unwrap();
        assert!(pool.try_shutdown(ShutdownMode::CancelPending));
    });
}

#[test]
fn cancelling_shutdown_drops_waiting_tasks_and_lets_running_ones_finish() {
    let pool = ThreadPoolExecutor::new(1);
    let gate = Gate::hold(&pool, 1);
    let futures: Vec<_> = (0..5).map(|n| pool.submit(move || n)).collect();
    assert!(!pool.try_shutdown(ShutdownMode::CancelPending));
    assert!(futures.iter().all(raddle::Future::cancelled));
    assert_eq!(pool.shutdown_timeout(ShutdownMode::Drain, Duration::from_millis(5)), Ok(false));
    assert_eq!(pool.shutdown_timeout(ShutdownMode::Drain, Duration::ZERO), Ok(false));
    gate.open();
    assert_eq!(pool.shutdown_timeout(ShutdownMode::Drain, Duration::MAX), Ok(true));
}

#[test]
fn draining_shutdown_can_become_a_cancelling_one() {
    let pool = ThreadPoolExecutor::new(1);
    let gate = Gate::hold(&pool, 1);
    let waiting = pool.submit(|| ());
    assert!(!pool.try_shutdown(ShutdownMode::Drain));
    assert!(!waiting.done());
    assert!(!pool.try_shutdown(ShutdownMode::CancelPending));
    assert!(waiting.cancelled());
    gate.open();
}

#[test]
fn shut_down_pool_accepts_no_tasks() {
    let pool = ThreadPoolExecutor::new(1);
    pool.shutdown(ShutdownMode::Drain).unwrap();
    let future = pool.submit(|| 1);
    assert!(future.done() && matches!(future.result(), Err(FutureError::ShutDown)));
    let Err(SubmitError::ShutDown(task)) = pool.try_submit(|| 2) else { panic!("accepted") };
    assert_eq!(task(), 2);
    assert!(matches!(pool.submit_timeout(Duration::MAX, || 3), Err(SubmitError::ShutDown(_))));
    assert!(pool.map(0..2, |n| n).all(|result| matches!(result, Err(FutureError::ShutDown))));
}

#[test]
fn shutdown_refuses_blocked_submissions() {
    repeat(50, || {
        let pool = Arc::new(ThreadPoolExecutor::builder().max_workers(1).queue_limit(0).build().unwrap());
        let gate = Gate::hold(&pool, 1);
        let submitter = Thread::spawn({
            let pool = pool.clone();
            move || (pool.submit(|| 1).result(), pool.submit_timeout(Duration::MAX, || 2).is_err())
        });
        until(|| format!("{pool:?}").contains("blocked_submits: 1"));
        pool.try_shutdown(ShutdownMode::Drain);
        let (result, refused) = finish(submitter);
        assert!(matches!(result, Err(FutureError::ShutDown)) && refused);
        gate.open();
    });
}

#[test]
fn worker_cannot_wait_for_its_own_pool_but_can_shut_it_down() {
    let pool = Arc::new(ThreadPoolExecutor::new(1));
    let inner = pool.clone();
    let (plain, limited, begun) = pool
        .submit(move || {
            let plain = inner.shutdown(ShutdownMode::Drain);
            let limited = inner.shutdown_timeout(ShutdownMode::Drain, Duration::MAX);
            assert!(inner.submit(|| ()).exception_timeout(Duration::ZERO).is_some_and(|e| !e.is_panic()));
            (plain, limited, inner.try_shutdown(ShutdownMode::Drain))
        })
        .result()
        .unwrap();
    assert_eq!((plain, limited, begun), (Err(OwnWorkerError), Err(OwnWorkerError), false));
    assert!(OwnWorkerError.to_string().contains("try_shutdown"));
    pool.shutdown(ShutdownMode::Drain).unwrap();
}

#[test]
fn dropped_pool_runs_waiting_tasks() {
    repeat(100, || {
        let ran = Arc::new(AtomicUsize::new(0));
        let pool = ThreadPoolExecutor::new(2);
        for _ in 0..10 {
            let ran = ran.clone();
            drop(pool.submit(move || ran.fetch_add(1, Ordering::Relaxed)));
        }
        drop(pool);
        assert_eq!(ran.load(Ordering::Relaxed), 10);
    });
}

#[test]
fn only_the_last_handle_shuts_the_pool_down() {
    repeat(100, || {
        let pool = ThreadPoolExecutor::new(1);
        let gate = Gate::hold(&pool, 1);
        let clone = pool.clone();
        drop(pool); // it does not wait for the task
        let future = clone.submit(|| 2);
        gate.open();
        drop(clone);
        assert_eq!(future.try_result(), Ok(2));
    });
}

#[test]
fn task_may_hold_a_handle_to_its_own_pool() {
    repeat(50, || {
        let pool = ThreadPoolExecutor::new(1);
        let inner = pool.clone();
        let nested = pool.submit(move || inner.submit(|| 3));
        drop(pool);
        assert_eq!(nested.result().unwrap().result(), Ok(3));
    });
}

#[test]
fn worker_may_drop_its_pool() {
    repeat(50, || {
        let pool = Arc::new(ThreadPoolExecutor::new(1));
        let (inner, go) = (pool.clone(), Arc::new(Event::new()));
        let wait = go.clone();
        let first = pool.submit(move || {
            wait.wait();
            drop(inner);
        });
        let second = pool.submit(|| 2);
        drop(pool);
        go.set();
        first.result().unwrap();
        assert_eq!(second.result().unwrap(), 2);
    });
}

#[test]
fn shutdown_waits_for_the_thread_locals_of_the_workers() {
    thread_local!(static LAST: std::cell::RefCell<Option<CountsDrop>> = const { std::cell::RefCell::new(None) });
    struct CountsDrop(Arc<AtomicUsize>);
    impl Drop for CountsDrop {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    for n in 1..=50 {
        let pool = ThreadPoolExecutor::new(1);
        let counts = CountsDrop(dropped.clone());
        drop(pool.submit(move || LAST.set(Some(counts))));
        drop(pool);
        assert_eq!(dropped.load(Ordering::Relaxed), n);
    }
}

#[test]
fn every_future_is_settled_in_a_race_with_shutdown() {
    for how in [ShutdownMode::Drain, ShutdownMode::CancelPending] {
        repeat(100, move || shut_down_under_load(how));
    }
}

fn shut_down_under_load(how: ShutdownMode) {
    let pool = Arc::new(ThreadPoolExecutor::builder().max_workers(2).queue_limit(2).build().unwrap());
    let ran = Arc::new(AtomicUsize::new(0));
    let submitters: Vec<_> = (0..3)
        .map(|_| {
            let (pool, ran) = (pool.clone(), ran.clone());
            Thread::spawn(move || {
                let submit = |_| {
                    let ran = ran.clone();
                    pool.submit(move || ran.fetch_add(1, Ordering::Relaxed))
                };
                let futures: Vec<_> = (0..10).map(submit).collect();
                futures.iter().filter(|future| future.result().is_ok()).count()
            })
        })
        .collect();

    pool.shutdown(how).unwrap();
    let done: usize = submitters.into_iter().map(finish).sum();
    assert_eq!(ran.load(Ordering::Relaxed), done);
}

#[test]
fn many_pools_are_created_and_dropped() {
    within_limit(|| {
        for n in 0..500 {
            assert_eq!(ThreadPoolExecutor::new(2).submit(move || n).result().unwrap(), n);
        }
    });
}
