//! Start, termination and join of threads; scopes; time.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use raddle::thread::{self, JoinTimeoutError};
use raddle::{Event, Lock, Shared, Thread};

use super::every::{Ways, every, every_panic};
use super::{SOON, pause};

#[test]
fn joined_thread_is_finished_and_not_enumerated() {
    let scenario = || {
        let other = Thread::spawn(|| 7);
        let (finished, ident) = (other.is_finished(), other.thread().ident());
        let value = other.join().unwrap();
        (finished, value, thread::enumerate().iter().any(|alive| alive.ident() == ident))
    };
    assert_eq!(every(scenario), BTreeSet::from([(false, 7, false), (true, 7, false)]));
}

#[test]
fn join_with_a_timeout_returns_the_value_or_the_handle() {
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
fn two_threads_may_join_one() {
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
fn join_happens_after_the_thread_even_if_it_panicked() {
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
fn update_of_a_racy_cell_may_be_lost() {
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
fn scope_waits_for_all_borrowing_threads() {
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
fn unjoined_panic_is_resumed_by_the_scope() {
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
fn longer_sleep_ends_later() {
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

/// The effect of a thread-local's destructor is visible after the scope, as it is after a join.
#[test]
fn scope_waits_for_destructors_of_thread_locals() {
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
fn terminated_threads_are_not_enumerated_while_others_start() {
    let scenario = || {
        let ends = Thread::spawn(|| Thread::spawn(|| 1)); // it terminates after it has started one itself
        let other = Thread::spawn(|| 2);
        let idents = [ends.thread().ident(), other.thread().ident()];
        let child = ends.join().unwrap();
        let sum = child.join().unwrap() + other.join().unwrap();
        (sum, thread::enumerate().iter().any(|alive| idents.contains(&alive.ident())))
    };
    assert_eq!(every(scenario), BTreeSet::from([(3, false)]));
}

#[test]
fn daemon_is_cut_off_when_the_program_ends() {
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
    // On OS threads it remains.
    let ways = Ways { runs: 3, ..Ways::new(scenario) };
    assert_eq!(ways.all(), BTreeSet::from([false, true]));
}
