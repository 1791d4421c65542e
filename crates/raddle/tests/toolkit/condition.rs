//! `Condition`: waiting for a state under any kind of lock.

use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use raddle::{Condition, Event, Lock, Mutex, RLock, ReentrantMutex, thread, time};

use crate::support::{repeat, within_limit};

const SHORT: Duration = Duration::from_millis(3);

fn past() -> std::time::Instant {
    time::now().checked_sub(Duration::from_secs(1)).unwrap()
}

/// Runs `body` in another thread and waits for it.
fn elsewhere<T: Send>(body: impl FnOnce() -> T + Send) -> T {
    thread::scope(|s| s.spawn(body).join().unwrap())
}

/// Returns the message with which `body` panics.
fn panic_of(body: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(body)).expect_err("it panics");
    payload
        .downcast::<&str>()
        .map_or_else(|payload| *payload.downcast().expect("a text"), |text| (*text).to_owned())
}

/// Returns the number of waiters, which only `Debug` shows.
fn waiting(condition: &Condition) -> usize {
    let text = format!("{condition:?}");
    text.strip_prefix("Condition { waiting: ").unwrap().strip_suffix(" }").unwrap().parse().unwrap()
}

fn until_waiting(condition: &Condition, count: usize) {
    crate::support::until(|| waiting(condition) == count);
}

#[test]
fn no_item_is_lost_or_seen_twice() {
    repeat(10, || {
        let (items, ready, room) = (Mutex::new(VecDeque::new()), Condition::new(), Condition::new());
        let sum = AtomicUsize::new(0);
        thread::scope(|s| {
            for _ in 0..2 {
                s.spawn(|| {
                    for n in 0..50 {
                        let mut items = items.lock();
                        room.wait_for(&mut items, |items| items.len() < 2);
                        items.push_back(n);
                        ready.notify_one(&items);
                    }
                });
            }
            for _ in 0..2 {
                s.spawn(|| {
                    for _ in 0..50 {
                        let mut items = items.lock();
                        while items.is_empty() {
                            ready.wait(&mut items);
                        }
                        sum.fetch_add(items.pop_front().unwrap(), Relaxed);
                        room.notify_one(&items);
                    }
                });
            }
        });
        assert_eq!(sum.into_inner(), 2 * (49 * 50 / 2));
        assert!(items.into_inner().is_empty());
    });
}

/// One waiter waits, its lock is free meanwhile, and it is woken.
macro_rules! waits_with {
    ($name:ident, $lock:expr, $levels:expr) => {
        #[test]
        fn $name() {
            repeat(50, || {
                let (lock, condition) = ($lock, Condition::new());
                thread::scope(|s| {
                    let waiter = s.spawn(|| {
                        let levels: Vec<_> = (1..$levels).map(|_| lock.lock()).collect();
                        let mut held = lock.lock();
                        condition.wait(&mut held);
                        assert!(lock.is_locked() && elsewhere(|| lock.try_lock().is_none()));
                        drop(held);
                        for level in levels {
                            assert!(elsewhere(|| lock.try_lock().is_none()), "a level is missing");
                            drop(level);
                        }
                        assert!(elsewhere(|| lock.try_lock().is_some()), "there is a level too many");
                    });
                    until_waiting(&condition, 1);
                    let held = lock.lock_timeout(crate::support::LIMIT).expect("it was given up");
                    assert_eq!(condition.notify(&held, 5), 1);
                    assert_eq!(waiting(&condition), 0);
                    drop(held);
                    waiter.join().unwrap();
                });
            });
        }
    };
}

waits_with!(a_mutex_is_given_up_and_taken_back, Mutex::new(()), 1);
waits_with!(a_lock_is_given_up_and_taken_back, Lock::new(), 1);
waits_with!(all_levels_of_an_rlock_are_given_up_and_taken_back, RLock::new(), 3);
waits_with!(all_levels_of_a_reentrant_mutex_are_given_up_and_taken_back, ReentrantMutex::new(()), 3);

#[test]
fn waiters_are_notified_in_fifo_order() {
    within_limit(|| {
        let (order, condition) = (Mutex::new(Vec::new()), Condition::new());
        thread::scope(|s| {
            for n in 0..6 {
                let (order, condition) = (&order, &condition);
                s.spawn(move || {
                    let mut order = order.lock();
                    condition.wait(&mut order);
                    order.push(n);
                });
                until_waiting(condition, n + 1);
            }
            for n in 0..4 {
                condition.notify_one(&order.lock());
                crate::support::until(|| order.lock().len() == n + 1);
            }
            assert_eq!(condition.notify(&order.lock(), 0), 0);
            assert_eq!(condition.notify_all(&order.lock()), 2);
        });
        let mut order = order.into_inner();
        order[4..].sort_unstable(); // the two continued together
        assert_eq!(order, [0, 1, 2, 3, 4, 5]);
    });
}

