//! Reads of mutable state are steps: they see the state before and after another thread changes it.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex as Std};
use std::time::Duration;

use raddle::atomic::{AtomicU8, Ordering};
use raddle::future::FutureError;
use raddle::{
    Barrier, BoundedSemaphore, Condition, Event, Lock, Mutex, Promise, Queue, RLock, ReentrantMutex,
    Semaphore, Shared, SimpleQueue, Thread, ThreadPoolExecutor, Timer, thread,
};
use raddle_explore::{Explorer, Outcome, Strategy};

use super::watchdog::Watchdog;

/// The outcomes of the scenario by partial-order reduction and by depth-first search, which must agree.
fn all<R: Ord + Debug + Send + 'static>(scenario: impl Fn() -> R + Send + Sync + 'static) -> BTreeSet<R> {
    let _watchdog = Watchdog::new();
    let scenario = Arc::new(scenario);
    let by = |strategy| {
        let seen = Arc::new(Std::new(BTreeSet::new()));
        let (scenario, into) = (scenario.clone(), seen.clone());
        let explorer =
            Explorer::new().strategy(strategy).max_executions(50_000).max_time(Duration::from_mins(5));
        let run = move || {
            into.lock().unwrap().insert(scenario());
        };
        explorer.allow_independent(true).run(run).assert_exhausted();
        std::mem::take(&mut *seen.lock().unwrap())
    };
    let (reduced, every) = (by(Strategy::Dpor), by(Strategy::Depth));
    assert_eq!(reduced, every);
    every
}

/// Returns the results of `look` on `object` while another thread changes it.
fn seen<T: Send + Sync + 'static>(
    make: impl Fn() -> T + Send + Sync + 'static,
    change: impl Fn(&T) + Send + Sync + Copy + 'static,
    look: impl Fn(&T) -> String + Send + Sync + 'static,
) -> usize {
    let both = all(move || {
        let object = Arc::new(make());
        let theirs = object.clone();
        let other = Thread::spawn(move || change(&theirs));
        let seen = look(&object);
        other.join().unwrap();
        seen
    });
    println!("{both:?}");
    both.len()
}

/// Returns the results of `{:?}` on an object while another thread changes it.
fn shown<T: Debug + Send + Sync + 'static>(
    make: impl Fn() -> T + Send + Sync + 'static,
    change: impl Fn(&T) + Send + Sync + Copy + 'static,
) -> usize {
    seen(make, change, |object| format!("{object:?}"))
}

#[test]
fn thread_count_changes_at_start_and_termination() {
    let counts = all(|| {
        let other = Thread::spawn(|| {});
        let count = thread::active_count();
        other.join().unwrap();
        (count, thread::active_count())
    });
    assert_eq!(counts, BTreeSet::from([(1, 1), (2, 1)]));
    let names = all(|| {
        let other = Thread::spawn(|| {
            drop(Thread::new(|| {}).name("inner").daemon(true).start().unwrap());
        });
        let names: Vec<_> = thread::enumerate().iter().map(thread::ThreadHandle::name).collect();
        other.join().unwrap();
        (names.len(), names.contains(&"inner".to_owned()))
    });
    assert_eq!(names, BTreeSet::from([(1, false), (2, false), (2, true), (3, true)]));
}

#[test]
fn scoped_thread_leaves_the_registry_as_a_step() {
    let counts = all(|| {
        thread::scope(|scope| {
            scope.spawn(|| {});
            thread::active_count()
        })
    });
    assert_eq!(counts, BTreeSet::from([1, 2]));
}

/// Starts and terminations of threads commute unless a thread counts them.
#[test]
fn unread_registry_adds_no_classes() {
    let classes = |looks: bool| {
        let outcome = Explorer::new().strategy(Strategy::Dpor).run(move || {
            let others: Vec<_> = (0..3).map(|_| Thread::spawn(|| {})).collect();
            if looks {
                assert!(thread::active_count() > 0);
            }
            for other in others {
                other.join().unwrap();
            }
        });
        let Outcome::Exhausted { classes, .. } = outcome else { panic!("{outcome:?}") };
        classes
    };
    assert_eq!((classes(false), classes(true)), (1, 8));
}

#[test]
fn debug_of_locks_is_a_step() {
    assert_eq!(shown(Lock::new, Lock::acquire), 2);
    assert_eq!(shown(RLock::new, |lock| drop(lock.lock())), 2);
    assert_eq!(shown(|| Mutex::new(1), |mutex| *mutex.lock() = 2), 3);
    assert_eq!(shown(|| ReentrantMutex::new(1), |mutex| drop(mutex.lock())), 2);
    assert_eq!(shown(|| Semaphore::new(1), |permits| permits.acquire().forget()), 2);
    assert_eq!(shown(|| BoundedSemaphore::new(1), |permits| permits.acquire().forget()), 2);
}

