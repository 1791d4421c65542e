//! The happens-before edges that the sections on memory ordering promise: from release to acquire, from set to wait, from put
//! to get, and so on.
//!
//! The tests access plain memory, not atomics. So `ThreadSanitizer`, under which `.ci/sanitize` runs them, reports each
//! unordered pair of accesses, on every processor and for all values.

use std::cell::{Cell, UnsafeCell};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use raddle::{
    Barrier, BoundedSemaphore, Condition, Event, JoinHandle, LifoQueue, Lock, Mutex, PriorityQueue, Promise,
    Queue, RLock, ReentrantMutex, ReturnWhen, Semaphore, Shared, SimpleQueue, Thread, ThreadPoolExecutor,
    Timer, as_completed, atomic, thread, wait,
};

use crate::support::{LIMIT, repeat, until};

/// Memory whose accesses are ordered only by the object under test.
#[derive(Default)]
struct Plain(UnsafeCell<u32>);

// SAFETY: accesses are ordered by the object under test, unless it has the defect that the test looks for.
#[expect(unsafe_code, reason = "plain memory shared by threads is what is tested")]
unsafe impl Sync for Plain {}

impl Plain {
    fn write(&self) {
        // SAFETY: see above.
        #[expect(unsafe_code, reason = "plain memory shared by threads is what is tested")]
        unsafe {
            *self.0.get() = 7;
        }
    }

    #[track_caller]
    fn assert_written(&self) {
        // SAFETY: see above.
        #[expect(unsafe_code, reason = "plain memory shared by threads is what is tested")]
        let value = unsafe { *self.0.get() };
        assert_eq!(value, 7);
    }
}

/// Asserts that writes before `gives` are visible after `takes`, which can return only after `gives` on another thread.
fn is_seen<S: Send + Sync + 'static>(make: fn() -> S, gives: fn(&S), takes: fn(&S)) {
    repeat(100, move || {
        let parts = Arc::new((make(), Plain::default()));
        let thread = Thread::spawn({
            let parts = parts.clone();
            move || {
                parts.1.write();
                gives(&parts.0);
                parts // dropped by the joining thread, so that no reference count orders anything
            }
        });
        takes(&parts.0);
        parts.1.assert_written();
        drop(crate::support::finish(thread));
    });
}

#[test]
fn release_of_a_lock_is_seen_by_the_next_holder() {
    let held = || {
        let lock = Lock::new();
        lock.acquire();
        lock
    };
    let release: fn(&Lock) = |lock| lock.release().unwrap();
    is_seen(held, release, Lock::acquire);
    is_seen(held, release, |lock| until(|| lock.try_acquire()));
    is_seen(held, release, |lock| assert!(lock.acquire_timeout(LIMIT)));

    is_seen(|| Mutex::new(false), |mutex| *mutex.lock() = true, |mutex| until(|| *mutex.lock()));
    is_seen(
        || Mutex::new(false),
        |mutex| *mutex.lock() = true,
        |mutex| {
            until(|| mutex.try_lock().is_some_and(|set| *set));
        },
    );
    is_seen(
        || (RLock::new(), AtomicBool::new(false)),
        |(lock, set)| {
            let _levels = (lock.lock(), lock.lock());
            set.store(true, Relaxed);
        },
        |(lock, set)| {
            until(|| {
                let _held = lock.lock();
                set.load(Relaxed)
            });
        },
    );
    is_seen(
        || ReentrantMutex::new(Cell::new(false)),
        |mutex| mutex.lock().set(true),
        |mutex| until(|| mutex.lock().get()),
    );
    is_seen(
        || (Mutex::new(false), Condition::new()),
        |(mutex, condition)| {
            let mut set = mutex.lock();
            *set = true;
            condition.notify_one(&set);
        },
        |(mutex, condition)| condition.wait_for(&mut mutex.lock(), |set| *set),
    );
}

