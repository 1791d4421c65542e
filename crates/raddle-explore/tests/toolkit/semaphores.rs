//! `Semaphore` and `BoundedSemaphore`, and their wait queue.

use std::collections::BTreeSet;
use std::sync::Arc;

use raddle::{BoundedSemaphore, Mutex, Permit, PermitError, Semaphore, Shared, Thread};

use super::every::{every, every_patiently};
use super::{SOON, pause, together};

#[test]
fn permit_is_acquired_or_free_after_a_timeout() {
    let scenario = || {
        let permits = Arc::new(Semaphore::new(0));
        let taker = {
            let permits = permits.clone();
            Thread::spawn(move || permits.acquire_timeout(SOON).map(Permit::forget).is_some())
        };
        permits.release();
        (taker.join().unwrap(), permits.available(), permits.n_waiting())
    };
    assert_eq!(every(scenario), BTreeSet::from([(false, 1, 0), (true, 0, 0)]));
}

#[test]
fn one_permit_is_mutual_exclusion() {
    let scenario = || {
        let (permits, total) = (Arc::new(BoundedSemaphore::new(1)), Arc::new(Shared::new(0)));
        together(2, |_| {
            let (permits, total) = (permits.clone(), total.clone());
            move || {
                let _permit = permits.acquire();
                total.set(total.get() + 1);
            }
        });
        (total.get(), permits.available())
    };
    assert_eq!(every(scenario), BTreeSet::from([(2, 1)]));
}

#[test]
fn two_permits_admit_two_of_three() {
    let scenario = || {
        let (permits, inside) = (Arc::new(Semaphore::new(2)), Arc::new(Mutex::new((0, 0))));
        together(3, |_| {
            let (permits, inside) = (permits.clone(), inside.clone());
            move || {
                let _permit = permits.acquire();
                {
                    let mut inside = inside.lock();
                    inside.0 += 1;
                    inside.1 = inside.1.max(inside.0);
                }
                inside.lock().0 -= 1;
            }
        });
        (inside.lock().1, permits.available())
    };
    assert_eq!(every(scenario), BTreeSet::from([(1, 2), (2, 2)]));
}

#[test]
fn small_request_waits_behind_a_large_one_until_it_times_out() {
    let scenario = || {
        let permits = Arc::new(Semaphore::new(0));
        let many = {
            let permits = permits.clone();
            Thread::spawn(move || permits.acquire_many_timeout(2, SOON).map(Permit::forget).is_some())
        };
        let few = {
            let permits = permits.clone();
            Thread::spawn(move || permits.acquire().forget())
        };
        permits.release();
        few.join().unwrap();
        (many.join().unwrap(), permits.available())
    };
    assert_eq!(every(scenario), BTreeSet::from([(false, 0)]));
}

#[test]
fn waiters_get_permits_in_order() {
    let scenario = || {
        let (permits, order) = (Arc::new(Semaphore::new(0)), Arc::new(Mutex::new(Vec::new())));
        let threads = ['a', 'b'].map(|who| {
            let (permits, order) = (permits.clone(), order.clone());
            let thread = Thread::spawn(move || {
                permits.acquire().forget();
                order.lock().push(who);
                permits.release();
            });
            pause(); // it has enqueued now, since time is quiescent
            thread
        });
        assert_eq!(permits.n_waiting(), 2);
        permits.release();
        for thread in threads {
            thread.join().unwrap();
        }
        order.lock().iter().collect::<String>()
    };
    assert_eq!(every_patiently(scenario), BTreeSet::from(["ab".to_owned()]));
}

#[test]
fn newcomer_does_not_overtake_a_waiter() {
    let scenario = || {
        let permits = Arc::new(Semaphore::new(0));
        let both = {
            let permits = permits.clone();
            Thread::spawn(move || permits.acquire_many(2).forget())
        };
        pause(); // it has enqueued now, since time is quiescent
        permits.release();
        let overtaken = permits.try_acquire().map(Permit::forget).is_some();
        permits.release();
        both.join().unwrap();
        (overtaken, permits.available())
    };
    assert_eq!(every_patiently(scenario), BTreeSet::from([(false, 0)]));
}

#[test]
fn two_released_permits_serve_two_waiters() {
    let scenario = || {
        let permits = Arc::new(Semaphore::new(0));
        let takers = [(); 2].map(|()| {
            let permits = permits.clone();
            Thread::spawn(move || permits.acquire().forget())
        });
        permits.release_many(2).unwrap();
        for taker in takers {
            taker.join().unwrap();
        }
        permits.available()
    };
    assert_eq!(every(scenario), BTreeSet::from([0]));
}

#[test]
fn two_released_permits_serve_two_waiters_or_one_that_needs_both() {
    let scenario = || {
        let permits = Arc::new(Semaphore::new(0));
        let takers = [1, 2].map(|count| {
            let permits = permits.clone();
            Thread::spawn(move || permits.acquire_many_timeout(count, SOON).map(Permit::forget).is_some())
        });
        permits.release_many(2).unwrap();
        let got = takers.map(|taker| taker.join().unwrap());
        (got, permits.available())
    };
    let outcomes = [([false, false], 2), ([true, false], 1), ([false, true], 0)];
    assert_eq!(every(scenario), BTreeSet::from(outcomes));
}

#[test]
fn second_release_is_an_error() {
    let scenario = || {
        let permits = Arc::new(BoundedSemaphore::new(1));
        permits.acquire().forget();
        let other = {
            let permits = permits.clone();
            Thread::spawn(move || permits.release())
        };
        let results = [permits.release(), other.join().unwrap()];
        let surplus =
            results.iter().filter(|result| **result == Err(PermitError::Surplus { bound: 1 })).count();
        (surplus, permits.available())
    };
    assert_eq!(every(scenario), BTreeSet::from([(1, 1)]));
}

#[test]
fn permit_goes_to_the_next_waiter_unless_the_timed_out_one_got_it() {
    let scenario = || {
        let permits = Arc::new(Semaphore::new(0));
        let hasty = {
            let permits = permits.clone();
            Thread::spawn(move || {
                let got = permits.acquire_timeout(SOON).map(Permit::forget).is_some();
                if got {
                    permits.release();
                }
                got
            })
        };
        let patient = {
            let permits = permits.clone();
            Thread::spawn(move || permits.acquire().forget())
        };
        permits.release();
        patient.join().unwrap();
        (hasty.join().unwrap(), permits.available(), permits.n_waiting())
    };
    assert_eq!(every(scenario), BTreeSet::from([(false, 0, 0), (true, 0, 0)]));
}
