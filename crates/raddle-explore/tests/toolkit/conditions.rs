//! `Condition`, and its wait queue.

use std::collections::BTreeSet;
use std::sync::Arc;

use raddle::{Condition, Event, Lock, Mutex, Thread, Unguarded};
use raddle_explore::Time;

use super::every::{Ways, every, every_patiently};
use super::{SOON, pause};

#[test]
fn wait_is_notified_or_times_out_never_both() {
    let scenario = || {
        let parts = Arc::new((Mutex::new(()), Condition::new()));
        let waiter = {
            let parts = parts.clone();
            Thread::spawn(move || parts.1.wait_timeout(&mut parts.0.lock(), SOON))
        };
        let notified = parts.1.notify(&parts.0.lock(), 1);
        (notified, waiter.join().unwrap())
    };
    assert_eq!(every(scenario), BTreeSet::from([(0, false), (1, true)]));
}

#[test]
fn no_wakeup_is_lost() {
    let scenario = || {
        let parts = Arc::new((Mutex::new(0), Condition::new()));
        let getter = {
            let parts = parts.clone();
            Thread::spawn(move || {
                let mut items = parts.0.lock();
                parts.1.wait_for(&mut items, |items| *items > 0);
                *items -= 1;
            })
        };
        {
            let mut items = parts.0.lock();
            *items += 1;
            parts.1.notify_one(&items);
        }
        getter.join().unwrap();
        *parts.0.lock()
    };
    assert_eq!(every(scenario), BTreeSet::from([0]));
}

#[test]
fn timed_out_wait_evaluates_the_predicate_once_more() {
    let scenario = || {
        let parts = Arc::new((Mutex::new(false), Condition::new()));
        let waiter = {
            let parts = parts.clone();
            Thread::spawn(move || {
                let mut done = parts.0.lock();
                let said = parts.1.wait_for_timeout(&mut done, SOON, |done| *done);
                (said, *done)
            })
        };
        *parts.0.lock() = true; // without a notification
        waiter.join().unwrap()
    };
    assert_eq!(every(scenario), BTreeSet::from([(false, false), (true, true)]));
}

#[test]
fn waiters_are_notified_in_order() {
    let scenario = || {
        let parts = Arc::new((Mutex::new(Vec::new()), Condition::new()));
        let wait = |who: char| {
            let parts = parts.clone();
            Thread::spawn(move || {
                let mut order = parts.0.lock();
                order.push(who);
                parts.1.wait_timeout(&mut order, SOON)
            })
        };
        let (a, b) = (wait('a'), wait('b'));
        let (notified, order) = {
            let order = parts.0.lock();
            (parts.1.notify(&order, 1), order.clone())
        };
        let got = (a.join().unwrap(), b.join().unwrap());
        let expected = match order.first() {
            _ if notified == 0 => (false, false),
            Some('a') => (true, false),
            _ => (false, true),
        };
        // A waiter that timed out before the notification cannot have been first in the queue.
        assert!(
            got == expected || (order.len() == 2 && got == (!expected.0, !expected.1)),
            "{order:?} {got:?}"
        );
        (notified, usize::from(got.0) + usize::from(got.1))
    };
    assert_eq!(every(scenario), BTreeSet::from([(0, 0), (1, 1)]));
}

#[test]
fn notify_all_wakes_both_waiters() {
    let scenario = || {
        let parts = Arc::new((Lock::new(), Condition::new()));
        let waiters = [(); 2].map(|()| {
            let parts = parts.clone();
            Thread::spawn(move || parts.1.wait(&mut parts.0.lock()))
        });
        pause(); // both wait now, since time is quiescent
        let notified = parts.1.notify_all(&parts.0.lock());
        for waiter in waiters {
            waiter.join().unwrap();
        }
        notified
    };
    assert_eq!(every_patiently(scenario), BTreeSet::from([2]));
}

/// A waiter without a guard beside a thread that has one.
#[test]
fn unguarded_waiter_misses_no_notification() {
    let scenario = || {
        let parts = Arc::new((Lock::new(), Condition::new(), raddle::Shared::new(false)));
        let waiter = {
            let parts = parts.clone();
            Thread::spawn(move || {
                let (lock, changed, done) = &*parts;
                lock.acquire();
                while !done.get() {
                    changed.wait(&mut Unguarded(lock));
                }
                lock.release().unwrap();
            })
        };
        let (lock, changed, done) = &*parts;
        let held = lock.lock();
        done.set(true);
        changed.notify_one(&held);
        drop(held);
        waiter.join().unwrap();
        lock.is_locked()
    };
    assert_eq!(every(scenario), BTreeSet::from([false]));
}

#[test]
fn condition_rejects_another_lock() {
    let scenario = || {
        let parts = Arc::new((Mutex::new(()), Condition::new()));
        let waiter = {
            let parts = parts.clone();
            Thread::spawn(move || parts.1.wait(&mut parts.0.lock()))
        };
        pause();
        let wrong = Arc::new(Mutex::new(()));
        let refused = {
            let (parts, wrong) = (parts.clone(), wrong.clone());
            Thread::spawn(move || parts.1.notify_one(&wrong.lock())).join().is_err()
        };
        assert!(!wrong.is_locked(), "the panic released the guarded lock");
        parts.1.notify_one(&parts.0.lock());
        waiter.join().unwrap();
        refused
    };
    let ways = Ways { time: Time::Quiescent, panics: true, runs: 0, ..Ways::new(scenario) };
    assert_eq!(ways.all(), BTreeSet::from([true]));
}

#[test]
fn notification_goes_to_the_next_waiter_unless_the_timed_out_one_got_it() {
    let scenario = || {
        let parts = Arc::new((Mutex::new(false), Condition::new(), Event::new()));
        let hasty = {
            let parts = parts.clone();
            Thread::spawn(move || parts.1.wait_timeout(&mut parts.0.lock(), SOON))
        };
        let patient = {
            let parts = parts.clone();
            Thread::spawn(move || {
                let (over, ready, woken) = &*parts;
                let mut over = over.lock();
                while !*over {
                    ready.wait(&mut over);
                    woken.set();
                }
            })
        };
        let (over, ready, woken) = &*parts;
        let notified = ready.notify(&over.lock(), 1);
        let hasty = hasty.join().unwrap();
        if notified == 1 && !hasty {
            woken.wait(); // blocks forever if the notification was lost
        }
        let mut over = over.lock();
        *over = true;
        ready.notify_all(&over);
        drop(over);
        patient.join().unwrap();
        (notified, hasty)
    };
    assert_eq!(every(scenario), BTreeSet::from([(0, false), (1, false), (1, true)]));
}
