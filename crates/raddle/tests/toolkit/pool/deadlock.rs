//! Workers that wait for tasks of their own pool.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use raddle::future::FutureError;
use raddle::{Barrier, Event, Future, Promise, ReturnWhen, Thread, ThreadPoolExecutor, as_completed, wait};

use crate::support::{finish, repeat, within_limit};

fn pool(workers: usize) -> Arc<ThreadPoolExecutor> {
    raddle::watch::set_hook(|_| ()); // these deadlocks are expected
    Arc::new(ThreadPoolExecutor::new(workers))
}

#[test]
fn only_worker_waiting_for_a_later_task_is_a_deadlock() {
    repeat(100, || {
        let pool = pool(1);
        let inner = pool.clone();
        let (error, next) = pool
            .submit(move || {
                let next = inner.submit(|| 5);
                (next.result().unwrap_err(), next)
            })
            .result()
            .unwrap();
        assert!(matches!(error, FutureError::Deadlock));
        assert_eq!(next.result().unwrap(), 5);
    });
}

#[test]
fn free_worker_prevents_a_deadlock() {
    repeat(300, || {
        let pool = pool(2);
        let inner = pool.clone();
        assert_eq!(pool.submit(move || inner.submit(|| 5).result().unwrap()).result().unwrap(), 5);
    });
}

#[test]
fn one_wait_fails_and_the_others_succeed() {
    repeat(100, || {
        let pool = pool(3);
        let meeting = Arc::new(Barrier::new(3));
        let tasks: Vec<_> = (0..3)
            .map(|_| {
                let (inner, meeting) = (pool.clone(), meeting.clone());
                pool.submit(move || {
                    meeting.wait().unwrap();
                    inner.submit(|| ()).result().is_ok()
                })
            })
            .collect();
        let well = tasks.iter().filter(|task| task.result().unwrap()).count();
        assert_eq!(well, 2);
    });
}

#[test]
fn task_waiting_for_itself_is_a_deadlock() {
    let pool = pool(4);
    let (promise, inner) = (Promise::<Future<()>>::new(), pool.clone());
    let itself = promise.future();
    let task = pool.submit(move || {
        let error = itself.result().unwrap().exception();
        assert!(matches!(error, Some(FutureError::Deadlock)), "{error:?}");
        drop(inner);
    });
    promise.set_result(task.clone()).unwrap();
    task.result().unwrap();
}

#[test]
fn wait_with_a_timeout_is_no_deadlock() {
    let pool = pool(1);
    let inner = pool.clone();
    let error = pool
        .submit(move || inner.submit(|| ()).result_timeout(Duration::from_millis(5)).unwrap_err())
        .result()
        .unwrap();
    assert!(matches!(error, FutureError::TimedOut));
}

#[test]
fn busy_worker_prevents_a_deadlock() {
    repeat(50, || {
        let (pool, go) = (pool(2), Arc::new(Event::new()));
        let (inner, wait) = (pool.clone(), go.clone());
        let other = pool.submit(move || wait.wait());
        let task = pool.submit(move || inner.submit(|| 3).result().unwrap());
        go.set();
        assert_eq!(task.result().unwrap(), 3);
        other.result().unwrap();
    });
}

#[test]
fn deadlock_in_map_fails_one_item() {
    let pool = pool(1);
    let inner = pool.clone();
    let results = pool.submit(move || inner.map(0..3, |n| n).collect::<Vec<_>>()).result().unwrap();
    assert!(results.iter().all(|result| matches!(result, Err(FutureError::Deadlock))));
}

#[test]
fn deadlock_in_a_wait_for_several_futures_panics() {
    let pool = pool(1);
    let (all, each) = (pool.clone(), pool.clone());
    let error = pool.submit(move || wait([all.submit(|| ())], ReturnWhen::AllCompleted).0.len()).result();
    assert!(error.unwrap_err().to_string().contains("deadlock"));
    let error = pool.submit(move || as_completed([each.submit(|| ())]).count()).result();
    assert!(error.unwrap_err().to_string().contains("deadlock"));
}