#[test]
fn release_of_a_permit_is_seen_by_the_acquire_that_it_enables() {
    let release: fn(&Semaphore) = Semaphore::release;
    is_seen(|| Semaphore::new(0), release, |semaphore| semaphore.acquire().forget());
    is_seen(
        || Semaphore::new(0),
        release,
        |semaphore| until(|| semaphore.try_acquire().map(raddle::Permit::forget).is_some()),
    );
    is_seen(
        || Semaphore::new(0),
        release,
        |semaphore| assert!(semaphore.acquire_timeout(LIMIT).map(raddle::Permit::forget).is_some()),
    );
    is_seen(
        || Semaphore::new(1),
        |semaphore| semaphore.release_many(2).unwrap(),
        |semaphore| semaphore.acquire_many(3).forget(),
    );
    let taken = || {
        let semaphore = BoundedSemaphore::new(1);
        semaphore.acquire().forget();
        semaphore
    };
    is_seen(taken, |semaphore| semaphore.release().unwrap(), |semaphore| drop(semaphore.acquire()));
}

#[test]
fn set_of_an_event_is_seen_by_the_waits_that_it_ends() {
    is_seen(Event::new, Event::set, Event::wait);
    is_seen(Event::new, Event::set, |event| until(|| event.is_set()));
    is_seen(Event::new, Event::set, |event| assert!(event.wait_timeout(LIMIT)));
}

