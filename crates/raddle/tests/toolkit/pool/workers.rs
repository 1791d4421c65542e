//! How many workers there are, and what they run.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use raddle::future::FutureError;
use raddle::pool::BuildError;
use raddle::{Barrier, Event, Priority, ShutdownMode, Thread, ThreadPoolExecutor, thread};

use super::gate::Gate;
use crate::support::{finish, repeat, until, within_limit};

#[test]
fn tasks_own_their_captures_and_return_values() {
    let pool = ThreadPoolExecutor::new(3);
    let text = String::from("owned");
    let length = pool.submit(move || text.len());
    let nothing = pool.submit(|| ());
    assert_eq!(length.result().unwrap(), 5);
    nothing.result().unwrap();
}

#[test]
fn task_submitted_after_a_result_finds_the_same_worker() {
    within_limit(|| {
        let pool = ThreadPoolExecutor::new(8);
        assert_eq!(pool.workers(), 0);
        for n in 0..2_000 {
            assert_eq!(pool.submit(move || n).result().unwrap(), n);
        }
        assert_eq!(pool.workers(), 1);
    });
}

#[test]
fn workers_are_spawned_on_demand_up_to_the_maximum() {
    let pool = ThreadPoolExecutor::new(3);
    for count in 1..=3 {
        let gate = Gate::hold(&pool, count);
        assert_eq!(pool.workers(), count);
        gate.open();
        until(|| pool.idle() == count);
    }
    let gate = Gate::hold(&pool, 3);
    let waiting: Vec<_> = (0..5).map(|n| pool.submit(move || n)).collect();
    assert_eq!((pool.workers(), pool.pending(), pool.idle()), (3, 5, 0));
    gate.open();
    assert_eq!(waiting.iter().map(|future| future.result().unwrap()).sum::<i32>(), 10);
    assert_eq!(pool.pending(), 0);
}

#[test]
fn all_workers_run_at_once() {
    repeat(50, || {
        let pool = ThreadPoolExecutor::new(4);
        let meeting = Arc::new(Barrier::new(4));
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let meeting = meeting.clone();
                pool.submit(move || meeting.wait().unwrap())
            })
            .collect();
        assert_eq!(tasks.iter().map(|task| task.result().unwrap()).sum::<usize>(), 6);
    });
}

#[test]
fn blocking_callback_does_not_delay_the_next_task() {
    repeat(100, || {
        let pool = Arc::new(ThreadPoolExecutor::new(2));
        let (go, inner) = (Arc::new(Event::new()), pool.clone());
        let task = pool.submit({
            let go = go.clone();
            move || go.wait()
        });
        task.add_done_callback(move |_| assert_eq!(inner.submit(|| 5).result().unwrap(), 5));
        go.set();
        task.result().unwrap();
        assert_eq!(pool.submit(|| 6).result().unwrap(), 6);
    });
}

#[test]
fn tasks_start_by_priority_and_then_in_fifo_order() {
    let pool = ThreadPoolExecutor::new(1);
    let (gate, order) = (Gate::hold(&pool, 1), Arc::new(Mutex::new(Vec::new())));
    let log = |name: &'static str| {
        let order = order.clone();
        move || order.lock().unwrap().push(name)
    };
    let tasks = [
        pool.submit_with(Priority(-1), log("last")),
        pool.submit(log("usual 1")),
        pool.submit_with(Priority(5), log("soon 1")),
        pool.try_submit_with(Priority(9), log("first")).unwrap(),
        pool.submit(log("usual 2")),
        pool.submit_with(Priority(5), log("soon 2")),
        pool.submit_with(Priority(0), log("usual 3")),
    ];
    gate.open();
    for task in &tasks {
        task.result().unwrap();
    }
    let expected = ["first", "soon 1", "soon 2", "usual 1", "usual 2", "usual 3", "last"];
    assert_eq!(*order.lock().unwrap(), expected);
}

