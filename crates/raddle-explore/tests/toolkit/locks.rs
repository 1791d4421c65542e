//! The raw mutex, through `Lock` and `Mutex`.

use std::collections::BTreeSet;
use std::sync::Arc;

use raddle::{Condition, Lock, Mutex, NotHeldError, Thread};

use super::every::every;
use super::{SOON, together};

/// Reads and writes the guarded value in two steps.
fn count(total: &Mutex<(u32, u32)>) {
    let mut total = total.lock();
    total.0 += 1;
    assert_eq!(total.0, total.1 + 1, "two threads held it at once");
    total.1 += 1;
}

fn all_count(threads: usize) -> u32 {
    let total = Arc::new(Mutex::new((0, 0)));
    together(threads, |_| {
        let total = total.clone();
        move || count(&total)
    });
    let total = total.try_lock().expect("all have released it");
    total.0
}

#[test]
fn two_threads_exclude_each_other() {
    assert_eq!(every(|| all_count(2)), BTreeSet::from([2]));
}

#[test]
fn three_threads_exclude_each_other_and_none_is_forgotten() {
    assert_eq!(every(|| all_count(3)), BTreeSet::from([3]));
}

#[test]
fn lock_is_acquired_or_free_after_a_timeout() {
    let scenario = || {
        let lock = Arc::new(Lock::new());
        lock.acquire();
        let other = {
            let lock = lock.clone();
            Thread::spawn(move || lock.acquire_timeout(SOON))
        };
        lock.release().unwrap();
        (other.join().unwrap(), lock.is_locked())
    };
    assert_eq!(every(scenario), BTreeSet::from([(false, false), (true, true)]));
}

#[test]
fn timed_out_waiter_consumes_no_wakeup() {
    let scenario = || {
        let lock = Arc::new(Lock::new());
        lock.acquire();
        let hasty = {
            let lock = lock.clone();
            Thread::spawn(move || lock.lock_timeout(SOON).is_some())
        };
        let patient = {
            let lock = lock.clone();
            Thread::spawn(move || drop(lock.lock()))
        };
        lock.release().unwrap();
        patient.join().unwrap();
        hasty.join().unwrap()
    };
    assert_eq!(every(scenario), BTreeSet::from([false, true]));
}

#[test]
fn try_lock_never_blocks() {
    let scenario = || {
        let lock = Arc::new(Lock::new());
        let other = {
            let lock = lock.clone();
            Thread::spawn(move || lock.try_lock().is_some())
        };
        let mine = lock.try_lock().is_some();
        (mine, other.join().unwrap(), lock.is_locked())
    };
    let outcomes = [(true, true, false), (true, false, false), (false, true, false)];
    assert_eq!(every(scenario), BTreeSet::from(outcomes));
}

#[test]
fn second_release_is_an_error() {
    let scenario = || {
        let lock = Arc::new(Lock::new());
        lock.acquire();
        let other = {
            let lock = lock.clone();
            Thread::spawn(move || lock.release())
        };
        let results = [lock.release(), other.join().unwrap()];
        results.iter().filter(|result| **result == Err(NotHeldError)).count()
    };
    assert_eq!(every(scenario), BTreeSet::from([1]));
}

#[test]
fn timed_mutex_lock_sees_the_released_data_or_times_out() {
    let scenario = || {
        let value = Arc::new(Mutex::new(1));
        let held = value.lock();
        let other = {
            let value = value.clone();
            Thread::spawn(move || value.lock_timeout(SOON).map(|mut value| std::mem::replace(&mut *value, 3)))
        };
        let mut held = held;
        *held = 2;
        drop(held);
        (other.join().unwrap(), *value.lock())
    };
    assert_eq!(every(scenario), BTreeSet::from([(None, 2), (Some(2), 3)]));
}

/// At the grain of atoms a waiter starves once it was woken in vain, so the lock is handed over to it.
#[test]
fn holder_that_reacquires_yields_to_its_waiters() {
    let scenario = |waiters: usize| {
        let total = Arc::new(Mutex::new((0, 0)));
        let mut held = total.lock();
        let others: Vec<_> = (0..waiters)
            .map(|_| {
                let total = total.clone();
                Thread::spawn(move || count(&total))
            })
            .collect();
        for _ in 0..4 {
            drop(held);
            held = total.lock();
        }
        drop(held);
        for other in others {
            other.join().unwrap();
        }
        total.try_lock().expect("all have released it").0
    };
    assert_eq!(every(move || scenario(1)), BTreeSet::from([1]));
    assert_eq!(every(move || scenario(2)), BTreeSet::from([2]));
}

#[test]
fn timed_out_waiter_passes_on_its_hand_over() {
    let scenario = || {
        let lock = Arc::new(Lock::new());
        lock.acquire();
        let hasty = {
            let lock = lock.clone();
            Thread::spawn(move || lock.lock_timeout(SOON).is_some())
        };
        let patient = {
            let lock = lock.clone();
            Thread::spawn(move || drop(lock.lock()))
        };
        for _ in 0..2 {
            lock.release().unwrap();
            lock.acquire();
        }
        lock.release().unwrap();
        patient.join().unwrap();
        let hasty = hasty.join().unwrap();
        assert!(lock.try_acquire(), "the lock is free");
        hasty
    };
    assert_eq!(every(scenario), BTreeSet::from([false, true]));
}

#[test]
fn try_lock_does_not_starve_a_waiter() {
    let scenario = || {
        let lock = Arc::new(Lock::new());
        lock.acquire();
        let waiter = {
            let lock = lock.clone();
            Thread::spawn(move || {
                lock.acquire();
                lock.release()
            })
        };
        let mut tries = 0;
        for _ in 0..3 {
            lock.release().unwrap();
            if !lock.try_acquire() {
                break;
            }
            tries += 1;
        }
        if tries == 3 {
            lock.release().unwrap();
        }
        assert_eq!(waiter.join().unwrap(), Ok(()));
        lock.is_locked()
    };
    assert_eq!(every(scenario), BTreeSet::from([false]));
}

#[test]
fn lock_is_handed_over_to_a_notified_waiter() {
    let scenario = || {
        let parts = Arc::new((Mutex::new(0), Condition::new()));
        let waiter = {
            let parts = parts.clone();
            Thread::spawn(move || {
                let mut items = parts.0.lock();
                parts.1.wait_for(&mut items, |items| *items > 0);
                *items -= 1;
            })
        };
        let mut items = parts.0.lock();
        *items += 1;
        parts.1.notify_one(&items);
        for _ in 0..3 {
            drop(items);
            items = parts.0.lock();
        }
        drop(items);
        waiter.join().unwrap();
        *parts.0.lock()
    };
    assert_eq!(every(scenario), BTreeSet::from([0]));
}
