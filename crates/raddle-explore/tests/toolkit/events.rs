//! `Event`.

use std::collections::BTreeSet;
use std::sync::Arc;

use raddle::{Event, Shared, Thread};

use super::every::{every, every_patiently};
use super::{SOON, pause, together};

#[test]
fn shutdown_wakes_all_waiters() {
    let scenario = || {
        let (event, value) = (Arc::new(Event::new()), Arc::new(Shared::new(0)));
        let waiter = {
            let (event, value) = (event.clone(), value.clone());
            Thread::spawn(move || {
                event.wait();
                value.get()
            })
        };
        value.set(1);
        event.set();
        waiter.join().unwrap()
    };
    assert_eq!(every(scenario), BTreeSet::from([1]));
}

#[test]
fn set_wakes_all_waiters() {
    let scenario = || {
        let event = Arc::new(Event::new());
        together(3, |who| {
            let event = event.clone();
            move || if who == 0 { event.set() } else { event.wait() }
        });
        event.is_set()
    };
    assert_eq!(every(scenario), BTreeSet::from([true]));
}

#[test]
fn wait_ends_by_the_set_or_the_timeout() {
    let scenario = || {
        let event = Arc::new(Event::new());
        let waiter = {
            let event = event.clone();
            Thread::spawn(move || event.wait_timeout(SOON))
        };
        event.set();
        waiter.join().unwrap()
    };
    assert_eq!(every(scenario), BTreeSet::from([false, true]));
}

#[test]
fn waiter_is_woken_by_a_set_before_a_clear() {
    let scenario = || {
        let event = Arc::new(Event::new());
        let waiters = [(); 2].map(|()| {
            let event = event.clone();
            Thread::spawn(move || event.wait())
        });
        pause(); // both wait now, since time is quiescent
        event.set();
        event.clear();
        for waiter in waiters {
            waiter.join().unwrap();
        }
        event.is_set()
    };
    assert_eq!(every_patiently(scenario), BTreeSet::from([false]));
}

#[test]
fn waiter_that_arrives_during_set_and_clear_is_woken() {
    let scenario = || {
        let event = Arc::new(Event::new());
        let waiter = {
            let event = event.clone();
            Thread::spawn(move || event.wait_timeout(SOON))
        };
        event.set();
        event.clear();
        event.set();
        (waiter.join().unwrap(), event.is_set())
    };
    assert_eq!(every(scenario), BTreeSet::from([(false, true), (true, true)]));
}

#[test]
fn event_is_set_unless_the_clear_is_last() {
    let scenario = || {
        let event = Arc::new(Event::new());
        together(3, |who| {
            let event = event.clone();
            move || if who == 0 { event.clear() } else { event.set() }
        });
        event.is_set()
    };
    assert_eq!(every(scenario), BTreeSet::from([false, true]));
}