#[test]
fn notify_returns_the_number_of_woken_threads() {
    within_limit(|| {
        let (mutex, condition) = (Mutex::new(()), Condition::new());
        assert_eq!(condition.notify(&mutex.lock(), 3), 0);
        assert_eq!(condition.notify_all(&mutex.lock()), 0);
        condition.notify_one(&mutex.lock()); // no thread waits, and the notification is not stored
        thread::scope(|s| {
            for _ in 0..5 {
                s.spawn(|| condition.wait(&mut mutex.lock()));
            }
            until_waiting(&condition, 5);
            assert_eq!(condition.notify(&mutex.lock(), 2), 2);
            assert_eq!(waiting(&condition), 3);
            assert_eq!(condition.notify(&mutex.lock(), 9), 3);
        });
    });
}

#[test]
fn timed_out_wait_reacquires_the_lock() {
    within_limit(|| {
        let (mutex, rlock, condition) = (Mutex::new(0), RLock::new(), Condition::new());
        let mut held = mutex.lock();
        let start = time::now();
        assert!(!condition.wait_timeout(&mut held, Duration::ZERO));
        assert!(!condition.wait_deadline(&mut held, past()));
        assert!(!condition.wait_timeout(&mut held, SHORT));
        assert!(!condition.wait_deadline(&mut held, time::now() + SHORT));
        assert!(time::now() - start >= SHORT * 2);
        assert_eq!(waiting(&condition), 0);
        assert!(mutex.is_locked());
        let (_outer, mut inner) = (rlock.lock(), rlock.lock());
        assert!(!condition.wait_timeout(&mut inner, SHORT));
        drop(inner);
        assert!(elsewhere(|| rlock.try_lock().is_none()), "a level is missing");
    });
}

/// A timeout of zero polls: a thread that waits for the lock can acquire it meanwhile, and notify.
#[test]
fn wait_with_a_zero_timeout_releases_the_lock() {
    within_limit(|| {
        let (done, condition) = (Mutex::new(false), Condition::new());
        thread::scope(|s| {
            let mut held = done.lock();
            s.spawn(|| {
                let mut done = done.lock();
                *done = true;
                condition.notify_all(&done);
            });
            while !*held {
                condition.wait_timeout(&mut held, Duration::ZERO);
            }
        });
    });
}

#[test]
fn wait_for_returns_the_last_result_of_the_predicate() {
    within_limit(|| {
        let (mutex, condition) = (Mutex::new(0), Condition::new());
        let mut held = mutex.lock();
        let mut asked = 0;
        condition.wait_for(&mut held, |_| true);
        assert!(condition.wait_for_timeout(&mut held, Duration::ZERO, |_| true));
        assert!(condition.wait_for_deadline(&mut held, past(), |_| true));
        assert!(!condition.wait_for_timeout(&mut held, Duration::ZERO, |n| {
            asked += 1;
            *n == 1
        }));
        assert_eq!(asked, 2, "once before the wait and once after it");
        assert!(!condition.wait_for_timeout(&mut held, SHORT, |_| false));
        assert!(!condition.wait_for_deadline(&mut held, past(), |_| false));
        // The predicate is true at the last check, although no thread notified.
        assert!(condition.wait_for_timeout(&mut held, SHORT, |n| {
            *n += 1;
            *n == 2
        }));
    });
}

#[test]
fn wait_for_checks_after_each_notification() {
    within_limit(|| {
        let (number, condition) = (Mutex::new(0), Condition::new());
        thread::scope(|s| {
            let waiter = s.spawn(|| {
                let mut number = number.lock();
                assert!(
                    condition.wait_for_timeout(&mut number, crate::support::LIMIT, |number| *number >= 3)
                );
                *number
            });
            for n in 1..=3 {
                until_waiting(&condition, 1);
                let mut number = number.lock();
                *number = n;
                condition.notify_one(&number);
            }
            assert_eq!(waiter.join().unwrap(), 3);
        });
    });
}

#[test]
fn predicate_gets_the_data_or_the_guard() {
    within_limit(|| {
        let (cell, lock, condition) = (ReentrantMutex::new(Cell::new(1)), Lock::new(), Condition::new());
        condition.wait_for(&mut cell.lock(), |cell| cell.get() == 1);
        condition.wait_for(&mut lock.lock(), |_| lock.is_locked());
    });
}

/// A notification and a timeout coincide: exactly one of them counts.
#[test]
fn timeout_neither_loses_nor_doubles_a_notification() {
    repeat(300, || {
        let (mutex, condition) = (Mutex::new(()), Condition::new());
        thread::scope(|s| {
            let waiters: Vec<_> = (0..2)
                .map(|_| s.spawn(|| condition.wait_timeout(&mut mutex.lock(), Duration::from_micros(80))))
                .collect();
            let notified = s.spawn(|| condition.notify(&mutex.lock(), 1)).join().unwrap();
            let woken: usize = waiters.into_iter().map(|waiter| usize::from(waiter.join().unwrap())).sum();
            assert_eq!(woken, notified);
        });
        assert_eq!(waiting(&condition), 0);
    });
}

