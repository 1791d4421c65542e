//! The watch: inconsistent lock orders are reported before they deadlock, and consistent ones are not.

use std::time::Duration;

use raddle::rt::{self, Place};
use raddle::watch::{Finding, Watch};
use raddle::{Condition, Lock, Mutex, RLock, ReentrantMutex, Thread, thread};

use crate::child::{Scenario, Test, ended, find, test};
use crate::threads::{here, named, reports};

/// Programs that contain their own assertions, and end with status 0 and no output.
const WORKS: &[(&str, fn())] = &[
    ("every_kind_of_lock", every_kind_of_lock),
    ("cycle_of_three", cycle_of_three),
    ("order_names_lines_of_another_language", order_names_lines_of_another_language),
    ("condition_reacquires_its_lock", condition_reacquires_its_lock),
    ("consistent_order_is_not_reported", consistent_order_is_not_reported),
    ("tries_and_timeouts_do_not_count", tries_and_timeouts_do_not_count),
    ("lock_acquired_by_a_try_is_held", lock_acquired_by_a_try_is_held),
    ("reentrant_acquire_does_not_count", reentrant_acquire_does_not_count),
    ("common_lock_is_not_reported", common_lock_is_not_reported),
    ("reused_memory_is_another_lock", reused_memory_is_another_lock),
    ("moved_lock_is_the_same_lock", moved_lock_is_the_same_lock),
    ("off_by_default", off_by_default),
];

pub(crate) fn scenario(name: &str) -> Option<Scenario> {
    find(WORKS.iter().copied().chain([("two_orders", two_orders as fn())]), name)
}

pub(crate) fn tests() -> Vec<Test> {
    let mut tests = vec![test("two_orders", two_orders_are_told_once)];
    for (name, _) in WORKS {
        tests.push(test(*name, move || {
            let ended = ended(name, Some("1"));
            assert_eq!((ended.status, ended.err.as_str()), (Some(0), ""), "{ended:?}");
        }));
    }
    tests
}

fn two_orders() {
    let (a, b): &'static _ = Box::leak(Box::new((Mutex::new(0), Mutex::new(0))));
    for round in 0..2 {
        named(["first", "again"][round], || {
            let _a = here!(a.lock());
            let _b = here!(b.lock());
        })
        .join()
        .unwrap();
        named(["second", "again"][round], || {
            let _b = here!(b.lock());
            let _a = here!(a.lock());
        })
        .join()
        .unwrap();
    }
}

fn two_orders_are_told_once() {
    let ended = ended("two_orders", Some("order"));
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert_eq!(ended.err.matches("raddle: warning").count(), 1, "{ended:?}");
    for line in ended.out.lines() {
        assert!(ended.err.contains(&format!("watch_order.rs:{line}:")), "{line} is missing: {ended:?}");
    }
    for part in ["thread \"first\" acquired Mutex", "thread \"second\" acquired Mutex", "while holding Mutex"]
    {
        assert!(ended.err.contains(part), "{part} is missing: {ended:?}");
    }
}

/// Runs `body` while lock orders are checked. Returns the number of warnings.
fn warnings(body: impl FnOnce()) -> usize {
    Watch::new().lock_order(true).start();
    let reports = reports();
    body();
    let found: Vec<_> = reports.try_iter().collect();
    assert!(found.iter().all(|report| report.finding == Finding::LockOrder && !report.orders.is_empty()));
    found.len()
}

fn every_kind_of_lock() {
    let (lock, mutex, rlock, reentrant) = (Lock::new(), Mutex::new(0), RLock::new(), ReentrantMutex::new(0));
    let found = warnings(|| {
        {
            let _held = (lock.lock(), mutex.lock(), rlock.lock(), reentrant.lock());
        }
        {
            let _held = (mutex.lock(), lock.lock());
        }
        {
            let _held = (rlock.lock(), mutex.lock());
        }
        let _held = (reentrant.lock(), rlock.lock());
    });
    assert_eq!(found, 3);
}

fn cycle_of_three() {
    let (a, b, c) = (Mutex::new(0), Mutex::new(0), Mutex::new(0));
    let found = warnings(|| {
        drop((a.lock(), b.lock()));
        drop((b.lock(), c.lock()));
        drop((c.lock(), a.lock()));
    });
    assert_eq!(found, 1);
}

