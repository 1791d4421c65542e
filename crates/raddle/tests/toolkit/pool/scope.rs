//! Scopes, whose tasks borrow.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use raddle::future::FutureError;
use raddle::pool::TaskScope;
use raddle::{Event, Mutex, ShutdownMode, Thread, ThreadPoolExecutor};

use super::gate::Gate;
use crate::support::{finish, repeat, until, within_limit};

#[test]
fn scoped_tasks_borrow_mutably() {
    repeat(100, || {
        let pool = ThreadPoolExecutor::new(3);
        let mut numbers: Vec<u32> = (0..100).collect();
        let total = Mutex::new(0);
        let returned = pool.scope(|s| {
            for chunk in numbers.chunks_mut(7) {
                s.submit(|| {
                    for number in &mut *chunk {
                        *number += 1;
                    }
                    *total.lock() += chunk.iter().sum::<u32>();
                });
            }
            "done"
        });
        assert_eq!((returned, *total.lock(), numbers[99]), ("done", 5_050, 100));
    });
}

#[test]
fn results_of_scoped_tasks_may_borrow() {
    let pool = ThreadPoolExecutor::new(2);
    let words = [String::from("a"), String::from("longer"), String::from("bb")];
    let longest = pool.scope(|s| {
        let half = s.submit(|| words[..2].iter().max_by_key(|word| word.len()).unwrap().as_str());
        let rest = s.submit(|| words[2].as_str());
        let (half, rest) = (half.result().unwrap(), rest.result_timeout(Duration::MAX).unwrap());
        if half.len() > rest.len() { half } else { rest }
    });
    assert_eq!(longest, "longer");
}

#[test]
fn scoped_result_is_taken_once() {
    let pool = ThreadPoolExecutor::new(1);
    pool.scope(|s| {
        let one = s.submit(|| 1);
        assert_eq!(one.result().unwrap(), 1);
        assert!(one.done());
        assert!(matches!(one.result(), Err(FutureError::Taken)));
        assert!(matches!(one.try_result(), Err(FutureError::Taken)));
    });
}

#[test]
fn unobserved_panic_is_resumed_by_the_scope_after_all_tasks() {
    repeat(50, || {
        let (pool, over) = (ThreadPoolExecutor::new(2), AtomicUsize::new(0));
        let caught = catch_unwind(AssertUnwindSafe(|| {
            pool.scope(|s| {
                for n in 0..10 {
                    let over = &over;
                    s.submit(move || {
                        over.fetch_add(1, Ordering::Relaxed);
                        assert_ne!(n, 3, "the third");
                    });
                }
            });
        }));
        let message = *caught.unwrap_err().downcast::<String>().unwrap();
        assert!(message.contains("the third"), "the task's own payload: {message}");
        assert_eq!(over.load(Ordering::Relaxed), 10);
    });
}

#[test]
fn observed_panic_is_not_resumed_by_the_scope() {
    let pool = ThreadPoolExecutor::new(1);
    pool.scope(|s| {
        let failing = s.submit(|| panic!("looked at"));
        assert!(failing.result().unwrap_err().is_panic());
    });
}

#[test]
fn panic_of_the_scope_function_waits_for_the_tasks() {
    repeat(50, || {
        let (pool, over) = (ThreadPoolExecutor::new(2), AtomicUsize::new(0));
        let caught = catch_unwind(AssertUnwindSafe(|| {
            pool.scope(|s| {
                for _ in 0..5 {
                    s.submit(|| over.fetch_add(1, Ordering::Relaxed));
                }
                panic!("the closure");
            })
        }));
        assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"the closure"));
        assert_eq!(over.load(Ordering::Relaxed), 5);
    });
}

#[test]
fn scoped_tasks_submit_tasks() {
    fn branch<'scope>(s: &'scope TaskScope<'scope, '_>, count: &'scope AtomicUsize, depth: usize) {
        count.fetch_add(1, Ordering::Relaxed);
        if depth > 0 {
            s.submit(move || branch(s, count, depth - 1));
            s.submit(move || branch(s, count, depth - 1));
        }
    }
    repeat(30, || {
        let (pool, count) = (ThreadPoolExecutor::new(3), AtomicUsize::new(0));
        pool.scope(|s| branch(s, &count, 6));
        assert_eq!(count.load(Ordering::Relaxed), 127);
    });
}

#[test]
fn scopes_nest_to_any_depth_in_a_pool_of_any_size() {
    fn sum(pool: &ThreadPoolExecutor, numbers: &[u64]) -> u64 {
        if numbers.len() <= 3 {
            return numbers.iter().sum();
        }
        let (left, right) = numbers.split_at(numbers.len() / 2);
        pool.scope(|s| {
            let left = s.submit(|| sum(pool, left));
            sum(pool, right) + left.result().unwrap()
        })
    }
    for workers in 1..=3 {
        repeat(30, move || {
            let pool = Arc::new(ThreadPoolExecutor::new(workers));
            let inner = pool.clone();
            let task = pool.submit(move || sum(&inner, &(0..200).collect::<Vec<_>>()));
            assert_eq!(task.result().unwrap(), 19_900);
        });
    }
}

