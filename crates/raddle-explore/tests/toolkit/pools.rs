//! `ThreadPoolExecutor`: every task is run, cancelled or rejected, and every worker terminates.

use std::collections::BTreeSet;
use std::sync::Arc;

use raddle::future::FutureError;
use raddle::{Event, Shared, ShutdownMode, Thread, ThreadPoolExecutor};

use super::SOON;
use super::every::every;

fn bounded(limit: usize) -> Arc<ThreadPoolExecutor> {
    Arc::new(ThreadPoolExecutor::builder().max_workers(1).queue_limit(limit).build().unwrap())
}

#[test]
fn task_runs_or_is_cancelled_never_both() {
    let scenario = || {
        let (pool, ran) = (ThreadPoolExecutor::new(1), Arc::new(Shared::new(0)));
        let future = {
            let ran = ran.clone();
            pool.submit(move || ran.set(ran.get() + 1))
        };
        let cancelled = future.cancel();
        let done = future.result().is_ok();
        drop(pool);
        (cancelled, done, ran.get())
    };
    assert_eq!(every(scenario), BTreeSet::from([(true, false, 0), (false, true, 1)]));
}

#[test]
fn worker_that_becomes_idle_misses_no_submission() {
    let scenario = || {
        let pool = Arc::new(ThreadPoolExecutor::new(1));
        pool.submit(|| ()).result().unwrap();
        let other = {
            let pool = pool.clone();
            Thread::spawn(move || pool.submit(|| 1).result().unwrap())
        };
        pool.submit(|| 2).result().unwrap() + other.join().unwrap()
    };
    assert_eq!(every(scenario), BTreeSet::from([3]));
}

#[test]
fn last_worker_can_terminate_while_try_shutdown_returns() {
    let scenario = || {
        let pool = ThreadPoolExecutor::new(1);
        pool.submit(|| ()).result().unwrap();
        pool.try_shutdown(ShutdownMode::Drain)
    };
    assert_eq!(every(scenario), BTreeSet::from([false, true]));
}

#[test]
fn shrinking_pool_runs_every_submission() {
    let scenario = || {
        let pool = Arc::new(ThreadPoolExecutor::new(2));
        let first = [1, 2].map(|number| pool.submit(move || number));
        let other = {
            let pool = pool.clone();
            Thread::spawn(move || pool.submit(|| 3).result().unwrap())
        };
        pool.resize(1);
        first.map(|future| future.result().unwrap()).iter().sum::<i32>() + other.join().unwrap()
    };
    assert_eq!(every(scenario), BTreeSet::from([6]));
}

#[test]
fn draining_shutdown_runs_or_refuses_a_submission() {
    let scenario = || {
        let pool = Arc::new(ThreadPoolExecutor::new(1));
        let submitter = {
            let pool = pool.clone();
            Thread::spawn(move || pool.try_submit(|| 1).map(|future| future.result()))
        };
        pool.shutdown(ShutdownMode::Drain).unwrap();
        let outcome = submitter.join().unwrap();
        assert_eq!(pool.workers(), 0);
        match outcome {
            Ok(Ok(value)) => Some(value),
            Ok(Err(error)) => panic!("it was accepted: {error}"),
            Err(_refused) => None,
        }
    };
    assert_eq!(every(scenario), BTreeSet::from([Some(1), None]));
}

#[test]
fn last_of_two_handles_waits_for_the_task() {
    let scenario = || {
        let pool = ThreadPoolExecutor::new(1);
        let future = pool.submit(|| 1);
        let dropper = {
            let pool = pool.clone();
            Thread::spawn(move || drop(pool))
        };
        drop(pool);
        dropper.join().unwrap();
        future.try_result().ok()
    };
    assert_eq!(every(scenario), BTreeSet::from([Some(1)]));
}

#[test]
fn worker_of_a_leaked_pool_terminates_with_the_program() {
    let scenario = || {
        let pool = ThreadPoolExecutor::new(1);
        let value = pool.submit(|| 1).result().unwrap();
        std::mem::forget(pool);
        value
    };
    assert_eq!(every(scenario), BTreeSet::from([1]));
}

#[test]
fn cancelling_shutdown_runs_or_cancels_each_task() {
    let scenario = || {
        let pool = ThreadPoolExecutor::new(1);
        let futures = [1, 2].map(|number| pool.submit(move || number));
        pool.shutdown(ShutdownMode::CancelPending).unwrap();
        futures.map(|future| match future.result() {
            Ok(value) => value,
            Err(FutureError::Cancelled) => 0,
            Err(error) => panic!("{error}"),
        })
    };
    assert_eq!(every(scenario), BTreeSet::from([[0, 0], [1, 0], [1, 2]]));
}

