//! The limit of the task queue, and tasks that are cancelled while they wait.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use raddle::future::FutureError;
use raddle::pool::SubmitError;
use raddle::{Barrier, ShutdownMode, Thread, ThreadPoolExecutor};

use super::gate::Gate;
use crate::support::{finish, repeat, until};

const SOON: Duration = Duration::from_millis(5);

fn bounded(workers: usize, limit: usize) -> ThreadPoolExecutor {
    ThreadPoolExecutor::builder().max_workers(workers).queue_limit(limit).build().unwrap()
}

#[test]
fn full_pool_returns_the_task() {
    let pool = bounded(1, 2);
    let gate = Gate::hold(&pool, 1);
    let waiting = [pool.try_submit(|| 1).unwrap(), pool.submit_timeout(SOON, || 2).unwrap()];
    let error = pool.try_submit(|| 3).unwrap_err();
    assert!(error.is_full() && error.to_string().contains("queue_limit"));
    assert_eq!(error.into_inner()(), 3);
    assert!(matches!(pool.submit_timeout(SOON, || 4), Err(SubmitError::Full(_))));
    assert!(matches!(pool.submit_timeout(Duration::ZERO, || 5), Err(SubmitError::Full(_))));
    assert!(matches!(pool.submit_deadline(raddle::time::now(), || 6), Err(SubmitError::Full(_))));
    assert_eq!(pool.pending(), 2);
    gate.open();
    assert_eq!(waiting.iter().map(|task| task.result().unwrap()).sum::<i32>(), 3);
    assert_eq!(pool.submit_timeout(Duration::MAX, || 7).unwrap().result().unwrap(), 7);
}

#[test]
fn only_tasks_without_a_worker_count_as_waiting() {
    repeat(50, || {
        let pool = bounded(3, 1);
        let meeting = Arc::new(Barrier::new(3));
        // The first three find a worker, or one that can be started, and the fourth waits.
        let tasks: Vec<_> = (0..4)
            .map(|n| {
                let meeting = meeting.clone();
                pool.try_submit(move || n < 3 && meeting.wait().is_ok()).unwrap()
            })
            .collect();
        for task in &tasks {
            task.result().unwrap();
        }
    });
}

#[test]
fn queue_limit_of_zero_requires_a_free_worker() {
    let pool = bounded(1, 0);
    let gate = Gate::hold(&pool, 1);
    assert!(pool.try_submit(|| ()).unwrap_err().is_full());
    gate.open();
    for n in 0..100 {
        assert_eq!(pool.submit(move || n).result().unwrap(), n);
    }
}

#[test]
fn blocked_submissions_are_accepted_in_order() {
    repeat(30, || {
        let pool = Arc::new(bounded(1, 1));
        let gate = Gate::hold(&pool, 1);
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut submitters = Vec::new();
        let first = pool.submit(|| ());
        for n in 0..4 {
            let (inner, order) = (pool.clone(), order.clone());
            let submitter =
                Thread::spawn(move || inner.submit(move || order.lock().unwrap().push(n)).result());
            until(|| format!("{pool:?}").contains(&format!("blocked_submits: {}", n + 1)));
            submitters.push(submitter);
        }
        assert!(pool.try_submit(|| ()).unwrap_err().is_full());
        gate.open();
        for submitter in submitters {
            finish(submitter).unwrap();
        }
        first.result().unwrap();
        assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3]);
    });
}

#[test]
fn bounded_pool_under_load_loses_no_task() {
    repeat(20, || {
        let pool = Arc::new(bounded(2, 3));
        let most = Arc::new(AtomicUsize::new(0));
        let submitters: Vec<_> = (0..4)
            .map(|_| {
                let (pool, most) = (pool.clone(), most.clone());
                Thread::spawn(move || {
                    let futures: Vec<_> = (0..100)
                        .map(|n| {
                            most.fetch_max(pool.pending(), Ordering::Relaxed);
                            pool.submit(move || n)
                        })
                        .collect();
                    futures.iter().map(|future| future.result().unwrap()).sum::<i32>()
                })
            })
            .collect();
        assert!(submitters.into_iter().all(|submitter| finish(submitter) == 4_950));
        assert!(most.load(Ordering::Relaxed) <= 5);
    });
}

#[test]
fn submission_timeouts_race_with_space() {
    repeat(100, || {
        let pool = bounded(1, 0);
        let ran = Arc::new(AtomicUsize::new(0));
        let accepted = (0..20)
            .filter(|_| {
                let ran = ran.clone();
                let task = move || ran.fetch_add(1, Ordering::Relaxed);
                pool.submit_timeout(Duration::from_micros(20), task).is_ok()
            })
            .count();
        pool.shutdown(ShutdownMode::Drain).unwrap();
        assert_eq!(ran.load(Ordering::Relaxed), accepted);
    });
}

#[test]
fn cancelled_task_is_not_run_and_drops_its_captures() {
    let pool = ThreadPoolExecutor::new(1);
    let (gate, owned) = (Gate::hold(&pool, 1), Arc::new(()));
    let captured = owned.clone();
    let task = pool.submit(move || drop(captured));
    assert!(task.cancel() && task.cancelled());
    assert_eq!(Arc::strong_count(&owned), 1);
    gate.open();
    assert!(matches!(task.result(), Err(FutureError::Cancelled)));
    pool.submit(|| ()).result().unwrap();
    assert_eq!(pool.pending(), 0);
}

#[test]
fn cancelled_tasks_make_space_in_a_full_pool() {
    let pool = bounded(1, 3);
    let gate = Gate::hold(&pool, 1);
    let waiting: Vec<_> = (0..3).map(|n| pool.submit(move || n)).collect();
    assert!(pool.try_submit(|| 3).unwrap_err().is_full());
    assert!(waiting[1].cancel());
    let fourth = pool.try_submit(|| 3).unwrap();
    assert!(pool.try_submit(|| 4).unwrap_err().is_full());
    assert!(waiting[0].cancel() && waiting[2].cancel());
    let fifth = pool.submit(|| 4);
    assert_eq!(pool.pending(), 2);
    gate.open();
    assert_eq!((fourth.result().unwrap(), fifth.result().unwrap()), (3, 4));
}

#[test]
fn task_is_either_cancelled_or_run() {
    repeat(200, || {
        let pool = ThreadPoolExecutor::new(2);
        let ran = Arc::new(AtomicUsize::new(0));
        let futures: Vec<_> = (0..50)
            .map(|_| {
                let ran = ran.clone();
                pool.submit(move || ran.fetch_add(1, Ordering::Relaxed))
            })
            .collect();
        let cancelled = futures.iter().rev().filter(|future| future.cancel()).count();
        let done = futures.iter().filter(|future| future.result().is_ok()).count();
        assert_eq!(done + cancelled, 50);
        assert_eq!(ran.load(Ordering::Relaxed), done);
    });
}
