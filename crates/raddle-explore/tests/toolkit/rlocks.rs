//! The re-entrant locks: `RLock` and `ReentrantMutex`.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;

use raddle::{Condition, NotOwnerError, RLock, ReentrantMutex, Shared, Thread, Unguarded};

use super::every::every;
use super::{SOON, together};

#[test]
fn two_threads_exclude_each_other_at_every_depth() {
    let scenario = || {
        let total = Arc::new(ReentrantMutex::new(Cell::new(0)));
        together(2, |_| {
            let total = total.clone();
            move || {
                let outer = total.lock();
                let before = outer.get();
                drop(total.lock());
                outer.set(before + 1);
            }
        });
        total.lock().get()
    };
    assert_eq!(every(scenario), BTreeSet::from([2]));
}

#[test]
fn only_the_last_release_frees_the_lock() {
    let scenario = || {
        let lock = Arc::new(RLock::new());
        lock.acquire();
        lock.acquire();
        let other = {
            let lock = lock.clone();
            Thread::spawn(move || {
                assert_eq!(lock.release(), Err(NotOwnerError));
                let got = lock.acquire_timeout(SOON);
                (got, lock.release().is_ok())
            })
        };
        lock.release().unwrap();
        assert!(lock.is_mine());
        lock.release().unwrap();
        assert_eq!(lock.release(), Err(NotOwnerError));
        other.join().unwrap()
    };
    assert_eq!(every(scenario), BTreeSet::from([(false, false), (true, true)]));
}

#[test]
fn try_lock_reenters_or_fails() {
    let scenario = || {
        let lock = Arc::new(RLock::new());
        let other = {
            let lock = lock.clone();
            Thread::spawn(move || {
                let held = lock.try_lock();
                held.is_some() && lock.try_lock().is_some()
            })
        };
        let held = lock.try_lock();
        let mine = held.is_some();
        assert_eq!(mine, lock.is_mine());
        drop(held);
        (mine, other.join().unwrap())
    };
    assert_eq!(every(scenario), BTreeSet::from([(true, true), (true, false), (false, true)]));
}

#[test]
fn condition_releases_and_reacquires_all_levels() {
    let scenario = || {
        let parts = Arc::new((RLock::new(), Condition::new()));
        let waiter = {
            let parts = parts.clone();
            Thread::spawn(move || {
                let (lock, ready) = &*parts;
                let outer = lock.lock();
                let mut inner = lock.lock();
                let notified = ready.wait_timeout(&mut inner, SOON);
                drop(inner);
                assert!(lock.is_mine(), "one level is left");
                drop(outer);
                assert!(!lock.is_mine());
                notified
            })
        };
        let (lock, ready) = &*parts;
        let notified = ready.notify(&lock.lock(), 1);
        (notified, waiter.join().unwrap())
    };
    assert_eq!(every(scenario), BTreeSet::from([(0, false), (1, true)]));
}

#[test]
fn condition_waits_with_an_unguarded_lock() {
    let scenario = || {
        let parts = Arc::new((RLock::new(), Condition::new()));
        let waiter = {
            let parts = parts.clone();
            Thread::spawn(move || {
                let (lock, ready) = &*parts;
                lock.acquire();
                lock.acquire();
                let notified = ready.wait_timeout(&mut Unguarded(lock), SOON);
                assert_eq!(lock.levels(), 2);
                lock.release().unwrap();
                lock.release().unwrap();
                notified
            })
        };
        let (lock, ready) = &*parts;
        lock.acquire();
        let notified = ready.notify(&Unguarded(lock), 1);
        lock.release().unwrap();
        (notified, waiter.join().unwrap())
    };
    assert_eq!(every(scenario), BTreeSet::from([(0, false), (1, true)]));
}

#[test]
fn saved_levels_are_restored_under_mutual_exclusion() {
    let scenario = || {
        let parts = Arc::new((RLock::new(), Shared::new(0)));
        together(2, |number| {
            let parts = parts.clone();
            move || {
                let (lock, total) = &*parts;
                let add = || total.set(total.get() + 1);
                lock.acquire();
                lock.acquire();
                add();
                if number == 0 {
                    let saved = lock.release_save().unwrap();
                    assert!(!lock.is_mine());
                    lock.acquire_restore(saved);
                    add();
                }
                assert_eq!(lock.levels(), 2);
                lock.release().unwrap();
                assert!(lock.is_mine(), "one level is left");
                lock.release().unwrap();
            }
        });
        let (lock, total) = &*parts;
        (total.get(), lock.is_locked())
    };
    assert_eq!(every(scenario), BTreeSet::from([(3, false)]));
}