#[test]
fn worker_that_owns_a_scope_runs_its_waiting_tasks() {
    repeat(100, || {
        let pool = Arc::new(ThreadPoolExecutor::new(1));
        let inner = pool.clone();
        let count = pool
            .submit(move || {
                let count = AtomicUsize::new(0);
                inner.scope(|s| {
                    for _ in 0..5 {
                        s.submit(|| {
                            count.fetch_add(1, Ordering::Relaxed);
                            s.submit(|| count.fetch_add(10, Ordering::Relaxed));
                        });
                    }
                });
                count.into_inner()
            })
            .result()
            .unwrap();
        assert_eq!(count, 55);
    });
}

#[test]
fn worker_runs_a_scoped_task_inline_if_the_queue_is_full() {
    within_limit(|| {
        let pool = Arc::new(ThreadPoolExecutor::builder().max_workers(1).queue_limit(0).build().unwrap());
        let inner = pool.clone();
        let count = pool.submit(move || {
            let count = AtomicUsize::new(0);
            inner.scope(|s| (0..10).for_each(|_| drop(s.submit(|| count.fetch_add(1, Ordering::Relaxed)))));
            count.into_inner()
        });
        assert_eq!(count.result().unwrap(), 10);
    });
}

#[test]
fn scoped_task_cancelled_by_its_future_is_no_failure() {
    let pool = ThreadPoolExecutor::new(1);
    let gate = Gate::hold(&pool, 1);
    let (ran, value) = (AtomicUsize::new(0), Arc::new(()));
    pool.scope(|s| {
        let captured = value.clone();
        let task = s.submit(|| {
            drop(captured);
            ran.fetch_add(1, Ordering::Relaxed);
        });
        assert!(task.cancel());
        assert_eq!(Arc::strong_count(&value), 1);
        gate.open();
    });
    assert_eq!(ran.load(Ordering::Relaxed), 0);
}

#[test]
fn scoped_tasks_that_are_not_run_are_a_failure() {
    let pool = ThreadPoolExecutor::new(1);
    let ran = AtomicUsize::new(0);
    let gate = Gate::hold(&pool, 1);
    let cancelled = catch_unwind(AssertUnwindSafe(|| {
        pool.scope(|s| {
            s.submit(|| ran.fetch_add(1, Ordering::Relaxed));
            pool.try_shutdown(ShutdownMode::CancelPending);
        });
    }));
    assert!(cancelled.unwrap_err().downcast::<String>().unwrap().contains("cancelled"));
    gate.open();
    let refused = catch_unwind(AssertUnwindSafe(|| {
        pool.scope(|s| drop(s.submit(|| ran.fetch_add(1, Ordering::Relaxed))));
    }));
    assert!(refused.unwrap_err().downcast::<String>().unwrap().contains("shut down"));
    pool.scope(|s| assert!(matches!(s.submit(|| ()).result(), Err(FutureError::ShutDown))));
    assert_eq!(ran.load(Ordering::Relaxed), 0);
}

#[test]
fn no_borrow_outlives_a_scope_in_a_race_with_shutdown() {
    repeat(200, || {
        let pool = Arc::new(ThreadPoolExecutor::new(2));
        let closer = Thread::spawn({
            let pool = pool.clone();
            move || pool.shutdown(ShutdownMode::CancelPending)
        });
        let (begun, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let _ = catch_unwind(AssertUnwindSafe(|| {
            pool.scope(|s| {
                for _ in 0..20 {
                    let task = s.submit(|| {
                        begun.fetch_add(1, Ordering::Relaxed);
                        ended.fetch_add(1, Ordering::Relaxed);
                    });
                    drop(task.try_result()); // so that a refused task is not reported
                }
            });
        }));
        assert_eq!(begun.into_inner(), ended.into_inner());
        finish(closer).unwrap();
    });
}

#[test]
fn scopes_end_in_a_pool_that_shrinks() {
    repeat(50, || {
        let pool = Arc::new(ThreadPoolExecutor::new(2));
        let (inner, go) = (pool.clone(), Arc::new(Event::new()));
        let wait = go.clone();
        let owner = pool.submit(move || {
            let (count, taken) = (AtomicUsize::new(0), Event::new());
            inner.scope(|s| {
                let taken = &taken;
                s.submit(|| {
                    taken.set();
                    wait.wait();
                    s.submit(|| count.fetch_add(1, Ordering::Relaxed));
                });
                taken.wait(); // by the other worker
            });
            count.into_inner()
        });
        until(|| pool.workers() == 2 && pool.pending() == 0);
        pool.resize(1);
        go.set();
        assert_eq!(owner.result().unwrap(), 1);
    });
}

#[test]
fn hundred_thousand_scoped_tasks_run() {
    within_limit(|| {
        let (pool, count) = (ThreadPoolExecutor::new(2), AtomicUsize::new(0));
        pool.scope(|s| {
            for _ in 0..100_000 {
                s.submit(|| count.fetch_add(1, Ordering::Relaxed));
            }
        });
        assert_eq!(count.into_inner(), 100_000);
    });
}