/// As above, under constant contention: a polling thread is queued for a moment only.
#[test]
fn polling_waiter_counts_each_notification() {
    within_limit(|| {
        let (mutex, condition, polls) = (Mutex::new(()), Condition::new(), AtomicUsize::new(500));
        let (woken, notified) = thread::scope(|s| {
            let poll = s.spawn(|| {
                let (mut held, mut woken) = (mutex.lock(), 0);
                while polls.fetch_sub(1, Relaxed) > 1 {
                    woken += usize::from(condition.wait_timeout(&mut held, Duration::ZERO));
                }
                woken
            });
            let mut notified = 0;
            while polls.load(Relaxed) > 0 {
                crate::support::until(|| waiting(&condition) == 1 || polls.load(Relaxed) == 0);
                notified += condition.notify(&mutex.lock(), 1);
            }
            (poll.join().unwrap(), notified)
        });
        assert_eq!(woken, notified);
    });
}

#[test]
fn timeout_beyond_the_clock_never_passes() {
    repeat(20, || {
        let (ready, condition) = (Mutex::new(false), Condition::new());
        thread::scope(|s| {
            let waiter =
                s.spawn(|| condition.wait_for_timeout(&mut ready.lock(), Duration::MAX, |ready| *ready));
            let mut ready = ready.lock();
            *ready = true;
            condition.notify_all(&ready);
            drop(ready);
            assert!(waiter.join().unwrap());
        });
    });
}

#[test]
fn condition_serves_one_lock_at_a_time() {
    within_limit(|| {
        let (one, other, condition) = (Mutex::new(()), Mutex::new(()), Condition::default());
        thread::scope(|s| {
            s.spawn(|| condition.wait(&mut one.lock()));
            until_waiting(&condition, 1);
            let mut held = other.lock();
            let text = panic_of(|| condition.wait(&mut held));
            assert!(text.contains("one lock at a time"), "{text}");
            panic_of(|| assert!(condition.wait_timeout(&mut held, Duration::ZERO)));
            panic_of(|| condition.notify_one(&held));
            assert!(other.is_locked() && waiting(&condition) == 1);
            drop(held);
            condition.notify_all(&one.lock());
        });
        assert!(!condition.wait_timeout(&mut other.lock(), Duration::ZERO)); // no thread waits any more
    });
}

/// Python's `RuntimeError`: the lock of a guard may have been released by hand.
#[test]
fn wait_and_notify_without_the_lock_panic() {
    within_limit(|| {
        let (lock, rlock, condition) = (Lock::new(), RLock::new(), Condition::new());
        let mut held = lock.lock();
        lock.release().unwrap();
        let text = panic_of(|| condition.wait(&mut held));
        assert!(text.contains("released"), "{text}");
        panic_of(|| assert!(condition.wait_timeout(&mut held, Duration::ZERO)));
        panic_of(|| condition.notify_one(&held));
        assert!(!lock.is_locked());

        let mut held = rlock.lock();
        rlock.release().unwrap();
        panic_of(|| condition.wait(&mut held));
        // The same while another thread holds the lock, which must stay held.
        let (taken, done) = (Event::new(), Event::new());
        thread::scope(|s| {
            let holder = s.spawn(|| {
                let _held = rlock.lock();
                taken.set();
                done.wait();
                rlock.is_mine()
            });
            taken.wait();
            let text = panic_of(|| condition.wait(&mut held));
            assert!(text.contains("released"), "{text}");
            panic_of(|| condition.notify_one(&held));
            done.set();
            assert!(holder.join().unwrap(), "another thread's hold was ended");
        });
        assert_eq!(waiting(&condition), 0);
    });
}

#[test]
fn panicking_predicate_leaves_the_lock_consistent() {
    within_limit(|| {
        let (mutex, condition) = (Mutex::new(0), Condition::new());
        let text = panic_of(|| {
            let mut held = mutex.lock();
            condition.wait_for(&mut held, |_| panic!("the predicate"));
        });
        assert_eq!(text, "the predicate");
        assert!(!mutex.is_locked() && waiting(&condition) == 0);
    });
}

#[test]
fn panic_after_a_wait_releases_the_lock() {
    within_limit(|| {
        let (rlock, condition) = (RLock::new(), Condition::new());
        panic_of(|| {
            let (_outer, mut inner) = (rlock.lock(), rlock.lock());
            condition.wait_timeout(&mut inner, Duration::ZERO);
            panic!("held");
        });
        assert!(!rlock.is_locked());
    });
}

#[test]
fn condition_can_be_a_static_or_in_an_arc() {
    static READY: Condition = Condition::new();
    let mutex = Arc::new(Mutex::new(()));
    assert!(!READY.wait_timeout(&mut mutex.lock(), Duration::ZERO));
}
