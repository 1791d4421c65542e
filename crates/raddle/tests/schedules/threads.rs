//! Starting, ending, joining; scopes; time.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use raddle::thread::{self, JoinTimeoutError};
use raddle::{Shared, Thread};

use super::search::every_of_threads;
use super::{SOON, pause};

#[test]
fn a_join_against_the_end() {
    let scenario = || {
        let other = Thread::spawn(|| 7);
        let finished = other.is_finished();
        let value = other.join().unwrap();
        (finished, value, thread::active_count())
    };
    assert_eq!(every_of_threads(4, scenario), BTreeSet::from([(false, 7, 1), (true, 7, 1)]));
}

#[test]
fn a_join_with_a_limit_gives_the_value_or_the_handle() {
    let scenario = || {
        let other = Thread::spawn(|| 7);
        match other.join_timeout(SOON) {
            Ok(value) => (true, value),
            Err(JoinTimeoutError::TimedOut(handle)) => (false, handle.join().unwrap()),
            Err(JoinTimeoutError::Failed(error)) => panic!("{error}"),
        }
    };
    assert_eq!(every_of_threads(3, scenario), BTreeSet::from([(true, 7), (false, 7)]));
}

#[test]
fn two_may_wait_for_one() {
    let scenario = || {
        let other = Thread::spawn(|| ());
        let seen = other.thread().clone();
        let waiter = Thread::spawn(move || seen.wait_timeout(SOON));
        other.join().unwrap();
        waiter.join().unwrap()
    };
    assert_eq!(every_of_threads(1, scenario), BTreeSet::from([false, true]));
}

#[test]
fn what_a_thread_did_is_seen_by_its_joiner_and_its_panic_too() {
    let scenario = || {
        let value = Arc::new(Shared::new(0));
        let other = {
            let value = value.clone();
            Thread::spawn(move || {
                value.set(1);
                std::panic::resume_unwind(Box::new("no paper"))
            })
        };
        let other: Result<(), _> = other.join();
        (value.get(), other.unwrap_err().to_string().contains("no paper"))
    };
    assert_eq!(every_of_threads(3, scenario), BTreeSet::from([(1, true)]));
}

#[test]
fn an_update_of_a_racy_cell_is_lost_or_not() {
    let scenario = || {
        let value = Arc::new(Shared::new(0));
        let other = {
            let value = value.clone();
            Thread::spawn(move || value.set(value.get() + 1))
        };
        value.set(value.get() + 1);
        other.join().unwrap();
        value.get()
    };
    assert_eq!(every_of_threads(2, scenario), BTreeSet::from([1, 2]));
}

#[test]
fn a_scope_waits_for_all_that_borrow() {
    let scenario = || {
        let value = Shared::new(0);
        let sum = thread::scope(|s| {
            let joined = s.spawn(|| 3);
            s.spawn(|| value.set(4));
            joined.join().unwrap()
        });
        sum + value.get()
    };
    assert_eq!(every_of_threads(1, scenario), BTreeSet::from([7]));
}

#[test]
fn a_panic_that_nobody_joined_is_the_scopes() {
    let scenario = || {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            thread::scope(|s| {
                s.spawn(|| std::panic::resume_unwind(Box::new(1)));
            });
        }));
        outcome.is_err()
    };
    assert_eq!(every_of_threads(3, scenario), BTreeSet::from([true]));
}

#[test]
fn who_sleeps_longer_wakes_later() {
    let scenario = || {
        let woken = Arc::new(Shared::new(0));
        let sleeper = {
            let woken = woken.clone();
            Thread::spawn(move || {
                thread::sleep(2 * SOON);
                woken.get()
            })
        };
        let began = raddle::host::now();
        pause();
        woken.set(1);
        let slept = raddle::host::now() - began;
        assert!(slept >= SOON, "{slept:?}");
        sleeper.join().unwrap()
    };
    assert_eq!(every_of_threads(2, scenario), BTreeSet::from([0, 1]));
}