#[test]
fn panic_fails_the_future_and_the_worker_survives() {
    struct PanicsWhenDropped;
    impl Drop for PanicsWhenDropped {
        fn drop(&mut self) {
            panic!("in a destructor");
        }
    }
    let pool = ThreadPoolExecutor::new(1);
    for _ in 0..20 {
        assert!(pool.submit(|| panic!("on purpose")).result().unwrap_err().is_panic());
    }
    drop(pool.submit(|| PanicsWhenDropped));
    let captured = PanicsWhenDropped;
    let task = pool.submit(move || drop(captured));
    assert!(task.exception().unwrap().is_panic());
    assert_eq!(pool.submit(|| 1).result().unwrap(), 1);
    assert_eq!(pool.workers(), 1);
}

#[test]
fn workers_are_named_and_enumerated() {
    let pool = ThreadPoolExecutor::builder().max_workers(2).thread_name_prefix("db").build().unwrap();
    let gate = Gate::hold(&pool, 2);
    let names: Vec<_> = thread::enumerate().iter().map(thread::ThreadHandle::name).collect();
    assert!(names.contains(&"db_0".into()) && names.contains(&"db_1".into()));
    gate.open();
    let name = ThreadPoolExecutor::default().submit(|| thread::current().name()).result().unwrap();
    let (prefix, number) = name.rsplit_once('_').unwrap();
    assert!(prefix.starts_with("ThreadPoolExecutor-") && number == "0");
}

#[test]
fn thread_spawned_by_a_task_inherits_daemon_from_the_creator() {
    let heirs = || {
        let pool = ThreadPoolExecutor::new(1);
        pool.submit(|| {
            assert!(thread::current().is_daemon());
            Thread::spawn(|| thread::current().is_daemon()).join().unwrap()
        })
        .result()
        .unwrap()
    };
    assert!(!Thread::new(heirs).daemon(false).start().unwrap().join().unwrap());
    assert!(Thread::new(heirs).daemon(true).start().unwrap().join().unwrap());
}

#[test]
fn invalid_settings_are_errors() {
    let none = ThreadPoolExecutor::builder().max_workers(0).build().unwrap_err();
    assert_eq!(none, BuildError::NoWorkers);
    assert!(none.to_string().contains("a pool needs at least one worker"), "{none}");
    let nul = ThreadPoolExecutor::builder().thread_name_prefix("a\0b").build().unwrap_err();
    assert_eq!(nul, BuildError::NulInName);
    assert!(std::panic::catch_unwind(|| ThreadPoolExecutor::new(0)).is_err());
    let pool = ThreadPoolExecutor::default();
    assert!((5..=32).contains(&pool.max_workers()));
    assert!(std::panic::catch_unwind(|| pool.resize(0)).is_err());
}

#[test]
fn failed_spawn_is_an_error_that_returns_the_task() {
    let pool = ThreadPoolExecutor::builder().max_workers(2).stack_size(1 << 55).build().unwrap();
    let error = pool.try_submit(|| 4).unwrap_err();
    assert!(error.to_string().contains("failed to start pool worker"), "{error}");
    assert_eq!(error.into_inner()(), 4);
    assert!(matches!(pool.submit(|| 4).result(), Err(FutureError::Spawn(_))));
    assert_eq!((pool.workers(), pool.pending()), (0, 0));
    pool.shutdown(ShutdownMode::Drain).unwrap();
}

#[test]
fn initializer_runs_once_in_every_worker_before_its_tasks() {
    thread_local!(static READY: std::cell::Cell<usize> = const { std::cell::Cell::new(0) });
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let pool = ThreadPoolExecutor::builder()
        .max_workers(3)
        .initializer(move || {
            count.fetch_add(1, Ordering::Relaxed);
            READY.set(READY.get() + 1);
        })
        .build()
        .unwrap();
    drop(Gate::hold(&pool, 3));
    assert!(pool.map(0..100, |_| READY.get()).all(|ready| ready.unwrap() == 1));
    assert_eq!(calls.load(Ordering::Relaxed), 3);
}