#[test]
fn idle_worker_is_used_before_another_is_started() {
    let scenario = || {
        let pool = ThreadPoolExecutor::new(2);
        let sum = pool.submit(|| 1).result().unwrap() + pool.submit(|| 2).result().unwrap();
        (sum, pool.workers())
    };
    assert_eq!(every(scenario), BTreeSet::from([(3, 1)]));
}

#[test]
fn timed_submission_is_accepted_or_returned() {
    let scenario = || {
        let (pool, go) = (bounded(0), Arc::new(Event::new()));
        let first = {
            let go = go.clone();
            pool.submit(move || go.wait())
        };
        let second = {
            let pool = pool.clone();
            Thread::spawn(move || pool.submit_timeout(SOON, || 2).map(|future| future.result().unwrap()).ok())
        };
        go.set();
        first.result().unwrap();
        second.join().unwrap()
    };
    assert_eq!(every(scenario), BTreeSet::from([None, Some(2)]));
}

#[test]
fn cancelled_tasks_make_room() {
    let scenario = || {
        let (pool, go) = (bounded(1), Arc::new(Event::new()));
        let first = {
            let go = go.clone();
            pool.submit(move || go.wait())
        };
        let second = pool.submit(|| 2);
        assert!(second.cancel());
        let third = pool.submit(|| 3); // there is room, whether the first task has started or not
        go.set();
        first.result().unwrap();
        third.result().unwrap()
    };
    assert_eq!(every(scenario), BTreeSet::from([3]));
}

#[test]
fn waiting_for_a_task_of_the_own_pool_is_reported() {
    let scenario = || {
        let pool = Arc::new(ThreadPoolExecutor::new(1));
        let outer = {
            let inner = pool.clone();
            pool.submit(move || matches!(inner.submit(|| ()).result(), Err(FutureError::Deadlock)))
        };
        outer.result().unwrap()
    };
    assert_eq!(every(scenario), BTreeSet::from([true]));
}

#[test]
fn scope_returns_after_its_tasks() {
    let scenario = || {
        let (pool, value) = (ThreadPoolExecutor::new(1), Shared::new(0));
        pool.scope(|s| {
            s.submit(|| value.set(1));
        });
        value.get()
    };
    assert_eq!(every(scenario), BTreeSet::from([1]));
}

#[test]
fn cancelled_task_admits_a_blocked_submitter() {
    let scenario = || {
        let (pool, go) = (bounded(1), Arc::new(Event::new()));
        let first = {
            let go = go.clone();
            pool.submit(move || go.wait())
        };
        let second = pool.submit(|| 2);
        let third = {
            let (pool, go) = (pool.clone(), go.clone());
            Thread::spawn(move || {
                let third = pool.submit(|| 3);
                go.set(); // the first task waits for this, and only the second one is queued
                third.result().unwrap()
            })
        };
        assert!(second.cancel());
        first.result().unwrap();
        third.join().unwrap()
    };
    assert_eq!(every(scenario), BTreeSet::from([3]));
}

#[test]
fn cancelling_shutdown_runs_cancels_or_refuses_a_submission() {
    let scenario = || {
        let pool = Arc::new(ThreadPoolExecutor::new(1));
        let submitter = {
            let pool = pool.clone();
            Thread::spawn(move || pool.try_submit(|| 1).map(|future| future.result()))
        };
        pool.shutdown(ShutdownMode::CancelPending).unwrap();
        match submitter.join().unwrap() {
            Ok(Ok(value)) => Some(Some(value)),
            Ok(Err(FutureError::Cancelled)) => Some(None),
            Ok(Err(error)) => panic!("{error}"),
            Err(_refused) => None,
        }
    };
    assert_eq!(every(scenario), BTreeSet::from([None, Some(None), Some(Some(1))]));
}

#[test]
fn tasks_without_a_future_run_or_are_returned() {
    let scenario = || {
        let pool = Arc::new(ThreadPoolExecutor::new(1));
        let ran = Arc::new(Shared::new(0));
        let task = |n: u32| {
            let ran = ran.clone();
            move || ran.set(ran.get() + n)
        };
        pool.execute(task(1)).unwrap();
        let submitter = {
            let (pool, task) = (pool.clone(), task(2));
            Thread::spawn(move || pool.execute(task).is_ok())
        };
        pool.shutdown(ShutdownMode::Drain).unwrap();
        (submitter.join().unwrap(), ran.get())
    };
    assert_eq!(every(scenario), BTreeSet::from([(false, 1), (true, 3)]));
}
