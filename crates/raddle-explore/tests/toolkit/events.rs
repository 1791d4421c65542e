//! `Event`.

use std::collections::BTreeSet;
use std::sync::Arc;

use raddle::{Event, Shared, Thread};

use super::every::{every, every_patiently};
use super::{SOON, pause, together};

#[test]
fn whoever_waits_is_let_go() {
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
fn all_who_wait_are_let_go() {
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
fn a_set_against_a_timeout() {
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
fn who_waited_before_set_is_let_go_although_clear_follows() {
    let scenario = || {
        let event = Arc::new(Event::new());
        let waiters = [(); 2].map(|()| {
            let event = event.clone();
            Thread::spawn(move || event.wait())
        });
        pause(); // both wait now, since the clock is patient
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
fn who_comes_while_it_is_raised_and_lowered_waits_or_not_but_never_for_ever() {
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
fn two_who_set_and_one_who_clears() {
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