#[test]
fn debug_of_what_threads_wait_for_is_a_step() {
    assert_eq!(shown(Event::new, Event::set), 2);
    assert_eq!(shown(|| Barrier::new(2), Barrier::abort), 2);
    let waits = |pair: &(Condition, Lock)| {
        let mut guard = pair.1.lock();
        let _ = pair.0.wait_timeout(&mut guard, Duration::from_millis(1));
    };
    let look = |pair: &(Condition, Lock)| format!("{:?}", pair.0);
    assert_eq!(seen(|| (Condition::new(), Lock::new()), waits, look), 2);
}

#[test]
fn debug_of_values_is_a_step() {
    assert_eq!(shown(|| Shared::new(1), |cell| cell.set(2)), 2);
    assert_eq!(shown(|| AtomicU8::new(1), |atomic| atomic.store(2, Ordering::SeqCst)), 2);
    assert_eq!(shown(Queue::<u8>::unbounded, |queue| queue.put(1).unwrap()), 2);
    assert_eq!(shown(SimpleQueue::<u8>::new, |queue| queue.put(1)), 2);
}

#[test]
fn debug_of_threads_and_futures_is_a_step() {
    let threads = all(|| {
        let other = Thread::new(|| {}).name("other").start().unwrap();
        let shown = format!("{other:?}").contains("finished: true");
        other.join().unwrap();
        shown
    });
    assert_eq!(threads, BTreeSet::from([false, true]));
    let settle = |pair: &(raddle::Future<u8>, Std<Option<Promise<u8>>>)| {
        let promise = pair.1.lock().unwrap().take().unwrap();
        promise.set_result(1).unwrap();
    };
    let make = || {
        let promise = Promise::new();
        (promise.future(), Std::new(Some(promise)))
    };
    assert_eq!(seen(make, settle, |pair| format!("{:?}", pair.0)), 2);
    let abandon = |pair: &(raddle::Future<u8>, Std<Option<Promise<u8>>>)| {
        let promise = pair.1.lock().unwrap().take();
        drop(promise);
    };
    assert_eq!(seen(make, abandon, |pair| format!("{:?}", pair.0)), 2);
}

/// Dropping a promise is a step of its own.
#[test]
fn abandoning_a_promise_is_a_step() {
    let both = all(|| {
        let (promise, cell) = (Promise::<()>::new(), Arc::new(Shared::new(false)));
        let (future, stored) = (promise.future(), cell.clone());
        let other = Thread::spawn(move || {
            stored.set(true);
            drop(promise);
        });
        let seen = (cell.get(), future.done());
        other.join().unwrap();
        seen
    });
    assert_eq!(both, BTreeSet::from([(false, false), (false, true), (true, false), (true, true)]));
}

#[test]
fn taking_a_panic_payload_is_a_step() {
    let both = all(|| {
        let promise = Promise::<()>::new();
        let future = promise.future();
        promise.set_panic(Box::new("on purpose")).unwrap();
        let Some(FutureError::Panicked(panic)) = future.exception() else { panic!("it panicked") };
        let theirs = panic.clone();
        let other = Thread::spawn(move || theirs.take_payload().is_some());
        let mine = panic.take_payload().is_some();
        (mine, other.join().unwrap())
    });
    assert_eq!(both, BTreeSet::from([(false, true), (true, false)]));
}

#[test]
fn counts_of_a_pool_are_steps() {
    let resize = |pool: &ThreadPoolExecutor| pool.resize(2);
    assert_eq!(seen(|| ThreadPoolExecutor::new(1), resize, |pool| pool.max_workers().to_string()), 2);
    assert_eq!(shown(|| ThreadPoolExecutor::new(1), resize), 2);
    let submit = |pool: &ThreadPoolExecutor| pool.submit(|| {}).result().unwrap();
    let counts = |pool: &ThreadPoolExecutor| format!("{} {}", pool.workers(), pool.pending());
    assert_eq!(seen(|| ThreadPoolExecutor::new(1), submit, counts), 4);
}

#[test]
fn counting_pending_timers_is_a_step() {
    let start = |(): &()| drop(Timer::builder().daemon(true).after(Duration::from_secs(1), || {}).unwrap());
    assert_eq!(seen(|| (), start, |()| Timer::pending().to_string()), 2);
}