#[test]
fn arrival_at_a_barrier_is_seen_by_all_parties() {
    let meet: fn(&Barrier<'static>) = |barrier| assert!(barrier.wait().is_ok());
    is_seen(|| Barrier::new(2), meet, meet);
    is_seen(|| Barrier::new(2).action(thread::yield_now), meet, meet);
}

#[test]
fn arrival_at_a_barrier_is_seen_by_its_action_and_that_by_all_parties() {
    repeat(100, || {
        let (before, after) = (Plain::default(), Plain::default());
        let barrier = Barrier::new(3).action(|| {
            before.assert_written();
            after.write();
        });
        thread::scope(|s| {
            for writes in [true, false, false] {
                let (before, after, barrier) = (&before, &after, &barrier);
                s.spawn(move || {
                    if writes {
                        before.write();
                    }
                    barrier.wait().unwrap();
                    after.assert_written();
                });
            }
        });
    });
}

#[test]
fn release_store_of_an_atomic_is_seen_by_the_acquire_load() {
    let flag = || atomic::AtomicBool::new(false);
    is_seen(flag, |flag| flag.store(true, Release), |flag| until(|| flag.load(Acquire)));
    is_seen(flag, |flag| assert!(!flag.swap(true, Release)), |flag| until(|| flag.swap(false, Acquire)));
    is_seen(
        || atomic::AtomicU32::new(0),
        |number| assert_eq!(number.fetch_add(1, AcqRel), 0),
        |number| until(|| number.compare_exchange(1, 2, Acquire, Relaxed).is_ok()),
    );
}

/// If two threads each store into one cell and then load the other, at least one reads the other's store.
#[test]
fn loads_and_stores_of_cells_are_in_one_total_order() {
    repeat(1_000, || {
        let (cells, start) = ([Shared::new(0), Shared::new(0)], Barrier::new(2));
        let store_and_load = |own: usize| {
            start.wait().unwrap();
            cells[own].set(1);
            cells[1 - own].get()
        };
        let seen = thread::scope(|s| {
            let other = s.spawn(|| store_and_load(1));
            (store_and_load(0), other.join().unwrap())
        });
        assert_ne!(seen, (0, 0));
    });
}

#[test]
fn put_is_seen_by_the_get_of_the_item() {
    is_seen(|| Queue::bounded(1), |queue| queue.put(1).unwrap(), |queue| assert_eq!(queue.get(), Ok(1)));
    is_seen(Queue::unbounded, |queue| queue.put(1).unwrap(), |queue| assert_eq!(queue.get(), Ok(1)));
    is_seen(Queue::unbounded, |queue| queue.put(1).unwrap(), |queue| until(|| queue.try_get().is_ok()));
    is_seen(
        || Queue::bounded(8),
        |queue| queue.put(1).unwrap(),
        |queue| until(|| !queue.try_get_many(2).is_empty()),
    );
    is_seen(LifoQueue::unbounded, |queue| queue.put(1).unwrap(), |queue| assert_eq!(queue.get(), Ok(1)));
    is_seen(PriorityQueue::unbounded, |queue| queue.put(1).unwrap(), |queue| assert_eq!(queue.get(), Ok(1)));
    is_seen(SimpleQueue::new, |queue| queue.put(1), |queue| assert_eq!(queue.get(), 1));
}

#[test]
fn task_done_is_seen_by_join_and_shutdown_by_refused_threads() {
    let unfinished = || {
        let queue = Queue::unbounded();
        queue.put(1).unwrap();
        queue
    };
    is_seen(unfinished, |queue| queue.task_done().unwrap(), Queue::join);
    is_seen(|| Queue::<u8>::bounded(1), Queue::shutdown, |queue| assert!(queue.get().is_err()));
    is_seen(
        || Queue::<u8>::bounded(1),
        Queue::shutdown,
        |queue| until(|| queue.try_put(1).is_err_and(|error| error.is_shut_down())),
    );
}

type Settled = (Mutex<Option<Promise<u8>>>, raddle::Future<u8>);

fn pending() -> Settled {
    let promise = Promise::new();
    let future = promise.future();
    (Mutex::new(Some(promise)), future)
}

fn settle((promise, _): &Settled) {
    promise.lock().take().unwrap().set_result(1).unwrap();
}

#[test]
fn task_is_seen_by_every_method_that_finds_its_future_done() {
    is_seen(pending, settle, |(_, future)| assert_eq!(future.result().unwrap(), 1));
    is_seen(pending, settle, |(_, future)| until(|| future.done()));
    is_seen(pending, settle, |(_, future)| until(|| future.try_result().is_ok()));
    is_seen(pending, settle, |(_, future)| assert!(future.exception().is_none()));
    is_seen(pending, settle, |(_, future)| drop(wait([future], ReturnWhen::AllCompleted)));
    is_seen(pending, settle, |(_, future)| drop(as_completed([future.clone()]).next().unwrap()));
}

#[test]
fn submission_is_seen_by_the_task_and_the_task_by_its_shutdown() {
    repeat(50, || {
        let pool = ThreadPoolExecutor::new(2);
        let (before, after) = (Arc::new(Plain::default()), Arc::new(Plain::default()));
        before.write();
        let task = {
            let (before, after) = (before.clone(), after.clone());
            move || {
                before.assert_written();
                after.write();
            }
        };
        pool.execute(task).unwrap();
        pool.shutdown(raddle::ShutdownMode::Drain).unwrap();
        after.assert_written();
    });
}

#[test]
fn start_of_a_timer_is_seen_by_its_function_and_that_by_a_wait() {
    repeat(50, || {
        let (before, after) = (Arc::new(Plain::default()), Arc::new(Plain::default()));
        before.write();
        let function = {
            let (before, after) = (before.clone(), after.clone());
            move || {
                before.assert_written();
                after.write();
            }
        };
        let timer = Timer::after(std::time::Duration::ZERO, function);
        timer.wait().unwrap();
        after.assert_written();
    });
}

#[test]
fn start_is_seen_by_the_thread_and_the_thread_by_its_joiner() {
    let ways: [fn(JoinHandle<()>); 3] = [
        |thread| thread.join().unwrap(),
        |thread| assert!(thread.wait_timeout(LIMIT)),
        |thread| until(|| thread.is_finished()),
    ];
    for join in ways {
        repeat(100, move || {
            let (before, after) = (Arc::new(Plain::default()), Arc::new(Plain::default()));
            before.write();
            let thread = {
                let (before, after) = (before.clone(), after.clone());
                Thread::spawn(move || {
                    before.assert_written();
                    after.write();
                })
            };
            join(thread);
            after.assert_written();
        });
    }
}
