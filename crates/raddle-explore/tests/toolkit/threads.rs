//! Starting, ending, joining; scopes; time.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use raddle::thread::{self, JoinTimeoutError};
use raddle::{Event, Lock, Shared, Thread};

use super::every::{Ways, every, every_panic};
use super::{SOON, pause};

#[test]
fn a_join_against_the_end() {
    let scenario = || {
        let other = Thread::spawn(|| 7);
        let (finished, ident) = (other.is_finished(), other.thread().ident());
        let value = other.join().unwrap();
        (finished, value, thread::enumerate().iter().any(|alive| alive.ident() == ident))
    };
    assert_eq!(every(scenario), BTreeSet::from([(false, 7, false), (true, 7, false)]));
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
    assert_eq!(every(scenario), BTreeSet::from([(true, 7), (false, 7)]));
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
    assert_eq!(every(scenario), BTreeSet::from([false, true]));
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
    assert_eq!(every_panic(scenario), BTreeSet::from([(1, true)]));
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
    assert_eq!(every(scenario), BTreeSet::from([1, 2]));
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
    assert_eq!(every(scenario), BTreeSet::from([7]));
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
    assert_eq!(every_panic(scenario), BTreeSet::from([true]));
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
        let began = raddle::time::now();
        pause();
        woken.set(1);
        let slept = raddle::time::now() - began;
        assert!(slept >= SOON, "{slept:?}");
        sleeper.join().unwrap()
    };
    assert_eq!(every(scenario), BTreeSet::from([0, 1]));
}

/// What the destructor of a local does is seen after the scope, as it is after a join.
#[test]
fn a_scope_waits_for_the_thread_locals_of_its_threads() {
    struct Leaves(Arc<Shared<u32>>);
    impl Drop for Leaves {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    thread_local!(static LEAVES: RefCell<Option<Leaves>> = const { RefCell::new(None) });
    let scenario = || {
        let left = Arc::new(Shared::new(0));
        thread::scope(|s| {
            drop(s.spawn(|| LEAVES.set(Some(Leaves(left.clone())))));
        });
        left.get()
    };
    assert_eq!(every(scenario), BTreeSet::from([1]));
}

#[test]
fn the_end_of_one_against_the_start_of_others() {
    let scenario = || {
        let ends = Thread::spawn(|| Thread::spawn(|| 1)); // it ends after it has started one itself
        let other = Thread::spawn(|| 2);
        let idents = [ends.thread().ident(), other.thread().ident()];
        let child = ends.join().unwrap();
        let sum = child.join().unwrap() + other.join().unwrap();
        (sum, thread::enumerate().iter().any(|alive| idents.contains(&alive.ident())))
    };
    assert_eq!(every(scenario), BTreeSet::from([(3, false)]));
}

#[test]
fn a_daemon_is_left_where_it_is_at_the_end() {
    let scenario = || {
        let (lock, began) = (Arc::new(Lock::new()), Arc::new(Shared::new(false)));
        let daemon = {
            let (lock, began) = (lock.clone(), began.clone());
            Thread::new(move || {
                began.set(true);
                let _held = lock.lock();
                Event::new().wait();
            })
        };
        daemon.daemon(true).start().unwrap();
        began.get()
    };
    // On threads of the operating system it stays.
    let ways = Ways { runs: 3, ..Ways::new(scenario) };
    assert_eq!(ways.all(), BTreeSet::from([false, true]));
}