#[test]
fn wait_for_several_futures_succeeds_while_a_worker_is_free() {
    repeat(100, || {
        let pool = pool(2);
        let inner = pool.clone();
        let task = pool.submit(move || {
            let futures: Vec<_> = (0..5).map(|n| inner.submit(move || n)).collect();
            let (done, left) = wait(&futures, ReturnWhen::AllCompleted);
            assert!(left.is_empty());
            as_completed(done).map(|future| future.result().unwrap()).sum::<i32>()
        });
        assert_eq!(task.result().unwrap(), 10);
    });
}

#[test]
fn wait_that_another_thread_can_end_is_no_deadlock() {
    within_limit(|| {
        let pool = pool(1);
        let (promise, inner) = (Promise::new(), pool.clone());
        let foreign = promise.future();
        let task = pool.submit(move || {
            let own = inner.submit(|| 1);
            wait([own, foreign], ReturnWhen::FirstCompleted).0.len()
        });
        promise.set_result(2).unwrap();
        assert_eq!(task.result().unwrap(), 1);
    });
}

#[test]
fn blocked_submission_to_the_own_pool_is_a_deadlock() {
    let pool = Arc::new(ThreadPoolExecutor::builder().max_workers(1).queue_limit(1).build().unwrap());
    let inner = pool.clone();
    let (first, second) = pool.submit(move || (inner.submit(|| 1), inner.submit(|| 2))).result().unwrap();
    assert_eq!(first.result().unwrap(), 1);
    assert!(matches!(second.result(), Err(FutureError::Deadlock)));
}

#[test]
fn deadlock_caused_by_shrinking_is_detected() {
    repeat(50, || {
        let (pool, go) = (pool(2), Arc::new(Event::new()));
        let (inner, wait, here) = (pool.clone(), go.clone(), Arc::new(Event::new()));
        let busy = pool.submit({
            let here = here.clone();
            move || {
                here.set();
                wait.wait();
            }
        });
        here.wait();
        let task = pool.submit(move || inner.submit(|| 1).result().is_ok());
        crate::support::until(|| task.running() && pool.pending() == 1);
        pool.resize(1);
        go.set();
        busy.result().unwrap();
        assert!(!task.result().unwrap());
    });
}

#[test]
fn tree_of_waiting_tasks_terminates() {
    fn sum(pool: &Arc<ThreadPoolExecutor>, from: u64, to: u64, found: &Arc<AtomicUsize>) -> u64 {
        if to - from <= 4 {
            return (from..to).sum();
        }
        let middle = from.midpoint(to);
        let left = {
            let (pool, found) = (pool.clone(), found.clone());
            move || sum(&pool, from, middle, &found)
        };
        let task = pool.submit(left.clone());
        let right = sum(pool, middle, to, found);
        loop {
            match task.result() {
                Ok(left) => return left + right,
                Err(FutureError::Deadlock) if task.cancel() => {
                    found.fetch_add(1, Ordering::Relaxed);
                    return left() + right;
                }
                Err(FutureError::Deadlock) => {} // a worker has just started it
                Err(other) => panic!("{other}"),
            }
        }
    }
    let found = Arc::new(AtomicUsize::new(0));
    let count = found.clone();
    repeat(30, move || {
        let (pool, found) = (pool(3), count.clone());
        let inner = pool.clone();
        assert_eq!(pool.submit(move || sum(&inner, 0, 500, &found)).result().unwrap(), 124_750);
    });
    assert!(found.load(Ordering::Relaxed) > 0);
}

#[test]
fn cancellation_by_another_thread_ends_the_wait() {
    repeat(100, || {
        let (pool, promise) = (pool(2), Promise::new());
        let (inner, hand_over) = (pool.clone(), promise.future());
        let gate = super::gate::Gate::hold(&pool, 1);
        let task = pool.submit(move || {
            let own = inner.submit(|| 1);
            promise.set_result(own.clone()).unwrap();
            own.result()
        });
        let canceller = Thread::spawn(move || hand_over.result().unwrap().cancel());
        assert!(finish(canceller));
        assert!(matches!(task.result().unwrap(), Err(FutureError::Cancelled)));
        gate.open();
    });
}
