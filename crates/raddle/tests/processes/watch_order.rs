//! The watch: locks taken in orders that contradict each other are told before they deadlock, and nothing else is.

use std::time::Duration;

use raddle::watch::{Finding, Watch};
use raddle::{Condition, Lock, Mutex, RLock, ReentrantMutex, Thread, thread};

use crate::child::{Scenario, Test, ended, find, test};
use crate::threads::{here, named, reports};

/// Programs that judge themselves, and end well and without a word.
const WORKS: &[(&str, fn())] = &[
    ("every_kind_of_lock", every_kind_of_lock),
    ("a_circle_of_three", a_circle_of_three),
    ("a_condition_takes_its_lock_back", a_condition_takes_its_lock_back),
    ("one_order_is_fine", one_order_is_fine),
    ("tries_and_limits_do_not_wait", tries_and_limits_do_not_wait),
    ("what_was_tried_is_held", what_was_tried_is_held),
    ("taking_again_is_no_taking", taking_again_is_no_taking),
    ("a_lock_around_both", a_lock_around_both),
    ("memory_is_used_again", memory_is_used_again),
    ("locks_move", locks_move),
    ("not_unless_asked", not_unless_asked),
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

/// Runs `body` with the order of locks watched; returns how many warnings it gave.
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

fn a_circle_of_three() {
    let (a, b, c) = (Mutex::new(0), Mutex::new(0), Mutex::new(0));
    let found = warnings(|| {
        drop((a.lock(), b.lock()));
        drop((b.lock(), c.lock()));
        drop((c.lock(), a.lock()));
    });
    assert_eq!(found, 1);
}

/// Who waits on a condition with another lock held takes the condition's lock while it holds the other.
fn a_condition_takes_its_lock_back() {
    let (a, b, condition) = (Mutex::new(0), Mutex::new(0), Condition::new());
    let found = warnings(|| {
        let mut a = a.lock();
        let _b = b.lock();
        condition.wait_timeout(&mut a, Duration::from_millis(1));
    });
    assert_eq!(found, 1);
}

fn one_order_is_fine() {
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

fn tries_and_limits_do_not_wait() {
    let (a, b) = (Mutex::new(0), Lock::new());
    let found = warnings(|| {
        drop((a.lock(), b.lock()));
        drop((b.lock(), a.try_lock().unwrap()));
        drop((b.lock(), a.lock_timeout(Duration::from_secs(1)).unwrap()));
    });
    assert_eq!(found, 0);
}

fn what_was_tried_is_held() {
    let (a, b) = (Mutex::new(0), Lock::new());
    let found = warnings(|| {
        drop((a.lock(), b.lock()));
        drop((b.try_lock().unwrap(), a.lock()));
    });
    assert_eq!(found, 1);
}

fn taking_again_is_no_taking() {
    let (a, b) = (RLock::new(), Mutex::new(0));
    let found = warnings(|| {
        let _held = (a.lock(), b.lock(), a.lock());
    });
    assert_eq!(found, 0);
}

fn a_lock_around_both() {
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

/// New locks where old ones were, taken the other way round.
fn memory_is_used_again() {
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

/// A lock is the same lock wherever it is moved, and what comes to its old place is another one.
fn locks_move() {
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

fn not_unless_asked() {
    Watch::new().start();
    let reports = reports();
    let (a, b): &'static _ = Box::leak(Box::new((Mutex::new(0), Mutex::new(0))));
    Thread::spawn(|| drop((a.lock(), b.lock()))).join().unwrap();
    Thread::spawn(|| drop((b.lock(), a.lock()))).join().unwrap();
    assert!(reports.try_recv().is_err());
}