fn order_names_lines_of_another_language() {
    let (a, b) = (Mutex::new(0), Mutex::new(0));
    let at = |line| Place::intern("worker.py", line, Some("run"));
    Watch::new().lock_order(true).start();
    let reports = reports();
    drop(rt::on_behalf_of(at(1), || (a.lock(), rt::on_behalf_of(at(2), || b.lock()))));
    drop(rt::on_behalf_of(at(3), || (b.lock(), rt::on_behalf_of(at(4), || a.lock()))));
    let found: Vec<_> = reports.try_iter().collect();
    let mut lines: Vec<_> =
        found[0].orders.iter().flat_map(|order| [order.held_at, order.acquired_at]).collect();
    lines.sort_unstable();
    assert_eq!(lines, [at(1), at(2), at(3), at(4)]);
}

/// A thread that waits for a condition while it holds another lock reacquires the condition's lock under that lock.
fn condition_reacquires_its_lock() {
    let (a, b, condition) = (Mutex::new(0), Mutex::new(0), Condition::new());
    let found = warnings(|| {
        let mut a = a.lock();
        let _b = b.lock();
        condition.wait_timeout(&mut a, Duration::from_millis(1));
    });
    assert_eq!(found, 1);
}

fn consistent_order_is_not_reported() {
    let locks: Vec<_> = (0..4).map(|_| Mutex::new(0)).collect();
    let found = warnings(|| {
        thread::scope(|s| {
            for skipped in 0..4 {
                let locks = &locks;
                s.spawn(move || {
                    for _ in 0..100 {
                        let taken = locks.iter().enumerate().filter(|(n, _)| *n != skipped);
                        drop(taken.map(|(_, lock)| lock.lock()).collect::<Vec<_>>());
                    }
                });
            }
        });
    });
    assert_eq!(found, 0);
}

fn tries_and_timeouts_do_not_count() {
    let (a, b) = (Mutex::new(0), Lock::new());
    let found = warnings(|| {
        drop((a.lock(), b.lock()));
        drop((b.lock(), a.try_lock().unwrap()));
        drop((b.lock(), a.lock_timeout(Duration::from_secs(1)).unwrap()));
    });
    assert_eq!(found, 0);
}

fn lock_acquired_by_a_try_is_held() {
    let (a, b) = (Mutex::new(0), Lock::new());
    let found = warnings(|| {
        drop((a.lock(), b.lock()));
        drop((b.try_lock().unwrap(), a.lock()));
    });
    assert_eq!(found, 1);
}

fn reentrant_acquire_does_not_count() {
    let (a, b) = (RLock::new(), Mutex::new(0));
    let found = warnings(|| {
        let _held = (a.lock(), b.lock(), a.lock());
    });
    assert_eq!(found, 0);
}

fn common_lock_is_not_reported() {
    let (around, a, b) = (Mutex::new(0), Mutex::new(0), Mutex::new(0));
    let found = warnings(|| {
        for _ in 0..2 {
            let _around = around.lock();
            {
                let _held = (a.lock(), b.lock());
            }
            let _held = (b.lock(), a.lock());
        }
    });
    assert_eq!(found, 0);
}

/// New locks at the addresses of old ones, acquired in the opposite order.
fn reused_memory_is_another_lock() {
    let mut place = Box::new((Mutex::new(0), Mutex::new(0)));
    let found = warnings(|| {
        for round in 0..1_000 {
            *place = (Mutex::new(0), Mutex::new(0));
            let (one, other) = if round % 2 == 0 { (&place.0, &place.1) } else { (&place.1, &place.0) };
            let _held = (one.lock(), other.lock());
        }
    });
    assert_eq!(found, 0);
}

/// A lock keeps its identity when it is moved, and a lock at its old address is another one.
fn moved_lock_is_the_same_lock() {
    let found = warnings(|| {
        let mut pair = [Mutex::new(0), Mutex::new(0)];
        {
            let _held = (pair[0].lock(), pair[1].lock());
        }
        pair.swap(0, 1);
        {
            let _held = (pair[1].lock(), pair[0].lock());
        }
        pair = [Mutex::new(0), Mutex::new(0)];
        let _held = (pair[1].lock(), pair[0].lock());
    });
    assert_eq!(found, 0);
}

fn off_by_default() {
    Watch::new().start();
    let reports = reports();
    let (a, b): &'static _ = Box::leak(Box::new((Mutex::new(0), Mutex::new(0))));
    Thread::spawn(|| drop((a.lock(), b.lock()))).join().unwrap();
    Thread::spawn(|| drop((b.lock(), a.lock()))).join().unwrap();
    assert!(reports.try_recv().is_err());
}