#[test]
fn failed_initializer_breaks_the_pool() {
    repeat(50, || {
        let go = Arc::new(Event::new());
        let wait = go.clone();
        let pool = ThreadPoolExecutor::builder()
            .max_workers(2)
            .thread_name_prefix("weak")
            .initializer(move || {
                wait.wait();
                panic!("no database");
            })
            .build()
            .unwrap();
        let pending: Vec<_> = (0..5).map(|n| pool.submit(move || n)).collect();
        go.set();
        for future in &pending {
            let error = future.result().unwrap_err();
            assert!(matches!(error, FutureError::Broken(_)));
            assert!(
                error.to_string().contains("no database") && error.to_string().contains("weak_"),
                "{error}"
            );
        }
        assert!(matches!(pool.submit(|| 1).result(), Err(FutureError::Broken(_))));
        let error = pool.try_submit(|| 7).unwrap_err();
        assert!(error.to_string().contains("no database"));
        assert_eq!(error.into_inner()(), 7);
        pool.shutdown(ShutdownMode::Drain).unwrap();
        assert_eq!(pool.workers(), 0);
    });
}

#[test]
fn pool_grows() {
    let pool = ThreadPoolExecutor::new(1);
    let gate = Gate::hold(&pool, 1);
    let meeting = Arc::new(Barrier::new(3));
    let tasks: Vec<_> = (0..3)
        .map(|_| {
            let meeting = meeting.clone();
            pool.submit(move || meeting.wait().is_ok())
        })
        .collect();
    assert_eq!((pool.workers(), pool.pending()), (1, 3));
    pool.resize(4);
    for task in &tasks {
        task.result().unwrap();
    }
    assert_eq!((pool.workers(), pool.max_workers()), (4, 4));
    gate.open();
}

#[test]
fn pool_shrinks_when_its_workers_are_done() {
    let pool = ThreadPoolExecutor::new(4);
    drop(Gate::hold(&pool, 4));
    pool.resize(3);
    until(|| pool.workers() == 3);
    let gate = Gate::hold(&pool, 3);
    let waiting: Vec<_> = (0..50).map(|n| pool.submit(move || n)).collect();
    pool.resize(1);
    assert_eq!(pool.workers(), 3);
    gate.open();
    assert_eq!(waiting.iter().map(|task| task.result().unwrap()).sum::<i32>(), 1_225);
    until(|| pool.workers() == 1);
    pool.resize(2);
    drop(Gate::hold(&pool, 2));
}

#[test]
fn resizing_under_load_loses_no_task() {
    repeat(20, || {
        let pool = Arc::new(ThreadPoolExecutor::new(2));
        let resizer = Thread::spawn({
            let pool = pool.clone();
            move || (0..60).for_each(|n| pool.resize(1 + n % 5))
        });
        let futures: Vec<_> = (0..600_u64).map(|n| pool.submit(move || n)).collect();
        assert_eq!(futures.iter().map(|future| future.result().unwrap()).sum::<u64>(), 179_700);
        finish(resizer);
        assert!(pool.workers() <= 5);
    });
}

#[test]
fn million_tasks_run() {
    within_limit(|| {
        let pool = ThreadPoolExecutor::new(4);
        let count = Arc::new(AtomicUsize::new(0));
        for _ in 0..1_000_000 {
            let count = count.clone();
            drop(pool.submit(move || count.fetch_add(1, Ordering::Relaxed)));
        }
        drop(pool);
        assert_eq!(count.load(Ordering::Relaxed), 1_000_000);
        assert_eq!(Arc::strong_count(&count), 1);
    });
}

#[test]
fn many_submitting_threads_lose_no_task() {
    repeat(30, || {
        let pool = Arc::new(ThreadPoolExecutor::new(3));
        let submitters: Vec<_> = (0..4)
            .map(|_| {
                let pool = pool.clone();
                Thread::spawn(move || {
                    (0..200).map(|n| pool.submit(move || n).result().unwrap()).sum::<usize>()
                })
            })
            .collect();
        assert_eq!(submitters.into_iter().map(finish).sum::<usize>(), 4 * 19_900);
    });
}
