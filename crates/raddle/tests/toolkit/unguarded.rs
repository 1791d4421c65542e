//! Locks that are held without a guard: a condition's waits with them, and the levels of an `RLock`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use raddle::{Condition, Lock, NotOwnerError, RLock, Unguarded, thread};

use crate::support::{repeat, until, within_limit};

fn panic_of(body: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(body)).expect_err("it panics");
    payload.downcast_ref::<&str>().map_or_else(|| "another payload".to_owned(), |text| (*text).to_owned())
}

#[test]
fn wait_releases_and_reacquires_a_lock_without_a_guard() {
    repeat(50, || {
        let (rlock, lock, changed) = (RLock::new(), Lock::new(), [Condition::new(), Condition::new()]);
        thread::scope(|s| {
            s.spawn(|| {
                rlock.acquire();
                rlock.acquire();
                changed[0].wait(&mut Unguarded(&rlock));
                assert_eq!(rlock.levels(), 2);
                rlock.release().unwrap();
                rlock.release().unwrap();
            });
            s.spawn(|| {
                lock.acquire();
                assert!(changed[1].wait_timeout(&mut Unguarded(&lock), Duration::MAX));
                assert!(lock.is_locked());
                lock.release().unwrap();
            });
            // A guard and an unguarded lock are the same to the condition.
            until(|| changed[0].notify(&rlock.lock(), 1) == 1);
            until(|| {
                lock.acquire();
                let notified = changed[1].notify_all(&Unguarded(&lock));
                lock.release().unwrap();
                notified == 1
            });
        });
        assert!(!rlock.is_locked() && !lock.is_locked());
    });
}

#[test]
fn timed_out_wait_holds_the_lock_again() {
    within_limit(|| {
        let (lock, changed) = (RLock::new(), Condition::new());
        lock.acquire();
        assert!(!changed.wait_timeout(&mut Unguarded(&lock), Duration::from_millis(1)));
        assert!(!changed.wait_for_timeout(&mut Unguarded(&lock), Duration::from_millis(1), |_| false));
        assert_eq!(lock.levels(), 1);
        lock.release().unwrap();
    });
}

#[test]
fn lock_that_is_not_held_is_refused() {
    within_limit(|| {
        let (lock, rlock, changed) = (Lock::new(), RLock::new(), Condition::new());
        for text in [
            panic_of(|| changed.wait(&mut Unguarded(&lock))),
            panic_of(|| changed.notify_one(&Unguarded(&lock))),
            panic_of(|| changed.wait(&mut Unguarded(&rlock))),
        ] {
            assert!(text.contains("not held"), "{text}");
        }
        rlock.acquire();
        thread::scope(|s| {
            s.spawn(|| panic_of(|| changed.wait(&mut Unguarded(&rlock))));
        });
        assert_eq!(rlock.levels(), 1, "the hold of another thread was ended");
    });
}

#[test]
fn saved_levels_are_restored_to_the_calling_thread() {
    within_limit(|| {
        let lock = RLock::new();
        for _ in 0..3 {
            lock.acquire();
        }
        let saved = lock.release_save().unwrap();
        assert_eq!((saved.count(), lock.levels(), lock.is_locked()), (3, 0, false));
        assert_eq!(lock.release(), Err(NotOwnerError));
        // Another thread may restore them, and owns the lock then.
        thread::scope(|s| {
            s.spawn(|| {
                lock.acquire_restore(saved);
                assert_eq!(lock.levels(), 3);
                for _ in 0..3 {
                    lock.release().unwrap();
                }
            });
        });
        // Levels that were acquired meanwhile are kept.
        lock.acquire();
        let saved = lock.release_save().unwrap();
        lock.acquire();
        lock.acquire();
        lock.acquire_restore(saved);
        assert_eq!(lock.levels(), 3);
    });
}

#[test]
fn levels_of_another_thread_are_not_saved() {
    within_limit(|| {
        let lock = RLock::new();
        assert!(lock.release_save().is_err());
        lock.acquire();
        thread::scope(|s| {
            s.spawn(|| assert!(lock.release_save().is_err() && lock.levels() == 0));
        });
        assert_eq!(lock.levels(), 1);
    });
}
